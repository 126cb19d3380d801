"""Where on the open body does the keypoint network put its landmarks? Measured on pictures whose truth is known.

    python tools/calibrate_landmarks.py [--count 400]

Renders the open body (random shape, anatomical random pose, every side) over frames of examples/demo.mp4, runs
BlazePose lite and heavy on the true region, and solves per landmark for the offset, in the rest frame of the bone it
hangs on, that explains the difference between seen and true projection (robust least squares, left and right
mirrored together). Prints the table of `monocap.fitting.landmarks`: its offsets plus what is still missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap import skeletons
from monocap.bodies import load_body
from monocap.export import skin_texture
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import FREE_JOINTS, PoseState, Skeleton, linearise
from monocap.geometry import kinematics, rotations
from monocap.media.pictures import read_picture
from monocap.media.readers import open_media
from monocap.perception import BlazePose, Roi
from monocap.priors import anatomical_prior
from monocap.render import Mesh, overlay
from monocap.types import Array, Camera

CAMERA = Camera(1100.0, 1100.0, 639.5, 359.5, 1280, 720)
ROBUST_M = 0.04  # errors beyond this count little: swapped limbs, lost hands
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"
_MIRROR = np.array([-1.0, 1.0, 1.0])


def sample(skeleton: Skeleton, count: int, rng: np.random.Generator) -> list[PoseState]:
    """Random people who stand roughly upright 3 to 6 m away, seen from all sides."""
    prior = anatomical_prior()
    states = []
    for _ in range(count):
        pose = np.zeros((21, 3))
        free = np.array(FREE_JOINTS) - 1
        noise = rng.normal(size=(len(free), 3))
        pose[free] = prior.mean[free] + prior.deviation[free] * noise
        pose = np.clip(pose, prior.lower, prior.upper)
        yaw = rotations.axis_angle_to_matrix(np.array([0.0, rng.uniform(0, 2 * np.pi), 0.0]))
        lean = rotations.axis_angle_to_matrix(rng.normal(size=3) * [0.15, 0.0, 0.1])
        root = np.diag([1.0, -1.0, -1.0]) @ lean @ yaw
        transl = np.array([rng.normal() * 0.4, rng.normal() * 0.2 - 0.35, rng.uniform(3.0, 6.0)])
        betas = rng.normal(size=skeleton.joint_directions.shape[2]) * 0.7
        states.append(PoseState(root[None], pose.reshape(1, 63), transl[None], betas))
    return states


def measure(variant: str, states: list[PoseState], skeleton: Skeleton) -> tuple[Array, Array, Array]:
    """Jacobians (M,N,2,3) by offset, errors (M,N,2) in metres at the landmark's distance, confidences (M,N)."""
    body = load_body("open")
    network = BlazePose("lite" if variant == "lite" else "heavy")
    skin = skin_texture(body)
    texture = None if skin is None else read_picture(skin).image
    backgrounds = [frame.image for frame in open_media(EXAMPLE)]
    marks = skeleton.landmarks
    jacobians, errors, confidences = [], [], []
    for i, state in enumerate(states):
        at = linearise(skeleton, state)
        points = at.points[0]
        vertices = body(
            betas=state.betas,
            global_orient=rotations.matrix_to_axis_angle(state.root)[0],
            body_pose=state.body_pose[0],
            transl=state.transl[0],
        ).vertices
        mesh = Mesh(vertices, body.faces, uv=body.uv, uv_faces=body.uv_faces, texture=texture)
        picture = overlay(backgrounds[i % len(backgrounds)], [mesh], CAMERA, 1.0)
        pixels = points[:, :2] / points[:, 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        region = Roi((low + high) / 2, 1.4 * float((high - low).max()), 0.0)
        seen = network.estimate(picture, network.estimate(picture, region).next_roi).keypoints
        rest = skeleton.joints + skeleton.joint_directions @ state.betas
        world, _ = kinematics.forward_kinematics_numba(state.local_rotations[0], rest, skeleton.parents)
        x, y, z = points.T
        by_point = np.zeros((len(points), 2, 3))
        by_point[:, 0, 0] = by_point[:, 1, 1] = 1.0  # in units of z / f pixels, so errors come out in metres
        by_point[:, 0, 2], by_point[:, 1, 2] = -x / z, -y / z
        jacobians.append(by_point @ world[marks.bone])
        errors.append((seen.points2d[:, :2] - pixels) * (z / CAMERA.fx)[:, None])
        confidences.append(seen.points2d[:, 2] * (seen.score > 0.5))
    return np.array(jacobians), np.array(errors), np.array(confidences)


def solve(jacobian: Array, error: Array, confidence: Array) -> tuple[Array, float, float]:
    """Robust offset (3,) m, and the median error in metres before and after."""
    offset = np.zeros(3)
    for _ in range(30):
        rest = error - jacobian @ offset
        weight = confidence / (1 + np.sum(rest**2, axis=1) / ROBUST_M**2) ** 2
        normal = np.einsum("tij,tik,t->jk", jacobian, jacobian, weight) + 0.002 * weight.sum() * np.eye(3)
        offset = np.linalg.solve(normal, np.einsum("tij,ti,t->j", jacobian, error, weight))
    before, after = (np.median(np.linalg.norm(e, axis=1)) for e in (error, error - jacobian @ offset))
    return offset, float(before), float(after)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure where the keypoint network puts its landmarks.")
    parser.add_argument("--count", type=int, default=400)
    count = parser.parse_args().count
    body = load_body("open")
    skeleton = Skeleton.of(body, blazepose_landmarks(body))
    states = sample(skeleton, count, np.random.default_rng(7))
    names = skeletons.get("blazepose33").joint_names
    for variant in ("heavy", "lite"):
        jacobian, error, confidence = measure(variant, states, skeleton)
        print(f"{variant}: keypoint, missing offset x y z (mm), median error before and after (mm)")
        for i, name in enumerate(names):
            if name.startswith("right_") or skeleton.landmarks.weight[i] == 0:
                continue
            columns, values, trust = [jacobian[:, i]], [error[:, i]], [confidence[:, i]]
            if name.startswith("left_"):
                j = names.index(name.replace("left_", "right_"))
                columns.append(jacobian[:, j] * _MIRROR)
                values.append(error[:, j])
                trust.append(confidence[:, j])
            offset, before, after = solve(np.concatenate(columns), np.concatenate(values), np.concatenate(trust))
            numbers = " ".join(f"{1e3 * v:6.1f}" for v in offset)
            print(f"  {name:18} {numbers}   {1e3 * before:5.1f} {1e3 * after:5.1f}")


if __name__ == "__main__":
    main()
