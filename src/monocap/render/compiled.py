"""The two ways in which the renderer's kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
# Without numba's own reference counts: functions that allocate nothing, called for every pixel with tuples of a dozen
# arrays, would spend nine tenths of their time counting them up and down.
_UNCOUNTED: dict[str, Any] = {**_OPTIONS, "_nrt": False}


def pixelwise(function: Callable[..., Any]) -> Any:
    """For one vertex, triangle or pixel: allocates nothing, becomes part of the loop (or GPU kernel) that calls it."""
    return njit(**_UNCOUNTED, forceinline=True)(function)


def loop(function: Callable[..., Any]) -> Any:
    """For a loop over all of them that allocates nothing."""
    return njit(**_UNCOUNTED)(function)
