"""The computation of a body written once in the array API: plain lines that run on numpy and on torch, any device.

`posing` does the same on compiled loops; tests hold the two equal. SMPL (Loper et al. 2015), SMPL-X (Pavlakos et al.
2019): directions move the rest mesh and, through it, the rest joints; pose correctives are added; the tree is posed;
the mesh follows by linear blend skinning; the translation comes last.
"""

from __future__ import annotations

from typing import Any, Protocol

from array_api_compat import array_namespace

from monocap.bodies.kernels import EPSILON
from monocap.bodies.parameters import Posed
from monocap.geometry.arrays import Array, apply_matrix, eye
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import hat


class Arrays(Protocol):
    """What of a `BodyModel` or `TorchBody` the computation reads."""

    @property
    def v_template(self) -> Any: ...
    @property
    def shapedirs(self) -> Any: ...
    @property
    def exprdirs(self) -> Any: ...
    @property
    def posedirs(self) -> Any: ...
    @property
    def lbs_weights(self) -> Any: ...
    @property
    def J_template(self) -> Any: ...  # noqa: N802
    @property
    def J_shapedirs(self) -> Any: ...  # noqa: N802
    @property
    def parents(self) -> Any: ...


def rodrigues(pose: Array) -> Array:
    """Rotations (…,3,3) of axis-angle vectors (…,3), with smplx's epsilon; its gradient at 0 is exact."""
    xp = array_namespace(pose)
    square = xp.sum((pose + EPSILON) ** 2, axis=-1)[..., None, None]
    angle = xp.sqrt(square)
    half = xp.sin(angle / 2)
    cross = hat(pose)
    return eye(3, pose) + xp.sin(angle) / angle * cross + 2 * half * half / square * (cross @ cross)


def rest_joints(body: Arrays, posed: Posed) -> Array:
    """(…s,J,3) metres."""
    count = body.shapedirs.shape[2]
    return _linear(posed, body.J_template, body.J_shapedirs[..., :count], body.J_shapedirs[..., count:])


def joints(body: Arrays, posed: Posed) -> tuple[Array, Array, Array]:
    """Local rotations (…,J,3,3), world rotations and joints (…,J,3) before translation, at the rest joints."""
    local = rodrigues(posed.pose)
    return local, *forward_kinematics(local, rest_joints(body, posed), body.parents)


def pose(body: Arrays, posed: Posed) -> tuple[Array, Array]:
    """Vertices (…,V,3) and joints (…,J,3), metres, translated; leading shapes not yet broadcast to ``posed.lead``."""
    local, world, places = joints(body, posed)
    xp, rest = array_namespace(local), rest_joints(body, posed)
    shaped = _linear(posed, body.v_template, body.shapedirs, body.exprdirs)
    if body.posedirs is not None:
        feature = local[..., 1:, :, :] - eye(3, local)
        feature = xp.reshape(feature, (*feature.shape[:-3], -1))
        correctives = xp.astype(body.posedirs, local.dtype, copy=False)
        moved = feature @ xp.reshape(correctives, (-1, feature.shape[-1])).T
        shaped = shaped + xp.reshape(moved, (*moved.shape[:-1], -1, 3))
    shift = places - apply_matrix(world, rest)
    bones = xp.concat([world, shift[..., None]], axis=-1)
    flat = xp.reshape(bones, (*bones.shape[:-2], 12))
    blended = xp.astype(body.lbs_weights, flat.dtype, copy=False) @ flat
    blended = xp.reshape(blended, (*blended.shape[:-1], 3, 4))
    vertices = apply_matrix(blended[..., :3], shaped) + blended[..., 3]
    if posed.transl is not None:
        vertices, places = vertices + posed.transl[..., None, :], places + posed.transl[..., None, :]
    return vertices, places


def _linear(posed: Posed, base: Any, shape: Any, expression: Any) -> Array:
    """base + directions · coefficients, (…s,n,3)."""
    xp = array_namespace(posed.pose)
    result = xp.astype(base, posed.pose.dtype, copy=False)
    for coefficients, directions in ((posed.betas, shape), (posed.expression, expression)):
        if coefficients is not None and coefficients.shape[-1]:
            used = xp.astype(directions[..., : coefficients.shape[-1]], result.dtype, copy=False)
            moved = coefficients @ xp.reshape(used, (-1, coefficients.shape[-1])).T
            result = result + xp.reshape(moved, (*moved.shape[:-1], -1, 3))
    return result
