"""Which triangles of a mesh meet: a median-split tree of boxes, refitted to each pose, searched against itself.

The tree is built once from one pose: triangles are halved by the median of their centres along the longest side of
their box, again and again, so that it is complete and needs no pointers: node k has the children 2k+1 and 2k+2. For
another pose only the boxes are taken anew (from the leaves up).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from monocap.fitting.collision.triangles import meet
from monocap.types import Array

LEAF = 4  # triangles in a leaf, at most: smaller costs more boxes, larger more comparisons


@dataclass(frozen=True)
class BoxTree:
    """``order`` (F,) triangles in the order of leaves; ``begin`` (M+1,) where each of the M leaves starts in it."""

    order: NDArray[np.int64]
    begin: NDArray[np.int64]

    @classmethod
    def of(cls, corners: Array) -> BoxTree:
        """Built from triangles (F,9): three corners each, metres."""
        count, leaves = len(corners), 1
        while leaves * LEAF < count:
            leaves *= 2
        centres = np.ascontiguousarray(corners.reshape(-1, 3, 3).mean(axis=1))
        order = np.arange(count)
        begin = np.arange(leaves + 1) * count // leaves
        _build(order, centres, begin)
        return cls(order, begin)

    def refit(self, corners: Array) -> tuple[Array, Array]:
        """Triangles (F,9) in the order of leaves, and the boxes (2M−1,6) of all nodes: lower, then upper corner."""
        boxes = np.empty((2 * len(self.begin) - 3, 6))
        sorted_corners = corners[self.order]
        _refit(sorted_corners, self.begin, boxes)
        return sorted_corners, boxes

    def parts(self, part: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The part of each triangle in the order of leaves, and that of each node: −1 where it is mixed."""
        node = np.empty(2 * len(self.begin) - 3, dtype=np.int32)
        ordered = np.ascontiguousarray(part[self.order])
        _common_parts(ordered, self.begin, node)
        return ordered, node


def search(
    tree: BoxTree, corners: Array, boxes: Array, parts: tuple[NDArray[np.int32], NDArray[np.int32]], allowed: Array
) -> NDArray[np.int64]:
    """Pairs (P,2) of triangles that meet, share no corner (by position) and whose parts are ``allowed`` (n,n) bool.

    ``corners`` and ``boxes`` as from `BoxTree.refit`, ``parts`` from `BoxTree.parts`. Each pair once, the
    smaller index first, sorted.
    """
    found, count = _search(corners, tree.begin, boxes, *parts, allowed, np.empty((4096, 2), dtype=np.int64))
    pairs = np.sort(tree.order[found[:count]], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


@njit(cache=True, nogil=True)
def _build(order, centres, begin):
    leaves = len(begin) - 1
    width = leaves
    while width > 1:  # level by level: each node covers ``width`` leaves
        for first in range(0, leaves, width):
            lo, hi, middle = begin[first], begin[first + width], begin[first + width // 2]
            if hi - lo < 2:
                continue
            axis, longest = 0, -1.0
            for a in range(3):
                low, high = centres[order[lo], a], centres[order[lo], a]
                for i in range(lo + 1, hi):
                    value = centres[order[i], a]
                    low, high = min(low, value), max(high, value)
                if high - low > longest:
                    axis, longest = a, high - low
            _select(order, centres[:, axis], lo, hi - 1, middle)
        width //= 2


@njit(cache=True, nogil=True)
def _select(order, key, left, right, middle):
    """Reorder ``order[left:right+1]`` so that what lies before ``middle`` has no greater key (Hoare's selection)."""
    while left < right:
        pivot = key[order[(left + right) // 2]]
        i, j = left, right
        while i <= j:
            while key[order[i]] < pivot:
                i += 1
            while key[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            right = j
        elif middle >= i:
            left = i
        else:
            return


@njit(cache=True, nogil=True)
def _refit(corners, begin, boxes):
    leaves = len(begin) - 1
    for leaf in range(leaves):
        box = boxes[leaves - 1 + leaf]
        for a in range(3):
            box[a], box[a + 3] = np.inf, -np.inf
        for i in range(begin[leaf], begin[leaf + 1]):
            t = corners[i]
            for a in range(3):
                box[a] = min(box[a], t[a], t[a + 3], t[a + 6])
                box[a + 3] = max(box[a + 3], t[a], t[a + 3], t[a + 6])
    for node in range(leaves - 2, -1, -1):
        box, one, two = boxes[node], boxes[2 * node + 1], boxes[2 * node + 2]
        for a in range(3):
            box[a], box[a + 3] = min(one[a], two[a]), max(one[a + 3], two[a + 3])


@njit(cache=True, nogil=True)
def _common_parts(part, begin, node):
    leaves = len(begin) - 1
    for leaf in range(leaves):
        lo, hi = begin[leaf], begin[leaf + 1]
        node[leaves - 1 + leaf] = part[lo] if hi > lo else -1
        for i in range(lo + 1, hi):
            if part[i] != part[lo]:
                node[leaves - 1 + leaf] = -1
    for k in range(leaves - 2, -1, -1):
        one, two = node[2 * k + 1], node[2 * k + 2]
        node[k] = one if one == two else -1


@njit(cache=True, nogil=True)
def _overlap(a, b):
    across = a[0] <= b[3] and b[0] <= a[3]
    return across and a[1] <= b[4] and b[1] <= a[4] and a[2] <= b[5] and b[2] <= a[5]


@njit(cache=True, nogil=True)
def _share_corner(p, q):
    for i in range(0, 9, 3):
        for j in range(0, 9, 3):
            if p[i] == q[j] and p[i + 1] == q[j + 1] and p[i + 2] == q[j + 2]:
                return True
    return False


@njit(cache=True, nogil=True)
def _push(stack, top, m, n):
    stack[top, 0], stack[top, 1] = m, n
    return top + 1


@njit(cache=True, nogil=True)
def _longer(rows, count):
    out = np.empty((2 * len(rows), 2), dtype=np.int64)
    for i in range(count):  # a slice would compile numba's messages about shapes, for seconds
        out[i, 0], out[i, 1] = rows[i, 0], rows[i, 1]
    return out


@njit(cache=True, nogil=True)
def _search(corners, begin, boxes, part, node_part, allowed, found):
    count, leaves = 0, len(begin) - 1
    inner = leaves - 1  # nodes before this one have children
    own = np.empty((len(corners), 6))  # box of each triangle
    for i in range(len(corners)):
        t = corners[i]
        for a in range(3):
            own[i, a] = min(t[a], t[a + 3], t[a + 6])
            own[i, a + 3] = max(t[a], t[a + 3], t[a + 6])
    p, q = np.empty(18), np.empty(18)
    stack = np.empty((4096, 2), dtype=np.int64)
    top = _push(stack, 0, 0, 0)
    while top:
        top -= 1
        m, n = stack[top, 0], stack[top, 1]
        if node_part[m] >= 0 and node_part[n] >= 0 and not allowed[node_part[m], node_part[n]]:
            continue
        if m != n and not _overlap(boxes[m], boxes[n]):
            continue
        if top + 3 > len(stack):
            stack = _longer(stack, top)
        if m < inner or n < inner:
            if m == n:
                a, b = 2 * m + 1, 2 * m + 2
                top = _push(stack, top, a, a)
                top = _push(stack, top, b, b)
                top = _push(stack, top, a, b)
            elif m < n:  # the larger of the two: node numbers grow downwards
                top = _push(stack, top, 2 * m + 1, n)
                top = _push(stack, top, 2 * m + 2, n)
            else:
                top = _push(stack, top, m, 2 * n + 1)
                top = _push(stack, top, m, 2 * n + 2)
            continue
        for i in range(begin[m - inner], begin[m - inner + 1]):
            for j in range(i + 1 if m == n else begin[n - inner], begin[n - inner + 1]):
                if not allowed[part[i], part[j]] or not _overlap(own[i], own[j]):
                    continue
                if _share_corner(corners[i], corners[j]) or not meet(corners[i], corners[j], p, q):
                    continue
                if count == len(found):
                    found = _longer(found, count)
                found[count, 0], found[count, 1] = i, j
                count += 1
    return found, count
