"""Body poses for synthetic people, and how a body with such a pose stands, sits or lies on a floor.

Neither a pose corpus nor a prior says how the pelvis is turned: of a pose only the joints' own rotations are known. So

1. up is told from the pose by a linear regression (`tools/fit_upright.py`: median error 6° on held-out performers,
   where the pelvis itself leans by 9°, and by more than 22° in a quarter of all poses);
2. the body is set down: of the planes it can rest on (facets of the convex hull of its skin), it takes the nearest
   within some degrees, so that both feet, or feet and hands, touch the floor; whoever is in the air stays as told;
3. some people lie instead: on a facet far from upright above which the centre of mass lies, as a real body would.

The heading is free, the lowest point of the skin is the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from monocap.bodies import BodyModel
from monocap.data.pose_corpus import read_pose_corpus
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.geometry import rotations
from monocap.motion.balance import centre_of_mass
from monocap.priors import PoseLimits, PoseMixture
from monocap.priors.limits import mirrored
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

SPLITS = {"train": ("train",), "test": ("test",)}
"""Which splits of a pose corpus each split of synthetic people takes its performers from."""

_SETTLE = np.deg2rad(15.0)  # how far what the regression says may be off
_SUPPORT = 0.004  # m², the smallest facet that carries anybody: less than a forefoot
_LYING = 0.06  # share of people who lie down
_LYING_TILT = np.deg2rad(55.0)
_EVERY = 13  # vertex of the skin, for the hull: 1068 of them
_EXCESS = 0.15  # rad beyond the joint limits that a pose from a prior may have
_PRIOR_POSES = 64  # drawn at once: rejection needs some to choose from


@dataclass(frozen=True, eq=False)
class DrawnPose:
    """``body_pose`` (63,) radians; ``performer``: whose it was, or which prior's."""

    body_pose: Array
    performer: str


class PoseSource:
    """Poses of one split: of a folder that ``monocap data corpus`` wrote, or of the shipped priors.

    Raises InputError if the folder is no corpus or lacks the split.
    """

    def __init__(self, corpus: Path | None, split: str) -> None:
        if split not in SPLITS:
            raise InputError(f"split {split!r}; expected {' or '.join(SPLITS)}")
        self.performers: tuple[str, ...] = ()
        self._poses = None
        if corpus is not None:
            whole = read_pose_corpus(corpus)
            self._poses = whole.take(np.isin(whole.split, SPLITS[split]))
            if not len(self._poses):
                raise InputError(f"{corpus}: no poses of split {split!r}; it has {', '.join(whole.splits)}")
            self.performers = tuple(sorted({str(name) for name in self._poses.subject}))
            total = np.cumsum(self._poses.weight, dtype=np.float64)
            self._upto = total / total[-1]

    def draw(self, rng: np.random.Generator) -> DrawnPose:
        """One pose; those of a corpus as often as their weight says."""
        if self._poses is None:
            return _from_priors(rng)
        at = min(int(np.searchsorted(self._upto, rng.random(), side="right")), len(self._poses) - 1)
        return DrawnPose(self._poses.body_pose[at].astype(np.float64), str(self._poses.subject[at]))


def _from_priors(rng: np.random.Generator) -> DrawnPose:
    """A pose of the mixture or of VPoser that keeps within the joint limits (else the one least beyond them)."""
    limits, mixture, vposer = _priors()
    if rng.random() < 0.5:
        name, poses = "prior:mixture", mixture.sample(_PRIOR_POSES, rng)[:, :63]
    else:
        name, poses = "prior:vposer", vposer.sample(_PRIOR_POSES // 4, rng)
    excess = limits.excess(poses).max(axis=-1)
    fine = np.flatnonzero(excess <= _EXCESS)
    return DrawnPose(poses[fine[0] if len(fine) else excess.argmin()], name)


@cache
def _priors() -> tuple[PoseLimits, PoseMixture, VPoserPrior]:
    return PoseLimits.load(), PoseMixture.load(), VPoserPrior.load()


# ---------------------------------------------------------------------- which way is up
def upright_features(body_pose: Array) -> Array:
    """(N,190) what up is told from: rotation matrices of the 21 joints, and 1; of poses (N,63)."""
    local = rotations.axis_angle_to_matrix(np.asarray(body_pose, np.float64).reshape(-1, 21, 3))
    flat = local.reshape(len(local), -1)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def upright(body_pose: Array) -> Array:
    """(3,) unit vector: up of the world in the axes of the pelvis, as people with this pose (63,) mostly are."""
    both = upright_features(np.stack([body_pose, mirrored(body_pose)])) @ _weights()
    told = both[0] + both[1] * [-1.0, 1.0, 1.0]  # mirror images lean alike
    return told / max(float(np.linalg.norm(told)), 1e-9)


@cache
def _weights() -> Array:
    path = resources.files("monocap.synth") / "data" / "upright.npz"
    weights = read_npz(str(path), ["weights"], max_bytes=1 << 20)["weights"]
    return weights.astype(np.float64)


# ---------------------------------------------------------------------- setting down
@dataclass(frozen=True, eq=False)
class Placed:
    """A body on the floor: ``global_orient`` (3,) and ``transl`` (3,), world with y up; ``posture`` in a word."""

    global_orient: Array
    transl: Array
    posture: str


def set_down(rng: np.random.Generator, body: BodyModel, parameters: dict[str, Array]) -> tuple[Placed, Array, Array]:
    """A body of ``parameters`` (without root) set on the floor y = 0 with any heading, its pelvis above the origin.

    Returns how it stands, its vertices (V,3) and joints (55,3) there.
    """
    out = body(**parameters)
    vertices, joints = np.asarray(out.vertices, np.float64), np.asarray(out.joints, np.float64)
    mass = centre_of_mass(joints, body.joint_names)
    told = upright(parameters["body_pose"])
    up, posture = _resting(rng, vertices[::_EVERY], mass, told)
    turn = rotations.rotation_between(up[None], np.array([[0.0, 1.0, 0.0]]))[0]
    heading = rotations.axis_angle_to_matrix(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0]))
    turn = heading @ turn
    pelvis = joints[0]
    vertices = (vertices - pelvis) @ turn.T
    joints = (joints - pelvis) @ turn.T
    lift = np.array([0.0, -float(vertices[:, 1].min()), 0.0])
    placed = Placed(rotations.matrix_to_axis_angle(turn), lift - pelvis, posture)
    return placed, vertices + lift, joints + lift


def _resting(rng: np.random.Generator, points: Array, mass: Array, told: Array) -> tuple[Array, str]:
    """Up (3,) of the facet of the hull of ``points`` (n,3) that the body rests on, and the posture."""
    lie = rng.random() < _LYING
    pick = rng.random()
    try:
        hull = ConvexHull(points)
    except QhullError:  # all points in a plane: no body does that
        return told, "upright"
    ups, corners = -hull.equations[:, :3], points[hull.simplices]
    edges = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(edges, axis=1)
    angle = np.arccos(np.clip(ups @ told, -1.0, 1.0))
    if lie:
        stable = np.flatnonzero(_above(corners, ups, mass) & (angle > _LYING_TILT) & (area > _SUPPORT))
        if len(stable):
            return ups[stable[int(pick * len(stable))]], "lying"
    near = np.flatnonzero((angle < _SETTLE) & (area > _SUPPORT))
    if len(near):
        return ups[near[angle[near].argmin()]], "upright"
    return told, "in motion"


def _above(corners: Array, ups: Array, mass: Array) -> Array:
    """(n,) whether ``mass`` (3,) lies above each triangle (n,3,3), along its own up (n,3)."""
    inside = np.ones(len(corners), bool)
    for i in range(3):
        a, b, c = corners[:, i], corners[:, (i + 1) % 3], corners[:, (i + 2) % 3]
        across = np.cross(ups, b - a)
        inside &= np.sum(across * (mass - a), axis=1) * np.sum(across * (c - a), axis=1) >= 0
    return inside
