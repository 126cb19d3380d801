"""Interpenetration as an energy term of the fit: rows for the solver, like those in fitting/terms.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.collision.collider import PAPER_EXPONENT
from monocap.fitting.collision.skin import SkinCollider
from monocap.fitting.solver import solve_frames
from monocap.fitting.state import BODY_JOINTS, FREE_POSE, POSE, UNKNOWNS, Linearised, PoseState, Skeleton, linearise
from monocap.fitting.terms import Rows, Term
from monocap.geometry import rotations
from monocap.types import Array

SIGMA, STRENGTH, ROUNDS, REACH = 0.005, 30.0, 30, 0.05
"""Height of the cones here, metres: half a centimetre of slope tells the solver where out is, 0.1 mm do not; 2 cm
push less surely (python tools/measure_collision.py)."""


@dataclass(frozen=True, eq=False)
class Interpenetration:
    """½ ``strength`` Σ r² over the triangles that met when the term was made; ``pairs``: T arrays (P,2), one per frame.

    Make it with `at`, and anew a few times while the fit runs: `refreshed`. ``rows`` are the normal equations' Cholesky
    factor, 63 per frame: the same step as with a row per vertex.
    """

    skin: SkinCollider
    pairs: tuple[NDArray[np.int64], ...]
    strength: float = STRENGTH
    exponent: float = PAPER_EXPONENT
    sigma: float = SIGMA

    @classmethod
    def at(
        cls,
        skin: SkinCollider,
        state: PoseState,
        strength: float = STRENGTH,
        exponent: float = PAPER_EXPONENT,
        sigma: float = SIGMA,
    ) -> Interpenetration:
        """The term with the pairs that meet at ``state``, whose betas should be the skin's."""
        return cls(skin, (), strength, exponent, sigma).refreshed(state)

    def refreshed(self, state: PoseState) -> Interpenetration:
        """The same term with the pairs that meet at ``state``."""
        return replace(self, pairs=tuple(self.skin.pairs(local) for local in self._local(state)))

    def rows(self, at: Linearised) -> Rows:
        frames = at.state.frames
        residual, jacobian = np.zeros((frames, UNKNOWNS)), np.zeros((frames, UNKNOWNS, UNKNOWNS))
        cost = np.zeros(frames)
        turns = rotations.left_jacobian_so3(at.state.body_pose.reshape(frames, BODY_JOINTS - 1, 3))
        free = np.concatenate([np.arange(3), 3 + FREE_POSE])
        columns = np.r_[0:3, POSE]
        for t, (local, pairs) in enumerate(zip(self._local(at.state), self.pairs, strict=True)):
            if not len(pairs):
                continue
            normal = self.skin.normal(local, pairs, self.exponent, self.sigma)
            cost[t] = self.strength * normal.cost
            size = 3 * BODY_JOINTS
            chain = np.eye(size)
            for j in range(1, BODY_JOINTS):
                chain[3 * j : 3 * j + 3, 3 * j : 3 * j + 3] = turns[t, j - 1]
            gradient = (self.strength * normal.gradient.reshape(-1)[:size] @ chain)[free]
            hessian = (self.strength * chain.T @ normal.hessian[:size, :size] @ chain)[np.ix_(free, free)]
            factor = np.linalg.cholesky(hessian + (1e-10 * np.trace(hessian) + 1e-14) * np.eye(len(free)))
            residual[t, columns] = np.linalg.solve(factor, gradient)
            jacobian[t, columns[:, None], columns] = factor.T
        return Rows(residual, jacobian, None, cost)

    def _local(self, state: PoseState) -> Array:
        """(T,J,3,3) of all joints: what the fit does not move is at rest."""
        joints = len(self.skin.body.parents)
        local = np.broadcast_to(np.eye(3), (state.frames, joints, 3, 3)).copy()
        local[:, :BODY_JOINTS] = state.local_rotations
        return local


@dataclass(frozen=True)
class Near:
    """½ Σ ((θ − θ₀)/deviation)² over the free pose: keeps a step as short as what it was computed from holds."""

    body_pose: Array
    deviation: float

    def rows(self, at: Linearised) -> Rows:
        residual = (at.state.body_pose - self.body_pose)[:, FREE_POSE] / self.deviation
        jacobian = np.zeros((*residual.shape, UNKNOWNS))
        jacobian[:, np.arange(len(FREE_POSE)), np.arange(POSE.start, POSE.stop)] = 1.0 / self.deviation
        return Rows(residual, jacobian, None, 0.5 * np.sum(residual**2, axis=1))


def pushed_apart(
    skeleton: Skeleton,
    state: PoseState,
    terms: Sequence[Term],
    interpenetration: Interpenetration,
    rounds: int = ROUNDS,
    iterations: int = 2,
    reach: float = REACH,
) -> PoseState:
    """The best state found, by the energy of ``terms`` and ``interpenetration``; every frame on its own.

    Cones reach no deeper than a triangle's size, so that the rim of an overlap moves a step at a time: the pairs are
    searched ``rounds`` times, with ``iterations`` of Levenberg–Marquardt between, held near where the pairs were found
    (``reach`` rad; a proximal step, which leaves the minimum where it is). Frames that are free of overlaps fall back
    to the other terms and may touch again: each frame ends where its energy was least. A third as many rounds of thrice
    the strength then clear what still touches; from the start that would crumple limbs that are deep inside.
    """
    harder = replace(interpenetration, strength=3.0 * interpenetration.strength)
    state = _best(skeleton, state, terms, interpenetration, rounds, iterations, reach)
    return _best(skeleton, state, terms, harder, rounds // 3, iterations, reach)


def _best(
    skeleton: Skeleton, state: PoseState, terms: Sequence[Term], term: Interpenetration,
    rounds: int, iterations: int, reach: float,
) -> PoseState:  # fmt: skip
    best, least = state, np.full(state.frames, np.inf)
    for k in range(rounds + 1):
        term = term.refreshed(state)
        at = linearise(skeleton, state)
        cost = np.sum([one.rows(at).cost for one in (*terms, term)], axis=0)
        better = cost < least
        best, least = state.where(better, best), np.where(better, cost, least)
        if k == 0 and not any(len(pairs) for pairs in term.pairs):
            break
        if k < rounds:
            state = solve_frames(skeleton, state, [*terms, Near(state.body_pose, reach), term], iterations).state
    return best
