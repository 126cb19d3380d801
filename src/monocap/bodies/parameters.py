"""How a body's named parameters become one pose and one shape, for numpy and torch alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_torch_array, to_device

from monocap.bodies.kinds import KINDS
from monocap.errors import InputError
from monocap.geometry.arrays import Array

PARTS: dict[int, tuple[tuple[str, int], ...]] = {joints: kind.parts for joints, kind in KINDS.items()}
"""Pose parameters by the number of joints of a body: names and joints of each, in order."""


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


def assemble(
    joints: int,
    betas: int,
    expressions: int,
    parameters: dict[str, Any],
    like: Array,
    components: Mapping[str, Array] | None = None,
) -> Posed:
    """Check, convert and join the parameters of a body with so many joints, betas and expression coefficients.

    Missing ones are zero; ``like`` gives library, device and the dtype used if there are no parameters at all.
    ``components`` (n,45) by the name of a hand: its pose is then given as n coefficients of them.
    Raises InputError for wrong shapes, unknown kinds, leading shapes that do not broadcast, or too many betas.
    """
    components = components or {}
    xp = array_namespace(like)
    where = device(like)
    arrays: dict[str, Any] = {}
    for name, value in parameters.items():
        if value is None:
            continue
        try:
            if not is_array_api_obj(value):
                array = xp.asarray(value, dtype=like.dtype, device=where)
            elif type(value) is type(like):
                array: Any = value if device(value) == where else to_device(value, where)
            else:
                array = xp.asarray(value, device=where)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name} is {type(value).__name__}; expected an array of numbers") from error
        if array.dtype != like.dtype and not xp.isdtype(array.dtype, "real floating"):
            array = xp.astype(array, like.dtype)
        arrays[name] = array
    dtype = like.dtype
    if any(value.dtype != dtype for value in arrays.values()):
        dtype = xp.result_type(dtype, *(value.dtype for value in arrays.values()))
        arrays = {name: xp.astype(value, dtype, copy=False) for name, value in arrays.items()}

    sizes = {name: components[name].shape[0] if name in components else 3 * count for name, count in PARTS[joints]}
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
            raise InputError(f"{name} has shape {tuple(value.shape)}; expected (..., {size}){_hint(name, components)}")
    shapes = {name: tuple(value.shape[:-1]) for name, value in arrays.items()}
    lead = _broadcast(shapes)
    pose_lead = _broadcast({name: shape for name, shape in shapes.items() if name in sizes})
    parts, missing = [], 0  # neighbours that are not given become one block of zeros
    for name, count in PARTS[joints]:
        if name not in arrays:
            missing += 3 * count
            continue
        if missing:
            parts.append(xp.zeros((*pose_lead, missing), dtype=dtype, device=where))
            missing = 0
        value = arrays[name]
        if name in components:
            value = value @ xp.astype(components[name], dtype, copy=False)
        parts.append(value if shapes[name] == pose_lead else xp.broadcast_to(value, (*pose_lead, 3 * count)))
    if missing:
        parts.append(xp.zeros((*pose_lead, missing), dtype=dtype, device=where))
    pose = xp.reshape(xp.concat(parts, axis=-1), (*pose_lead, joints, 3))
    return Posed(pose, arrays.get("betas"), arrays.get("expression"), arrays.get("transl"), lead)


def _hint(name: str, components: Mapping[str, Array]) -> str:
    if name in components:
        return (
            f" coefficients, since the body was loaded with num_pca_comps={components[name].shape[0]}; "
            "load it without for 45 angles"
        )
    return " angles; coefficients need load_body(..., num_pca_comps=n)" if name.endswith("hand_pose") else ""


def _broadcast(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    distinct = set(shapes.values())
    if len(distinct) == 1:
        return distinct.pop()
    try:
        return np.broadcast_shapes((), *distinct)
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"leading shapes do not broadcast together: {listed}") from None
