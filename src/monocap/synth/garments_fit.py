"""How does cloth follow a body of which only the posed vertices are known?

Each garment vertex hangs on a point of the skin, the weighted mean of the body vertices near it (the nearer the cloth,
the fewer they are), and keeps its offset from that point in a frame that turns with the skin around. The frames are
those of some hundred patches spread over the body, turned as their vertices turned (Kabsch), blended smoothly: so
sleeves do not crack at the elbow and a skirt bridges the legs. Everything about the rest pose is worked out once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse
from scipy.spatial import KDTree

from monocap.bodies import BodyModel
from monocap.render import vertex_normals
from monocap.types import Array

PATCHES, PATCH_SIZE = 420, 24
NEAREST, KEPT = 32, 12  # body vertices looked at for each garment vertex, and kept
COARSE = 2200  # body vertices that loose cloth hangs on: what is far from the skin follows no detail of it
LOOSE = 0.02  # metres
PATCH_KEPT = 5


@dataclass(frozen=True, eq=False)
class Binding:
    """A garment of G vertices on a body: ``index`` (G,K) body vertices and ``weight`` (G,K) of each; ``offset`` (G,3) m
    from their mean at rest; ``patch`` (G,P) and ``share`` (G,P) of the frames that turn it; ``normal`` (G,3) of the
    skin below, at rest."""

    index: Array
    weight: Array
    offset: Array
    patch: Array
    share: Array
    normal: Array

    def carried(self, values: Array) -> Array:
        """(G,…) mean of per-vertex ``values`` (V,…) of the body under each garment vertex."""
        return np.einsum("gk,gk...->g...", self.weight, np.asarray(values)[self.index])


class Kit:
    """All about a body at rest that bindings need: ``rest`` (V,3) m, ``faces`` (F,3), ``normals`` (V,3)."""

    def __init__(self, rest: Array, faces: Array, parts: Array) -> None:
        self.rest = np.ascontiguousarray(rest, np.float32)
        self.faces = np.ascontiguousarray(faces, np.int64)
        self.normals = vertex_normals(self.rest, self.faces)
        self.parts = parts
        self.skin = np.flatnonzero(self._largest_piece())
        self._centres = self.skin[farthest(self.rest[self.skin], PATCHES)]
        self._members = self._nearest_alike(self._centres, PATCH_SIZE)
        middle = self.rest[self._members].mean(axis=1)
        self._spread = (self.rest[self._members] - middle[:, None]).astype(np.float32)

    @classmethod
    def of(cls, body: BodyModel, rest: Array | None = None) -> Kit:
        """For ``body`` in its mean shape, or with other ``rest`` vertices (V,3) of the same numbering."""
        return cls(body.v_template if rest is None else rest, body.faces, np.argmax(body.lbs_weights, axis=1))

    def _largest_piece(self) -> Array:
        """(V,) the skin: eyes, teeth and tongue are pieces of their own."""
        a, b = self.faces.ravel(), np.roll(self.faces, 1, axis=1).ravel()
        count = len(self.rest)
        links = sparse.csr_matrix((np.ones(len(a)), (a, b)), (count, count))
        label = sparse.csgraph.connected_components(links, directed=False)[1]
        return label == np.bincount(label).argmax()

    @cached_property
    def _tree(self) -> Any:
        return KDTree(self.rest[self.skin])

    @cached_property
    def _coarse(self) -> tuple[Array, Any]:
        ids = self.skin[farthest(self.rest[self.skin], COARSE)]
        return ids, KDTree(self.rest[ids])

    def _nearest_alike(self, ids: Array, count: int) -> Array:
        """(N,count) skin vertices near each of ``ids`` that face the same way; the nearest repeats where few do."""
        _, near = self._tree.query(self.rest[ids], k=4 * count)
        near = self.skin[near]
        alike = np.einsum("nc,nkc->nk", self.normals[ids], self.normals[near]) > 0.2
        order = np.argsort(~alike, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(near, order, axis=1)
        return np.where(np.take_along_axis(alike, order, axis=1), chosen, near[:, :1])

    @cached_property
    def _patch_shares(self) -> Any:
        """(V,A) sparse: how much of each patch's frame a body vertex has."""
        tree = KDTree(self.rest[self._centres])
        distance, near = tree.query(self.rest, k=8)
        alike = np.einsum("vc,vkc->vk", self.normals, self.normals[self._centres[near]])
        weight = np.exp(-0.5 * (distance / (0.6 * distance[:, 3:4] + 1e-4)) ** 2) * np.clip(alike + 0.15, 1e-4, 1.0)
        weight /= weight.sum(axis=1, keepdims=True)
        rows = np.repeat(np.arange(len(self.rest)), 8)
        return sparse.csr_matrix((weight.ravel(), (rows, near.ravel())), (len(self.rest), len(self._centres)))

    def bind(
        self, points: Array, faces: Array, *, smooth: int = 3, spread: float = 0.0, only: Array | None = None
    ) -> Binding:
        """Bind a garment at rest: ``points`` (G,3) m, ``faces`` (T,3). ``smooth``: how often each vertex takes over
        from its neighbours what it hangs on; ``spread`` m: over how much skin at least; ``only`` (V,) body vertices
        that count, e.g. of the head."""
        points = np.ascontiguousarray(points, np.float32)
        nearest, first = self._tree.query(points)
        reference = self.normals[self.skin[first]]
        wide = np.maximum(0.5 * nearest, spread)
        weights = sparse.lil_matrix((len(points), len(self.rest))).tocsr()
        for loose in (False, True):
            rows = np.flatnonzero((wide > 0.5 * LOOSE) == loose)
            if not len(rows):
                continue
            ids, tree = self._coarse if loose else (self.skin, self._tree)
            if only is not None:
                ids = ids[only[ids]]
                tree = KDTree(self.rest[ids])
            distance, near = tree.query(points[rows], k=min(NEAREST, len(ids)))
            near = ids[near]
            sigma = np.maximum(wide[rows], 0.006)[:, None]
            weight = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / sigma**2)
            weight *= np.clip(np.einsum("nc,nkc->nk", reference[rows], self.normals[near]) + 0.1, 1e-3, 1.0)
            at = (np.repeat(rows, near.shape[1]), near.ravel())
            weights = weights + sparse.csr_matrix((weight.ravel(), at), weights.shape)
        weights = _rows_to_one(weights)
        if smooth:
            step = neighbour_mean(faces, len(points))
            for _ in range(smooth):
                weights = _pruned(step @ weights, 2 * KEPT)
        weights = _pruned(weights, KEPT)
        index, weight = _dense_rows(weights, KEPT)
        turned = _pruned(_rows_to_one(weights) @ self._patch_shares, PATCH_KEPT)
        patch, share = _dense_rows(turned, PATCH_KEPT)
        offset = points - np.einsum("gk,gkc->gc", weight, self.rest[index])
        normal = np.einsum("gk,gkc->gc", weight, self.normals[index])  # the cloth's own are uneven at folded hems
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        return Binding(index, weight, offset.astype(np.float32), patch, share, normal.astype(np.float32))

    def frames(self, vertices: Array) -> tuple[Array, Array]:
        """Of a posed body (V,3): (A,3,3) how each patch turned and grew since rest, and (A,) how much it is squeezed
        against the rest of the body, 0 for not at all."""
        return _frames(np.ascontiguousarray(vertices, np.float32), self._members, self._spread)

    def place(
        self,
        binding: Binding,
        vertices: Array,
        frames: tuple[Array, Array] | None = None,
        fold: Array | None = None,
        grow: Array | None = None,
    ) -> Array:
        """(G,3) float32: the garment on the posed body (V,3); ``grow`` (G,) m: how much farther out it lies than it was
        bound; ``fold`` (G,) m: how far it bulges where squeezed wholly."""
        vertices = np.ascontiguousarray(vertices, np.float32)
        turned, squeezed = self.frames(vertices) if frames is None else frames
        none = np.zeros(len(binding.offset), np.float32)
        fold = none if fold is None else fold
        grow = none if grow is None else grow
        return _place(
            vertices, turned, squeezed, binding.index, binding.weight, binding.offset, binding.patch, binding.share,
            binding.normal, fold, grow,
        )  # fmt: skip


@njit(cache=True)
def _farthest(points: Array, count: int) -> Array:
    out = np.empty(count, np.int64)
    far = np.full(len(points), np.inf)
    now = 0
    for k in range(count):
        out[k] = now
        best, following = -1.0, 0
        for i in range(len(points)):
            d = 0.0
            for c in range(3):
                d += (points[i, c] - points[now, c]) ** 2
            if d < far[i]:
                far[i] = d
            if far[i] > best:
                best, following = far[i], i
        now = following
    return out


def farthest(points: Array, count: int) -> Array:
    """(count,) ids of points (N,3) spread evenly: each next one is the farthest from those before."""
    return _farthest(np.ascontiguousarray(points, np.float64), min(count, len(points)))


def neighbour_mean(faces: Array, count: int) -> Any:
    """(G,G) sparse: half of each vertex, half of the mean of its neighbours."""
    a, b = np.asarray(faces).ravel(), np.roll(faces, 1, axis=1).ravel()
    links = sparse.csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), (count, count))
    links.data[:] = 1.0
    degree = np.asarray(links.sum(axis=1)).ravel()
    alone = np.where(degree > 0, 0.5, 1.0)
    return sparse.diags(alone) + sparse.diags(0.5 / np.maximum(degree, 1.0)) @ links


def _rows_to_one(matrix: Any) -> Any:
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)) @ matrix)


def _pruned(matrix: Any, count: int) -> Any:
    """The largest ``count`` entries of each row."""
    index, value = _dense_rows(matrix, count)
    rows = np.repeat(np.arange(matrix.shape[0]), count)
    return sparse.csr_matrix((value.ravel(), (rows, index.ravel())), matrix.shape)


def _dense_rows(matrix: Any, count: int) -> tuple[Array, Array]:
    """(G,count) columns and values of the largest entries of each row, summing to 1."""
    matrix = sparse.csr_matrix(matrix)
    index, value = _largest(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, count)
    value /= np.maximum(value.sum(axis=1, keepdims=True), 1e-12)
    return index.astype(np.int32), value.astype(np.float32)


@njit(cache=True)
def _largest(start: Array, column: Array, data: Array, count: int) -> tuple[Array, Array]:
    rows = len(start) - 1
    index = np.zeros((rows, count), np.int64)
    value = np.zeros((rows, count))
    for r in range(rows):
        if start[r + 1] > start[r]:
            index[r, :] = column[start[r]]
        for e in range(start[r], start[r + 1]):
            low = 0
            for k in range(1, count):
                if value[r, k] < value[r, low]:
                    low = k
            if data[e] > value[r, low]:
                value[r, low] = data[e]
                index[r, low] = column[e]
    return index, value


@njit(cache=True, nogil=True)
def _frames(vertices: Array, members: Array, spread: Array) -> tuple[Array, Array]:
    count, size = members.shape
    out = np.empty((count, 3, 3), np.float32)
    grown = np.empty(count)
    for a in range(count):
        middle = np.zeros(3)
        for m in range(size):
            for c in range(3):
                middle[c] += vertices[members[a, m], c]
        middle /= size
        h = np.zeros((3, 3))
        posed, rest = 0.0, 0.0
        for m in range(size):
            for c in range(3):
                p = vertices[members[a, m], c] - middle[c]
                posed += p * p
                rest += spread[a, m, c] * spread[a, m, c]
                for d in range(3):
                    h[c, d] += p * spread[a, m, d]
        u, _, vt = np.linalg.svd(h)
        if np.linalg.det(u) * np.linalg.det(vt) < 0.0:
            u[:, 2] *= -1.0
        grown[a] = np.sqrt(posed / max(rest, 1e-12))
        scale = min(max(grown[a], 0.6), 1.5)
        turn = u @ vt
        for c in range(3):
            for d in range(3):
                out[a, c, d] = scale * turn[c, d]
    usual = np.median(grown)
    squeezed = np.empty(count, np.float32)
    for a in range(count):
        squeezed[a] = min(max(1.0 - grown[a] / usual, 0.0), 0.5)
    return out, squeezed


@njit(cache=True, nogil=True)
def _place(
    vertices: Array, frames: Array, squeezed: Array, index: Array, weight: Array, offset: Array, patch: Array,
    share: Array, normal: Array, fold: Array, grow: Array,
) -> Array:  # fmt: skip
    count, kept = index.shape
    out = np.empty((count, 3), np.float32)
    turn = np.empty((3, 3))
    for g in range(count):
        turn[:, :] = 0.0
        squeeze = 0.0
        for k in range(patch.shape[1]):
            s = share[g, k]
            squeeze += s * squeezed[patch[g, k]]
            for c in range(3):
                for d in range(3):
                    turn[c, d] += s * frames[patch[g, k], c, d]
        bulge = fold[g] * squeeze + grow[g]
        for c in range(3):
            at = 0.0
            for k in range(kept):
                at += weight[g, k] * vertices[index[g, k], c]
            for d in range(3):
                at += turn[c, d] * (offset[g, d] + bulge * normal[g, d])
            out[g, c] = at
    return out
