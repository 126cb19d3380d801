"""MPI-INF-3DHP: training sequences (``S*/Seq*/annot.mat``, 28 joints), test set (``TS*/annot_data.mat``, 17)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from monocap.data.dataset import Collection, Part
from monocap.data.fields import shaped
from monocap.data.matlab import as_list, read_hdf5, read_mat
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.errors import InputError
from monocap.types import Array

INFO = DatasetInfo(
    name="mpi-inf-3dhp",
    licence="non-commercial research",
    source="https://vcai.mpi-inf.mpg.de/3dhp-dataset",
    skeleton="3dhp28",
    description="markerless 3D in fourteen cameras",
)
TEST = DatasetInfo(
    name="mpi-inf-3dhp-test",
    licence=INFO.licence,
    source=INFO.source,
    skeleton="3dhp17",
    description="six subjects, one camera each; valid frames are marked",
)
_TRAIN_SIZE = (2048, 2048)


def read_3dhp_train(folder: str | os.PathLike[str], cameras: tuple[int, ...] = (0, 1, 2, 4, 5, 6, 7, 8)) -> Collection:
    """The folder that holds ``S1`` … ``S8``: one part per sequence and camera (chest height by default, as usual).

    Joints in the camera, millimetres turned to metres; K from ``camera.calibration``, or else solved from 3D and
    2D joints. Pictures, extracted from the videos, at ``imageFrames/video_C/frame_000001.jpg`` (from 1).
    ``notes["univ_joints3d"]``: the joints scaled to one bone length, as the paper's protocol compares them.
    """
    folder = Path(folder)
    files = sorted(folder.glob("S*/Seq*/annot.mat"))
    if not files:
        raise InputError(f"{folder}: no S*/Seq*/annot.mat; expected the unpacked training data of MPI-INF-3DHP")
    opened = lru_cache(maxsize=1)(_Training)  # all cameras of a sequence lie in one file
    return Collection(INFO, [_train_part(file, camera, opened) for file in files for camera in cameras])


def _train_part(file: Path, camera: int, opened: Callable[[Path], _Training]) -> Part:
    name = f"{file.parent.parent.name}/{file.parent.name}/video_{camera}"
    return Part.opened(name, lambda: opened(file).frames(camera), lambda: opened(file).view(camera))


class _Training:
    def __init__(self, file: Path) -> None:
        self.file = file
        data = read_mat(file, ["annot2", "annot3", "univ_annot3"])
        missing = [key for key in ("annot2", "annot3") if key not in data]
        if missing:
            raise InputError(f"{file}: lacks {', '.join(missing)}; expected annot.mat of MPI-INF-3DHP")
        self.points, self.joints = as_list(data["annot2"]), as_list(data["annot3"])
        self.universal = as_list(data["univ_annot3"]) if "univ_annot3" in data else []
        calibration = file.parent / "camera.calibration"
        self.intrinsics = read_calibration(calibration) if calibration.is_file() else []

    def frames(self, camera: int) -> int:
        return len(self._of(self.joints, camera, 84, "annot3")) if camera < len(self.joints) else 0

    def _of(self, cells: list, camera: int, width: int, what: str) -> Array:
        return shaped(cells[camera], (None, width), f"{self.file}: {what}{{{camera + 1}}}")

    def view(self, camera: int) -> Callable[[int], Sample]:
        joints = self._of(self.joints, camera, 84, "annot3").reshape(-1, 28, 3) / 1000
        points = self._of(self.points, camera, 56, "annot2").reshape(-1, 28, 2)
        universal = None
        if camera < len(self.universal):
            universal = self._of(self.universal, camera, 84, "univ_annot3").reshape(-1, 28, 3) / 1000
        if len(points) != len(joints):
            raise InputError(f"{self.file}: {len(joints)} frames in annot3, {len(points)} in annot2 of camera {camera}")
        K = self.intrinsics[camera] if camera < len(self.intrinsics) else solve_intrinsics(joints, points)
        root = self.file.parent
        sequence = f"{root.parent.name}/{root.name}/video_{camera}"

        def sample(frame: int) -> Sample:
            picture = root / "imageFrames" / f"video_{camera}" / f"frame_{frame + 1:06d}.jpg"
            notes = {} if universal is None else {"univ_joints3d": universal[frame]}
            return _sample(INFO, picture, _TRAIN_SIZE, K, joints[frame], points[frame], sequence, frame, notes)

        return sample


def read_3dhp_test(folder: str | os.PathLike[str]) -> Collection:
    """The folder that holds ``TS1`` … ``TS6`` (needs h5py): every frame, ``in_protocol`` only the valid ones.

    Joints in the camera, metres, of ``annot3``; ``notes["univ_joints3d"]`` from ``univ_annot3``, which SPIN and its
    successors compare. K is solved from 3D and 2D joints (not in the file). Pictures ``imageSequence/img_000001.jpg``.
    """
    folder = Path(folder)
    files = sorted(folder.glob("TS*/annot_data.mat"))
    if not files:
        raise InputError(f"{folder}: no TS*/annot_data.mat; expected the test set of MPI-INF-3DHP")
    return Collection(TEST, [_test_part(file) for file in files])


def _test_part(file: Path) -> Part:
    def measure() -> int:
        return len(read_hdf5(file, ["valid_frame"])["valid_frame"].ravel())

    return Part.opened(file.parent.name, measure, lambda: _test_view(file))


def _test_view(file: Path) -> Callable[[int], Sample]:
    data = read_hdf5(file, ["annot2", "annot3", "univ_annot3", "valid_frame"])
    valid = data["valid_frame"].ravel() > 0
    n, where, name = len(valid), str(file), file.parent.name
    points = shaped(data["annot2"], (n, 1, 17, 2), f"{where}: annot2")[:, 0]
    joints = shaped(data["annot3"], (n, 1, 17, 3), f"{where}: annot3")[:, 0] / 1000
    universal = shaped(data["univ_annot3"], (n, 1, 17, 3), f"{where}: univ_annot3")[:, 0] / 1000
    K = solve_intrinsics(joints[valid], points[valid])
    size = (1920, 1080) if name in ("TS5", "TS6") else _TRAIN_SIZE

    def sample(frame: int) -> Sample:
        picture = file.parent / "imageSequence" / f"img_{frame + 1:06d}.jpg"
        notes = {"univ_joints3d": universal[frame]}
        return _sample(
            TEST, picture, size, K, joints[frame], points[frame], name, frame, notes, in_protocol=bool(valid[frame])
        )

    return sample


def _sample(
    info: DatasetInfo,
    picture: Path,
    size: tuple[int, int],
    K: Array,
    joints: Array,
    points: Array,
    sequence: str,
    frame: int,
    notes: dict,
    in_protocol: bool = True,
) -> Sample:
    inside = np.all((points >= 0) & (points < np.asarray(size)), axis=1)
    center, extent = box_of_points(points, inside)
    return Sample(
        info=info,
        image=picture,
        image_size=size,
        box_center=center,
        box_size=extent,
        K=K,
        joints3d=joints,
        joints3d_valid=np.ones(len(joints), dtype=bool),
        skeleton3d=info.skeleton,
        joints2d=np.concatenate([points, inside[:, None]], axis=1),
        skeleton2d=info.skeleton,
        in_protocol=in_protocol,
        sequence=sequence,
        frame=frame,
        subject=sequence.split("/")[0],
        notes=notes,
    )


def solve_intrinsics(joints: Array, points: Array) -> Array:
    """K (3,3) that projects camera-space joints (T,J,3) to points (T,J,2): linear least squares per axis."""
    good = (joints[..., 2] > 1e-3) & np.isfinite(points).all(axis=-1)
    if good.sum() < 8:
        raise InputError(f"{int(good.sum())} pairs of 3D and 2D joints; at least 8 are needed to find the camera")
    K = np.eye(3)
    for axis in range(2):
        slope = joints[..., axis][good] / joints[..., 2][good]
        rows = np.stack([slope, np.ones_like(slope)], axis=1)
        K[axis, axis], K[axis, 2] = np.linalg.lstsq(rows, points[..., axis][good], rcond=None)[0]
    return K


def read_calibration(path: str | os.PathLike[str]) -> list[Array]:
    """K (3,3) of every camera in a ``camera.calibration`` file (Skeletool), in order."""
    found = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        key, *values = line.split() or [""]
        if key == "intrinsic":
            try:
                found.append(np.array([float(v) for v in values[:16]]).reshape(4, 4)[:3, :3])
            except ValueError as error:
                raise InputError(f"{path}: intrinsic of camera {len(found)} is damaged ({error})") from error
    if not found:
        raise InputError(f"{path}: no line 'intrinsic'; expected a Skeletool camera calibration")
    return found
