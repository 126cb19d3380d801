"""What a keypoint file or folder is, told by its content and not by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.fields import read_json
from monocap.data.keypoint_files.arrays import is_keypoint_arrays, read_arrays
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet, natural
from monocap.data.keypoint_files.mediapipe import is_mediapipe, read_mediapipe
from monocap.data.keypoint_files.openpose import is_openpose, read_openpose
from monocap.data.keypoint_files.people_lists import is_people_list, read_people_list
from monocap.data.recordings import Recording, read_recordings
from monocap.errors import InputError
from monocap.files import npz_shapes, read_npz

KINDS = (
    "OpenPose JSON (a file per picture), COCO, COCO-WholeBody, AlphaPose or MMPose JSON, MediaPipe's landmarks as "
    "JSON, a motion.npz, or an npz with keypoints2d or 3D joints"
)
_POINTS_3D = ("joints", "markers")
_OWN = ("report.json", "summary.json")


def find_keypoints(path: str | os.PathLike[str]) -> list[tuple[str, Path]]:
    """(name, place) of every set in ``path``: a file is one, a folder with keypoint files too; a folder of such folders
    holds one each (OpenPose over several videos). Raises InputError if there is none."""
    path = Path(path)
    if path.is_file():
        return [(path.stem, path)]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; expected {KINDS}")
    if _files_in(path):
        return [(path.absolute().name, path)]
    inner = sorted((p for p in path.iterdir() if p.is_dir() and _files_in(p)), key=lambda p: natural(p.name))
    if not inner:
        raise InputError(f"{path}: no .json or .npz files there; expected {KINDS}")
    return [(p.name, p) for p in inner]


def _files_in(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.suffix.lower() in (".json", ".npz") and p.is_file())
    return sorted(
        (p for p in found if not p.name.startswith(".") and p.name not in _OWN), key=lambda p: natural(p.name)
    )


def read_keypoints(
    path: str | os.PathLike[str],
    *,
    skeleton: str | None = None,
    size: Callable[[str], tuple[int, int] | None] = lambda name: None,
) -> KeypointSet:
    """2D keypoints of a file or folder, as `read_points`. Raises InputError also for 3D joints."""
    found = read_points(path, skeleton=skeleton, size=size)
    if isinstance(found, Recording):
        raise InputError(f"{path}: 3D {found.what}; expected keypoints in pictures")
    return found


def read_points(
    path: str | os.PathLike[str],
    *,
    skeleton: str | None = None,
    size: Callable[[str], tuple[int, int] | None] = lambda name: None,
    unit: str | None = None,
    axes: str | None = None,
) -> KeypointSet | Recording:
    """Keypoints of a file or folder (see `find_keypoints`) in one form; 3D joints come as a `Recording`.

    ``skeleton`` names the points' order where the file does not, or wrongly (`monocap.skeletons.names`); ``size(stem)``
    tells a picture's width and height, which MediaPipe's shares need; ``unit`` and ``axes`` are for 3D.

    Raises InputError naming the file, what is wrong, and what to do.
    """
    path = Path(path)
    if skeleton is not None:
        skeletons.get(skeleton)
    files = _files_in(path) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError(f"{path}: no keypoints there; expected {KINDS}")
    first = files[0]
    if first.suffix.lower() == ".csv":
        return _recording(first, skeleton, unit, axes)
    if first.suffix.lower() == ".npz" or _is_archive(first):
        if len(files) > 1:
            raise InputError(f"{path}: {len(files)} files, the first an npz; name one of them")
        shapes = npz_shapes(first)
        if not is_keypoint_arrays(shapes):
            if any(key in shapes for key in _POINTS_3D):
                return _recording(first, skeleton, unit, axes)
            raise InputError(
                f"{first}: lacks keypoints2d, joints or markers; it has {', '.join(list(shapes)[:12]) or 'nothing'}"
            )
        wanted = ("keypoint_names", "names", "skeleton", "valid", "track_id", "fps", "image_size", "K", "schema")
        content = read_npz(first, ("keypoints2d", *wanted))
        return read_arrays(content, first, skeleton)
    _check_text(first)
    content = read_json(first)
    if is_openpose(content):
        return read_openpose(files, skeleton)
    if isinstance(content, Mapping) and any(key in content for key in _POINTS_3D):
        return _recording(first, skeleton, unit, axes)
    sets = [_of_json(content if file is first else read_json(file), file, skeleton, size) for file in files]
    return sets[0] if len(sets) == 1 else _together(sets)


def _of_json(
    content: Any, path: Path, skeleton: str | None, size: Callable[[str], tuple[int, int] | None]
) -> KeypointSet:
    if is_people_list(content):
        return read_people_list(content, path, skeleton)
    if is_mediapipe(content):
        return read_mediapipe(content, path, size(path.stem))
    if isinstance(content, Mapping) and isinstance(content.get("keypoints2d"), list):
        return read_arrays(content, path, skeleton)
    if content == []:  # a picture in which AlphaPose or MMPose saw nobody
        return KeypointSet("empty", skeleton or "coco17", (), (path,))
    held = f"keys {', '.join(map(str, list(content)[:8]))}" if isinstance(content, Mapping) else type(content).__name__
    raise InputError(f"{path}: holds no keypoints that are known ({held}); expected {KINDS}")


def _together(sets: list[KeypointSet]) -> KeypointSet:
    """A file per picture: one set of all of them. A picture is then called as its file."""
    kinds = {one.skeleton for one in sets if one.pictures}
    if len(kinds) > 1:
        raise InputError(
            f"{sets[0].files[0].parent}: files of {' and '.join(sorted(kinds))}; expected one kind a folder"
        )
    skeleton = kinds.pop() if kinds else sets[0].skeleton
    kind = next((one.kind for one in sets if one.pictures), sets[0].kind)
    pictures = []
    for one in sets:
        if not one.pictures:
            pictures.append(_nobody(one.files[0].stem, skeleton))
        pictures += one.pictures
    names = [picture.name for picture in pictures]
    if len(set(names)) < len(names):
        raise InputError(f"{sets[0].files[0].parent}: two files speak of the picture {_twice(names)}; name one of them")
    return KeypointSet(kind, skeleton, tuple(pictures), tuple(one.files[0] for one in sets))


def _twice(names: list[str]) -> str:
    return next(name for i, name in enumerate(names) if name in names[:i])


def _nobody(name: str, skeleton: str) -> KeypointPicture:
    return KeypointPicture(name, np.zeros((0, len(skeletons.get(skeleton)), 3)))


def _recording(path: Path, skeleton: str | None, unit: str | None, axes: str | None) -> Recording:
    return read_recordings(path, skeleton=skeleton, unit=unit, axes=axes)[0]


def _check_text(path: Path) -> None:
    """Raises InputError, saying what to do, for what is often mistaken for keypoints."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if head[:1] == b"\x80":
        raise InputError(f"{path}: a pickle; results of SMPLify-X are read by: monocap export {path} --to glb -o FILE")
    if b"\x00" in head or head[:3] in (b"\xff\xd8\xff", b"\x89PN"):
        raise InputError(
            f"{path}: neither JSON nor npz; pictures and videos are for monocap capture, which finds keypoints"
        )


def _is_archive(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
