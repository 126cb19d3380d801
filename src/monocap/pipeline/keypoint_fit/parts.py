"""What a fit leaves behind so that ``--resume`` can go on: finished batches or people, and written files."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from monocap.pipeline.keypoint_fit.evidence import Evidence
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.lock import STATE
from monocap.pipeline.resume import Checkpoint, Key, content_hash
from monocap.types import Array

_PREFIX = "fit_"
_EVERY = 2.0  # seconds between notes of written files: folders may hold tens of thousands of pictures


def fit_key(
    files: Sequence[Path], settings: FitSettings, versions: Mapping[str, str], weights: Mapping[str, str]
) -> Key:
    """What results depend on, as `pipeline.resume.run_key`: the keypoints' content, options, versions, weights."""
    options: dict[str, Any] = asdict(replace(settings, evidence=Evidence()))
    options["evidence"] = content_hash(settings.evidence.files) if settings.evidence.places else None
    if settings.gender_weights is not None:
        options["gender_weights"] = content_hash([settings.gender_weights])
    common = options.pop("common")
    body = Path(common["body"])
    if body.is_file():
        common["body"] = content_hash([body])
    elif body.is_dir():
        common["body"] = content_hash(sorted(p for p in body.rglob("SMPL*") if p.is_file()))
    used = {name: common[name] for name in ("body", "focal", "fov", "intrinsics", "height", "smooth", "people")}
    key = {"input": content_hash(files), "options": {**options, **used}, "versions": versions, "weights": weights}
    return json.loads(json.dumps(key))


class FitCheckpoint(Checkpoint):
    """A `Checkpoint` that also keeps pieces of work under names (`fitting.Parts`)."""

    _noted = 0.0

    def part(self, name: str) -> Mapping[str, Array] | None:
        """What `keep_part` kept under this name, if anything."""
        return self._read(f"{name}.npz")

    def keep_part(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Keep a finished piece. A full disk is no reason to stop: it is told, and the fit goes on."""
        try:
            self._write(f"{name}.npz", arrays)
        except OSError as error:
            self._note(f"no checkpoint could be written ({error.strerror or error})")

    def finish(self, part: str, paths: Iterable[Path]) -> None:
        """Note files as written; on disk now and then."""
        now = time.monotonic()
        if now - self._noted < _EVERY:
            root = self._folder.parent
            self.outputs[part] = {path.relative_to(root).as_posix(): path.stat().st_size for path in paths}
            return
        super().finish(part, paths)
        self._noted = now

    def _drop(self) -> None:
        super()._drop()
        for path in (self._folder.parent / STATE).glob(f"{_PREFIX}*.npz"):
            with contextlib.suppress(OSError):
                path.unlink()
