"""How is the turn of a palm shared between elbow and wrist, with nothing but the forearm's skin moving?

Skin that is blended linearly collapses like a sweet's wrapper where one joint twists far. A forearm does not: its two
bones cross, so that its middle turns by half of what the hand does. Elbow and wrist can share a twist about the line
between them, as that line does not move when the forearm turns about it: R_e ← R_e exp(m a), R_w ← exp(−m a) R_w
leaves every joint and the hand where they are. The same holds for no other pair at the ends of a limb worth sharing
between: of the shoulder's and the hip's twist a part could only go down, to elbow and knee, which are hinges.
"""

from __future__ import annotations

import math

from monocap.errors import InputError
from monocap.geometry.arrays import Array, floats
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quaternion
from monocap.skeletons import get

_FADE = math.radians(160.0)  # twists beyond fade: at π their sign is chance, and the forearm would spin round
_SWUNG = 0.1  # cosine of half the swing below which a twist fades, too: at a swing of π it has no meaning
_FOREARMS = (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"))


def twist_angle(rotation: Array, axis: Array) -> Array:
    """Twist (…) in [−π, π], radians, of rotations (…,3,3) about unit directions ``axis`` (…,3).

    The rotation is split into that twist and a swing about some line across the axis; in which order does not matter.
    At a swing of π the twist is undefined, and comes out as 0 or any angle.
    """
    xp, rotation, axis = floats(("rotation", rotation, (3, 3)), ("axis", axis, (3,)))
    w, along = _halves(xp, rotation, axis)
    return 2.0 * xp.atan2(along, w)


def _halves(xp, rotation, axis):
    """Cosine and sine of half the twist, times the cosine of half the swing; the first is not negative."""
    q = matrix_to_quaternion(rotation)
    return q[..., 0], xp.sum(q[..., 1:] * axis, axis=-1)


def _human(xp, rotation, axis):
    """The twist where it is one that people have; beyond it goes to 0, and with it the share that is moved."""
    w, along = _halves(xp, rotation, axis)
    twist = 2.0 * xp.atan2(along, w)
    fade = xp.clip((math.pi - xp.abs(twist)) / (math.pi - _FADE), min=0.0, max=1.0)
    return twist * fade * xp.clip((w * w + along * along) / _SWUNG**2, min=0.0, max=1.0)


def shared_twist(upper: Array, lower: Array, axis: Array) -> tuple[Array, Array]:
    """Local rotations (…,3,3) of two joints, parent and child, that share their twist about the bone between them.

    ``axis`` (…,3) points from joint to joint at rest, of any length. Each gets half of the sum of both twists, within
    ±160°; twists beyond that fade out, so that the result is continuous for all rotations. Done twice it is the same
    as done once. World places of both joints, and the world rotation of the child, stay as they are.
    """
    xp, upper, lower, axis = floats(("upper", upper, (3, 3)), ("lower", lower, (3, 3)), ("axis", axis, (3,)))
    axis = axis / xp.sqrt(xp.sum(axis * axis, axis=-1, keepdims=True))
    moved = 0.5 * (_human(xp, lower, axis) - _human(xp, upper, axis))[..., None] * axis
    return upper @ axis_angle_to_matrix(moved), axis_angle_to_matrix(-moved) @ lower


def share_forearm_twist(body_pose: Array, rest_joints: Array) -> Array:
    """``body_pose`` (…,63) of SMPL-X, radians, with the twist of every forearm shared by elbow and wrist.

    ``rest_joints`` (…,≥22,3) m, of the posed shape; leading shapes broadcast. All joints, and both hands, stay where
    and as they are; only elbows and wrists change. Raises InputError for other shapes.
    """
    xp, pose, rest = floats(("body_pose", body_pose, (63,)), ("rest_joints", rest_joints, (None, 3)))
    if rest.shape[-2] < 22:
        raise InputError(f"rest_joints have shape {tuple(rest.shape)}; expected (…, 22 or more, 3)")
    rest = xp.astype(rest, pose.dtype, copy=False)
    names = get("smplx55").joint_names
    parts = [pose[..., i : i + 3] for i in range(0, 63, 3)]
    for elbow, wrist in _FOREARMS:
        e, w = names.index(elbow), names.index(wrist)
        axis = rest[..., w, :] - rest[..., e, :]
        turns = axis_angle_to_matrix(parts[e - 1]), axis_angle_to_matrix(parts[w - 1])
        for joint, turn in zip((e, w), shared_twist(*turns, axis), strict=True):
            parts[joint - 1] = matrix_to_axis_angle(turn)
    return xp.concat(parts, axis=-1)
