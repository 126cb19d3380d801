"""Synthetic people for measuring `monocap fit`: random likely poses of the open body, seen by a known camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap.bodies import BodyModel
from monocap.fitting.smplifyx.problem import Views
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.priors.gmm import PoseMixture
from monocap.types import Array

WIDTH, HEIGHT, FOCAL = 1920, 1080, 1500.0


@dataclass(frozen=True)
class Truth:
    """``views`` as a detector would give them and the ``parameters`` behind them, by name, N rows each."""

    views: Views
    parameters: dict[str, Array]


def people(
    body: BodyModel,
    count: int,
    rng: np.random.Generator,
    skeleton: str = "openpose135",
    noise: float = 2.0,
    depth: tuple[float, float] = (3.0, 12.0),
    video: bool = False,
    poses: Array | None = None,
    facing: float = np.pi,
) -> Truth:
    """``count`` people at random, or one who moves smoothly between random poses at 30 fps (``video``).

    Poses from the mixture prior, or out of ``poses`` (P,63), turned any way about the vertical (in pictures at most
    ``facing`` rad from the camera) and leaning by 6°; betas from the standard normal distribution (10); fingers 12
    principal components of half their spread; ``noise`` px; confidence 0.5–0.95. The focal length makes each person 600
    to 900 pixels tall, as photographers do, unless it is a video (1500 px).
    """
    keys = count if not video else max(count // 20 + 2, 4)
    pose = PoseMixture.load().sample(keys, rng)[:, :63]
    if poses is not None:
        pose = np.asarray(poses, dtype=np.float64)[rng.integers(len(poses), size=keys)]
    yaw = rng.uniform(-facing, facing, keys) if not video else np.cumsum(rng.normal(0, 0.5, keys))
    lean = np.radians(6) * rng.normal(size=(keys, 3))
    zero = np.zeros(keys)
    turn = axis_angle_to_matrix(np.stack([zero, yaw, zero], axis=1))
    root = np.diag([1.0, -1.0, -1.0]) @ axis_angle_to_matrix(lean) @ turn
    z = (
        rng.uniform(*depth, keys)
        if not video
        else np.full(keys, rng.uniform(*depth)) + np.cumsum(rng.normal(0, 0.1, keys))
    )
    place = np.stack([0.1 * z * rng.normal(0, 0.3, keys), -0.2 + 0.05 * rng.normal(size=keys), z], axis=1)
    betas = np.repeat(rng.normal(size=(1 if video else keys, 10)), keys if video else 1, axis=0)
    hand = 0.5 * rng.normal(size=(2, keys, 12))
    face = 0.5 * rng.normal(size=(keys, min(10, body.num_expressions)))
    jaw = np.stack([np.abs(0.15 * rng.normal(size=keys)), zero, zero], axis=1)
    values = {"body_pose": pose, "transl": place, "betas": betas, "expression": face, "jaw_pose": jaw}
    values |= {"left_hand_pose": hand[0], "right_hand_pose": hand[1], "root": root.reshape(keys, 9)}
    if video:
        at = np.linspace(0, keys - 1 - 1e-6, count)
        k, share = at.astype(int), (at % 1)[:, None]
        share = share * share * (3 - 2 * share)
        values = {name: (1 - share) * value[k] + share * value[k + 1] for name, value in values.items()}
    matrix = values.pop("root").reshape(-1, 3, 3)
    u, _, vt = np.linalg.svd(matrix)
    model = body.with_hands(12, False).with_betas(10)
    parameters = {**values, "global_orient": matrix_to_axis_angle(u @ vt)}
    points = np.asarray(model.camera_keypoints(skeleton, **parameters), dtype=np.float64)
    focal = FOCAL if video else np.maximum(rng.uniform(600, 900, count) * parameters["transl"][:, 2] / 1.7, 800.0)
    K = np.zeros((count, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2] = WIDTH / 2, HEIGHT / 2
    K[:, 2, 2] = 1
    pixels = points[..., :2] / points[..., 2:] * K[:, None, [0, 1], [0, 1]] + K[:, None, :2, 2]
    pixels += noise * rng.normal(size=pixels.shape)
    confidence = rng.uniform(0.5, 0.95, pixels.shape[:2])
    keypoints = np.concatenate([pixels, confidence[..., None]], axis=-1)
    times = np.arange(count) / 30.0 if video else None
    size = np.tile([WIDTH, HEIGHT], (count, 1))
    parameters["left_hand_pose"] = parameters["left_hand_pose"] @ model.hand_components["left_hand_pose"]
    parameters["right_hand_pose"] = parameters["right_hand_pose"] @ model.hand_components["right_hand_pose"]
    parameters["left_hand_pose"] = parameters["left_hand_pose"] + body.hand_data["left_hand_pose"][0]
    parameters["right_hand_pose"] = parameters["right_hand_pose"] + body.hand_data["right_hand_pose"][0]
    return Truth(Views(keypoints, skeleton, size, K, times), parameters)


def strange(keypoints: Array, rng: np.random.Generator) -> Array:
    """``keypoints`` (N,K,3) spoilt, each row in its own way, in turn of `STRANGE`: what files may hold."""
    out = np.array(keypoints, dtype=np.float64)
    for n, points in enumerate(out):
        kind = STRANGE[n % len(STRANGE)]
        here = points[:, :2]
        if kind == "nothing":
            points[:] = 0.0
        elif kind == "one point":
            points[np.arange(len(points)) != rng.integers(len(points)), :] = 0.0
        elif kind == "all in one place":
            here[:] = here[rng.integers(len(points))]
        elif kind in ("on a line", "upright line", "level line"):
            along = {"upright line": [0.0, 1.0], "level line": [1.0, 0.0]}.get(kind, rng.normal(size=2))
            along = np.asarray(along) / np.linalg.norm(along)
            middle = here.mean(axis=0)
            here[:] = middle + ((here - middle) @ along)[:, None] * along
        elif kind == "exchanged":
            points[:] = points[rng.permutation(len(points))]
        elif kind == "upside down":
            here[:, 1] = here[:, 1].max() + here[:, 1].min() - here[:, 1]
        elif kind == "noise":
            here[:] = rng.uniform(-200, 2000, here.shape)
        elif kind == "huge":
            here *= 10.0 ** rng.uniform(2, 7)
        elif kind == "tiny":
            here[:] = here.mean(axis=0) + 1e-3 * (here - here.mean(axis=0))
        elif kind == "few":
            points[rng.random(len(points)) < 0.85] = 0.0
        elif kind == "not numbers":
            points[rng.random(len(points)) < 0.3] = [np.nan, np.inf, 0.9]
        elif kind == "outliers":
            far = rng.random(len(points)) < 0.3
            here[far] = rng.normal(0, 1e4, (int(far.sum()), 2))
        elif kind == "no torso":
            points[[1, 2, 5, 8, 9, 12]] = 0.0  # of OpenPose: neck, shoulders, hips
    return out


STRANGE = (
    *(
        "nothing",
        "one point",
        "all in one place",
        "on a line",
        "upright line",
        "level line",
        "exchanged",
        "upside down",
    ),
    *("noise", "huge", "tiny", "few", "not numbers", "outliers", "no torso"),
)
