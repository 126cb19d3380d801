"""Left stays left: a network that takes a back for a front changes its mind from frame to frame, a person does not.

Against the light or in loose clothes the landmark network now and then sees the same outline from the other side: all
left landmarks become right ones, and depth turns over. From one frame to the next that shows as landmarks that fit the
last frame far better when the sides are exchanged; somebody who really turns round passes through a side view, where
exchanging them makes no difference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.skeletons import LIMBS12, get
from monocap.types import Keypoints

Array = NDArray[Any]

MAX_VOTES = 30  # frames that the network must insist before it is believed
_CLEARLY = 1.5  # the exchanged sides fit better by this factor


def keep_sides(keypoints: Keypoints, previous: Array, votes: int) -> tuple[Keypoints, int]:
    """``keypoints``, with left and right exchanged if they contradict the last frame's ``previous`` (N,≥2) pixels.

    ``votes`` counts how often the network agreed with the sides as they are, at most `MAX_VOTES`, less how often it
    did not; when none are left the network wins. Returns the keypoints and the new count. In exchanged keypoints
    the depth of ``points3d`` is negated: the same outline seen from the other side.
    """
    skeleton = get(keypoints.skeleton)
    limbs, flip = skeleton.indices(LIMBS12), np.array(skeleton.flip)
    points, last = keypoints.points2d[:, :2], np.asarray(previous)[limbs, :2]
    direct = float(np.linalg.norm(points[limbs] - last, axis=1).sum())
    exchanged = float(np.linalg.norm(points[flip][limbs] - last, axis=1).sum())
    if direct <= _CLEARLY * exchanged:
        return keypoints, min(votes + 1, MAX_VOTES)
    if votes <= 0:
        return keypoints, 1
    points3d = keypoints.points3d[flip] * np.array([1, 1, -1], keypoints.points3d.dtype)
    return replace(keypoints, points2d=keypoints.points2d[flip], points3d=points3d), votes - 1
