"""AMASS: npz files of SMPL-H or SMPL-X motion, one per recording; no pictures, no joints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import plain_text, shaped
from monocap.data.sample import BodyKind, DatasetInfo, Gender, Sample
from monocap.errors import InputError
from monocap.files import npz_shapes, read_npz
from monocap.types import BodyParams

INFO = DatasetInfo(
    name="amass",
    licence="non-commercial research (registration)",
    source="https://amass.is.tue.mpg.de",
    skeleton="",
    description="motion of gendered bodies in a z-up world; rates differ from file to file",
)
_BODIES: dict[int, BodyKind] = {156: "smplh", 165: "smplx"}


def read_amass(path: str | os.PathLike[str], info: DatasetInfo = INFO) -> Collection:
    """A folder of AMASS files, or one of them: SMPL+H G (156 pose values) and SMPL-X N/G (165) alike.

    One sample per frame: parameters in the file's world (z up, metres), frame rate in ``notes["fps"]``. ``shape.npz``
    and ``*_stagei.npz`` (calibration without motion) are left alone. A damaged file is reported in ``unreadable``.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.rglob("*.npz"))
    files = [f for f in files if f.name not in ("shape.npz", "neutral_stagei.npz") and not f.stem.endswith("_stagei")]
    if not files:
        raise InputError(f"{path}: no npz files of motion")
    root = path.parent if path.is_file() else path
    parts = [_part(file, file.relative_to(root).with_suffix("").as_posix(), info) for file in files]
    return Collection(info, parts)


def _part(file: Path, sequence: str, info: DatasetInfo) -> Part:
    def measure() -> int:
        shapes = npz_shapes(file)
        poses = shapes.get("poses", ())
        if len(poses) != 2 or poses[1] not in _BODIES or shapes.get("trans") != (poses[0], 3):
            raise InputError(
                f"{file}: poses {poses or 'absent'}, trans {shapes.get('trans', 'absent')}; "
                "expected (T, 156) or (T, 165), and (T, 3)"
            )
        return poses[0]

    return Part.opened(sequence, measure, lambda: _Motion(file, sequence, info).sample)


class _Motion:
    def __init__(self, file: Path, sequence: str, info: DatasetInfo) -> None:
        wanted = {"poses", "trans", "betas", "gender", "mocap_framerate", "mocap_frame_rate", "surface_model_type"}
        data = read_npz(file, wanted)
        self.file, self.sequence, self.info = file, sequence, info
        self.poses = shaped(data.get("poses"), (None, None), f"{file}: poses")
        frames, width = self.poses.shape
        self.body: BodyKind = _BODIES[width]
        self.trans = shaped(data.get("trans"), (frames, 3), f"{file}: trans")
        self.betas = np.ravel(shaped(data.get("betas", np.zeros(16)), (None,), f"{file}: betas"))
        gender = plain_text(data.get("gender", "neutral")).lower()
        self.gender: Gender = gender if gender in get_args(Gender) else "neutral"  # type: ignore[assignment]
        rate = data.get("mocap_frame_rate", data.get("mocap_framerate"))
        self.fps = None if rate is None else float(np.ravel(rate)[0])

    def sample(self, frame: int) -> Sample:
        pose = self.poses[frame]
        hands = pose[66:] if self.body == "smplh" else pose[75:]
        face = {} if self.body == "smplh" else {"jaw_pose": pose[66:69], "left_eye_pose": pose[69:72]}
        if face:
            face["right_eye_pose"] = pose[72:75]
        params = BodyParams(
            betas=self.betas,
            global_orient=pose[:3],
            body_pose=pose[3:66],
            transl=self.trans[frame],
            left_hand_pose=hands[:45],
            right_hand_pose=hands[45:],
            **face,
        )
        return Sample(
            info=self.info,
            params=params,
            body=self.body,
            gender=self.gender,
            params_frame="world",
            sequence=self.sequence,
            frame=frame,
            subject=self.sequence.split("/")[-2] if "/" in self.sequence else "",
            notes={"fps": self.fps, "world_up": "z"},
        )
