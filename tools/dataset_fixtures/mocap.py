"""Human3.6M (CDF and JSON) and MPI-INF-3DHP (MATLAB 5 and 7.3) in their file formats, with synthetic people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from people import Scene, scene, write_picture
from scipy.io import savemat

from monocap.data.human36m import CAMERAS
from monocap.geometry.cameras import intrinsics


def _write_cdf(path: Path, pose: np.ndarray) -> None:
    """One variable ``Pose`` of one record (T,n), float32, as the official files have it."""
    import cdflib.cdfwrite

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    file = cdflib.cdfwrite.CDF(path)
    file.write_var(
        {
            "Variable": "Pose",
            "Data_Type": 44,  # CDF_FLOAT
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(pose.shape),
        },
        var_data=np.asarray(pose, dtype=np.float32)[None],
    )
    file.close()


def write_h36m(folder: Path, frames: int = 11) -> Scene:
    """S9, S11 with one action each, camera 54138969: D3_Positions_mono, D2_Positions; pictures of every 5th frame."""
    fx, fy, cx, cy, width, height = CAMERAS["54138969"]
    made = scene(frames, seed=7, size=(width, height), K=intrinsics(fx, fy, cx, cy), fixed_camera=True)
    joints, points = 1000 * made.joints("h36m32"), made.joints("h36m32", "pixels")
    for subject, action in (("S9", "Directions 1"), ("S11", "Directions")):
        base = folder / subject / "MyPoseFeatures"
        _write_cdf(base / "D3_Positions_mono" / f"{action}.54138969.cdf", joints.reshape(frames, 96))
        _write_cdf(base / "D2_Positions" / f"{action}.54138969.cdf", points.reshape(frames, 64))
        for frame in range(0, frames, 5):
            name = f"{subject}_{action.replace(' ', '_')}.54138969_{frame + 1:06d}.jpg"
            write_picture(folder / "images" / name, (width, height))
    return made


def write_h36m_json(folder: Path) -> Scene:
    """``annotations/Human36M_subject9_{data,camera,joint_3d}.json``: two frames of camera 1."""
    made = scene(2, seed=8, size=(1000, 1002), focal=1145.0, fixed_camera=True)
    world, points = 1000 * made.joints("h36m17", "world"), made.joints("h36m17", "pixels")
    name = "s_09_act_02_subact_01_ca_01"
    images, people, joints = [], [], {}
    for i in range(2):
        file = f"{name}/{name}_{i + 1:06d}.jpg"
        write_picture(folder / "images" / file, made.size)
        images.append(
            {
                **{
                    "id": i,
                    "file_name": file,
                    "width": 1000,
                    "height": 1002,
                    "subject": 9,
                    "action_name": "Directions",
                },
                **{"action_idx": 2, "subaction_idx": 1, "cam_idx": 1, "frame_idx": i},
            }
        )
        low, high = points[i].min(axis=0), points[i].max(axis=0)
        box = [*low.tolist(), *(high - low).tolist()]
        people.append({"id": i, "image_id": i, "keypoints_vis": [True] * 17, "bbox": box})
        joints[str(i)] = world[i].tolist()
    place = made.T_camera_world[0]
    camera = {
        "R": place[:3, :3].tolist(),
        "t": (1000 * place[:3, 3]).tolist(),
        "f": [made.K[0, 0], made.K[1, 1]],
        "c": [made.K[0, 2], made.K[1, 2]],
    }
    base = folder / "annotations"
    base.mkdir(parents=True, exist_ok=True)
    (base / "Human36M_subject9_data.json").write_text(json.dumps({"images": images, "annotations": people}))
    (base / "Human36M_subject9_camera.json").write_text(json.dumps({"1": camera}))
    (base / "Human36M_subject9_joint_3d.json").write_text(json.dumps({"2": {"1": joints}}))
    return made


def _cells(values: list[np.ndarray]) -> np.ndarray:
    out = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        out[i, 0] = value
    return out


def write_3dhp_train(folder: Path, calibration: bool = True) -> Scene:
    """``S1/Seq1/annot.mat`` with 14 cameras (all alike here) and ``camera.calibration``; pictures of camera 0."""
    made = scene(3, seed=9, size=(2048, 2048), focal=1497.693, fixed_camera=True)
    joints, points = 1000 * made.joints("3dhp28"), made.joints("3dhp28", "pixels")
    base = folder / "S1" / "Seq1"
    base.mkdir(parents=True, exist_ok=True)
    savemat(
        base / "annot.mat",
        {
            "annot2": _cells([points.reshape(3, 56)] * 14),
            "annot3": _cells([joints.reshape(3, 84)] * 14),
            "univ_annot3": _cells([0.95 * joints.reshape(3, 84)] * 14),
            "cameras": np.arange(14)[None],
            "frames": np.arange(3)[:, None],
        },
    )
    lines = ["Skeletool Camera Calibration File V1.0"]
    numbers = np.eye(4)
    numbers[:3, :3] = made.K
    place = made.T_camera_world[0].copy()
    place[:3, 3] *= 1000
    for camera in range(14):
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            "  size        2048 2048",
            "  animated    0",
            "  intrinsic   " + " ".join(f"{v:.9g}" for v in numbers.ravel()) + " ",
            "  extrinsic   " + " ".join(f"{v:.9g}" for v in place.ravel()) + " ",
            "  radial      0",
        ]
    if calibration:
        (base / "camera.calibration").write_text("\n".join(lines) + "\n")
    for frame in range(3):
        write_picture(base / "imageFrames" / "video_0" / f"frame_{frame + 1:06d}.jpg", (64, 64))
    return made


def write_3dhp_test(folder: Path) -> Scene:
    """``TS5/annot_data.mat`` (HDF5): four frames, the last of which is not valid."""
    import h5py

    made = scene(4, seed=10, size=(1920, 1080), focal=1683.98, fixed_camera=True)
    joints, points = 1000 * made.joints("3dhp17"), made.joints("3dhp17", "pixels")
    base = folder / "TS5"
    base.mkdir(parents=True, exist_ok=True)
    with h5py.File(base / "annot_data.mat", "w") as file:
        file["annot2"] = points[:, None]
        file["annot3"] = joints[:, None]
        file["univ_annot3"] = 0.95 * joints[:, None]
        file["valid_frame"] = np.array([[1], [1], [1], [0]], dtype=np.uint8)
        file["activity_annotation"] = np.ones((4, 1))
    for frame in range(4):
        write_picture(base / "imageSequence" / f"img_{frame + 1:06d}.jpg", (1920, 1080))
    return made
