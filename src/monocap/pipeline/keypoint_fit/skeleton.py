"""Recipe ``skeleton`` on keypoints of any kind: lifted to space frame by frame, then followed by the kinematic fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import TERMS, KinematicSkeleton, SkeletonFit
from monocap.fitting.smplifyx.energy import stature
from monocap.fitting.smplifyx.result import Fitted
from monocap.perception import Lifter
from monocap.perception.lifter import HIPS, SKELETON
from monocap.types import Array, BodyParams, Camera

# What stands for a landmark that a skeleton does not have, or that was not seen: the nearest one that tells the most.
_STANDS_FOR = {
    **dict.fromkeys(("left_eye", "right_eye", "mouth_left", "mouth_right", "left_ear", "right_ear"), ("nose",)),
    **{f"{side}_eye_{end}": (f"{side}_eye", "nose") for side in ("left", "right") for end in ("inner", "outer")},
    **{f"{side}_{part}": (f"{side}_wrist",) for side in ("left", "right") for part in ("pinky", "index", "thumb")},
    **{f"{side}_{part}": (f"{side}_ankle",) for side in ("left", "right") for part in ("heel", "foot_index")},
    **{f"{side}_wrist": (f"{side}_elbow", f"{side}_shoulder") for side in ("left", "right")},
    **{f"{side}_elbow": (f"{side}_shoulder",) for side in ("left", "right")},
    **{f"{side}_ankle": (f"{side}_knee", f"{side}_hip") for side in ("left", "right")},
    **{f"{side}_knee": (f"{side}_hip",) for side in ("left", "right")},
}
_SHOULDERS = SKELETON.indices(("left_shoulder", "right_shoulder"))
_JOINTS = 22


def fit_skeleton(
    points: Array,
    skeleton: str,
    camera: Camera,
    times: Array,
    body: BodyModel,
    height: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """``points`` (T,N,3) px, px, confidence of one person at ``times`` (T,) s → pose and place in every frame.

    A frame without both hips and shoulders is not fitted. ``height`` m chooses the betas; bones keep their lengths.
    Hands, face and expression are at rest. Frames depend on earlier ones only. Raises InputError if nothing can be
    fitted.
    """
    marks, seen = as_blazepose(points, skeleton)
    found = seen[:, [*HIPS, *_SHOULDERS]].all(axis=1) & (seen.sum(axis=1) >= 8)
    rows = np.flatnonzero(found)
    count = len(points)
    betas = np.zeros(min(body.num_betas, 10))
    if height is not None:
        base, slope = stature(body)
        slope = slope[: len(betas)]
        betas = slope * (height - base) / (1e-6 + slope @ slope)
    rest = np.asarray(body.rest_joints(betas=betas), np.float64)
    poses = np.zeros((count, _JOINTS, 3))
    poses[:, 0] = [np.pi, 0.0, 0.0]
    place = np.tile([0.0, 0.0, 3.0], (count, 1))
    energies = {term: np.zeros(count) for term in TERMS}
    traces: list[Array] = []
    residual = np.zeros(count)
    if len(rows):
        lifted = Lifter().lift(marks[rows], camera)
        targets, pixels, trust, own = _as_joints(lifted, marks[rows], seen[rows], rest)
        follower = SkeletonFit(KinematicSkeleton.of_body(body, betas), camera.K)
        order = follower.skeleton.order
        K, before = camera.K, -1
        for i, row in enumerate(rows):
            if before >= 0 and times[row] - times[before] > 1.0:
                follower.reset()
            result = follower.step(targets[i], pixels[i], trust[i], float(times[row] - times[max(before, 0)]) or 1.0)
            poses[row, order] = result.pose
            place[row] = result.position
            for term, value in result.energies.items():
                energies[term][row] = value
            traces.append(result.trace)
            at = result.points[own[i]]
            off = at[:, :2] / at[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2] - pixels[i][own[i]]
            residual[row] = np.sqrt(np.average((off**2).sum(axis=1), weights=trust[i][own[i]]))
            before = int(row)
            progress(i + 1, len(rows))
    longest = max((len(trace) for trace in traces), default=0)
    trace = np.full((longest, count), np.nan)
    for row, values in zip(rows, traces, strict=True):
        trace[: len(values), row], trace[len(values) :, row] = values, values[-1]
    iterations = np.zeros(count, np.int64)
    iterations[rows] = [len(values) - 1 for values in traces]
    params = BodyParams(
        betas=np.tile(betas, (count, 1)),
        global_orient=poses[:, 0],
        body_pose=poses[:, 1:].reshape(count, -1),
        transl=place - rest[0],
    )
    return Fitted(
        params=params,
        latent=None,
        left_hand_pca=None,
        right_hand_pca=None,
        found=found,
        energies=energies,
        trace=(("frames", trace),) if longest else (),
        start=np.zeros(count, np.int64),
        converged=found.copy(),
        iterations=iterations,
        residual_px=residual,
        recipe="skeleton",
    )


def as_blazepose(points: Array, skeleton: str) -> tuple[Array, Array]:
    """(T,33,3) BlazePose's landmarks of other skeletons' points (T,N,3) by meaning, and which (T,33) were seen.

    One that is not there lies where the nearest one that is there does, with confidence 0: the lifter knows where
    hands and feet are then, if not how they turn. Raises InputError for a skeleton without the twelve limb joints.
    """
    a, b = skeletons.mapping(skeleton, "blazepose33")
    missing = [name for name in skeletons.LIMBS12 if SKELETON.index(name) not in b]
    if missing:
        raise InputError(f"skeleton {skeleton} has no {', '.join(missing[:3])}, which the recipe skeleton needs")
    marks = np.zeros((len(points), len(SKELETON), 3))
    marks[:, b] = points[:, a]
    seen = marks[..., 2] > 0
    for name in _by_need():
        i = SKELETON.index(name)
        for other in _STANDS_FOR[name]:
            j = SKELETON.index(other)
            filled = ~(marks[:, i, :2] != 0).any(axis=1)
            marks[filled, i, :2] = marks[filled, j, :2]
    return marks, seen


def _by_need() -> list[str]:
    """Arms and legs outwards first, so that a hand may stand where the elbow does."""
    limbs = [name for part in ("elbow", "wrist", "knee", "ankle") for name in (f"left_{part}", f"right_{part}")]
    return limbs + [name for name in _STANDS_FOR if name not in limbs]


def _as_joints(lifted: Array, marks: Array, seen: Array, rest: Array) -> tuple[Array, Array, Array, Array]:
    """Places (T,22,3) m relative to the pelvis, pixels (T,22,2), trust (T,22) of the body's joints, and which (T,22)
    come from a landmark: the twelve of the limbs."""
    names = skeletons.get("smplx55").joint_names[:_JOINTS]
    frames = len(lifted)
    up = lifted[:, _SHOULDERS].mean(axis=1) - lifted[:, HIPS].mean(axis=1)
    up = up / np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-6)
    hips = [names.index("left_hip"), names.index("right_hip")]
    pelvis = lifted[:, HIPS].mean(axis=1) + up * float(rest[0, 1] - rest[hips, 1].mean())
    targets, pixels = np.zeros((frames, _JOINTS, 3)), np.zeros((frames, _JOINTS, 2))
    trust, own = np.zeros((frames, _JOINTS)), np.zeros((frames, _JOINTS), bool)
    for name in skeletons.LIMBS12:
        i, j = names.index(name), SKELETON.index(name)
        targets[:, i] = lifted[:, j] - pelvis
        pixels[:, i] = marks[:, j, :2]
        trust[:, i] = marks[:, j, 2]
        own[:, i] = seen[:, j]
    return targets, pixels, trust, own
