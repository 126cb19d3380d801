"""Which motion files lie in a folder, who performs in them, and whether their origin allows shipped weights.

CMU's file names carry performer and take (``01_08.amc``, ``001_08.bvh``, ``scaled_131_02.bvh``); elsewhere the folder
stands for the performer. Of everything that is not CMU's the terms or the performers are not clear enough
(children; game and film rigs): such takes are read, but left out of a corpus unless asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monocap.data.mocap import rigs
from monocap.data.mocap.asf_amc import read_amc
from monocap.data.mocap.bvh import read_bvh
from monocap.data.mocap.clip import MocapClip
from monocap.data.mocap.deepmimic import read_deepmimic
from monocap.data.mocap.expmap import read_expmap
from monocap.errors import InputError

_NUMBERED = re.compile(r"^(?:scaled_)?0*(\d{1,3})_(\d{1,3})(?:_|$)")
_CHILD = re.compile(r"^\d+yr_old$")


@dataclass(frozen=True)
class Take:
    """One file: ``archive`` (format and folder), ``subject`` (CMU's number, the folder's name, or "" if nobody can
    tell), ``origin`` (cmu, child or unclear) and, for .amc, the ``skeleton`` file."""

    path: Path
    archive: str
    subject: str
    origin: str
    skeleton: Path | None = None

    @property
    def name(self) -> str:
        """Archive and file, unique in a folder of archives."""
        return f"{self.archive}/{self.path.stem}"


def find_takes(folder: str | os.PathLike[str]) -> list[Take]:
    """All motion files below a folder, CMU's own form first (so that later duplicates go).

    Raises InputError if the folder holds none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected one with .bvh, .amc or exponential-map .txt files")
    takes = list(_takes(root))
    if not takes:
        raise InputError(f"{root}: no .bvh, .amc, or exponential-map .txt file in it; unpack the archives there")
    order = {".amc": 0, ".bvh": 1, ".txt": 2}
    return sorted(takes, key=lambda take: (order[take.path.suffix.lower()], take.archive, str(take.path)))


def _takes(root: Path) -> Iterator[Take]:
    skeletons = sorted(root.rglob("*.asf"))
    for path in sorted(root.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in (".bvh", ".amc", ".txt") or not path.is_file():
            continue
        folders = path.relative_to(root).parts[:-1]
        numbered = _NUMBERED.match(path.stem)
        subject = f"{int(numbered[1]):02d}" if numbered else (folders[-1] if folders else root.name)
        if suffix == ".txt":
            kind = _text_kind(path)
            if kind == "expmap":
                yield Take(path, "/".join(folders[:2]) or "expmap", "", "cmu")
            elif kind == "deepmimic":
                yield Take(path, folders[0] if folders else "deepmimic", "", "unclear")
            continue
        child = any(_CHILD.match(folder) for folder in folders)
        known = numbered is not None or subject.startswith("cmu")
        origin = "child" if child else "cmu" if known else "unclear"
        skeleton = _skeleton(path, skeletons, subject) if suffix == ".amc" else None
        yield Take(path, "/".join(folders) or root.name, subject, origin, skeleton)


def _skeleton(path: Path, skeletons: list[Path], subject: str) -> Path | None:
    """The performer's .asf, nearest first; else any one: CMU's share axes and differ in lengths."""
    own = [asf for asf in skeletons if asf.stem == subject]
    beside = [asf for asf in own if asf.parent == path.parent]
    return next(iter(beside or own or skeletons), None)


def _text_kind(path: Path) -> str:
    """expmap, deepmimic, or "" for any other text, by how the file begins."""
    with path.open("rb") as stream:
        head = stream.read(4096).decode("utf-8", errors="replace")
    if head.lstrip().startswith("{") and '"Frames"' in head:
        return "deepmimic"
    first = head.splitlines()[0] if head else ""
    return "expmap" if first.count(",") == 116 else ""


def read_take(take: Take | str | os.PathLike[str]) -> MocapClip:
    """The clip of a take, in metres. Raises InputError with file, line and remedy."""
    if not isinstance(take, Take):
        path = Path(take)
        beside = sorted(path.parent.glob("*.asf"))
        numbered = _NUMBERED.match(path.stem)
        subject = f"{int(numbered[1]):02d}" if numbered else ""
        take = Take(path, path.parent.name, subject, "unclear", _skeleton(path, beside, subject))
    suffix = take.path.suffix.lower()
    if suffix == ".bvh":
        clip = read_bvh(take.path, 1.0)
        return rigs.in_metres(clip, rigs.recognise(clip))
    if suffix == ".amc":
        if take.skeleton is None:
            raise InputError(f"{take.path}: no .asf skeleton beside it; put the performer's one there")
        return read_amc(take.path, take.skeleton)
    if suffix == ".txt":
        return read_deepmimic(take.path) if _text_kind(take.path) == "deepmimic" else read_expmap(take.path)
    raise InputError(f"{take.path}: expected a .bvh, .amc, or exponential-map .txt file")


__all__ = ["Take", "find_takes", "read_take"]
