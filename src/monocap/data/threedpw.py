"""3DPW: ``sequenceFiles/*/*.pkl`` of the official download, read without running the pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monocap.assets.pickles import read_pickle
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, shaped
from monocap.data.sample import DatasetInfo, Gender, Sample, box_of_points
from monocap.errors import InputError
from monocap.geometry import transforms
from monocap.geometry.cameras import project
from monocap.types import Array, BodyParams

INFO = DatasetInfo(
    name="3dpw",
    licence="non-commercial research (registration)",
    source="https://virtualhumans.mpi-inf.mpg.de/3DPW",
    skeleton="smpl24",
    description="SMPL in the world with a moving camera, one or two people; gendered bodies",
)
_GENDERS: dict[str, Gender] = {"m": "male", "f": "female", "n": "neutral"}
_LONG, _SHORT = 1920, 1080


def read_3dpw(folder: str | os.PathLike[str], split: str | None = None) -> Collection:
    """The folder that holds ``sequenceFiles`` and ``imageFiles``; ``split`` train, validation or test, all by default.

    One sample per person and frame; joints (SMPL's 24, from the file's jointPositions) and parameters in the world,
    metres, with ``T_camera_world`` of the moving camera. ``in_protocol`` is the file's ``campose_valid``. 2D: 18
    joints of OpenPose. A damaged file is reported in ``unreadable``.
    """
    folder = Path(folder)
    files = sorted((folder / "sequenceFiles").glob(f"{split or '*'}/*.pkl"))
    if not files:
        raise InputError(f"{folder}: no sequenceFiles/{split or '*'}/*.pkl; expected the unpacked download of 3DPW")
    return Collection(INFO, [_part(folder, file) for file in files])


def _part(folder: Path, file: Path) -> Part:
    # A file must be read to know its length; it is dropped again, since all of them together would fill the memory.
    return Part.opened(file.stem, lambda: len(_Sequence(folder, file)), lambda: _Sequence(folder, file).sample)


class _Sequence:
    def __init__(self, folder: Path, file: Path) -> None:
        self.folder, self.file, self.where = folder, file, str(file)
        data = read_pickle(file)
        if not isinstance(data, Mapping):
            raise InputError(f"{file}: holds a {type(data).__name__}; expected 3DPW's dictionary of a sequence")
        people = len(self._people(data, "poses"))
        self.cam_poses = array(data, "cam_poses", (None, 4, 4), self.where)
        self.frames = len(self.cam_poses)
        self.K = array(data, "cam_intrinsics", (3, 3), self.where)
        self.name = str(data.get("sequence", file.stem))

        def each(key: str, shape: tuple[int | None, ...], dtype: Any = np.float64) -> list[Array]:
            given = self._people(data, key)
            if len(given) != people:
                raise InputError(f"{file}: {key} of {len(given)} people; poses are of {people}")
            return [shaped(value, shape, f"{file}: {key}[{p}]", dtype) for p, value in enumerate(given)]

        self.poses, self.trans = each("poses", (self.frames, 72)), each("trans", (self.frames, 3))
        self.joints = [j.reshape(self.frames, 24, 3) for j in each("jointPositions", (self.frames, 72))]
        self.betas = [np.ravel(b)[:10] for b in self._people(data, "betas")]
        self.valid = each("campose_valid", (self.frames,), bool)
        self.points = each("poses2d", (self.frames, 3, 18))
        self.genders: list[Gender] = [
            _GENDERS.get(str(g)[:1].lower(), "neutral") for g in self._people(data, "genders")
        ]

    def _people(self, data: Mapping[str, Any], key: str) -> list[Any]:
        value = data.get(key)
        if isinstance(value, np.ndarray):
            value = list(value)
        if not isinstance(value, list | tuple) or not value:
            raise InputError(f"{self.file}: {key} is {type(value).__name__}; expected a list with an entry per person")
        return list(value)

    def __len__(self) -> int:
        return self.frames * len(self.poses)

    def sample(self, index: int) -> Sample:
        person, frame = divmod(index, self.frames)
        valid = bool(self.valid[person][frame])
        pose, points = self.poses[person][frame], self.points[person][frame].T.copy()
        points[:, 2] = np.clip(points[:, 2], 0.0, 1.0)
        portrait = self.K[0, 2] < self.K[1, 2]
        center, size = box_of_points(points[:, :2], points[:, 2])
        joints = self.joints[person][frame]
        if center is None and valid:  # nothing detected: the box of the true joints
            center, size = box_of_points(project(transforms.apply(self.cam_poses[frame], joints), self.K))
        return Sample(
            info=INFO,
            image=self.folder / "imageFiles" / self.name / f"image_{frame:05d}.jpg",
            image_size=(_SHORT, _LONG) if portrait else (_LONG, _SHORT),
            box_center=center,
            box_size=size,
            K=self.K,
            T_camera_world=self.cam_poses[frame] if valid else None,
            joints3d=joints,
            joints3d_valid=np.ones(24, dtype=bool),
            skeleton3d="smpl24",
            frame_of_reference="world",
            joints2d=points,
            skeleton2d="openpose18",
            params=BodyParams(
                betas=self.betas[person], global_orient=pose[:3], body_pose=pose[3:], transl=self.trans[person][frame]
            ),
            body="smpl",
            gender=self.genders[person],
            params_frame="world",
            in_protocol=valid,
            sequence=self.name,
            frame=frame,
            subject=str(person),
            notes={"split": self.file.parent.name},
        )
