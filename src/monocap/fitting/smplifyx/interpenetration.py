"""Interpenetration in the unknowns of SMPLify-X: `fitting.collision` chained to codes, hands and jaw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.collision import PAPER_EXPONENT, Collider
from monocap.fitting.collision.skin import SkinCollider
from monocap.fitting.collision.term import SIGMA
from monocap.fitting.smplifyx.state import At, Free, Model
from monocap.fitting.smplifyx.terms import Index
from monocap.fitting.terms import Rows
from monocap.types import Array


@dataclass(frozen=True, eq=False)
class Interpenetration:
    """weight · Σ Ψ² over the triangles that met when the term was made: ``pairs`` N arrays (P,2), ``skins`` N.

    ``local`` none: made anew by `at` whenever the body has moved. The shape is that of the making; its derivative is
    left out, so that nobody gets thin to avoid touching.
    """

    name: str = field(default="collision", init=False)
    skins: tuple[SkinCollider, ...]
    pairs: tuple[NDArray[np.int64], ...]
    weight: float
    exponent: float = PAPER_EXPONENT
    sigma: float = SIGMA

    @classmethod
    def at(cls, model: Model, state: Free, collider: Collider, weight: float, sigma: float = SIGMA) -> Interpenetration:
        """With the pairs that meet at ``state`` (N)."""
        at = model.at(state, derivatives=False)
        skins = tuple(SkinCollider.of(model.body, betas, collider) for betas in at.block("betas"))
        pairs = tuple(skin.pairs(local) for skin, local in zip(skins, at.local, strict=True))
        return cls(skins, pairs, weight, PAPER_EXPONENT, sigma)

    def rows(self, at: At) -> Rows:
        """As many rows as joints' angles: a factor of the normal equations, which takes the same step."""
        count, n = at.state.values.shape
        size = 3 * at.pose.shape[1]
        cost, residual, jacobian = np.zeros(count), np.zeros((count, size)), np.zeros((count, size, n))
        if not any(len(pairs) for pairs in self.pairs):
            return Rows(residual, jacobian, None, cost)
        turns = at.turns()
        for i, (skin, pairs) in enumerate(zip(self.skins, self.pairs, strict=True)):
            if not len(pairs):
                continue
            normal = skin.normal(at.local[i], pairs, self.exponent, self.sigma)
            cost[i] = 2.0 * self.weight * normal.cost
            values, axes = np.linalg.eigh(2.0 * self.weight * normal.hessian)
            root = np.sqrt(np.maximum(values, 1e-9 * max(values[-1], 1e-12)))
            jacobian[i] = (root[:, None] * axes.T) @ turns[i]
            residual[i] = (axes.T @ (2.0 * self.weight * normal.gradient.ravel())) / root
        return Rows(residual, jacobian, None, cost)

    def take(self, index: Index) -> Interpenetration:
        skins, pairs = (tuple(values[i] for i in index) for values in (self.skins, self.pairs))
        return replace(self, skins=skins, pairs=pairs)


def penetration(model: Model, state: Free, collider: Collider, sigma: float = SIGMA) -> Array:
    """(N,) Σ Ψ² of all that meets at ``state``."""
    term = Interpenetration.at(model, state, collider, 1.0, sigma)
    at = model.at(state, derivatives=False)
    found = zip(term.skins, at.local, term.pairs, strict=True)
    return np.array([2.0 * skin.cost(local, pairs, PAPER_EXPONENT, sigma) for skin, local, pairs in found])
