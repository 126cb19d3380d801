"""Rigid transforms as 4×4 matrices ``T_a_b`` that map points of frame b to frame a."""

from __future__ import annotations

from functools import reduce

from monocap.geometry.arrays import Array, apply_matrix, constant, floats, transpose
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle


def from_parts(rotation: Array, translation: Array) -> Array:
    """Transform (…,4,4) of a rotation (…,3,3) and a translation (…,3) metres; leading shapes broadcast."""
    xp, r, t = floats(("rotation", rotation, (3, 3)), ("translation", translation, (3,)))
    t = t[..., None] + xp.zeros_like(r[..., :1])
    r = r + xp.zeros_like(t)
    last = constant([[0.0, 0.0, 0.0, 1.0]], r) + xp.zeros_like(t[..., :1, :])
    return xp.concat([xp.concat([r, t], axis=-1), last], axis=-2)


def compose(*transforms: Array) -> Array:
    """Product (…,4,4): ``compose(T_a_b, T_b_c)`` is T_a_c."""
    _, *matrices = floats(*((f"transform {i}", t, (4, 4)) for i, t in enumerate(transforms)))
    return reduce(lambda a, b: a @ b, matrices)


def invert(transform: Array) -> Array:
    """Inverse (…,4,4) of rigid transforms: T_b_a of T_a_b."""
    _, m = floats(("transform", transform, (4, 4)))
    back = transpose(m[..., :3, :3])
    return from_parts(back, -apply_matrix(back, m[..., :3, 3]))


def apply(transform: Array, points: Array) -> Array:
    """Points (…,N,3) of frame b in frame a, for ``T_a_b`` (…,4,4)."""
    _, m, x = floats(("transform", transform, (4, 4)), ("points", points, (None, 3)))
    return x @ transpose(m[..., :3, :3]) + m[..., None, :3, 3]


def move_body(transform: Array, global_orient: Array, transl: Array, pelvis: Array) -> tuple[Array, Array]:
    """``global_orient`` (…,3) and ``transl`` (…,3) of the same body in frame a, for ``T_a_b`` (…,4,4).

    A body turns about the rest position of its pelvis (…,3) (``rest_joints(betas)[..., 0, :]``), not about the
    origin, and is translated afterwards: R' = C R and transl' = C (pelvis + transl) + t − pelvis.
    """
    _, m, orient, transl, pelvis = floats(
        *(("transform", transform, (4, 4)), ("global_orient", global_orient, (3,))),
        *(("transl", transl, (3,)), ("pelvis", pelvis, (3,))),
    )
    turn = m[..., :3, :3]
    return (
        matrix_to_axis_angle(turn @ axis_angle_to_matrix(orient)),
        apply_matrix(turn, pelvis + transl) + m[..., :3, 3] - pelvis,
    )
