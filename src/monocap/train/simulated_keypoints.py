"""Keypoints as a detector would see them, of motion capture poses before random cameras: exact truth, plausible errors.

What is drawn per person: a pose of the corpus (half of them mirrored, some with the upper body of another, with
noise), a shape, a heading, a camera (3/4 of them level to looking down by 30°, some lean as people lie and bend),
distance, and errors of the keypoints: those of a rendered person in a similar pose where such are given
(seen_keypoints.py), else noise of its own size for each picture and landmark, whole limbs that are off, outliers, and
legs out of sight.
"""

from __future__ import annotations

import numpy as np

from monocap import skeletons
from monocap.bodies import load_body
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry.rotations import axis_angle_to_matrix, rotation_between
from monocap.priors import anatomical_prior
from monocap.train.seen_keypoints import SeenErrors, Sight
from monocap.types import Array

_UPPER = ("spine3", "neck", "head", "collar", "shoulder", "elbow", "wrist")
_LIMBS = ((13, 15, 17, 19, 21), (14, 16, 18, 20, 22), (25, 27, 29, 31), (26, 28, 30, 32), tuple(range(11)))
_SHAPES = 8  # shapes per batch; more would only cost time
_MIRROR = np.array([1.0, -1.0, -1.0])
_UPRIGHT = np.diag([1.0, -1.0, -1.0])  # the body's y up to the camera's y down, facing it


class SimulatedKeypoints:
    """Draws people from poses (N,63), the world's up in the pelvis frame ``up`` (N,3), by weights (N,); numpy only.

    ``errors`` of rendered people are put on three in four.
    """

    def __init__(self, body_pose: Array, up: Array, weight: Array, errors: SeenErrors | None = None) -> None:
        self._seen = errors
        body = load_body("open")
        self.skeleton = Skeleton.of(body, blazepose_landmarks(body))
        self._poses = body_pose.reshape(-1, 21, 3).astype(np.float64)
        self._up = up.astype(np.float64)
        self._below = np.cumsum(weight, dtype=np.float64)
        self._below /= self._below[-1]
        smplx = skeletons.get("smplx55")
        self._flip = np.array(smplx.flip[1:22]) - 1
        self._upper = np.array([i - 1 for i in range(1, 22) if smplx.joint_names[i].split("_")[-1] in _UPPER])
        self._prior = anatomical_prior()

    def draw(self, rng: np.random.Generator, count: int) -> Sight:
        """``count`` people; only those with a rendered person's errors are guessed by the keypoint network."""
        pose, root = self._bodies(rng, count)
        points = np.empty((count, 33, 3))
        betas = self.skeleton.joint_directions.shape[2]
        for part in np.array_split(np.arange(count), _SHAPES):
            state = PoseState(root[part], pose[part], np.zeros((len(part), 3)), 0.8 * rng.normal(size=betas))
            points[part] = landmark_points(self.skeleton, state)
        points -= points[:, 23:25].mean(axis=1, keepdims=True)
        distance = np.exp(rng.uniform(np.log(1.8), np.log(8.0), count))[:, None, None]
        true = points[..., :2] / (points[..., 2:] + distance) * distance
        flat, confidence = self._errors(rng, true)
        guess, guessed = np.zeros_like(points), np.zeros(count, dtype=bool)
        if self._seen is not None:
            guessed = rng.random(count) < 0.75
            some = self._seen.put_on(rng, points[guessed], true[guessed])
            flat[guessed], confidence[guessed], guess[guessed] = some
        return Sight(flat, confidence, guess, guessed, points)

    def _index(self, rng: np.random.Generator, count: int) -> Array:
        return np.minimum(np.searchsorted(self._below, rng.random(count)), len(self._below) - 1)

    def _bodies(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        index = self._index(rng, count)
        pose, up = self._poses[index].copy(), self._up[index].copy()
        other = rng.random(count) < 0.3
        pose[np.ix_(other, self._upper)] = self._poses[self._index(rng, int(other.sum()))][:, self._upper]
        mirrored = rng.random(count) < 0.5
        pose[mirrored] = pose[mirrored][:, self._flip] * _MIRROR
        up[mirrored, 0] *= -1
        pose += rng.normal(size=pose.shape) * rng.choice([0.03, 0.1, 0.2], size=(count, 1, 1), p=[0.5, 0.35, 0.15])
        wild = rng.random(count) < 0.08
        drawn = rng.normal(size=(int(wild.sum()), 21, 3))
        pose[wild] = self._prior.mean + 1.2 * self._prior.deviation * drawn
        pose = np.clip(pose, self._prior.lower - 0.15, self._prior.upper + 0.15)
        lean = rng.normal(size=(count, 3)) * np.where(rng.random((count, 1)) < 0.12, 0.7, 0.08)
        tilt = np.zeros((count, 3))
        tilt[:, 0] = rng.uniform(-0.2, 0.5, count) * np.where(rng.random(count) < 0.8, 1.0, 1.6)
        tilt[:, 2] = 0.08 * rng.normal(size=count)
        camera = axis_angle_to_matrix(tilt) @ _UPRIGHT @ axis_angle_to_matrix(lean)
        return pose.reshape(count, 63), camera @ _stand(up, rng.uniform(0, 2 * np.pi, count))

    def _errors(self, rng: np.random.Generator, flat: Array) -> tuple[Array, Array]:
        count = len(flat)
        size = 0.014 * np.exp(0.5 * rng.normal(size=(count, 1, 1))) * np.exp(0.5 * rng.normal(size=(count, 33, 1)))
        flat = flat + size * rng.normal(size=flat.shape)
        for limb in _LIMBS:
            off = rng.random(count) < 0.25
            flat[np.ix_(off, np.array(limb))] += 0.03 * rng.normal(size=(int(off.sum()), 1, 2))
        wrong = rng.random((count, 33)) < 0.02
        flat[wrong] += 0.15 * rng.normal(size=(int(wrong.sum()), 2))
        confidence = 1 - 0.25 * np.abs(rng.normal(size=(count, 33))) - 0.6 * wrong * rng.random((count, 33))
        hidden = np.ix_(np.flatnonzero(rng.random(count) < 0.12), np.arange(25, 33))
        confidence[hidden] *= 0.5 * rng.random(confidence[hidden].shape)
        flat[hidden] += 0.1 * rng.normal(size=flat[hidden].shape)
        return flat, np.clip(confidence, 0.05, 1.0)


def _stand(up: Array, heading: Array) -> Array:
    """Rotations (n,3,3) that take ``up`` (n,3), in the pelvis frame, to +y, turned about it by ``heading`` (n,) rad."""

    upright = rotation_between(up, np.broadcast_to(np.array([0.0, 1.0, 0.0]), up.shape))
    about = np.zeros((len(up), 3))
    about[:, 1] = heading
    return axis_angle_to_matrix(about) @ upright
