"""Left and right over a whole video: where exchanging them for a while makes one smooth motion of two broken ones.

`sides.keep_sides` must decide frame by frame while the video runs; here all of it was seen. Every frame is in one of
four states (as labelled, arms exchanged, legs exchanged, both) and the cheapest path through them is found by dynamic
programming (Viterbi): landmarks that jump cost, changing the state costs, and so does every frame that contradicts the
network, or in which shoulders and hips would look opposite ways. Somebody who turns round passes through a side view,
where exchanging makes no difference: there the network is believed, as it is at the first and last frame. Of two
stretches that contradict each other, the longer one is right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monocap.skeletons import get
from monocap.types import Array

_PARTS = (
    ("shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
    ("hip", "knee", "ankle", "heel", "foot_index"),
)
_STATES = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=bool)  # arms exchanged, legs exchanged
_NOISE, _SPEED = 0.02, 1.5  # statures, and statures per second, that landmarks are off from frame to frame
_MOST = 3.0  # of these units that one landmark may count
_SWITCH = 6.0  # what a change of state costs
_CLEAREST = 21.0  # the most that a change may gain: a network that insists for seconds is believed
_VOTE = 0.15  # what a frame costs that contradicts the network, per part
_TWIST = 2.0  # what a frame costs in which shoulders and hips are clearly opposite
_WIDE = 0.1  # statures: width of shoulders and of hips in the picture from which that is clear


def exchanged_sides(points2d: Array, times: Array, stature: Array) -> NDArray[np.bool_]:
    """(n,2) bool: frames in which the arms, and in which the legs, are labelled with the wrong side.

    ``points2d`` (n,33,3) px, px, confidence of BlazePose's landmarks in the frames in which the person was found, at
    ``times`` (n,) s; ``stature`` (n,) px, how tall the person is in the picture.
    """
    count = len(points2d)
    if count < 2:
        return np.zeros((count, 2), dtype=bool)
    flip = np.array(get("blazepose33").flip)
    unit = 0.5 * (stature[1:] + stature[:-1]) * (_NOISE + _SPEED * np.maximum(np.diff(times), 0.0))
    sure = np.minimum(points2d[1:, :, 2], points2d[:-1, :, 2])

    def jumps(after: Array) -> Array:
        off = np.linalg.norm(after[1:, :, :2] - points2d[:-1, :, :2], axis=-1)
        return sure * np.minimum(off / unit[:, None], _MOST)

    same, other = jumps(points2d), jumps(points2d[:, flip])
    parts = [_both_sides(names) for names in _PARTS]
    same, other, total = (np.stack([a[:, part].sum(axis=1) for part in parts], axis=1) for a in (same, other, sure))
    price = other - same  # (n-1,2) of an exchange
    price[other > total] = np.maximum(price[other > total], 0.0)  # neither fits: a cut
    change = _STATES[:, None] ^ _STATES[None]  # (4,4,2)
    step = np.maximum(np.einsum("tp,abp->tab", price, change.astype(float)), -_CLEAREST) + _SWITCH * change.any(axis=-1)
    vote = _VOTE * _STATES.sum(axis=1) + _TWIST * _twisted(points2d, stature)

    border = _SWITCH * _STATES.any(axis=1)  # what is wrong at the first or last frame must have become so unseen
    cost, came = vote[0] + border, np.zeros((count, 4), dtype=np.int64)
    for t in range(1, count):
        ways = cost[:, None] + step[t - 1]
        came[t] = ways.argmin(axis=0)
        cost = ways.min(axis=0) + vote[t]
    path = np.empty(count, dtype=np.int64)
    path[-1] = (cost + border).argmin()
    for t in range(count - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return _STATES[path]


def _both_sides(names: tuple[str, ...]) -> list[int]:
    return [get("blazepose33").index(f"{side}_{name}") for side in ("left", "right") for name in names]


def _twisted(points2d: Array, stature: Array) -> Array:
    """(n,4) 0-1: how clearly shoulders and hips are opposite in the picture, in each state."""
    skeleton = get("blazepose33")
    shoulders, hips = (
        points2d[:, skeleton.index(f"left_{name}"), :2] - points2d[:, skeleton.index(f"right_{name}"), :2]
        for name in ("shoulder", "hip")
    )
    agree = np.clip((shoulders * hips).sum(axis=1) / (_WIDE * stature) ** 2, -1.0, 1.0)
    differ = _STATES[:, 0] ^ _STATES[:, 1]
    return np.maximum(np.where(differ, agree[:, None], -agree[:, None]), 0.0)


def exchange(points2d: Array, points3d: Array, exchanged: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Landmarks (n,33,3) and the network's own 3D (n,33,3) with the sides of ``exchanged`` (n,2) frames put right.

    Where all sides change, the depth of the 3D is negated: the same outline seen from the other side.
    """
    skeleton = get("blazepose33")
    flip = np.array(skeleton.flip)
    whole = exchanged.all(axis=1)
    which = np.zeros(points2d.shape[:2], dtype=bool)
    which[whole] = True
    for column, names in enumerate(_PARTS):
        which[:, _both_sides(names)] = exchanged[:, column, None]
    points2d, points3d = (np.where(which[..., None], points[:, flip], points) for points in (points2d, points3d))
    points3d[whole, :, 2] *= -1.0
    return points2d, points3d
