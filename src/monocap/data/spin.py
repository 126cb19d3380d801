"""Annotation npz files that SPIN made and its successors share: padded square boxes, 24 joints, SMPL pose and shape."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import shaped
from monocap.data.sample import DatasetInfo, Gender, Sample
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.types import Array, BodyParams

INFO = DatasetInfo(
    name="spin-npz",
    licence="of the data set it was made from",
    source="https://github.com/nkolot/SPIN (dataset_extras)",
    skeleton="spin24",
    description="e.g. 3dpw_test.npz, h36m_valid_protocol2.npz, mpi_inf_3dhp_valid.npz, coco_2014_train.npz",
)
_GENDERS: dict[str, Gender] = {"m": "male", "f": "female"}
_KEYS = {"imgname", "center", "scale", "S", "part", "pose", "shape", "gender", "has_smpl"}


def read_spin(path: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """One npz; ``pictures``: what ``imgname`` is under (by default the file's folder).

    3D joints ``S`` relative to the pelvis, axes of the camera, metres (``frame_of_reference`` "root"); 2D ``part``;
    SMPL pose in the camera with unknown place (``transl`` zero, ``notes["transl_known"]`` False). Boxes are squares of
    200 × ``scale`` px with their margin of 1.2.
    """
    path = Path(path)
    data = read_npz(path, _KEYS)
    missing = [key for key in ("imgname", "center", "scale") if key not in data]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; expected an npz that SPIN's preprocessing made")
    root = Path(pictures) if pictures is not None else path.parent
    n = len(data["imgname"])
    info = DatasetInfo(path.stem, INFO.licence, INFO.source, INFO.skeleton, INFO.description)
    columns: dict[str, Array] = {}
    shapes: dict[str, tuple[int | None, ...]] = {
        **{"center": (n, 2), "scale": (n,), "S": (n, 24, 4), "part": (n, 24, 3), "pose": (n, 72), "shape": (n, 10)},
        "has_smpl": (n,),
    }
    for key, shape in shapes.items():
        if key in data:
            columns[key] = shaped(data[key], shape, f"{path}: {key}")

    def sample(index: int) -> Sample:
        params = joints = points = None
        if "pose" in columns and "shape" in columns and columns.get("has_smpl", np.ones(n))[index] > 0:
            pose = columns["pose"][index]
            params = BodyParams(
                betas=columns["shape"][index], global_orient=pose[:3], body_pose=pose[3:], transl=np.zeros(3)
            )
        if "S" in columns:
            joints = columns["S"][index]
        if "part" in columns:
            points = columns["part"][index] * [1, 1, 0] + (columns["part"][index] > 0) * [0, 0, 1]
        name = data["imgname"][index]
        picture = Path(name.decode() if isinstance(name, bytes) else str(name))
        gender = str(data["gender"][index])[:1].lower() if "gender" in data else ""
        return Sample(
            info=info,
            image=root / picture,
            box_center=columns["center"][index],
            box_size=np.full(2, 200.0 * columns["scale"][index]),
            joints3d=None if joints is None else joints[:, :3],
            joints3d_valid=None if joints is None else joints[:, 3] > 0,
            skeleton3d="" if joints is None else "spin24",
            frame_of_reference="root",
            joints2d=points,
            skeleton2d="" if points is None else "spin24",
            params=params,
            body=None if params is None else "smpl",
            gender=_GENDERS.get(gender, "neutral"),
            sequence=path.stem,
            frame=index,
            notes={"box_margin": 1.2, "transl_known": False},
        )

    return Collection(info, [Part(path.stem, n, lambda: sample)])
