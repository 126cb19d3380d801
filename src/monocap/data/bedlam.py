"""BEDLAM: the processed labels, one npz per scene with all people of all pictures of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import shaped
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.files import npz_shapes, read_npz
from monocap.types import Array, BodyParams

INFO = DatasetInfo(
    name="bedlam",
    licence="non-commercial research (registration)",
    source="https://bedlam.is.tue.mpg.de",
    skeleton="smplx76",
    description="rendered people; neutral SMPL-X in the camera; 2D joints, no 3D joints in the files",
)
_LABELS = ("imgname", "center", "scale", "pose_cam", "shape", "trans_cam", "cam_ext", "cam_int")
_JOINTS = 76  # of the 127 that smplx returns: 55, then 21 points on the skin; face landmarks follow


def read_bedlam(labels: str | os.PathLike[str], pictures: str | os.PathLike[str] | None = None) -> Collection:
    """A scene's npz or a folder of them; ``pictures``: the folder of ``SCENE/png/…`` (searched nearby by default).

    Parameters in the camera, metres: the file's ``trans_cam`` lacks the camera's place, which is added here. The labels
    are of the *neutral* body; ``notes["subject_gender"]`` is the look. Close-up scenes are stored turned:
    ``quarter_turns`` is 1. BEDLAM 2's 2D joints are ordered otherwise and left out.
    """
    labels = Path(labels)
    files = [labels] if labels.is_file() else sorted(labels.rglob("*.npz"))
    if not files:
        raise InputError(f"{labels}: no npz files; expected BEDLAM's processed labels")
    root = Path(pictures) if pictures is not None else _pictures(labels)
    return Collection(INFO, [_part(file, root) for file in files])


def _pictures(labels: Path) -> Path:
    folder = labels.parent if labels.is_file() else labels
    for near in (folder, folder.parent, folder.parent.parent):
        for name in ("training_images", "images", "validation_images"):
            if (near / name).is_dir():
                return near / name
    return folder


def _part(file: Path, pictures: Path) -> Part:
    def measure() -> int:
        shapes = npz_shapes(file)
        missing = [key for key in _LABELS if key not in shapes]
        if missing:
            raise InputError(f"{file}: lacks {', '.join(missing)}; expected BEDLAM's processed labels")
        return shapes["imgname"][0]

    return Part.opened(file.stem, measure, lambda: _Scene(file, pictures).sample)


class _Scene:
    def __init__(self, file: Path, pictures: Path) -> None:
        data = read_npz(file, {*_LABELS, "gender", "gtkps", "sub"})
        where = str(file)
        self.scene, self.pictures = file.stem, pictures / file.stem / "png"
        self.names = [str(name) for name in data["imgname"]]
        n = len(self.names)
        self.pose = shaped(data["pose_cam"], (n, None), f"{where}: pose_cam")
        if self.pose.shape[1] not in (72, 165):
            raise InputError(f"{where}: pose_cam has {self.pose.shape[1]} values; expected 165 (SMPL-X) or 72 (SMPL)")
        self.betas = shaped(data["shape"], (n, None), f"{where}: shape")
        self.ext = shaped(data["cam_ext"], (n, 4, 4), f"{where}: cam_ext")
        self.transl = shaped(data["trans_cam"], (n, 3), f"{where}: trans_cam") + self.ext[:, :3, 3]
        self.K = shaped(data["cam_int"], (n, 3, 3), f"{where}: cam_int")
        self.center = shaped(data["center"], (n, 2), f"{where}: center")
        self.scale = shaped(data["scale"], (n,), f"{where}: scale")
        self.genders = [str(g) for g in data["gender"]] if "gender" in data else [""] * n
        self.subjects = [str(s) for s in data["sub"]] if "sub" in data else [""] * n
        points = data.get("gtkps")
        usable = points is not None and points.ndim == 3 and points.shape[1] in (127, 144) and points.shape[0] == n
        self.points: Array | None = np.asarray(points, np.float64)[:, :_JOINTS, :2] if usable else None  # type: ignore[index]

    def sample(self, index: int) -> Sample:
        K, pose, name = self.K[index], self.pose[index], self.names[index]
        size = round(2 * K[0, 2]), round(2 * K[1, 2])
        smplx = len(pose) == 165
        joints2d = center = extent = None
        notes: dict[str, Any] = {"subject_gender": self.genders[index], "take": Path(name).parent.as_posix()}
        if self.points is not None and smplx:
            points = self.points[index]
            inside = np.all((points >= 0) & (points < np.asarray(size)), axis=1)
            joints2d = np.concatenate([points, inside[:, None]], axis=1)
            center, extent = box_of_points(points[:22], inside[:22])
        if center is None or extent is None:
            center, extent = self.center[index], np.full(2, 200.0 * self.scale[index])
            notes["box_margin"] = 1.2
        extra = {}
        if smplx:
            extra = {"jaw_pose": pose[66:69], "left_eye_pose": pose[69:72], "right_eye_pose": pose[72:75]}
            extra |= {"left_hand_pose": pose[75:120], "right_hand_pose": pose[120:165]}
        params = BodyParams(
            betas=self.betas[index],
            global_orient=pose[:3],
            body_pose=pose[3:66] if smplx else pose[3:],
            transl=self.transl[index],
            **extra,
        )
        return Sample(
            info=INFO,
            image=self.pictures / name,
            image_size=size,
            quarter_turns=1 if size[0] < size[1] else 0,
            box_center=center,
            box_size=extent,
            K=K,
            joints2d=joints2d,
            skeleton2d="smplx76" if joints2d is not None else "",
            params=params,
            body="smplx" if smplx else "smpl",
            sequence=self.scene,
            frame=_number(Path(name).stem),
            subject=self.subjects[index],
            notes=notes,
        )


def _number(stem: str) -> int:
    tail = stem.rsplit("_", 1)[-1]
    return int(tail) if tail.isdigit() else 0
