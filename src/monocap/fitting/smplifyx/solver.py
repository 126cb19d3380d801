"""Levenberg–Marquardt on SMPLify-X's unknowns: pictures alone, pictures that share a shape.

Every sample has its own damping and stops on its own; those that go on are evaluated as one ever smaller batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.smplifyx.state import At, Free, Layout, Model
from monocap.fitting.smplifyx.terms import Term
from monocap.types import Array

_UP, _DOWN, _LEAST, _MOST = 4.0, 0.2, 1e-6, 1e8
_POOR, _GOOD = 0.25, 0.75  # of the predicted gain: below, damping rises though the step is taken; above, it falls
CHUNK = 32  # samples linearised together: their Jacobians stay in some tens of megabytes


class Normal(NamedTuple):
    """Energy (N,), gradient (N,n) and Gauss–Newton's Hessian (N,n,n)."""

    cost: Array
    gradient: Array
    hessian: Array


def linear_system(at: At, terms: Sequence[Term]) -> Normal:
    """The normal equations of the sum of ``terms``."""
    count, n = at.state.values.shape
    cost, gradient, hessian = np.zeros(count), np.zeros((count, n)), np.zeros((count, n, n))
    for term in terms:
        rows = term.rows(at)
        cost += rows.cost
        transposed = np.swapaxes(rows.jacobian, 1, 2)
        columns = slice(0, n) if rows.columns is None else rows.columns
        gradient[:, columns] += (transposed @ rows.residual[..., None])[..., 0]
        hessian[:, columns, columns] += transposed @ rows.jacobian
    return Normal(cost, gradient, hessian)


Evaluate = Callable[[Free, NDArray[np.int64]], Normal]
"""The energy's normal equations at a state of some samples (M,), whose numbers (M,) come with it."""


def energy_of(model: Model, terms: Sequence[Term]) -> Evaluate:
    """The sum of ``terms`` at a state of the model, in chunks of samples."""

    def evaluate(state: Free, index: NDArray[np.int64]) -> Normal:
        parts = []
        for first in range(0, len(state), CHUNK):
            some = slice(first, first + CHUNK)
            parts.append(linear_system(model.at(state.take(some)), [term.take(index[some]) for term in terms]))
        return parts[0] if len(parts) == 1 else Normal(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    return evaluate


@dataclass(frozen=True)
class Descent:
    """Where a solve ended: ``state``, ``cost`` (N,), ``converged`` (N,) bool, ``iterations`` (N,), ``trace`` (I,N)."""

    state: Free
    cost: Array
    converged: Array
    iterations: Array
    trace: Array


def minimise(evaluate: Evaluate, state: Free, bound: Array, iterations: int = 40, tolerance: float = 1e-5) -> Descent:
    """Every sample on its own, steps within ``bound`` (n,). Energies never rise; states stay finite.

    A sample has converged when an accepted step gains less than ``tolerance`` of its energy twice in a row, or when no
    step of any length gains.
    """
    count = len(state)
    active = np.arange(count)
    normal = evaluate(state, active)
    best, cost = Free(state.root.copy(), state.values.copy()), normal.cost.copy()
    damping, still = np.full(count, 1e-2), np.zeros(count, dtype=np.int64)
    converged, used = ~np.isfinite(cost), np.zeros(count, dtype=np.int64)
    trace = [cost.copy()]
    if converged.any():
        active, normal = _kept(active, normal, ~converged)
    for _ in range(iterations):
        if not len(active):
            break
        delta = damped_step(normal, damping[active], bound)
        here = best.take(active)
        trial = here.step(delta)
        after = evaluate(trial, active)
        better = after.cost < normal.cost
        predicted = np.sum(delta * (normal.gradient + 0.5 * (normal.hessian @ delta[..., None])[..., 0]), axis=1)
        share = (normal.cost - after.cost) / np.maximum(-predicted, 1e-12)
        gain = np.where(better, (normal.cost - after.cost) / np.maximum(normal.cost, 1e-12), 0.0)
        here = trial.where(better, here)
        best.root[active], best.values[active] = here.root, here.values
        normal = Normal(*(_chosen(better, new, old) for new, old in zip(after, normal, strict=True)))
        cost[active] = normal.cost
        used[active] += 1
        factor = np.where(better, np.where(share > _GOOD, _DOWN, np.where(share < _POOR, 2.0, 1.0)), _UP)
        damping[active] = np.clip(damping[active] * factor, _LEAST, _MOST)
        still[active] = np.where(better & (gain >= tolerance), 0, still[active] + better)
        converged[active] = (still[active] >= 2) | (damping[active] >= _MOST)
        trace.append(cost.copy())
        active, normal = _kept(active, normal, ~converged[active])
    return Descent(best, cost, converged, used, np.array(trace))


def minimise_shared(
    evaluate: Evaluate, state: Free, bound: Array, split: int, iterations: int = 30, tolerance: float = 1e-5
) -> Descent:
    """All samples with one and the same last unknowns, from ``split`` on (betas): each one's own are eliminated (Schur
    complement)."""
    count = len(state)
    everyone = np.arange(count)
    best = Free(state.root.copy(), state.values.copy())
    best.values[:, split:] = best.values[:, split:].mean(axis=0)
    normal = evaluate(best, everyone)
    damping, still, trace = 1e-2, 0, [normal.cost.copy()]
    for _ in range(iterations):
        inner = _damped(normal.hessian[:, :split, :split], np.full(count, damping))
        mixed = normal.hessian[:, :split, split:]
        right = np.concatenate([normal.gradient[:, :split, None], mixed], axis=2)
        solved = np.linalg.solve(inner, right)
        own, by_shape = solved[..., 0], solved[..., 1:]
        across = np.swapaxes(mixed, 1, 2)
        hessian = normal.hessian[:, split:, split:].sum(axis=0)
        schur = hessian - np.sum(across @ by_shape, axis=0) + damping * np.diag(np.diag(hessian))
        down = normal.gradient[:, split:].sum(axis=0) - np.sum(across @ own[..., None], axis=0)[:, 0]
        betas = -np.linalg.solve(schur + 1e-9 * np.eye(len(schur)), down)
        delta = np.concatenate([-own - by_shape @ betas, np.tile(betas, (count, 1))], axis=1)
        trial = best.step(np.clip(delta, -bound, bound))
        after = evaluate(trial, everyone)
        before, now = normal.cost.sum(), after.cost.sum()
        if now < before:
            still = still + 1 if before - now < tolerance * before else 0
            best, normal, damping = trial, after, max(damping * _DOWN, _LEAST)
        else:
            damping *= _UP
        trace.append(normal.cost.copy())
        if still >= 2 or damping >= _MOST:
            break
    done = still >= 2 or damping >= _MOST
    steps = np.full(count, len(trace) - 1)
    return Descent(best, normal.cost, np.full(count, done), steps, np.array(trace))


def step_bound(layout: Layout) -> Array:
    """(n,) the longest step per unknown: Gauss–Newton's model holds no farther."""
    bound = np.full(layout.size, 0.25)  # rad
    bound[layout["transl"]] = 1.0  # m
    for name in ("pose", "expression", "betas", "left_hand_pose", "right_hand_pose"):
        if name in layout:
            bound[layout[name]] = 0.5
    return bound


def damped_step(normal: Normal, damping: Array, bound: Array) -> Array:
    """(N,n) the step of Levenberg–Marquardt, within ``bound``."""
    delta = -np.linalg.solve(_damped(normal.hessian, damping), normal.gradient[..., None])[..., 0]
    return np.clip(np.nan_to_num(delta, posinf=0.0, neginf=0.0), -bound, bound)


def _damped(hessian: Array, damping: Array) -> Array:
    """Damped halfway between the diagonal, which scales with each unknown, and its mean: by the former alone, unknowns
    that the data hold hardly at all would be thrown about."""
    out = hessian.copy()
    index = np.arange(hessian.shape[-1])
    diagonal = hessian[:, index, index]
    level = np.sqrt(diagonal * diagonal.mean(axis=1, keepdims=True)) + 1e-3
    out[:, index, index] = diagonal + damping[:, None] * level + 1e-9
    return out


def _chosen(better: Array, new: Array, old: Array) -> Array:
    return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _kept(active: Array, normal: Normal, keep: Array) -> tuple[Array, Normal]:
    if keep.all():
        return active, normal
    return active[keep], Normal(*(part[keep] for part in normal))
