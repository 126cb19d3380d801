"""Two-bone inverse kinematics of both legs: ankles go where they are wanted, knees keep their direction.

Closed form, all frames at once. The knee's angle follows from the distance between hip and ankle (law of cosines),
then the whole leg swings by the shortest arc, which does not twist it; the foot keeps its rotation in space.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monocap.geometry import rotations
from monocap.motion.legs import ANKLES, HIPS, KNEES, PosedLegs
from monocap.types import Array

_STRAIGHT = 0.996  # of thigh and shin together: no leg is stretched farther than this, unless it already was
_SOFT = 0.008  # m: how softly a leg comes to its end


def reach_ankles(legs: PosedLegs, shift: Array, wanted: Array) -> tuple[PosedLegs, Array]:
    """Legs whose pelvis has moved by ``shift`` (T,3) and whose ankles have gone to ``wanted`` (T,2,3), metres.

    Also returns how far (T,2,3) each ankle falls short of where it was wanted: zero but where a leg is too short.
    """
    local, world, joints = legs.local.copy(), legs.world.copy(), legs.joints + shift[:, None]
    points = legs.points + shift[:, None]
    missing = np.zeros_like(wanted)
    for side, (hip, knee, ankle) in enumerate(zip(HIPS, KNEES, ANKLES, strict=True)):
        start = joints[:, hip]
        thigh, shin = joints[:, knee] - start, joints[:, ankle] - joints[:, knee]
        line = wanted[:, side] - start
        distance = _within_reach(_length(line), _length(thigh), _length(shin), _length(thigh + shin))
        bend = _bend(thigh, shin, world[:, hip, :, 0], distance)
        shin = _turn(bend, shin)
        swing = rotations.rotation_between(thigh + shin, line)
        thigh, shin = _turn(swing, thigh), _turn(swing, shin)
        world[:, hip] = swing @ world[:, hip]
        world[:, knee] = swing @ bend @ world[:, knee]
        moved = start + thigh + shin - joints[:, ankle]
        joints[:, knee] = start + thigh
        foot = ankle + 2
        joints[:, [ankle, foot]] += moved[:, None]
        points[:, 2 * side : 2 * side + 2] += moved[:, None]
        missing[:, side] = wanted[:, side] - joints[:, ankle]
        for child, parent in ((hip, 0), (knee, hip), (ankle, knee)):
            local[:, child] = np.swapaxes(world[:, parent], -1, -2) @ world[:, child]
    return replace(legs, local=local, world=world, joints=joints, points=points), missing


def _within_reach(wanted: Array, thigh: Array, shin: Array, now: Array) -> Array:
    """Distances (T,) of hip and ankle that the leg can have; soft at full stretch, so that no knee snaps straight."""
    room = np.maximum(_STRAIGHT * (thigh + shin), now) - now
    grown = wanted - now
    grown = np.where(grown > 0, -_SOFT * np.logaddexp(-grown / _SOFT, -room / _SOFT), grown)
    shortest = np.abs(thigh - shin) + 0.05 * (thigh + shin)
    return np.maximum(now + grown, np.minimum(shortest, now))


def _bend(thigh: Array, shin: Array, lateral: Array, distance: Array) -> Array:
    """Rotations (T,3,3) of the shin about the knee's hinge that bring hip and ankle to ``distance`` (T,)."""
    normal = np.cross(thigh, shin)
    size = _length(normal)
    sine = size / np.maximum(_length(thigh) * _length(shin), 1e-9)
    normal = normal / np.maximum(size, 1e-12)[:, None]
    # a straight leg has no plane of its own; the thigh's lateral axis is what a knee turns about
    trust = np.clip((sine - 0.02) / 0.1, 0.0, 1.0)
    backwards = (np.sum(normal * lateral, axis=-1) < 0) & (sine < 0.15)
    trust = np.where(backwards, 0.0, trust)[:, None]
    hinge = trust * normal + (1.0 - trust) * lateral
    hinge -= np.sum(hinge * thigh, axis=-1, keepdims=True) / np.maximum(_length(thigh) ** 2, 1e-12)[:, None] * thigh
    hinge /= np.maximum(_length(hinge), 1e-9)[:, None]
    # thigh · turned shin = a cos + b sin = c (the hinge is across the thigh, so what lies along it stays out)
    along = np.sum(shin * hinge, axis=-1, keepdims=True) * hinge
    a = np.sum(thigh * (shin - along), axis=-1)
    b = np.sum(thigh * np.cross(hinge, shin), axis=-1)
    c = 0.5 * (distance**2 - _length(thigh) ** 2 - _length(shin) ** 2)
    apart = np.arccos(np.clip(c / np.maximum(np.hypot(a, b), 1e-12), -1.0, 1.0))
    # from the stretched leg a knee bends one way: positive about its lateral axis
    angle = (np.arctan2(b, a) + apart + np.pi) % (2.0 * np.pi) - np.pi
    return rotations.axis_angle_to_matrix(hinge * angle[:, None])


def _turn(rotation: Array, vector: Array) -> Array:
    return (rotation @ vector[..., None])[..., 0]


def _length(vector: Array) -> Array:
    return np.linalg.norm(vector, axis=-1)
