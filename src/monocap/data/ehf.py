"""EHF: a hundred pictures with scans and SMPL-X meshes fitted to them; the truth is the mesh, not parameters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import read_json, shaped
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.geometry import transforms
from monocap.geometry.cameras import intrinsics
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.types import Array

INFO = DatasetInfo(
    name="ehf",
    licence="non-commercial research (registration)",
    source="https://smpl-x.is.tue.mpg.de",
    skeleton="openpose25",
    description="one subject; meshes of 10475 vertices in the world, metres; one fixed camera",
)
SIZE = (1600, 1200)
# EHF_camera.txt of the download: the same for all pictures.
K = intrinsics(1498.22426237, 1498.22426237, 790.263706, 578.90334)
T_CAMERA_WORLD = transforms.from_parts(
    axis_angle_to_matrix(np.array([-2.98747896, 0.01172457, -0.05704687])),
    np.array([-0.03609917, 0.43416458, 2.37101226]),
)


def read_ehf(folder: str | os.PathLike[str]) -> Collection:
    """The folder with ``01_img.jpg`` (or .png), ``01_align.ply``, ``01_scan.obj``, ``01_2Djnt.json`` … ``100_…``.

    ``scan`` is the fitted mesh ``*_align.ply`` in the world, metres (`meshes.read_vertices`), ``notes["raw_scan"]`` the
    scan; ``T_camera_world`` and K as in EHF_camera.txt; 2D is OpenPose's detection (25 joints), not truth.
    """
    folder = Path(folder)
    meshes = sorted(folder.glob("*_align.ply"), key=lambda p: (len(p.name), p.name))
    if not meshes:
        raise InputError(f"{folder}: no *_align.ply; expected the unpacked EHF")
    return Collection(INFO, [Part("ehf", len(meshes), lambda: lambda index: _sample(meshes[index]))])


def _sample(mesh: Path) -> Sample:
    stem = mesh.name.removesuffix("_align.ply")
    picture = mesh.with_name(f"{stem}_img.jpg")
    if not picture.is_file() and mesh.with_name(f"{stem}_img.png").is_file():
        picture = mesh.with_name(f"{stem}_img.png")
    points = _points(mesh.with_name(f"{stem}_2Djnt.json"))
    center, size = (None, None) if points is None else box_of_points(points[:, :2], points[:, 2])
    return Sample(
        info=INFO,
        image=picture,
        image_size=SIZE,
        box_center=center,
        box_size=size,
        K=K,
        T_camera_world=T_CAMERA_WORLD,
        joints2d=points,
        skeleton2d="" if points is None else "openpose25",
        scan=mesh,
        sequence="ehf",
        frame=int(stem) if stem.isdigit() else 0,
        notes={"raw_scan": mesh.with_name(f"{stem}_scan.obj")},
    )


def _points(path: Path) -> Array | None:
    if not path.is_file():
        return None
    people = read_json(path).get("people", [])
    if not people:
        return None
    points = shaped(people[0].get("pose_keypoints_2d", []), (75,), f"{path}: pose_keypoints_2d").reshape(25, 3)
    points[:, 2] = np.clip(points[:, 2], 0.0, 1.0)
    return points
