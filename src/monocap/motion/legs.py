"""The lower body by itself: pelvis, legs and the points of the soles that touch the ground.

Nine joints are posed instead of fifty-five, so that motion can be measured and mended at little cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.geometry import kinematics, rotations
from monocap.types import Array, BodyParams

# In this order everywhere in `motion`; what `Motion.foot_contact` tells.
CONTACT_POINTS = ("left_heel", "left_toe", "right_heel", "right_toe")
_JOINTS = (
    *("pelvis", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle", "left_foot", "right_foot"),
)
_PARENTS = (-1, 0, 0, 1, 2, 3, 4, 5, 6)
HIPS, KNEES, ANKLES = (1, 2), (3, 4), (5, 6)  # rows of the posed legs: left, right
_POINT_BONES = (5, 7, 6, 8)  # heels hang on the ankles, the balls on the toes
_SOLE = 0.006  # m: vertices this near the lowest one are the sole


@dataclass(frozen=True)
class Legs:
    """What of a body stands on the ground: rest joints (9,3) and sole points (4,3), metres, for one shape.

    ``pose_columns`` (8,3): where the eight leg joints stand in ``body_pose`` (…,63).
    """

    rest: Array
    soles: Array
    pose_columns: NDArray[np.int64]

    @classmethod
    def of(cls, body: BodyModel, betas: Array) -> Legs:
        """The legs of ``body`` for ``betas`` (B,)."""
        index = [body.joint_names.index(name) for name in _JOINTS]
        betas = np.asarray(betas, np.float64)
        rest = np.asarray(body.rest_joints(betas), np.float64)[index]
        columns = np.array([3 * (j - 1) + np.arange(3) for j in index[1:]])
        return cls(rest, _sole_points(body, betas, index), columns)

    @property
    def length(self) -> float:
        """Rest length of a leg from hip to sole, metres."""
        return float(self.rest[1, 1] - self.soles[:, 1].min())

    def pose(self, params: BodyParams) -> PosedLegs:
        """Pose the legs of T frames (``params`` with batch shape (T,))."""
        pose = np.asarray(params.body_pose, np.float64)[:, self.pose_columns]
        turns = np.concatenate([np.asarray(params.global_orient, np.float64)[:, None], pose], axis=1)
        local = rotations.axis_angle_to_matrix(turns)
        world, joints = kinematics.forward_kinematics_numba(local, self.rest, _PARENTS)
        joints = joints + np.asarray(params.transl, np.float64)[:, None]
        bones = list(_POINT_BONES)
        arms = self.soles - self.rest[bones]
        points = np.einsum("tpij,pj->tpi", world[:, bones], arms) + joints[:, bones]
        return PosedLegs(local, world, joints, points)


@dataclass(frozen=True)
class PosedLegs:
    """Legs of T frames in the frame of their parameters, metres.

    ``local`` and ``world`` (T,9,3,3) rotations in the parent's and the common frame, ``joints`` (T,9,3),
    ``points`` (T,4,3) of the soles in the order `CONTACT_POINTS`.
    """

    local: Array
    world: Array
    joints: Array
    points: Array


def _sole_points(body: BodyModel, betas: Array, index: list[int]) -> Array:
    """(4,3) middle of the sole under heel and ball; the joint itself where a body has no skin there."""
    weights = np.asarray(body.lbs_weights)
    template = np.asarray(body.v_template, np.float64)
    directions = body.shapedirs
    points = np.empty((4, 3))
    for row, bone in enumerate(_POINT_BONES):
        joint = index[bone]
        mine = np.flatnonzero(weights[:, joint] > 0.5)
        if bone in ANKLES and len(mine):  # behind the ankle: the heel, not the instep
            behind = mine[template[mine, 2] < body.J_template[joint, 2]]
            mine = behind if len(behind) else mine
        if not len(mine):
            points[row] = np.asarray(body.rest_joints(betas), np.float64)[joint]
            continue
        sole = mine[template[mine, 1] < template[mine, 1].min() + _SOLE]
        points[row] = (template[sole] + directions[sole] @ betas[: directions.shape[2]]).mean(axis=0)
    return points
