"""The one door through which arrays of any library enter the geometry: their namespace, checked shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, to_device

from monocap.errors import InputError

Array = Any  # a numpy array or a torch tensor; what goes in comes out
"""Type of arguments and results: a numpy array or a torch tensor, the same kind out as in."""


def floats(*named: tuple[str, Any, tuple[int | None, ...]]) -> tuple[Any, ...]:
    """Check arguments given as (name, array, trailing shape) and return their namespace and them.

    None in a trailing shape fits any size. Nested lists become float64 arrays, integers floats. Raises
    InputError for a wrong trailing shape, a non-numeric dtype, or numpy and torch mixed in one call.
    """
    arrays: list[Any] = [a if is_array_api_obj(a) else _from_lists(name, a) for name, a, _ in named]
    try:
        xp = array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(
            f"{name}: {type(a).__module__.split('.')[0]}" for (name, _, _), a in zip(named, arrays, strict=True)
        )
        raise InputError(f"expected arrays of one library, got {kinds}; convert them first") from error
    for i, (name, _, trailing) in enumerate(named):
        array = arrays[i]
        fits = array.ndim >= len(trailing) and all(
            want is None or want == size for want, size in zip(reversed(trailing), reversed(array.shape), strict=False)
        )
        if not fits:
            want = ", ".join("n" if size is None else str(size) for size in trailing)
            raise InputError(f"{name} has shape {tuple(array.shape)}; expected (..., {want})")
        if not xp.isdtype(array.dtype, "real floating"):
            if not xp.isdtype(array.dtype, ("integral", "bool")):
                raise InputError(f"{name} has dtype {array.dtype}; expected real numbers")
            arrays[i] = xp.astype(array, xp.float64)
    return (xp, *arrays)


def _from_lists(name: str, value: Any) -> Any:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {type(value).__name__}; expected an array of numbers") from error


def eye(n: int, like: Array) -> Array:
    """(n,n) identity with the library, dtype and device of ``like``."""
    # by its numbers: torch's own eye comes out wrong of traced graphs
    return constant([[float(i == j) for j in range(n)] for i in range(n)], like)


def constant(values: Any, like: Array) -> Array:
    """Numbers or an array as an array with the library, dtype and device of ``like``; gradients pass through."""
    xp = array_namespace(like)
    if is_array_api_obj(values) and type(values) is type(like):
        return to_device(xp.astype(values, like.dtype, copy=False), device(like))
    return xp.asarray(values, dtype=like.dtype, device=device(like))


def safe_sqrt(x: Array) -> Array:
    """Square root whose gradient at 0 is 0 instead of infinite; ``x`` ≥ 0. NaN stays NaN."""
    xp = array_namespace(x)
    zero = x <= 0
    return xp.where(zero, constant(0.0, x), xp.sqrt(xp.where(zero, constant(1.0, x), x)))


def apply_matrix(matrix: Array, vector: Array) -> Array:
    """(…,m,n) matrices times (…,n) vectors: (…,m)."""
    return (matrix @ vector[..., None])[..., 0]


def transpose(matrix: Array) -> Array:
    """Swap the last two axes."""
    return array_namespace(matrix).matrix_transpose(matrix)
