"""How much of a body is inside itself: the volume where its closed skin winds round a point twice or more.

Lines along z, a few millimetres apart, are cut with the skin; between two cuts the winding number is the count of
triangles where the line entered minus those where it left. It is 1 inside a simple body; where it is 2 or more, two
layers share the space. Exact along z, midpoint rule across. The folds of a bent elbow do that too. Held against the
body is only what the `Collider` would push apart: space that is not bounded by neighbours alone (the surfaces about it
along the line), in connected pieces on whose rim triangles meet that may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from monocap.errors import InputError
from monocap.fitting.collision.collider import Collider
from monocap.types import Array


@dataclass(frozen=True)
class Volume:
    """Cubic metres: ``body``, all of it; ``doubled``, where it is inside itself; ``forbidden``, that without folds."""

    body: float
    doubled: float
    forbidden: float


def closed_skin(faces: Array) -> NDArray[np.bool_]:
    """(F,) triangles of the largest connected piece without a hole. Raises InputError if all pieces have holes."""
    faces = np.asarray(faces, dtype=np.int64)
    count = int(faces.max()) + 1
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    pieces, label = connected_components(graph, directed=False)
    forth, back = edges @ [count, 1], edges @ [1, count]
    holes = np.bincount(label[edges[~np.isin(back, forth), 0]], minlength=pieces)
    sizes = np.where(holes == 0, np.bincount(label[faces[:, 0]], minlength=pieces), 0)
    if not sizes.any():
        raise InputError("every piece of the mesh has a hole; the volume inside is not defined")
    return label[faces[:, 0]] == int(np.argmax(sizes))


def penetrating_volume(vertices: Array, collider: Collider, pitch: float = 0.004) -> Volume:
    """Of a mesh (V,3) m with the collider's triangles; the `closed_skin` is counted; ``pitch`` m between lines."""
    vertices = np.asarray(vertices, np.float64)
    skin = closed_skin(collider.faces)
    corners = np.ascontiguousarray(vertices[collider.faces[skin]].reshape(-1, 9))
    # A fraction of the pitch, so that lines meet no vertex of a mesh with round coordinates.
    origin = corners.reshape(-1, 3).min(axis=0)[:2] - pitch * np.array([0.5137, 0.5271])
    shape = np.ceil((corners.reshape(-1, 3).max(axis=0)[:2] - origin) / pitch).astype(np.int64) + 1
    column, depth, sign, face = _cuts(corners, origin, pitch, shape)
    order = np.lexsort((depth, column))
    part = collider.segm[skin][face[order]].astype(np.int64)
    inside, runs, lengths, folds = _runs(column[order], depth[order], sign[order], part, collider.allowed)
    doubled, runs, lengths = float(lengths.sum()), runs[~folds], lengths[~folds]
    first = np.searchsorted(runs[:, 0], np.arange(shape[0] * shape[1] + 1))
    piece = _pieces(runs, first, shape)
    pairs = collider.pairs(vertices)
    pairs = pairs[skin[pairs].all(axis=1)]
    rims = vertices[collider.faces[pairs]].reshape(-1, 2, 9)
    guilty = _on_rims(rims, runs, first, piece, origin, pitch, shape)
    area = pitch**2
    return Volume(float(inside) * area, doubled * area, float(lengths[guilty[piece]].sum()) * area)


@njit(cache=True, nogil=True)
def _cuts(corners, origin, pitch, shape):
    """Where lines along z in a grid of columns cut triangles: column, z, +1 where the line enters, triangle."""
    columns, depths = [0 for _ in range(0)], [0.0 for _ in range(0)]
    signs, owners = [0 for _ in range(0)], [0 for _ in range(0)]
    for f in range(len(corners)):
        t = corners[f]
        x0, y0, x1, y1, x2, y2 = t[0], t[1], t[3], t[4], t[6], t[7]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0:
            continue
        first = max(int(np.ceil((min(x0, x1, x2) - origin[0]) / pitch)), 0)
        last = min(int(np.floor((max(x0, x1, x2) - origin[0]) / pitch)), shape[0] - 1)
        low = max(int(np.ceil((min(y0, y1, y2) - origin[1]) / pitch)), 0)
        high = min(int(np.floor((max(y0, y1, y2) - origin[1]) / pitch)), shape[1] - 1)
        for i in range(first, last + 1):
            for j in range(low, high + 1):
                x, y = origin[0] + i * pitch, origin[1] + j * pitch
                a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                c = 1.0 - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                columns.append(i * shape[1] + j)
                depths.append(a * t[2] + b * t[5] + c * t[8])
                signs.append(-1 if area > 0 else 1)  # a normal towards +z: the line leaves
                owners.append(f)
    return np.array(columns), np.array(depths), np.array(signs), np.array(owners)


@njit(cache=True, nogil=True)
def _runs(column, depth, sign, part, allowed):
    """Length of line inside; runs (n,3) of winding 2 or more: column, z from, z to; their lengths, layers counted; and
    which are folds: the surfaces at both ends and the next ones outside are of parts that may meet."""
    runs, lengths, folds = np.empty((len(column), 3)), np.empty(len(column)), np.empty(len(column), np.bool_)
    begin = 0
    inside, count, winding = 0.0, 0, 0
    for k in range(len(column) - 1):
        if k == 0 or column[k] != column[k - 1]:
            winding = 0
        before, winding = winding, winding + sign[k]
        if column[k + 1] != column[k] or winding < 1:
            continue
        length = depth[k + 1] - depth[k]
        inside += length
        if winding < 2:
            continue
        if before < 2:
            runs[count, 0], runs[count, 1] = column[k], depth[k]
            lengths[count], begin = 0.0, k
            count += 1
        runs[count - 1, 2] = depth[k + 1]
        lengths[count - 1] += (winding - 1) * length
        fold = not allowed[part[begin], part[k + 1]]
        if begin > 0 and column[begin - 1] == column[begin]:
            fold = fold and not allowed[part[begin], part[begin - 1]]
        if k + 2 < len(column) and column[k + 2] == column[k]:
            fold = fold and not allowed[part[k + 1], part[k + 2]]
        folds[count - 1] = fold
    return inside, runs[:count], lengths[:count], folds[:count]


@njit(cache=True, nogil=True)
def _root(up, k):
    while up[k] != k:
        up[k] = up[up[k]]
        k = up[k]
    return k


@njit(cache=True, nogil=True)
def _pieces(runs, first, shape):
    """(n,) one run of the connected piece that each run belongs to: runs of neighbouring columns that overlap join."""
    up = np.arange(len(runs))
    for k in range(len(runs)):
        column = int(runs[k, 0])
        for step in (1, shape[1]):
            other = column + step
            if other >= len(first) - 1 or (step == 1 and other % shape[1] == 0):
                continue
            for m in range(first[other], first[other + 1]):
                if runs[m, 1] <= runs[k, 2] and runs[k, 1] <= runs[m, 2]:
                    up[_root(up, k)] = _root(up, m)
    for k in range(len(runs)):
        up[k] = _root(up, k)
    return up


@njit(cache=True, nogil=True)
def _on_rims(rims, runs, first, piece, origin, pitch, shape):
    """(n,) bool at the pieces' first runs: whether two triangles of ``rims`` (P,2,9) meet there, within a pitch."""
    guilty = np.zeros(len(runs), dtype=np.bool_)
    low, high = np.empty(3), np.empty(3)
    for r in range(len(rims)):
        p, q = rims[r, 0], rims[r, 1]
        for a in range(3):
            low[a] = max(min(p[a], p[a + 3], p[a + 6]), min(q[a], q[a + 3], q[a + 6])) - pitch
            high[a] = min(max(p[a], p[a + 3], p[a + 6]), max(q[a], q[a + 3], q[a + 6])) + pitch
        left, right = int(np.ceil((low[0] - origin[0]) / pitch)), int(np.floor((high[0] - origin[0]) / pitch))
        under, over = int(np.ceil((low[1] - origin[1]) / pitch)), int(np.floor((high[1] - origin[1]) / pitch))
        for i in range(max(left, 0), min(right, shape[0] - 1) + 1):
            for j in range(max(under, 0), min(over, shape[1] - 1) + 1):
                column = i * shape[1] + j
                for k in range(first[column], first[column + 1]):
                    if runs[k, 1] <= high[2] and low[2] <= runs[k, 2]:
                        guilty[piece[k]] = True
    return guilty
