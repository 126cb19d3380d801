"""How a body's named parameters become one pose and one shape, for numpy and torch alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array, to_device

from monocap.errors import InputError
from monocap.geometry.arrays import Array

PARTS: dict[int, tuple[tuple[str, int], ...]] = {
    24: (("global_orient", 1), ("body_pose", 23)),
    52: (("global_orient", 1), ("body_pose", 21), ("left_hand_pose", 15), ("right_hand_pose", 15)),
    55: (
        *(("global_orient", 1), ("body_pose", 21), ("jaw_pose", 1), ("left_eye_pose", 1), ("right_eye_pose", 1)),
        *(("left_hand_pose", 15), ("right_hand_pose", 15)),
    ),
}
"""Pose parameters of SMPL, SMPL-H and SMPL-X by their number of joints: names and joints of each, in order."""

POSES = tuple(name for name, _ in PARTS[55])


@dataclass(frozen=True)
class Posed:
    """Checked parameters: ``pose`` (…p,J,3) rad; ``betas`` (…s,B'), ``expression`` (…s,E') or None; ``transl`` (…t,3)
    metres or None. ``lead`` is the leading shape of the result, to which all of these broadcast."""

    pose: Array
    betas: Array | None
    expression: Array | None
    transl: Array | None
    lead: tuple[int, ...]


def any_torch(parameters: dict[str, Any]) -> bool:
    """True if a torch tensor is among the values (told without importing torch)."""
    return any(is_torch_array(value) for value in parameters.values())


def assemble(joints: int, betas: int, expressions: int, parameters: dict[str, Any], like: Array) -> Posed:
    """Check, convert and join the parameters of a body with so many joints, betas and expression coefficients.

    Missing ones are zero; ``like`` gives library, device and the dtype used if there are no parameters at all.
    Raises InputError for wrong shapes, unknown kinds, leading shapes that do not broadcast, or too many betas.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    xp = array_namespace(like)
    where = device(like)
    arrays: dict[str, Any] = {}
    for name, value in given.items():
        try:
            if not is_array_api_obj(value):
                arrays[name] = xp.asarray(value, dtype=like.dtype, device=where)
            elif type(value) is type(like):
                arrays[name] = to_device(value, where)
            else:
                arrays[name] = xp.asarray(value, device=where)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name} is {type(value).__name__}; expected an array of numbers") from error
        if not xp.isdtype(arrays[name].dtype, "real floating"):
            arrays[name] = xp.astype(arrays[name], like.dtype)
    dtype = xp.result_type(like.dtype, *(value.dtype for value in arrays.values()))
    arrays = {name: xp.astype(value, dtype, copy=False) for name, value in arrays.items()}

    sizes = {name: 3 * count for name, count in PARTS[joints]}
    for name, value in arrays.items():
        if name in ("betas", "expression"):
            limit = betas if name == "betas" else expressions
            if value.ndim == 0 or value.shape[-1] > limit:
                raise InputError(f"{name} has shape {tuple(value.shape)}; this body takes (..., up to {limit})")
            continue
        size = sizes.get(name, 3 if name == "transl" else 0)
        if size == 0:
            raise InputError(f"this body has no {name}; it takes {', '.join((*sizes, 'transl', 'betas'))}")
        if value.ndim == 0 or value.shape[-1] != size:
            raise InputError(f"{name} has shape {tuple(value.shape)}; expected (..., {size})")
    lead = _broadcast({name: tuple(value.shape[:-1]) for name, value in arrays.items()})
    pose_lead = np.broadcast_shapes((), *(tuple(arrays[name].shape[:-1]) for name in sizes if name in arrays))
    parts = [
        xp.broadcast_to(arrays[name], (*pose_lead, size))
        if name in arrays
        else xp.zeros((*pose_lead, size), dtype=dtype, device=where)
        for name, size in sizes.items()
    ]
    pose = xp.reshape(xp.concat(parts, axis=-1), (*pose_lead, joints, 3))
    return Posed(pose, arrays.get("betas"), arrays.get("expression"), arrays.get("transl"), lead)


def _broadcast(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes((), *shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"leading shapes do not broadcast together: {listed}") from None
