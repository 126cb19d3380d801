"""Levenberg–Marquardt on the fit's unknowns: frames alone, frames that share a shape, frames coupled in time.

Normal equations are dense per frame (63 × 63, from analytic Jacobians). What couples frames decides how they are
solved: nothing → a batch of small systems, each with its own damping; shared betas → Schur complement; smoothness over
time → one banded Cholesky factorisation. All in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numba import njit
from scipy.linalg import LinAlgError, solveh_banded

from monocap.fitting.smoothness import Coupling, Smoothness
from monocap.fitting.state import UNKNOWNS, Linearised, PoseState, Skeleton, linearise
from monocap.fitting.terms import Shape, Term
from monocap.types import Array

_UP, _DOWN, _MIN_DAMPING, _MAX_DAMPING = 8.0, 0.2, 1e-7, 1e8


@dataclass(frozen=True)
class Outcome:
    """Where a solve ended: the state and its cost per frame (T,)."""

    state: PoseState
    cost: Array


@dataclass
class _Step:
    """The damping of one system and when to stop: small gain, or no step that helps."""

    tolerance: float
    damping: float = 1e-2
    done: bool = False

    def accepts(self, before: float, now: float) -> bool:
        if not now < before:
            self.refuse()
            return False
        self.damping = max(self.damping * _DOWN, _MIN_DAMPING)
        self.done = before - now < self.tolerance * before
        return True

    def refuse(self) -> None:
        self.damping *= _UP
        self.done = self.damping > _MAX_DAMPING


class _Normal(NamedTuple):
    cost: Array  # (T,)
    gradient: Array  # (T,n)
    hessian: Array  # (T,n,n)
    shape_gradient: Array | None  # (B,)
    shape_hessian: Array | None  # (B,B)
    mixed: Array | None  # (T,n,B)


def _normal(at: Linearised, terms: Sequence[Term]) -> _Normal:
    parts = [term.rows(at) for term in terms]
    cost = np.sum([part.cost for part in parts], axis=0)
    residual = np.concatenate([part.residual for part in parts], axis=1)
    jacobian = np.concatenate([part.jacobian for part in parts], axis=1)
    transposed = np.swapaxes(jacobian, 1, 2)
    gradient = (transposed @ residual[..., None])[..., 0]
    hessian = transposed @ jacobian
    if at.b_points is None:
        return _Normal(cost, gradient, hessian, None, None, None)
    betas = at.b_points.shape[-1]
    zeros = [np.zeros((*part.residual.shape, betas)) if part.by_betas is None else part.by_betas for part in parts]
    by_betas = np.concatenate(zeros, axis=1)
    flat = by_betas.reshape(-1, betas)
    return _Normal(cost, gradient, hessian, flat.T @ residual.reshape(-1), flat.T @ flat, transposed @ by_betas)


def _damped(hessian: Array, damping: Array) -> Array:
    """Add damping × diagonal, frame by frame; a floor keeps unobserved unknowns solvable."""
    out = hessian.copy()
    index = np.arange(hessian.shape[-1])
    diagonal = hessian[:, index, index]
    out[:, index, index] = diagonal + damping[:, None] * (diagonal + 1e-3) + 1e-9
    return out


def solve_frames(
    skeleton: Skeleton, state: PoseState, terms: Sequence[Term], iterations: int = 30, tolerance: float = 1e-5
) -> Outcome:
    """Every frame on its own, all in one batch, each with its own damping; betas fixed."""
    normal = _normal(linearise(skeleton, state), terms)
    damping = np.full(state.frames, 1e-2)
    for _ in range(iterations):
        delta = -np.linalg.solve(_damped(normal.hessian, damping), normal.gradient[..., None])[..., 0]
        trial = state.step(_bounded(delta))
        after = _normal(linearise(skeleton, trial), terms)
        better = after.cost < normal.cost
        gain = np.where(better, (normal.cost - after.cost) / np.maximum(normal.cost, 1e-9), 0.0)
        state = trial.where(better, state)
        normal = _Normal(
            np.where(better, after.cost, normal.cost),
            np.where(better[:, None], after.gradient, normal.gradient),
            np.where(better[:, None, None], after.hessian, normal.hessian),
            None,
            None,
            None,
        )
        damping = np.clip(damping * np.where(better, _DOWN, _UP), _MIN_DAMPING, _MAX_DAMPING)
        if np.all((better & (gain < tolerance)) | (damping >= _MAX_DAMPING)):
            break
    return Outcome(state, normal.cost)


def solve_shape(
    skeleton: Skeleton,
    state: PoseState,
    terms: Sequence[Term],
    shape: Shape,
    iterations: int = 20,
    tolerance: float = 1e-5,
) -> Outcome:
    """Frames that share ``betas`` and nothing else: the poses are eliminated (Schur complement), then betas solved."""
    normal = _normal(linearise(skeleton, state, with_betas=True), terms)
    step = _Step(tolerance)
    prior = shape.normal(state.betas)
    for _ in range(iterations):
        assert normal.mixed is not None
        assert normal.shape_gradient is not None
        assert normal.shape_hessian is not None
        inner = _damped(normal.hessian, np.full(state.frames, step.damping))
        solved = np.linalg.solve(inner, np.concatenate([normal.gradient[..., None], normal.mixed], axis=-1))
        by_pose, by_shape = solved[..., 0], solved[..., 1:]
        mixed_t = np.swapaxes(normal.mixed, 1, 2)
        schur = normal.shape_hessian + prior[2] - np.sum(mixed_t @ by_shape, axis=0)
        schur += step.damping * np.diag(np.diag(normal.shape_hessian + prior[2]))
        right = normal.shape_gradient + prior[1] - np.sum(mixed_t @ by_pose[..., None], axis=0)[:, 0]
        betas = -np.linalg.solve(schur, right)
        delta = -by_pose - (by_shape @ betas)
        trial = state.step(_bounded(delta), betas)
        after = _normal(linearise(skeleton, trial, with_betas=True), terms)
        prior_after = shape.normal(trial.betas)
        if step.accepts(normal.cost.sum() + prior[0], after.cost.sum() + prior_after[0]):
            state, normal, prior = trial, after, prior_after
        if step.done:
            break
    return Outcome(state, normal.cost)


def solve_window(
    skeleton: Skeleton,
    state: PoseState,
    terms: Sequence[Term],
    smoothness: Smoothness,
    iterations: int = 20,
    tolerance: float = 1e-5,
) -> Outcome:
    """A run of consecutive frames, coupled by smoothness over time; betas fixed."""

    def evaluate(state: PoseState) -> tuple[_Normal, Coupling]:
        at = linearise(skeleton, state)
        return _normal(at, terms), smoothness.normal(at)

    return Outcome(*descend_coupled(evaluate, state, _bounded, iterations, tolerance))


class Steppable(Protocol):
    """A state that moves by steps (T,n)."""

    def step(self, delta: Array) -> Self: ...


S = TypeVar("S", bound=Steppable)


class FrameNormal(Protocol):
    """What each frame has alone: ``cost`` (T,), ``gradient`` (T,n), ``hessian`` (T,n,n)."""

    @property
    def cost(self) -> Array: ...
    @property
    def gradient(self) -> Array: ...
    @property
    def hessian(self) -> Array: ...


def descend_coupled(
    evaluate: Callable[[S], tuple[FrameNormal, Coupling]],
    state: S,
    bounded: Callable[[Array], Array],
    iterations: int,
    tolerance: float,
) -> tuple[S, Array]:
    """Levenberg–Marquardt on frames that are coupled with the next two, by banded Cholesky; the cost (T,) of the frames
    alone comes back with the state. ``bounded`` shortens a step (T,n)."""
    normal, coupling = evaluate(state)
    frames, n = normal.gradient.shape
    step = _Step(tolerance)
    for _ in range(iterations):
        diagonal = normal.hessian + coupling.hessian
        gradient = normal.gradient + coupling.gradient
        banded = np.zeros((3 * n, frames * n))
        _fill_banded(banded, _damped(diagonal, np.full(frames, step.damping)), coupling.next, coupling.after_next)
        try:
            delta = -solveh_banded(banded, gradient.reshape(-1), lower=True, overwrite_ab=True, check_finite=False)
        except LinAlgError:
            step.refuse()
            continue
        trial = state.step(bounded(delta.reshape(frames, n)))
        after, coupling_after = evaluate(trial)
        if step.accepts(normal.cost.sum() + coupling.cost, after.cost.sum() + coupling_after.cost):
            state, normal, coupling = trial, after, coupling_after
        if step.done:
            break
    return state, normal.cost


def _bounded(delta: Array) -> Array:
    """At most half a radian and one metre per unknown and step: Gauss–Newton's model holds no farther."""
    limit = np.full(UNKNOWNS, 0.5)
    limit[-3:] = 1.0
    return np.clip(delta, -limit, limit)


@njit(cache=True)
def _fill_banded(banded: Array, diagonal: Array, first: Array, second: Array) -> None:
    """Lower banded storage of blocks ``diagonal`` (T,n,n), A[t,t+1] = ``first``, A[t,t+2] = ``second``."""
    frames, n = diagonal.shape[0], diagonal.shape[1]
    for t in range(frames):
        for column in range(n):
            at = t * n + column
            for row in range(column, n):
                banded[row - column, at] = diagonal[t, row, column]
            if t + 1 < frames:
                for row in range(n):
                    banded[n + row - column, at] = first[t, column, row]
            if t + 2 < frames:
                for row in range(n):
                    banded[2 * n + row - column, at] = second[t, column, row]
