"""Which way is up, seen from the pelvis, given only the pose of the body's joints? A linear regression from mocap.

    python tools/fit_upright.py --mocap FOLDER_OF_CMU_MOTION -o src/monocap/synth/data/upright.npz

A pose corpus holds joint rotations and no root, and poses drawn from a prior never had one. How a person leans can be
told from legs and trunk: this fits up = [rotation matrices of 21 joints, 1] · weights by ridge regression, on
every third frame of the takes that the pose corpus is made of, tilted ones weighted more. Held-out performers (those of
the pose corpus) are only measured: printed are degrees of error at the 50th, 75th and 90th percentile, and the same
for taking the pelvis as upright. `synth.poses` then sets the body down on what touches the floor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap.bodies import load_body
from monocap.data.mocap.corpus import CorpusOptions
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.geometry import rotations
from monocap.synth.poses import upright_features
from monocap.types import Array

_EVERY = 3
_RIDGE = 30.0


def collect(folder: Path) -> tuple[Array, Array, Array]:
    """Poses (N,63), up in the pelvis' axes (N,3), performers (N,)."""
    body, options = load_body("open"), CorpusOptions()
    poses, ups, subjects = [], [], []
    for take in find_takes(folder):
        if take.origin != "cmu":
            continue
        try:
            motion = retarget(read_take(take), body)
        except InputError:
            continue
        if motion.error.summary["direction_mean_deg"] > options.direction:
            continue
        pose = motion.body_pose[motion.steady][::_EVERY]
        poses.append(pose)
        ups.append(rotations.axis_angle_to_matrix(motion.global_orient[motion.steady][::_EVERY])[:, 1, :])
        subjects += [take.subject] * len(pose)
    return np.concatenate(poses), np.concatenate(ups), np.array(subjects)


def fit(features: Array, up: Array) -> Array:
    """Weights (190,3)."""
    tilt = np.degrees(np.arccos(np.clip(up[:, 1], -1, 1)))
    scale = np.sqrt(1 + tilt / 10)[:, None]
    a, b = features * scale, up * scale
    return np.linalg.solve(a.T @ a + _RIDGE * np.eye(a.shape[1]), a.T @ b)


def errors(told: Array, up: Array) -> str:
    told = told / np.linalg.norm(told, axis=1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip((told * up).sum(axis=1), -1, 1)))
    return " ".join(f"{value:5.1f}" for value in np.percentile(angles, [50, 75, 90]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Which way is up for a pose without a root.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    pose, up, subject = collect(given.mocap)
    features, options = upright_features(pose), CorpusOptions()
    held = np.isin(subject, (*options.test, *options.val))
    train = ~held & ~np.isin(subject, options.extreme)
    weights = fit(features[train], up[train])
    for name, chosen in (("trained on", train), ("held out", held)):
        plain = np.tile([0.0, 1.0, 0.0], (int(chosen.sum()), 1))
        print(f"{name:10} {chosen.sum():6d} poses: {errors(features[chosen] @ weights, up[chosen])} degrees;", end=" ")
        print(f"pelvis upright: {errors(plain, up[chosen])}")
    write_npz(given.out, {"weights": weights.astype(np.float32)})


if __name__ == "__main__":
    main()
