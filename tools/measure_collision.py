"""What the interpenetration term does: mocap poses that run through themselves on the open body, fitted twice.

    python tools/measure_collision.py CORPUS [--poses 50] [--out FOLDER]

CORPUS is a folder of pose files made by ``monocap corpus``. Poses whose forbidden overlap is 20 cm³ or more
(`fitting.collision.volume`) are seen by a camera of 1000 px focal length 4 m away, from a random side. From that start
the fit minimises reprojection of the 33 landmarks, the pose prior and the joints' limits; then the same with
interpenetration, whose pairs are refreshed every few steps. Printed is one flat object; FOLDER gets a picture per pose,
before and after.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel, load_body
from monocap.files import read_npz
from monocap.fitting.collision.skin import SkinCollider
from monocap.fitting.collision.term import REACH, ROUNDS, Interpenetration, pushed_apart
from monocap.fitting.collision.volume import penetrating_volume
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.pose_priors import GaussianPull, LimitExcess
from monocap.fitting.solver import solve_frames
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.fitting.terms import Reprojection, Term
from monocap.geometry import rotations
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.limits import PoseLimits
from monocap.render import Mesh, draw
from monocap.types import Array, Camera

CAMERA = Camera(1000.0, 1000.0, 479.5, 359.5, 960, 720)
LEAST = 20e-6  # m³
COLOURS = ((0.72, 0.72, 0.72), (0.85, 0.35, 0.25), (0.25, 0.45, 0.85), (0.9, 0.65, 0.2), (0.3, 0.65, 0.4))


def poses(corpus: Path, rng: np.random.Generator) -> Iterator[Array]:
    """Body poses (63,) of all files in a random order."""
    files = [read_npz(path, ["body_pose"], max_bytes=1 << 31)["body_pose"] for path in sorted(corpus.glob("*.npz"))]
    every = np.concatenate(files).astype(np.float64)
    return (every[i] for i in rng.permutation(len(every)))


def seen_from(pose: Array, rng: np.random.Generator, betas: int) -> PoseState:
    """One pose 4 m in front of the camera, turned at random about the vertical."""
    turn = rotations.axis_angle_to_matrix(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0]))
    root = np.diag([1.0, -1.0, -1.0]) @ turn
    return PoseState(root[None], pose[None], np.array([[0.0, 0.0, 4.0]]), np.zeros(betas))


def energy(skeleton: Skeleton, state: PoseState) -> tuple[list[Term], Array]:
    """Reprojection onto where the landmarks of ``state`` are, prior, limits; and those pixels (1,33,2)."""
    points = landmark_points(skeleton, state)
    pixels = points[..., :2] / points[..., 2:] * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    weight = np.broadcast_to(skeleton.landmarks.weight, pixels.shape[:2])
    deviation = np.full(len(pixels), 2.0)  # these keypoints are exact: held tightly, none is let go as an outlier
    terms: list[Term] = [
        Reprojection(pixels, weight, CAMERA.K, deviation, 50.0),
        GaussianPull(PoseGaussian.load(), 0.25),
        LimitExcess(PoseLimits.load()),
    ]
    return terms, pixels


def error(skeleton: Skeleton, state: PoseState, pixels: Array) -> float:
    """Mean distance in pixels of the landmarks that count."""
    points = landmark_points(skeleton, state)
    found = points[..., :2] / points[..., 2:] * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    return float(np.linalg.norm(found - pixels, axis=-1)[0, skeleton.landmarks.weight > 0].mean())


def mesh(body: BodyModel, state: PoseState) -> Array:
    return body(
        betas=state.betas,
        global_orient=rotations.matrix_to_axis_angle(state.root[0]),
        body_pose=state.body_pose[0],
        transl=state.transl[0],
    ).vertices


@threadpool_limits.wrap(limits=1, user_api="blas")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--poses", type=int, default=50)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--strength", type=float, default=Interpenetration.strength)
    parser.add_argument("--sigma", type=float, default=Interpenetration.sigma)
    parser.add_argument("--exponent", type=float, default=Interpenetration.exponent)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--reach", type=float, default=REACH)
    given = parser.parse_args()
    body = load_body("open")
    skeleton, skin = Skeleton.of(body, blazepose_landmarks(body)), SkinCollider.of(body)
    rng = np.random.default_rng(8)
    rows, seconds = [], []
    for pose in poses(given.corpus, rng):
        if len(rows) == given.poses:
            break
        start = seen_from(pose, rng, body.num_betas)
        if not len(skin.collider.pairs(mesh(body, start))):
            continue
        terms, pixels = energy(skeleton, start)
        before = solve_frames(skeleton, start, terms, 30).state
        first = penetrating_volume(mesh(body, before), skin.collider)
        if first.forbidden < LEAST:
            continue
        term = Interpenetration(skin, (), given.strength, given.exponent, given.sigma)
        begun = time.process_time()
        after = pushed_apart(skeleton, before, terms, term, given.rounds, given.iterations, given.reach)
        seconds.append(time.process_time() - begun)
        last = penetrating_volume(mesh(body, after), skin.collider)
        rows.append(
            (
                *(1e6 * first.forbidden, 1e6 * last.forbidden, 1e6 * first.doubled, 1e6 * last.doubled),
                *(error(skeleton, before, pixels), error(skeleton, after, pixels)),
                1e3 * float(np.linalg.norm(mesh(body, after) - mesh(body, before), axis=-1).mean()),
            )
        )
        print(len(rows), np.round(rows[-1], 2), f"{seconds[-1]:.2f} s", flush=True)
        if given.out:
            _picture(given.out / f"{len(rows):02d}.png", body, skin, before, after)
    table = np.array(rows)
    falls = 1 - table[:, 1] / table[:, 0]
    figures = {
        "poses": len(table),
        "forbidden_before_cm3": table[:, 0].mean(),
        "forbidden_after_cm3": table[:, 1].mean(),
        "fall_of_the_sum": 1 - table[:, 1].sum() / table[:, 0].sum(),
        "fall_median": np.median(falls),
        "poses_that_fall_by_90_percent": int((falls >= 0.9).sum()),
        "doubled_before_cm3": table[:, 2].mean(),
        "doubled_after_cm3": table[:, 3].mean(),
        "reprojection_before_px": table[:, 4].mean(),
        "reprojection_after_px": table[:, 5].mean(),
        "reprojection_rise_worst_px": (table[:, 5] - table[:, 4]).max(),
        "poses_within_1_px": int((table[:, 5] - table[:, 4] <= 1.0).sum()),
        "poses_with_both": int(((falls >= 0.9) & (table[:, 5] - table[:, 4] <= 1.0)).sum()),
        "vertices_moved_mm": table[:, 6].mean(),
        "cpu_s_per_pose": np.mean(seconds),
    }
    print(json.dumps({key: round(float(value), 4) for key, value in figures.items()}))


def _picture(path: Path, body: BodyModel, skin: SkinCollider, before: PoseState, after: PoseState) -> None:
    """Before above after, from the camera's side and from two others; every limb in its own colour."""
    limb = np.array([_limb(name) for name in body.joint_names])[skin.collider.segm]
    faces = [np.asarray(body.faces)[limb == k] for k in range(len(COLOURS))]
    camera = Camera(560.0, 560.0, 179.5, 219.5, 360, 440)
    rows = []
    for state in (before, after):
        vertices = mesh(body, state)
        vertices = vertices - vertices.mean(axis=0)
        row = []
        for turn in (0.0, 0.5 * np.pi, -0.6 * np.pi):
            matrix = rotations.axis_angle_to_matrix(np.array([0.0, turn, 0.0]))
            seen = vertices @ matrix.T + [0.0, 0.0, 2.6]
            meshes = [Mesh(seen, f, colour) for f, colour in zip(faces, COLOURS, strict=True)]
            drawing = draw(meshes, camera, supersample=2)
            coverage = drawing.coverage[..., None]
            row.append(np.round(245 * (1 - coverage) + drawing.colour * coverage).astype(np.uint8))
        rows.append(np.concatenate(row, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows, axis=0), cv2.COLOR_RGB2BGR))


def _limb(joint: str) -> int:
    """0 trunk and head, 1 and 2 arms, 3 and 4 legs."""
    if any(part in joint for part in ("hip", "knee", "ankle", "foot")):
        return 3 + joint.startswith("right")
    trunk = ("pelvis", "spine", "neck", "head", "jaw", "eye", "collar")
    return 0 if any(part in joint for part in trunk) else 1 + joint.startswith("right")


if __name__ == "__main__":
    main()
