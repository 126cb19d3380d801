"""Where the fit starts: the body at rest, placed before the camera in closed form, facing several ways.

The published start compares the torso's size in the picture with the body's, trusts points that were not seen, and
holds the depth that follows. Here every seen point counts by its confidence, place and turn are found together, and
nothing is held afterwards.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.initialise import translation_from_keypoints
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.solver import Normal, minimise
from monocap.fitting.smplifyx.state import Free, Model
from monocap.fitting.smplifyx.terms import Points3D, geman_mcclure, projection
from monocap.geometry.procrustes import rigid_alignment
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle, hat
from monocap.types import Array

YAWS = tuple(k * math.pi / 2 for k in range(4))  # facing the camera, and three other ways
# How well a body at rest tells where a point of a posed one is; points not named tell nothing.
_TRUST = {
    "shoulder": 1.0, "hip": 1.0, "neck": 1.0, "nose": 0.6, "eye": 0.5, "ear": 0.5, "head": 0.5, "knee": 0.3,
    "elbow": 0.2, "ankle": 0.15, "heel": 0.1, "wrist": 0.1,
}  # fmt: skip
_APART = math.radians(40)
_ROBUST = 0.15  # of the person's extent in the picture
_BOUND = np.array([0.7, 0.7, 0.7, 5.0, 5.0, 20.0])


def visible(keypoints: Array) -> NDArray[np.bool_]:
    """(N,) whether enough is seen to place a body: four keypoints at three places, some pixels apart."""
    seen = keypoints[..., 2] > 0
    out = np.zeros(len(keypoints), dtype=bool)
    for n, (points, here) in enumerate(zip(keypoints[..., :2], seen, strict=True)):
        places = np.unique(np.round(points[here], 1), axis=0)
        out[n] = here.sum() >= 4 and len(places) >= 3 and np.ptp(places, axis=0).max() >= 4.0
    return out


def starts(model: Model, betas: Array, keypoints: Array, K: Array) -> tuple[Free, Array]:
    """States (2 N,) of N pictures, and how ill each explains the keypoints (2 N,).

    Sample 2 n is the best place and turn of the body at rest in picture n, 2 n + 1 the best that is turned by `_APART`
    against it (infinitely ill where there is none).

    ``betas`` (B,) of the body at rest; ``keypoints`` (N,K,3) px and confidence; ``K`` (N,3,3). Four yaws are tried for
    each, and the best one mirrored in depth, which one picture hardly tells from it.
    """
    count, ways = len(keypoints), len(YAWS)
    rest = model.rest(1)
    rest.values[:, model.layout["betas"]] = betas
    still = model.at(rest, derivatives=False)
    pelvis = still.posed.joints[0, 0]
    points = still.points[0] - pelvis  # the root turns about the pelvis
    trust = np.array([_trusted(name) for name in model.points.names])
    used = np.flatnonzero(trust)
    points, keypoints = points[used], keypoints[:, used]
    weight = trust[used] * keypoints[..., 2] ** 2
    lonely = weight.sum(axis=1) < 1e-6  # nothing of body or head was seen: hands or face must do
    weight[lonely] = 1e-3
    turn = _turns(model.points.names, used, keypoints)
    root = turn[:, None] @ axis_angle_to_matrix(np.array([[0.0, yaw, 0.0] for yaw in YAWS]))
    root = root.reshape(-1, 3, 3)
    target, weight, K = (np.repeat(a, ways, axis=0) for a in (keypoints[..., :2], weight, K))
    total = np.maximum(weight.sum(axis=1), 1e-9)
    posed = points @ np.swapaxes(root, 1, 2)
    transl = translation_from_keypoints(posed, target, weight, K)
    size = _extent(target, weight)
    guess = np.hypot(*np.ptp(points[:, :2], axis=0)) * K[:, 1, 1] / size
    wild = ~np.isfinite(transl).all(axis=1) | (transl[:, 2] > 4 * guess) | (transl[:, 2] < 0.25 * guess)
    transl[wild] = _ahead(target[wild], weight[wild], K[wild], guess[wild])

    def evaluate(state: Free, index: NDArray[np.int64]) -> Normal:
        turned = points @ np.swapaxes(state.root, 1, 2)
        pixels, by_point = projection(turned + state.values[:, None, 3:], K[index])
        scale = size[index, None, None]
        error = (pixels - target[index]) / scale
        rho, share = geman_mcclure(error, _ROBUST)
        weights = (weight[index] / total[index, None])[..., None]
        d_points = np.concatenate([-hat(turned), np.broadcast_to(np.eye(3), (*turned.shape, 3))], axis=-1)
        rows = np.sqrt(weights * share)[..., None] / scale[..., None]
        rows = rows * (by_point[..., :1] * d_points[:, :, :2] + by_point[..., 1:] * d_points[:, :, 2:])
        rows = rows.reshape(len(index), -1, 6)
        residual = (np.sqrt(weights * share) * error).reshape(len(index), -1)
        apart = (state.values[:, 5] / guess[index] - 1.0) * 0.01  # holds the depth where nothing else does
        gradient = np.einsum("nri,nr->ni", rows, residual)
        hessian = np.swapaxes(rows, 1, 2) @ rows
        gradient[:, 5] += apart * 0.01 / guess[index]
        hessian[:, 5, 5] += (0.01 / guess[index]) ** 2
        cost = 0.5 * np.sum(weights * rho, axis=(1, 2)) + 0.5 * apart**2
        return Normal(cost, gradient, hessian)

    placed = Free(root, np.concatenate([np.zeros((len(root), 3)), transl], axis=1))
    done = minimise(evaluate, placed, _BOUND, 8, 1e-2)
    cost = done.cost.reshape(count, ways)
    every = np.arange(count)
    best = every * ways + cost.argmin(axis=1)
    mirrored = Free(_mirrored(done.state.root[best]), done.state.values[best])
    fold = np.arange(count) * ways  # any sample of a picture holds its data
    cost = np.concatenate([cost, evaluate(mirrored, fold).cost[:, None]], axis=1)
    roots = np.concatenate([done.state.root.reshape(count, ways, 3, 3), mirrored.root[:, None]], axis=1)
    places = np.concatenate([done.state.values.reshape(count, ways, 6), mirrored.values[:, None]], axis=1)[..., 3:]
    first = cost.argmin(axis=1)
    apart = geodesic_angle(roots, roots[every, first][:, None]) > _APART
    second = np.where(apart, cost, np.inf).argmin(axis=1)  # the first again, where all agree
    chosen = np.stack([first, second], axis=1).reshape(-1)
    owner = np.repeat(every, 2)
    state = model.rest(2 * count)
    state.root[:] = roots[owner, chosen]
    state.values[:, model.layout["betas"]] = betas
    state.values[:, model.layout["transl"]] = places[owner, chosen] - pelvis  # from the pelvis to the body's origin
    ill = np.where(apart, cost, np.inf)[every, second]
    return state, np.stack([cost[every, first], ill], axis=1).reshape(-1)


def starts_3d(model: Model, betas: Array, measured: Points3D, views: Views) -> Free:
    """States (N,) that lay the body at rest on measured 3D points; by keypoints, where the points have no place."""
    rest = model.rest(1)
    rest.values[:, model.layout["betas"]] = betas
    at = model.at(rest)
    pelvis = at.posed.joints[0, 0]
    points, _ = at.of(measured.points)
    points = np.broadcast_to(points[0] - pelvis, measured.target.shape)
    laid = rigid_alignment(points, measured.target, measured.weight + 1e-9)
    state = model.rest(len(points))
    state.root[:] = laid.rotation
    place = np.array(laid.translation)
    if measured.relative:
        seen = visible(views.keypoints)
        posed = (at.points[0] - pelvis) @ np.swapaxes(state.root, 1, 2)
        weight = views.keypoints[..., 2] ** 2
        place[seen] = translation_from_keypoints(posed[seen], views.keypoints[seen, :, :2], weight[seen], views.K[seen])
    state.values[:, model.layout["betas"]] = betas
    state.values[:, model.layout["transl"]] = place - pelvis
    return state


def _mirrored(root: Array) -> Array:
    """(N,3,3) turns whose axes to the left and up lie in the picture as before, with their depths exchanged."""
    left, up = (root[..., axis] * np.array([1.0, 1.0, -1.0]) for axis in (0, 1))
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def _trusted(name: str) -> float:
    bare = name.removeprefix("left_").removeprefix("right_").removeprefix("mid_")
    return _TRUST.get(bare, 0.0)


def _extent(points: Array, weight: Array) -> Array:
    """(N,) px: the diagonal of the box around the points seen, at least 8."""
    seen = (weight > 0)[..., None]
    high = np.where(seen, points, -np.inf).max(axis=1)
    low = np.where(seen, points, np.inf).min(axis=1)
    return np.maximum(np.hypot(*np.nan_to_num(high - low, neginf=0.0).T), 8.0)


def _ahead(target: Array, weight: Array, K: Array, depth: Array) -> Array:
    """(N,3) the place at ``depth`` (N,) behind the mean of the points."""
    share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    centre = np.sum(share[..., None] * target, axis=1)
    focal = K[:, [0, 1], [0, 1]]
    return np.concatenate([(centre - K[:, :2, 2]) / focal * depth[:, None], depth[:, None]], axis=1)


def _turns(names: tuple[str, ...], used: NDArray[np.int64], keypoints: Array) -> Array:
    """(N,3,3) turns that stand the body up in the picture: head up, or as the torso lies, if it is seen."""
    number = {names[k]: i for i, k in enumerate(used)}

    def middle(*some: str) -> tuple[Array, Array]:
        found = keypoints[:, [number[name] for name in some if name in number]]
        weight = found[..., 2]
        total = weight.sum(axis=1)
        return np.sum(found[..., :2] * weight[..., None], axis=1) / np.maximum(total, 1e-9)[:, None], total

    above, one = middle("left_shoulder", "right_shoulder", "neck")
    below, other = middle("left_hip", "right_hip", "mid_hip")
    up = above - below
    lean = np.where((one > 0) & (other > 0) & (np.hypot(*up.T) > 4.0), np.arctan2(up[:, 0], -up[:, 1]), 0.0)
    zero = np.zeros_like(lean)
    roll = axis_angle_to_matrix(np.stack([zero, zero, lean], axis=1))
    return roll @ np.diag([1.0, -1.0, -1.0])
