"""`Collider`: the interpenetration of one mesh. Pairs of triangles that meet; what they cost; how that changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.collision import cones
from monocap.fitting.collision.parts import allowed_pairs, face_parts, neighbours
from monocap.fitting.collision.tree import BoxTree, search
from monocap.types import Array

PAPER_EXPONENT, OFFICIAL_EXPONENT = 4.0, 8.0
OFFICIAL_SIGMA = 1e-4
"""Height of the cones in SMPLify-X's configuration, metres: hardly more than a count of vertices inside."""


class Collider:
    """Finds and prices self-intersections of a triangle mesh in any pose; numpy in, numpy out.

    ``faces`` (F,3) with outward normals by the right-hand rule; ``segm`` (F,) the part of each triangle and ``parents``
    (J,) the parent of each part: triangles of one part, of parent and child and of ``ignored`` pairs of parts are not
    compared. Without ``segm`` all triangles are. Raises InputError for shapes or indices that do not fit.

    The tree of boxes is built from the first pose seen and kept: later poses only refit it.
    """

    def __init__(
        self,
        faces: Array,
        segm: Array | None = None,
        parents: Sequence[int] | Array | None = None,
        ignored: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.faces = np.require(faces, np.int64, ["C", "W"])
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or (self.faces < 0).any():
            raise InputError(f"faces have shape {self.faces.shape}; expected (F,3) with indices from 0")
        if (segm is None) != (parents is None):
            raise InputError("segm and parents are given together or not at all")
        if segm is None or parents is None:
            self.segm, self.allowed = np.zeros(len(self.faces), np.int32), np.ones((1, 1), dtype=bool)
        else:
            self.segm, self.allowed = np.asarray(segm, dtype=np.int32), allowed_pairs(parents, ignored)
            if self.segm.shape != (len(self.faces),):
                raise InputError(f"segm has shape {self.segm.shape}; expected ({len(self.faces)},), one part per face")
            if len(self.segm) and not 0 <= self.segm.min() <= self.segm.max() < len(self.allowed):
                raise InputError(f"segm holds {self.segm.min()}…{self.segm.max()}; expected 0…{len(self.allowed) - 1}")
        self._count = int(self.faces.max()) + 1 if len(self.faces) else 0
        self._tree: BoxTree | None = None
        self._parts: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    @classmethod
    def of(cls, body: BodyModel, ignored: Sequence[tuple[int, int]] | None = None) -> Collider:
        """Of a body: parts from its skinning weights; without ``ignored``, SMPLify-X's (`parts.NEIGHBOURS`)."""
        pairs = neighbours(body.joint_names) if ignored is None else ignored
        return cls(body.faces, face_parts(body.faces, body.lbs_weights), body.parents, pairs)

    def pairs(self, vertices: Array) -> NDArray[np.int64]:
        """All pairs (P,2) of triangles that meet and may not, in ``vertices`` (V,3); touching counts. Sorted.

        Triangles that share a corner, by position, are left out. Raises InputError for another shape, or NaN.
        """
        vertices = self._checked(vertices)
        if not len(self.faces):
            return np.zeros((0, 2), dtype=np.int64)
        corners = vertices[self.faces].reshape(-1, 9)
        if not np.isfinite(corners).all():
            raise InputError("vertices hold NaN or infinity; intersections are not defined")
        if self._tree is None:
            self.build(vertices)
        assert self._tree is not None
        assert self._parts is not None
        return search(self._tree, *self._tree.refit(corners), self._parts, self.allowed)

    def build(self, vertices: Array) -> None:
        """Build the tree of boxes from this pose (V,3); otherwise the first call of `pairs` does."""
        self._tree = BoxTree.of(self._checked(vertices)[self.faces].reshape(-1, 9))
        self._parts = self._tree.parts(self.segm)

    def penalty(
        self,
        vertices: Array,
        pairs: Array,
        exponent: float = PAPER_EXPONENT,
        sigma: float = OFFICIAL_SIGMA,
        outside: bool = True,
    ) -> tuple[float, Array]:
        """Σ ((1 − Φ) ψ)^exponent over ``pairs`` both ways (`cones`), and its gradient (V,3), float64.

        ``sigma`` m, the height of the cones; ``outside``: vertices less than σ outside count too.
        """
        vertices, pairs = self._checked(vertices), self._checked_pairs(pairs, exponent, sigma)
        gradient = np.zeros_like(vertices)
        value = cones.penalty(vertices, self.faces, pairs, float(exponent), float(sigma), outside, gradient)
        return float(value), gradient

    def residuals(
        self,
        vertices: Array,
        pairs: Array,
        exponent: float = PAPER_EXPONENT,
        sigma: float = OFFICIAL_SIGMA,
        outside: bool = True,
    ) -> tuple[Array, NDArray[np.int64], Array]:
        """The same energy as Σ r²: r (R,), the four vertices that each depends on (R,4), dr/d vertices (R,4,3).

        The first three vertices are the receiving triangle's, the last the intruder. Rows that are 0 are left out.
        """
        vertices, pairs = self._checked(vertices), self._checked_pairs(pairs, exponent, sigma)
        rows = 6 * len(pairs)
        value, ids, slope = np.empty(rows), np.empty((rows, 4), dtype=np.int64), np.empty((rows + 1, 4, 3))
        n = cones.residuals(vertices, self.faces, pairs, float(exponent), float(sigma), outside, value, ids, slope)
        return value[:n], ids[:n], slope[:n]

    def _checked(self, vertices: Array) -> Array:
        vertices = np.require(vertices, np.float64, ["C", "W"])
        if vertices.ndim != 2 or vertices.shape[1] != 3 or len(vertices) < self._count:
            raise InputError(f"vertices have shape {vertices.shape}; expected (V,3) with V of at least {self._count}")
        return vertices

    def _checked_pairs(self, pairs: Array, exponent: float, sigma: float) -> NDArray[np.int64]:
        pairs = np.require(pairs, np.int64, ["C", "W"])
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise InputError(f"pairs have shape {pairs.shape}; expected (P,2)")
        if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(self.faces):
            raise InputError(f"pairs hold {pairs.min()}…{pairs.max()}; expected triangles 0…{len(self.faces) - 1}")
        if not (exponent >= 2 and sigma > 0):
            raise InputError(f"exponent {exponent}, sigma {sigma}; expected an exponent of 2 or more, sigma above 0 m")
        return pairs
