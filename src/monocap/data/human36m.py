"""Human3.6M: the official CDF files, and the JSON annotations of 17 joints that most programs use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records, shaped
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError, MissingDependencyError
from monocap.geometry import transforms
from monocap.geometry.cameras import intrinsics, project
from monocap.types import Array

INFO = DatasetInfo(
    name="human3.6m",
    licence="academic use only (registration); no redistribution",
    source="http://vision.imar.ro/human3.6m",
    skeleton="h36m17",
    description="motion capture in four cameras at 50 Hz",
)
USED17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The 17 of the 32 joints in use; the others repeat places."""

# Intrinsics of the official calibration (metadata.xml), px: fx, fy, cx, cy, width, height. The lenses' distortion, a
# few pixels, is left out: a pinhole camera has none.
CAMERAS = {
    "54138969": (1145.0494, 1143.7811, 512.54150, 515.45148, 1000, 1002),
    "55011271": (1149.6757, 1147.5917, 508.84863, 508.06492, 1000, 1000),
    "58860488": (1149.1407, 1148.7990, 519.81584, 501.40265, 1000, 1000),
    "60457274": (1145.5114, 1144.7739, 514.96820, 501.88202, 1000, 1002),
}
_POSES = ("MyPoseFeatures/D3_Positions_mono", "Poses_D3_Positions_mono")
_POINTS = ("MyPoseFeatures/D2_Positions", "Poses_D2_Positions")


def read_h36m(
    folder: str | os.PathLike[str], subjects: tuple[str, ...] | None = None, step: int = 1, all_joints: bool = False
) -> Collection:
    """The folder that holds ``S1`` … ``S11`` with their CDF files (needs cdflib); every ``step``-th frame.

    Joints in the camera (``D3_Positions_mono``), millimetres turned to metres: 17, or the file's 32. 2D from
    ``D2_Positions`` where present. The download has videos: pictures are expected as
    ``images/S9_Directions_1.54138969_000001.jpg`` (numbered from 1). The damaged sequence S11 Directions of camera
    54138969 has ``in_protocol`` False. HMR's and SPIN's protocols take every 5th frame of S9 and S11.
    """
    folder = Path(folder)
    if step < 1:
        raise InputError(f"step {step}; expected 1 or more")
    files = sorted(f for place in _POSES for f in folder.glob(f"S*/{place}/*.cdf") if not f.stem.startswith("_ALL"))
    files = [f for f in files if subjects is None or f.relative_to(folder).parts[0] in subjects]
    if not files:
        raise InputError(f"{folder}: no S*/{_POSES[0]}/*.cdf; expected the unpacked 3D Positions Mono of Human3.6M")
    return Collection(INFO, [_cdf_part(folder, file, step, all_joints) for file in files])


def read_cdf(path: str | os.PathLike[str]) -> Array:
    """Variable ``Pose`` (T,n) of a CDF file. Raises MissingDependencyError without cdflib, InputError if damaged."""
    try:
        import cdflib
    except ImportError:
        raise MissingDependencyError("cdflib", "data") from None
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        pose: Any = cdflib.CDF(path).varget("Pose")
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise InputError(f"{path}: not a readable CDF file with a variable Pose ({error})") from error
    return shaped(np.squeeze(pose, axis=0) if np.ndim(pose) == 3 else pose, (None, None), f"{path}: Pose")


def _cdf_part(folder: Path, file: Path, step: int, all_joints: bool) -> Part:
    subject, stem = file.relative_to(folder).parts[0], file.stem

    def measure() -> int:
        return (len(read_cdf(file)) + step - 1) // step

    return Part.opened(f"{subject}/{stem}", measure, lambda: _cdf_view(folder, subject, file, step, all_joints))


def _cdf_view(folder: Path, subject: str, file: Path, step: int, all_joints: bool) -> Callable[[int], Sample]:
    action, _, camera = file.stem.rpartition(".")
    if camera not in CAMERAS:
        raise InputError(f"{file}: camera {camera!r} in its name; expected {', '.join(CAMERAS)}")
    fx, fy, cx, cy, width, height = CAMERAS[camera]
    K = intrinsics(fx, fy, cx, cy)
    joints = shaped(read_cdf(file), (None, 96), f"{file}: Pose").reshape(-1, 32, 3) / 1000
    used = np.arange(32) if all_joints else np.array(USED17)
    skeleton = "h36m32" if all_joints else "h36m17"
    points = None
    for place in _POINTS:
        beside = folder / subject / place / file.name
        if beside.is_file():
            points = shaped(read_cdf(beside), (len(joints), 64), f"{beside}: Pose").reshape(-1, 32, 2)
    corrupt = subject == "S11" and action == "Directions" and camera == "54138969"

    def sample(number: int) -> Sample:
        frame = number * step
        flat = project(joints[frame], K) if points is None else points[frame]
        center, size = box_of_points(flat)
        return Sample(
            info=INFO,
            image=folder / "images" / f"{subject}_{action.replace(' ', '_')}.{camera}_{frame + 1:06d}.jpg",
            image_size=(width, height),
            box_center=center,
            box_size=size,
            K=K,
            joints3d=joints[frame][used],
            joints3d_valid=np.ones(len(used), dtype=bool),
            skeleton3d=skeleton,
            joints2d=None if points is None else np.concatenate([flat[used], np.ones((len(used), 1))], axis=1),
            skeleton2d="" if points is None else skeleton,
            in_protocol=not corrupt,
            sequence=f"{subject}/{file.stem}",
            frame=frame,
            subject=subject,
            notes={"action": action.split(" ")[0], "camera": camera, "fps": 50.0},
        )

    return sample


def read_h36m_json(folder: str | os.PathLike[str], subjects: tuple[int, ...] | None = None) -> Collection:
    """The widely used JSON: ``annotations/Human36M_subjectN_{data,camera,joint_3d}.json`` and ``images``.

    17 joints in the world, millimetres turned to metres; ``T_camera_world`` and K of the camera; picture, size and
    box of the data file. One part per subject.
    """
    folder = Path(folder)
    files = sorted(folder.glob("annotations/Human36M_subject*_data.json")) or sorted(
        folder.glob("Human36M_subject*_data.json")
    )
    if not files:
        raise InputError(f"{folder}: no annotations/Human36M_subject*_data.json")
    numbered = [(int(f.stem.removeprefix("Human36M_subject").removesuffix("_data")), f) for f in files]
    chosen = [(number, file) for number, file in sorted(numbered) if subjects is None or number in subjects]
    opened = lru_cache(maxsize=1)(_Subject)
    return Collection(
        INFO,
        [
            Part.opened(f"S{number}", lambda f=file: len(opened(f).people), lambda f=file: opened(f).sample)
            for number, file in chosen
        ],
    )


class _Subject:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.subject = file.stem.removesuffix("_data").removeprefix("Human36M_subject")
        data = read_json(file)
        if not isinstance(data, Mapping):
            raise InputError(f"{file}: expected an object with images and annotations")
        images = {image["id"]: image for image in records(data.get("images"), file)}
        self.people = [(images.get(p.get("image_id"), {}), p) for p in records(data.get("annotations"), file)]
        base = file.parent / f"Human36M_subject{self.subject}"
        self.cameras = read_json(f"{base}_camera.json")
        self.joints = read_json(f"{base}_joint_3d.json")
        self.pictures = (file.parent.parent if file.parent.name == "annotations" else file.parent) / "images"

    def sample(self, index: int) -> Sample:
        image, person = self.people[index]
        where = f"{self.file}: annotation {person.get('id', index)}"
        action, take, frame = (image.get(key) for key in ("action_idx", "subaction_idx", "frame_idx"))
        camera = self.cameras.get(str(image.get("cam_idx")))
        rows = self.joints.get(str(action), {}).get(str(take), {}).get(str(frame))
        if camera is None or rows is None:
            raise InputError(f"{where}: action {action}, take {take}, frame {frame} has no joints or no camera")
        rotation, shift = array(camera, "R", (3, 3), where), array(camera, "t", (3,), where)
        (fx, fy), (cx, cy) = array(camera, "f", (2,), where), array(camera, "c", (2,), where)
        box = array(person, "bbox", (4,), where)
        joints = shaped(rows, (17, 3), f"{where}: joints") / 1000
        pose = transforms.from_parts(rotation, shift / 1000)
        K = intrinsics(float(fx), float(fy), float(cx), float(cy))
        flat = project(transforms.apply(pose, joints), K)
        seen = array(person, "keypoints_vis", (17,), where) if "keypoints_vis" in person else np.ones(17)
        return Sample(
            info=INFO,
            image=self.pictures / str(image.get("file_name", "")),
            image_size=(int(image["width"]), int(image["height"])),
            box_center=box[:2] + box[2:] / 2,
            box_size=box[2:],
            K=K,
            T_camera_world=pose,
            joints3d=joints,
            joints3d_valid=np.ones(17, dtype=bool),
            skeleton3d="h36m17",
            frame_of_reference="world",
            joints2d=np.concatenate([flat, np.clip(seen, 0, 1)[:, None]], axis=1),
            skeleton2d="h36m17",
            sequence=f"S{self.subject}",
            frame=int(frame or 0),
            subject=f"S{self.subject}",
            notes={"action": image.get("action_name"), "camera": image.get("cam_idx"), "take": take, "fps": 50.0},
        )
