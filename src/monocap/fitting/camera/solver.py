"""Levenberg–Marquardt on a scene: every frame's pose eliminated (Schur complement), then what all share is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monocap.fitting.camera.scene import (
    FOCAL,
    PEOPLE,
    Person,
    Prior,
    SceneState,
    SharedRows,
    Stance,
    own_rows,
    seen_rows,
    shared_cost,
    shared_rows,
    stance_rows,
    upright_rows,
)
from monocap.fitting.state import UNKNOWNS, linearise
from monocap.types import Array, Camera

_UP, _DOWN, _MIN_DAMPING, _MAX_DAMPING = 8.0, 0.2, 1e-7, 1e8
_MOST = 0.5, 1.0  # rad and metres (of places and levels too) of one step
_MOST_FOCAL = 0.3  # of ln f


@dataclass(frozen=True)
class Scene:
    """People before one still ``camera``, whose focal lengths are only a start; their stances, and what is known."""

    camera: Camera
    people: tuple[Person, ...]
    stances: tuple[Stance, ...]
    prior: Prior

    def K(self, log_focal: float) -> Array:  # noqa: N802 - the field's name for it
        """(3,3) intrinsics at that ln f; the pixels' shape and the principal point stay."""
        K = self.camera.K
        K[[0, 1], [0, 1]] *= np.exp(log_focal) / self.camera.fx
        return K


class _Normal(NamedTuple):
    cost: float
    gradient: tuple[Array, ...]  # of each person (T,63)
    hessian: tuple[Array, ...]  # (T,63,63)
    mixed: tuple[Array, ...]  # (T,63,C)
    shared_gradient: Array  # (C,)
    shared_hessian: Array  # (C,C)


class Solved(NamedTuple):
    """``log_sigma``: deviation of ln f by the Hessian at the end, everything else free; infinite if it was held."""

    state: SceneState
    cost: float
    log_sigma: float


def solve_scene(
    scene: Scene, state: SceneState, hold_focal: bool = False, iterations: int = 10, tolerance: float = 1e-5
) -> Solved:
    """Everybody's poses and distances with focal length (unless held), tilt, ground and places of feet."""
    normal = _normal(scene, state)
    damping = 1e-2
    for _ in range(iterations):
        step = _step(normal, damping, hold_focal)
        trial = state.step(*step)
        after = _normal(scene, trial)
        gain = (normal.cost - after.cost) / max(normal.cost, 1e-9)
        if gain > 0:
            state, normal = trial, after
            damping = max(damping * _DOWN, _MIN_DAMPING)
        else:
            damping *= _UP
        if 0 <= gain < tolerance or damping > _MAX_DAMPING:
            break
    return Solved(state, normal.cost, np.inf if hold_focal else _deviation(normal, scene.prior.strength))


def _normal(scene: Scene, state: SceneState) -> _Normal:
    K, shared = scene.K(state.log_focal), state.shared
    residual, jacobian = shared_rows(scene.prior, scene.stances, state)
    cost = shared_cost(scene.prior, scene.stances, state)
    shared_gradient, shared_hessian = jacobian.T @ residual, jacobian.T @ jacobian
    gradients, hessians, mixed = [], [], []
    for i, (person, pose) in enumerate(zip(scene.people, state.poses, strict=True)):
        at = linearise(person.skeleton, pose)
        parts: list[SharedRows] = [
            seen_rows(person, at, K, float(state.apparent[i]), PEOPLE + len(scene.people) + i, shared),
            upright_rows(person, at, state.tilt, shared),
            stance_rows(scene.stances, i, at, state),
            *(own_rows(term.rows(at), at, shared) for term in person.terms),
        ]
        r = np.concatenate([part.residual for part in parts], axis=1)
        J = np.concatenate([part.jacobian for part in parts], axis=1)
        S = np.concatenate([part.by_shared for part in parts], axis=1)
        cost += float(sum(part.cost.sum() for part in parts))
        transposed = np.swapaxes(J, 1, 2)
        gradients.append((transposed @ r[..., None])[..., 0])
        hessians.append(transposed @ J)
        mixed.append(transposed @ S)
        flat = S.reshape(-1, shared)
        shared_gradient = shared_gradient + flat.T @ r.reshape(-1)
        shared_hessian = shared_hessian + flat.T @ flat
    return _Normal(cost, tuple(gradients), tuple(hessians), tuple(mixed), shared_gradient, shared_hessian)


def _eliminated(normal: _Normal, damping: float) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """The Schur complement (C,C), its right side (C,), and each person's H⁻¹g (T,63) and H⁻¹M (T,63,C)."""
    schur, right = normal.shared_hessian.copy(), normal.shared_gradient.copy()
    index, solved = np.arange(UNKNOWNS), []
    for gradient, hessian, mixed in zip(normal.gradient, normal.hessian, normal.mixed, strict=True):
        inner = hessian.copy()
        inner[:, index, index] += damping * (hessian[:, index, index] + 1e-3) + 1e-9
        both = np.linalg.solve(inner, np.concatenate([gradient[..., None], mixed], axis=-1))
        transposed = np.swapaxes(mixed, 1, 2)
        schur -= np.sum(transposed @ both[..., 1:], axis=0)
        right -= np.sum(transposed @ both[..., :1], axis=0)[:, 0]
        solved.append((both[..., 0], both[..., 1:]))
    return schur, right, solved


def _step(normal: _Normal, damping: float, hold_focal: bool) -> tuple[tuple[Array, ...], Array]:
    schur, right, solved = _eliminated(normal, damping)
    schur[np.diag_indices_from(schur)] += damping * np.diag(normal.shared_hessian) + 1e-9
    if hold_focal:
        schur[FOCAL], schur[:, FOCAL] = 0.0, 0.0
        schur[FOCAL, FOCAL], right[FOCAL] = 1.0, 0.0
    shared = np.clip(-np.linalg.solve(schur, right), -_MOST[1], _MOST[1])
    shared[FOCAL] = np.clip(shared[FOCAL], -_MOST_FOCAL, _MOST_FOCAL)
    limit = np.full(UNKNOWNS, _MOST[0])
    limit[-3:] = _MOST[1]
    return tuple(np.clip(-by_pose - by_shared @ shared, -limit, limit) for by_pose, by_shared in solved), shared


def _deviation(normal: _Normal, strength: float) -> float:
    schur, _, _ = _eliminated(normal, 1e-9)
    schur[np.diag_indices_from(schur)] += 1e-9
    return float(np.sqrt(strength * max(np.linalg.inv(schur)[FOCAL, FOCAL], 0.0)))
