"""EMDB: ``P*/SEQUENCE/*_data.pkl`` of the official download, read without running the pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from monocap.assets.pickles import read_pickle
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, shaped
from monocap.data.sample import DatasetInfo, Gender, Sample, box_of_corners
from monocap.errors import InputError
from monocap.types import BodyParams

INFO = DatasetInfo(
    name="emdb",
    licence="non-commercial research (application form)",
    source="https://emdb.ait.ethz.ch",
    skeleton="smpl24",
    description="SMPL in the world with a moving camera, one person; gendered bodies; 3D joints need the SMPL model",
)


def read_emdb(folder: str | os.PathLike[str], part: int | None = None) -> Collection:
    """The folder that holds ``P0`` … ``P9``; ``part`` 1 or 2 keeps only the sequences of EMDB 1 or EMDB 2.

    Parameters in the world, metres, with ``T_camera_world`` of the moving camera; 2D: the 24 SMPL joints, projected by
    the makers. ``in_protocol`` is ``good_frames_mask``. The files hold no 3D joints: pose the body for them.
    """
    folder = Path(folder)
    files = sorted(folder.glob("P*/*/*_data.pkl")) or sorted(folder.glob("*/*_data.pkl"))
    if not files:
        raise InputError(f"{folder}: no P*/SEQUENCE/*_data.pkl; expected the unpacked download of EMDB")
    if part not in (None, 1, 2):
        raise InputError(f"part {part}; EMDB has 1 and 2")
    return Collection(INFO, [Part.opened(_name(file), _measure(file, part), _load(file)) for file in files])


def _name(file: Path) -> str:
    return file.name.removesuffix("_data.pkl")


def _measure(file: Path, part: int | None) -> Any:
    def measure() -> int:
        sequence = _Sequence(file)
        return sequence.frames if part is None or sequence.belongs[part] else 0

    return measure


def _load(file: Path) -> Any:
    return lambda: _Sequence(file).sample


class _Sequence:
    def __init__(self, file: Path) -> None:
        self.file = file
        data = read_pickle(file)
        if not isinstance(data, Mapping):
            raise InputError(f"{file}: holds a {type(data).__name__}; expected EMDB's dictionary of a sequence")
        where, n = str(file), None
        parts = {}
        for key in ("camera", "smpl", "bboxes"):
            if not isinstance(data.get(key), Mapping):
                raise InputError(f"{file}: lacks {key}; expected EMDB's dictionary of a sequence")
            parts[key] = data[key]
        camera, smpl, boxes = parts["camera"], parts["smpl"], parts["bboxes"]
        self.extrinsics = array(camera, "extrinsics", (None, 4, 4), where)
        self.frames = n = len(self.extrinsics)
        self.K = array(camera, "intrinsics", (3, 3), where)
        self.size = int(camera["width"]), int(camera["height"])
        self.root, self.body = array(smpl, "poses_root", (n, 3), where), array(smpl, "poses_body", (n, 69), where)
        self.trans, self.betas = array(smpl, "trans", (n, 3), where), np.ravel(array(smpl, "betas", (None,), where))
        self.points = array(data, "kp2d", (n, 24, 2), where)
        self.good = array(data, "good_frames_mask", (n,), where, bool)
        self.boxes = array(boxes, "bboxes", (n, 4), where)
        self.boxless = {
            int(i) for i in np.ravel(shaped(boxes.get("invalid_idxs", []), (None,), f"{file}: invalid_idxs"))
        }
        gender = str(data.get("gender", "neutral"))
        self.gender: Gender = gender if gender in get_args(Gender) else "neutral"  # type: ignore[assignment]
        self.name = str(data.get("name", _name(file)))
        self.belongs = {1: bool(data.get("emdb1", False)), 2: bool(data.get("emdb2", False))}

    def sample(self, frame: int) -> Sample:
        center = size = None
        if frame not in self.boxless:
            center, size = box_of_corners(self.boxes[frame])
        return Sample(
            info=INFO,
            image=self.file.parent / "images" / f"{frame:05d}.jpg",
            image_size=self.size,
            box_center=center,
            box_size=size,
            K=self.K,
            T_camera_world=self.extrinsics[frame],
            joints2d=np.concatenate([self.points[frame], np.full((24, 1), float(self.good[frame]))], axis=1),
            skeleton2d="smpl24",
            params=BodyParams(
                betas=self.betas,
                global_orient=self.root[frame],
                body_pose=self.body[frame],
                transl=self.trans[frame],
            ),
            body="smpl",
            gender=self.gender,
            params_frame="world",
            in_protocol=bool(self.good[frame]),
            sequence=self.name,
            frame=frame,
            subject=self.name.split("_")[0],
            notes={"emdb1": self.belongs[1], "emdb2": self.belongs[2]},
        )
