"""The renderer's loops on an NVIDIA GPU: same names and arguments as the processor's, same functions inside.

One thread per vertex, triangle or pixel; triangles meet in an atomic minimum of a pixel's key, so their order does not
matter. Arrays go to the GPU and back for every call. Imported only by ``photograph(..., device="cuda")``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config
from numba import cuda as numba_cuda

from monocap.errors import InputError
from monocap.render.pixels import floor_open, floor_pixel, shade_pixel, truth_pixel
from monocap.render.raster import CUTOUT, TWO_SIDED, box, cover, edge, key_of, project, solid
from monocap.types import Array

cuda: Any = numba_cuda  # its own annotations are those of the kernels' inside
_SIMULATED = bool(vars(config).get("ENABLE_CUDASIM"))
_LINE, _BLOCK = 128, (8, 8)


def check_available() -> None:
    """Raises InputError where there is no GPU that numba can use."""
    if not cuda.is_available():
        raise InputError(
            "device cuda: numba finds no NVIDIA GPU; check the driver and pip install 'monocap[cuda]', or use cpu"
        )


def _up(value: Any) -> Any:
    """An array, or a named tuple of arrays, on the GPU; numba's simulator works on the arrays themselves."""
    if isinstance(value, tuple):
        return type(value)(*(_up(part) for part in value)) if hasattr(value, "_fields") else tuple(map(_up, value))
    if not isinstance(value, np.ndarray) or _SIMULATED:
        return value
    return cuda.to_device(np.ascontiguousarray(value))


def _run(kernel: Any, shape: tuple[int, ...], arrays: tuple[Any, ...], given: tuple[Any, ...], out: int) -> None:
    """One thread per item of ``shape``. The last ``out`` of ``arrays`` are written, and copied back."""
    block: Any = _BLOCK if len(shape) == 2 else (_LINE,)
    grid = tuple(-(-size // side) for size, side in zip(shape, block, strict=True))
    if 0 in grid:
        return
    there = _up(arrays)
    kernel[grid, block](there, *given)
    for host, device in zip(arrays[-out:], there[-out:], strict=True):
        if device is not host:
            device.copy_to_host(host)


@cuda.jit
def _project(arrays: Any, near: float) -> None:
    h, screen = arrays
    v = cuda.grid(1)
    if v < h.shape[0]:
        project(h, near, screen, v)


@cuda.jit
def _fill(arrays: Any, near: float, dither: bool) -> None:
    h, screen, faces, traits, cutouts, keys = arrays
    f = cuda.grid(1)
    if f >= faces.shape[0]:
        return
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    x0, y0, x1, y1 = box(h, screen, i, j, k, near, keys.shape[1], keys.shape[0])
    if x0 > x1 or y0 > y1:
        return
    a0, b0, c0 = edge(h, j, k)
    det = h[i, 0] * a0 + h[i, 1] * b0 + h[i, 2] * c0
    if det == 0.0 or (det > 0.0 and not traits[f] & TWO_SIDED):
        return
    a1, b1, c1 = edge(h, k, i)
    a2, b2, c2 = edge(h, i, j)
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            e0, e1, e2 = a0 * x + (b0 * y + c0), a1 * x + (b1 * y + c1), a2 * x + (b2 * y + c2)
            z = cover(e0, e1, e2, det, near)
            if z < 0.0:
                continue
            if traits[f] & CUTOUT:
                scale = 1.0 / (e0 + e1 + e2)
                if not solid(cutouts, h, faces, f, e0 * scale, e1 * scale, e2 * scale, x, y, dither):
                    continue
            cuda.atomic.min(keys, (y, x), key_of(z, f))


@cuda.jit
def _truth(arrays: Any) -> None:
    keys, h, view, stage, depth, normal, person, part, surface, motion = arrays
    y, x = cuda.grid(2)
    if y < keys.shape[0] and x < keys.shape[1]:
        truth_pixel(x, y, keys[y, x], h, view, stage, depth, normal, person, part, surface, motion)


@cuda.jit
def _open(arrays: Any) -> None:
    view, lights, plane, opened = arrays
    y, x = cuda.grid(2)
    if y < opened.shape[0] and x < opened.shape[1]:
        floor_open(x, y, view, lights, plane, opened)


@cuda.jit
def _floor(arrays: Any) -> None:
    view, lights, plane, mask, opened, behind = arrays
    y, x = cuda.grid(2)
    if y < behind.shape[0] and x < behind.shape[1]:
        floor_pixel(x, y, view, lights, plane, opened, mask[y, x], behind)


@cuda.jit
def _shade(arrays: Any, n: int) -> None:
    keys, h, view, stage, lights, behind, radiance, coverage = arrays
    y, x = cuda.grid(2)
    if y < behind.shape[0] and x < behind.shape[1]:
        shade_pixel(x, y, keys, n, h, view, stage, lights, behind, radiance, coverage)


def fill(h: Array, faces: Array, traits: Array, cutouts: Any, near: float, dither: bool, keys: Array) -> None:
    """As `raster.fill`."""
    screen = np.zeros((len(h), 2))
    _run(_project, (len(h),), (h, screen), (near,), 1)
    _run(_fill, (len(faces),), (h, screen, faces, traits, cutouts, keys), (near, dither), 1)


def truth_rows(keys: Array, h: Array, view: Array, stage: Any, *maps: Array) -> None:
    """As `pixels.truth_rows`."""
    _run(_truth, keys.shape, (keys, h, view, stage, *maps), (), len(maps))


def floor_rows(view: Array, lights: Any, plane: Array, mask: Array, opened: Array, behind: Array) -> None:
    """As `pixels.floor_rows`."""
    _run(_open, opened.shape, (view, lights, plane, opened), (), 1)
    _run(_floor, mask.shape, (view, lights, plane, mask, opened, behind), (), 1)


def shade_rows(
    keys: Array, n: int, h: Array, view: Array, stage: Any, lights: Any, behind: Array, radiance: Array, coverage: Array
) -> None:
    """As `pixels.shade_rows`."""
    _run(_shade, coverage.shape, (keys, h, view, stage, lights, behind, radiance, coverage), (n,), 2)
