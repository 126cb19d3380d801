"""Hands and faces of OpenPose's and COCO-WholeBody's files move fingers, jaw and lips of the fitted body."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monocap import skeletons
from monocap.bodies import load_body
from monocap.data.keypoint_files import read_keypoints
from monocap.data.keypoint_files.pictures import with_size
from monocap.evaluate.smplifyx_truth import HEIGHT, WIDTH, people
from monocap.geometry.procrustes import rigid_alignment
from monocap.pipeline.keypoint_fit.fitting import KeypointFitter
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.settings import CaptureSettings

FINGERS = [f"left_{finger}{k}" for finger in ("thumb", "index", "middle", "ring", "pinky") for k in (1, 2, 3, "_tip")]


def written(folder: Path, form: str, points: np.ndarray) -> Path:
    """The person's 135 points as a file of that program."""
    if form == "openpose":
        face = np.zeros((70, 3))
        face[17:68], face[:17] = points[67:118], points[118:135]
        parts = {"pose": points[:25], "hand_left": points[25:46], "hand_right": points[46:67], "face": face}
        entry = {f"{name}_keypoints_2d": part.ravel().tolist() for name, part in parts.items()}
        content: object = {"people": [entry]}
    else:
        a, b = skeletons.mapping("openpose135", "coco133")
        own = np.zeros((133, 3))
        own[b] = points[a]
        content = [{"image_id": "a.jpg", "category_id": 1, "score": 1.0, "keypoints": own.ravel().tolist()}]
    path = folder / "a_keypoints.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", ["openpose", "wholebody"])
def test_fingers_and_jaw_are_those_of_the_keypoints(tmp_path: Path, form: str) -> None:
    body = load_body("open")
    truth = people(body, 1, np.random.default_rng(4), noise=1.0, facing=0.4)
    truth.parameters["jaw_pose"][0] = [0.25, 0.0, 0.0]
    truth.parameters["body_pose"][0, 33:36] = truth.parameters["body_pose"][0, 42:45] = 0.0  # neck and head straight
    K = truth.views.K[0]
    places = np.asarray(body.camera_keypoints("openpose135", **truth.parameters), np.float64)[0]
    pixels = places[:, :2] / places[:, 2:] * K[0, 0] + K[:2, 2]
    seen = np.column_stack([pixels, np.full(135, 0.9)])
    found = with_size(read_keypoints(written(tmp_path, form, seen)), (WIDTH, HEIGHT))
    settings = FitSettings(common=CaptureSettings(focal=float(K[0, 0])), size=(WIDTH, HEIGHT))
    (fit,) = KeypointFitter(settings).fit(found)
    params = {name: np.asarray(value) for name, value in fit.people[0].fitted.params.asdict().items()}
    assert np.degrees(abs(params["jaw_pose"][0, 0] - 0.25)) < 5
    ours, theirs = (np.asarray(body.keypoints(FINGERS, **one), np.float64)[0] for one in (params, truth.parameters))
    still = np.asarray(body.keypoints(FINGERS, left_hand_pose=body.hand_data["left_hand_pose"][0]), np.float64)

    def apart(points: np.ndarray) -> float:
        return float(np.linalg.norm(rigid_alignment(points, theirs).apply(points) - theirs, axis=1).mean())

    assert apart(ours) < 0.012
    assert apart(ours) < 0.7 * apart(still)
