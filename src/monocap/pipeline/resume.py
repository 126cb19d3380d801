"""What a capture leaves beside its results so that ``--resume`` can go on: what it was made of, and how far it came.

``OUT/.monocap/run.json`` says of which input, options, versions and weights; ``keypoints.npz`` is the state after some
frame of a video; ``motion.npz`` the fitted motion, unrounded. All go when the capture is complete: its report keeps
the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from monocap.assets import manifest
from monocap.errors import InputError, MonocapError
from monocap.files import read_npz, replacing, write_npz
from monocap.pipeline.lock import STATE
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Array, Motion

EVERY = 10.0  # seconds between checkpoints, or more: they may take a twentieth of the time
_SHARE = 20.0
_MAX_BYTES = 2 << 30
_WHOLE = 64 << 20  # files up to this are hashed whole
_SAMPLES, _BLOCK = 64, 1 << 20  # of larger ones, blocks from the first to the last

Key = dict[str, Any]


def content_hash(files: Sequence[Path]) -> str:
    """SHA-256 over size and content of files, in order; of one above 64 MB, over 64 blocks spread evenly."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as stream:
            if size <= _WHOLE:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
                continue
            for i in range(_SAMPLES):
                stream.seek((size - _BLOCK) * i // (_SAMPLES - 1))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def weights_in_use() -> dict[str, str]:
    """SHA-256 by name of every file that ships, each read and compared. Raises AssetError if one is damaged."""
    for asset in manifest.listing():
        manifest.verify(asset)
    return {asset.name: asset.sha256 for asset in manifest.listing()}


def run_key(
    files: Sequence[Path],
    settings: CaptureSettings,
    versions: Mapping[str, str],
    weights: Mapping[str, str],
    fps: float | None = None,
    skin: str | None = None,
) -> Key:
    """What results depend on: ``input`` (content), ``options``, ``versions``, ``weights``; ready for JSON."""
    options = {**asdict(settings), "fps": fps, "skin": skin}
    for name in ("body", "skin", "weights"):
        if options[name] is not None and Path(options[name]).is_file():
            options[name] = content_hash([Path(options[name])])
    key = {"input": content_hash(files), "options": options, "versions": versions, "weights": weights}
    return json.loads(json.dumps(key))


def differences(before: Key, now: Key) -> list[str]:
    """In words, what two keys differ in; empty if one may go on from the other."""
    found = ["the input is another file" for _ in range(1) if before.get("input") != now["input"]]
    for part in ("options", "versions", "weights"):
        old, new = before.get(part), now[part]
        old = old if isinstance(old, dict) else {}
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        if part == "weights":
            found += [f"the weights {name} are others" for name in changed]
        else:
            what = "" if part == "options" else "the version of "
            found += [f"{what}{name} was {_short(old.get(name))}, now {_short(new.get(name))}" for name in changed]
    return found


def _short(value: Any) -> str:
    text = "unset" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"


class Checkpoint:
    """The state of one capture in ``folder``; every file in it appears whole or not at all.

    With ``resume``, what an earlier run of the same ``key`` left is used, else it is dropped. ``note`` takes a line for
    the user.

    Raises InputError, naming what differs, if there is something to go on from, but of another key.
    """

    def __init__(
        self, folder: Path, key: Key, report: Path, resume: bool, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder, self._key, self._report, self._note = folder / STATE, key, report, note
        self._saved_at, self._cost = time.monotonic(), 0.0
        self.resumed_from = 0  # frames that were not looked at again
        self.outputs: dict[str, dict[str, int]] = {}  # finished and still there: format, then file and bytes
        self.reported = False  # whether an earlier run of the same key came to its end
        self._told: Any = None
        before = self._before() if resume else None
        if before is None:
            self._drop()
            return
        changed = differences(before["key"], key)
        if changed:
            raise InputError(
                f"{folder}: cannot go on, since {'; '.join(changed[:4])}{'; …' if len(changed) > 4 else ''}. "
                "Leave --resume out to start anew"
            )
        told = before.get("outputs")
        told = told if isinstance(told, dict) else {}
        self.outputs = {part: files for part, files in told.items() if self._are_there(files)}
        self.reported = bool(before.get("reported"))
        self._told = before.get("warnings")

    def finish(self, part: str, paths: Iterable[Path]) -> None:
        """Note that a format, or the overlay, is written."""
        root = self._folder.parent
        self.outputs[part] = {path.relative_to(root).as_posix(): size_of(path) or 0 for path in paths}
        self._write_run()

    def _are_there(self, files: Any) -> bool:
        return isinstance(files, dict) and all(
            ".." not in name.split("/") and size_of(self._folder.parent / name) == size for name, size in files.items()
        )

    def keypoints(self) -> dict[str, Array] | None:
        """The state that `offer` saved last, if any."""
        return self._read("keypoints.npz")

    def offer(self, state: Callable[[], Mapping[str, Array]]) -> None:
        """Save ``state()`` if it is time. A full disk is no reason to stop: it is told, and the capture goes on."""
        begun = time.monotonic()
        if begun - self._saved_at < max(EVERY, _SHARE * self._cost):
            return
        arrays = state()
        try:
            if sum(np.asarray(array).nbytes for array in arrays.values()) <= _MAX_BYTES:
                self._write("keypoints.npz", arrays)
        except OSError as error:
            self._note(f"no checkpoint could be written ({error.strerror or error})")
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - begun

    def motion(self) -> Motion | None:
        """The motion that `keep_motion` saved, bit for bit."""
        arrays = self._read("motion.npz")
        if arrays is None:
            return None
        values: dict[str, Any] = dict(arrays)
        for name, cast in (("schema", str), ("body_model", str), ("fps", float)):
            values[name] = cast(values[name])
        return Motion(**values)

    def keep_motion(self, motion: Motion, warnings: Sequence[str]) -> None:
        """Save the fitted motion; the keypoints' state is no longer needed."""
        given = {f.name: getattr(motion, f.name) for f in fields(motion)}
        arrays = {name: np.asarray(value) for name, value in given.items() if value is not None}
        try:
            self._write("motion.npz", arrays)
            (self._folder / "warnings.json").write_text(json.dumps(list(warnings)), encoding="utf-8")
            (self._folder / "keypoints.npz").unlink(missing_ok=True)
        except OSError as error:
            self._note(f"no checkpoint could be written ({error.strerror or error})")

    def warnings(self) -> list[str]:
        """Those that came with the motion that was kept, or was reported."""
        if isinstance(self._told, list):
            return [str(line) for line in self._told]
        try:
            return [str(line) for line in json.loads((self._folder / "warnings.json").read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return []

    def clear(self) -> None:
        """All is written: drop the state."""
        self._drop()

    def _before(self) -> dict[str, Any] | None:
        """What an unfinished run left, or else the report of a finished one; None if there is neither."""
        for path, reported in ((self._folder / "run.json", False), (self._report, True)):
            with contextlib.suppress(OSError, ValueError):
                told = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(told, dict) and isinstance(told.get("key"), dict):
                    return {**told, "reported": reported}
        return None

    def _write_run(self) -> None:
        with replacing(self._folder / "run.json") as temporary:
            told = {"key": self._key, "outputs": self.outputs, "warnings": self._told}
            temporary.write_text(json.dumps(told), encoding="utf-8")

    def _write(self, name: str, arrays: Mapping[str, Array]) -> None:
        self._write_run()
        write_npz(self._folder / name, arrays, compress=False)

    def _read(self, name: str) -> dict[str, Array] | None:
        path = self._folder / name
        if not path.is_file():
            return None
        try:
            return read_npz(path, max_bytes=_MAX_BYTES)
        except MonocapError:
            self._note(f"{path} is damaged; the capture starts anew")
            return None

    def _drop(self) -> None:
        for name in ("run.json", "keypoints.npz", "motion.npz", "warnings.json"):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


def size_of(path: Path) -> int | None:
    """Bytes of a file, or of all files in a folder; None if there is nothing."""
    try:
        if path.is_dir():
            return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
        return path.stat().st_size
    except OSError:
        return None
