"""A true body under the camera that crop networks believe in: one fixed focal length, looking at the crop's middle.

HMR 2.0 and TokenHMR see 256-pixel crops as if taken from 40 m away at f = 5000 px. A body in front of a real lens
does not look so: near limbs are larger, and off the picture's middle it is seen from the side. What is left between the
true keypoints and the true body under the best such camera is what a network can only remove by bending the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.data.crop_families import CropFamily, crop_family, sample_square
from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.fitting.point_sets import PointSet, skeleton_points
from monocap.fitting.pose_priors import GaussianPull, LimitExcess
from monocap.fitting.solver import solve_frames
from monocap.fitting.state import BODY_JOINTS, Linearised, PoseState, Skeleton, linearise
from monocap.fitting.terms import Reprojection, Rows, Term
from monocap.geometry.cameras import TRAINING_FOCAL, full_to_crop_weak, look_rotation, project, project_crop, ray_of
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.limits import PoseLimits
from monocap.types import Array

RESOLUTION = 256.0
_WHOLE = "smplx127"
_SKIN = (
    *("nose", "right_eye_surface", "left_eye_surface", "right_ear", "left_ear", "left_big_toe", "left_small_toe"),
    *("left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
POINTS: tuple[str, ...] = (*skeletons.get("smplx55").joint_names[:BODY_JOINTS], *_SKIN)
"""The body's 22 joints and 11 points of its skin."""

ROOT = 0  # of POINTS
FEWEST = 8  # points in the picture
_DEVIATION = 0.012 * RESOLUTION  # px of the crop that keypoints err by: detectors' 2 % of the person's extent
_CUTOFF = 100.0  # deviations: the truth has no outliers


@dataclass(frozen=True)
class Seen:
    """One person in a crop: ``points`` (K,3) m, camera frame, of `POINTS`, NaN where the data set has none; ``known``
    (K,) in the picture; ``flat`` (K,2) where they truly are, crop widths from its middle; ``ray`` (3,) to that middle.

    ``center`` (2,) px and ``size`` px of the crop, ``principal`` (2,) px and ``focal_px`` of the picture.
    """

    points: Array
    known: Array
    flat: Array
    ray: Array
    center: Array
    size: float
    image_size: tuple[int, int]
    focal_px: float
    principal: Array

    @property
    def distance(self) -> float:
        return float(np.linalg.norm(self.points[ROOT]))

    @property
    def focal(self) -> float:
        """In longer sides of the picture."""
        return self.focal_px / max(self.image_size)

    @property
    def aside(self) -> float:
        """Angle, rad, between the optical axis and the crop's middle."""
        return float(np.arccos(np.clip(self.ray[2], -1, 1)))


def seen(sample: Sample, family: CropFamily | None = None) -> Seen | None:
    """A sample with 3D joints, intrinsics and a box as its crop shows it, or None where that is too little."""
    if sample.joints3d is None or sample.K is None or sample.box is None or sample.image_size is None:
        return None
    if sample.frame_of_reference == "root" or not sample.in_protocol:
        return None
    family = family or crop_family("hmr2")
    theirs, ours = skeletons.mapping(sample.skeleton3d, _WHOLE)
    names = skeletons.get(_WHOLE).joint_names
    joints, valid = sample.camera_joints(), sample.joints3d_valid
    points, known = np.full((len(POINTS), 3), np.nan), np.zeros(len(POINTS), bool)
    for a, b in zip(theirs.tolist(), ours.tolist(), strict=True):
        if names[b] in POINTS and (valid is None or valid[a]):
            k = POINTS.index(names[b])
            points[k], known[k] = joints[a], True
    if not known[ROOT] or np.nanmin(points[known, 2]) < 0.1:
        return None
    center, size = sample_square(sample, family)
    pixels = np.full((len(POINTS), 2), np.nan)
    pixels[known] = project(points[known], sample.K)
    width, height = sample.image_size
    with np.errstate(invalid="ignore"):
        known &= ((pixels >= -0.5) & (pixels <= np.array([width, height]) - 0.5)).all(axis=1)
    if known.sum() < FEWEST:
        return None
    return Seen(
        points=points, known=known, flat=(pixels - center) / size, ray=ray_of(center, sample.K), center=center,
        size=size, image_size=(width, height), focal_px=float(np.sqrt(sample.K[0, 0] * sample.K[1, 1])),
        principal=np.array(sample.K[:2, 2], float),
    )  # fmt: skip


def under(points: Array, weak: Array) -> Array:
    """(K,2) crop widths of points (K,3) m from their root, for a weak camera (3,) s, tx, ty at 5000 px."""
    return 0.5 * project_crop(points, weak, RESOLUTION)


def best_camera(points: Array, flat: Array, known: Array) -> Array:
    """(3,) the weak camera s, tx, ty at 5000 px under which points (K,3) m lie nearest to ``flat`` (K,2)."""
    x, y = points[known], flat[known]
    # weak perspective in closed form: 2 y = s (x + t)
    middle, target = x[:, :2].mean(axis=0), 2 * y.mean(axis=0)
    spread = x[:, :2] - middle
    s = float((spread * (2 * y - target)).sum() / max(float((spread**2).sum()), 1e-12))
    weak = np.array([max(s, 1e-3), *(target / max(s, 1e-3) - middle)])
    for _ in range(4):  # the little perspective that 5000 px leave
        base = under(x, weak)
        steps = np.diag([1e-5 * weak[0], 1e-5, 1e-5])
        slope = np.stack([(under(x, weak + step) - base).ravel() / step.sum() for step in steps], axis=1)
        weak = weak + np.linalg.lstsq(slope, (y - base).ravel(), rcond=None)[0]
        weak[0] = max(weak[0], 1e-3)
    return weak


def pelvis_camera(one: Seen) -> Array:
    """(3,) the weak camera that puts the pelvis where it truly is: what exact 3D supervision would teach."""
    offset = one.center - one.principal  # from the optical axis, as if the picture's middle lay there
    return np.asarray(
        full_to_crop_weak(one.points[ROOT][None], offset[None], one.size, np.zeros((1, 2)), one.focal_px)
    )[0]


def straightened(one: Seen) -> Array:
    """(K,3) the body from its pelvis, turned as the crop's own view has it: without the error of looking aside."""
    return (one.points - one.points[ROOT]) @ np.asarray(look_rotation(one.ray))


@dataclass(frozen=True)
class Drift:
    """A body fitted to 2D: ``rotations`` (22,) rad away from the truth, root first; ``joints`` (22,) m, pelvis first;
    ``flat`` (K,) distance in crop widths that is left to the 2D."""

    rotations: Array
    joints: Array
    flat: Array


class Fits:
    """Fits true 2D keypoints under a camera, from the truth on: how far does the body drift?

    ``body``: whose parameters the samples have.
    """

    def __init__(self, body: BodyModel) -> None:
        points = skeleton_points(body, _WHOLE)
        names = list(points.names)
        self.body = body
        self.set: PointSet = points.take(np.array([names.index(name) for name in POINTS]))
        self.skeleton = Skeleton.of(body, self.set.landmarks)
        self.gaussian, self.limits = PoseGaussian.load(), PoseLimits.load()

    def takes(self, sample: Sample, body: str) -> bool:
        """Whether a sample has parameters of this body, which was loaded as ``body``."""
        return sample.params is not None and sample.body == ("open" if body == "open" else self.body.kind.name)

    def fit(self, sample: Sample, one: Seen, K: Array, target: Array, start: Array, strengths: Sequence[float],
            iterations: int = 12) -> list[Drift]:  # fmt: skip
        """One drift for each of the ``strengths`` of the prior of everyday poses, each from where the last ended.

        ``K`` (3,3) px of the camera that is believed in, ``target`` (K,2) px there, ``start`` (3,) m the pelvis.
        """
        if sample.params is None:
            raise InputError(f"{sample.name}: has no body parameters to drift from")
        p = sample.params
        betas = np.zeros(self.body.shapedirs.shape[2])
        given = np.asarray(p.betas, float)[: len(betas)]
        betas[: len(given)] = given
        root = axis_angle_to_matrix(np.asarray(p.global_orient, float))[None]
        if sample.params_frame == "world" and sample.T_camera_world is not None:
            root = sample.T_camera_world[:3, :3] @ root
        truth = PoseState(root, np.asarray(p.body_pose, float)[None, :63].copy(), np.zeros((1, 3)), betas)
        true = linearise(self.skeleton, truth)
        rotations, joints = truth.local_rotations[0], true.joints[0] - true.joints[0, 0]
        state = PoseState(truth.root, truth.body_pose, (start - true.joints[0, 0])[None], betas)
        weight = one.known.astype(float)[None]
        pixels = np.where(one.known[:, None], target, 0.0)
        camera = _Mixed(self.set.mix, Reprojection(pixels[None], weight, K, np.array([_DEVIATION]), _CUTOFF))
        drifts = []
        for strength in strengths:
            terms: list[Term] = [camera, GaussianPull(self.gaussian, strength), LimitExcess(self.limits)]
            state = solve_frames(self.skeleton, state, terms, iterations).state
            now = linearise(self.skeleton, state)
            between = np.swapaxes(rotations, -1, -2) @ state.local_rotations[0]
            flat = np.einsum("mn,nc->mc", self.set.mix, now.points[0])
            left = np.linalg.norm(project(flat, K) - target, axis=1) / RESOLUTION
            drifts.append(
                Drift(
                    np.linalg.norm(matrix_to_axis_angle(between), axis=-1),
                    np.linalg.norm(now.joints[0] - now.joints[0, 0] - joints, axis=1),
                    np.where(one.known, left, np.nan),
                )
            )
        return drifts

    def wrong(self, sample: Sample, one: Seen, strengths: Sequence[float]) -> list[Drift]:
        """Drifts under the fixed focal length, from the best camera of the true body."""
        weak = best_camera(one.points - one.points[ROOT], one.flat, one.known)
        K = np.array([[TRAINING_FOCAL, 0, 0], [0, TRAINING_FOCAL, 0], [0, 0, 1.0]])
        start = np.array([weak[1], weak[2], 2 * TRAINING_FOCAL / (RESOLUTION * weak[0])])
        return self.fit(sample, one, K, one.flat * RESOLUTION, start, strengths)

    def right(self, sample: Sample, one: Seen, strengths: Sequence[float]) -> list[Drift]:
        """Drifts under the true camera: what keypoints leave open anyway."""
        scale = RESOLUTION / one.size
        middle = (one.principal - one.center) * scale
        focal = one.focal_px * scale
        K = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
        return self.fit(sample, one, K, one.flat * RESOLUTION, one.points[ROOT], strengths)


@dataclass(frozen=True)
class _Mixed:
    """Reprojection of points that are weighted sums of the skeleton's landmarks."""

    mix: Array
    inner: Reprojection

    def rows(self, at: Linearised) -> Rows:
        points = np.einsum("mn,tnc->tmc", self.mix, at.points)
        frames, count, _, n = at.d_points.shape
        by = (self.mix @ at.d_points.reshape(frames, count, 3 * n)).reshape(frames, len(self.mix), 3, n)
        return self.inner.rows(replace(at, points=points, d_points=by, b_points=None))
