"""What is known of a picture beside its keypoints: a scan, a mask of the person, a depth map; by the picture's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monocap.data.keypoint_files.pictures import SUFFIXES
from monocap.data.meshes import read_vertices
from monocap.data.recordings import UNITS
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.media.pictures import read_picture
from monocap.types import Array

MAX_BYTES = 512 << 20
_SCAN_POINTS = 20_000
_ENDINGS = {"scan": {".ply", ".obj", ".npz"}, "mask": SUFFIXES | {".npz"}, "depth": {".npz"}}
_KEYS = {"scan": ("points", "vertices", "v", "scan"), "mask": ("mask", "masks"), "depth": ("depth", "depths")}


@dataclass(frozen=True)
class Evidence:
    """Where scans, masks and depth maps lie: each a folder with a file per picture, of the picture's name, or one file.

    Scans are points on the skin in the camera's frame (x right, y down, z forward), ``unit`` m, cm or mm: PLY, OBJ, or
    npz with ``points`` (P,3). Masks are pictures, light where the person is, or npz with ``mask`` (h,w). Depth maps are
    npz with ``depth`` (h,w) metres along z, 0 where unknown.
    """

    scan: Path | None = None
    mask: Path | None = None
    depth: Path | None = None
    unit: str = "m"

    def __post_init__(self) -> None:
        for what, path in self.places.items():
            if not path.exists():
                raise InputError(f"{path}: no such file or folder; expected the {what} of each picture")

    @property
    def places(self) -> dict[str, Path]:
        """Those that are given."""
        given = {"scan": self.scan, "mask": self.mask, "depth": self.depth}
        return {what: path for what, path in given.items() if path is not None}

    @property
    def files(self) -> list[Path]:
        """All files, for the key of a run."""
        return [file for what, path in self.places.items() for file in _files(what, path)]

    def of(self, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """What pictures ``names`` of ``sizes`` (w, h) have, as `Views` takes it: scans, masks, depths, None for absent.

        Raises InputError for a file that is none, or a map of another size than its picture.
        """
        found: dict[str, Any] = {}
        for what, path in self.places.items():
            files = {file.stem.casefold(): file for file in _files(what, path)}
            rows = []
            for name, size in zip(names, sizes, strict=True):
                file = path if path.is_file() else _named(files, name)
                rows.append(None if file is None else self._read(what, file, size))
            if all(row is None for row in rows) and not path.is_file():
                raise InputError(f"{path}: no {what} is called as the pictures are ({names[0]} …)")
            found[f"{what}s"] = tuple(rows)
        return found

    def _read(self, what: str, path: Path, size: tuple[int, int]) -> Array:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size >> 20} MB, more than the allowed {MAX_BYTES >> 20} MB")
        ending = path.suffix.lower()
        if what == "scan":
            points = _array(path, what) if ending == ".npz" else read_vertices(path)
            if points.ndim != 2 or points.shape[1] != 3 or len(points) < 50:
                raise InputError(f"{path}: a scan of shape {points.shape}; expected (P, 3), at least 50 points")
            step = -(-len(points) // _SCAN_POINTS)
            return np.asarray(points, np.float64)[::step] * UNITS[self.unit]
        if ending == ".npz":
            table = _array(path, what)
        elif what == "mask":
            table = read_picture(path).image.max(axis=2) > 127
        else:
            raise InputError(f"{path}: expected an npz with depth (h, w), metres")
        height, width = table.shape if table.ndim == 2 else (0, 0)
        if what == "mask" and table.ndim == 2 and (width, height) != size and _same_shape(width, height, size):
            small = table.astype(np.uint8)
            table = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)
            height, width = table.shape
        if (width, height) != size:
            raise InputError(f"{path}: a {what} of shape {table.shape}; the picture has ({size[1]}, {size[0]})")
        return np.asarray(table > 0) if what == "mask" else np.asarray(table, np.float64)


def _files(what: str, path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix.lower() in _ENDINGS[what] and p.is_file())


def _named(files: dict[str, Path], name: str) -> Path | None:
    stem = name.casefold()
    number = stem.removesuffix("_img")  # EHF: 01_img.jpg, 01_scan.obj
    wanted = (stem, f"{stem}_scan", f"{number}_scan", f"{stem}_mask", f"{stem}_depth")
    return next((files[one] for one in wanted if one in files), None)


def _same_shape(width: int, height: int, size: tuple[int, int]) -> bool:
    return height > 0 and abs(width * size[1] / (height * size[0]) - 1) < 0.02


def _array(path: Path, what: str) -> Array:
    content = read_npz(path, max_bytes=MAX_BYTES)
    key = next((key for key in _KEYS[what] if key in content), None)
    if key is None:
        raise InputError(f"{path}: lacks {_KEYS[what][0]}; it has {', '.join(content) or 'nothing'}")
    return content[key]
