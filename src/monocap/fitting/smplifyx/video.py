"""One person through a video: one shape, every frame from its neighbours, smooth over time.

Key frames are fitted as pictures, together with one shape; the frames between them start from what lies between; then
windows of frames are solved at once, coupled by the accelerations of the body's points, as in `fitting.recipes`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monocap.fitting.smoothness import Coupling, Smoothness, couple, couple_diagonal, uncoupled
from monocap.fitting.smplifyx.energy import part_of
from monocap.fitting.smplifyx.solver import CHUNK, Normal, linear_system, step_bound
from monocap.fitting.smplifyx.state import Free, Model
from monocap.fitting.smplifyx.terms import Term
from monocap.fitting.solver import descend_coupled
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.types import Array

WINDOW, OVERLAP = 300, 20
KEYS = 0.4  # s between key frames
ACCELERATION = 9.0  # m/s², one standard deviation of a point's
CODE = 60.0  # 1/s², of every other unknown: codes, coefficients, radians
# Published weights take errors of 2 px for rarer than they are, those of real detectors even more so.
STRENGTH = 10.0


def between(keys: Free, at: Array, times: Array) -> Free:
    """States at ``times`` (T,) between key states at increasing times ``at`` (k,): shortest turns, straight lines."""
    if len(keys) == 1:
        return keys.take(np.zeros(len(times), dtype=np.int64))
    after = np.clip(np.searchsorted(at, times), 1, len(at) - 1)
    share = np.clip((times - at[after - 1]) / (at[after] - at[after - 1]), 0.0, 1.0)
    return mixed(keys.take(after - 1), keys.take(after), share)


def mixed(a: Free, b: Free, share: Array) -> Free:
    """Between two states, sample by sample: ``share`` (N,) of the way."""
    turn = matrix_to_axis_angle(np.swapaxes(a.root, 1, 2) @ b.root)
    root = a.root @ axis_angle_to_matrix(turn * share[:, None])
    return Free(root, a.values + share[:, None] * (b.values - a.values))


class Window:
    """The coupled problem of consecutive frames with fixed betas."""

    def __init__(self, model: Model, terms: list[Term], times: Array, smooth: float) -> None:
        self.model, self.terms, self.times = model, terms, times
        self.strength = STRENGTH * smooth**2
        self.used = np.array([k for k, name in enumerate(model.points.names) if part_of(name) != "face"])
        self.own = slice(6, model.layout.frame)

    def __call__(self, state: _Frames) -> tuple[Normal, Coupling]:
        frames, split = len(state.free), self.model.layout.frame
        parts: list[Normal] = []
        points, slopes = [], []
        for first in range(0, frames, CHUNK):
            index = np.arange(first, min(first + CHUNK, frames))
            at = self.model.at(state.free.take(index))
            whole = linear_system(at, [term.take(index) for term in self.terms])
            parts.append(Normal(whole.cost, whole.gradient[:, :split], whole.hessian[:, :split, :split]))
            assert at.d_points is not None
            points.append(at.points[:, self.used])
            slopes.append(at.d_points[:, self.used, :, :split])
        normal = Normal(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        return normal, self._coupling(state, np.concatenate(points), np.concatenate(slopes))

    def _coupling(self, state: _Frames, points: Array, slopes: Array) -> Coupling:
        frames, split = len(points), self.model.layout.frame
        if frames < 3:
            return uncoupled(frames, split)
        weights = Smoothness(self.times).stencil()
        scale = np.sqrt(self.strength) / (ACCELERATION * np.array([1.0, 1.0, Smoothness.depth_factor]))
        coupling = couple(
            (points * scale).reshape(frames, -1), (slopes * scale[:, None]).reshape(frames, -1, split), weights
        )
        by_code = np.sqrt(self.strength) / CODE
        own = by_code * state.free.values[:, self.own]
        return couple_diagonal(coupling, own, self.own, np.full(own.shape[1], by_code), weights)


class _Frames:
    """A state whose steps leave out the betas."""

    def __init__(self, free: Free) -> None:
        self.free = free

    def step(self, delta: Array) -> _Frames:
        rest = np.zeros((len(delta), self.free.values.shape[1] - delta.shape[1]))
        return _Frames(self.free.step(np.concatenate([delta, rest], axis=1)))


def smoothed(
    model: Model,
    state: Free,
    times: Array,
    terms_of: Callable[[NDArray[np.int64]], list[Term]],
    smooth: float,
    iterations: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Free, Array]:
    """Windows over time, each started from its neighbour's end and cross-faded; the frames' own energies (T,) too.

    ``terms_of(frames)`` gives the energy of some frames by number.
    """
    frames = len(state)
    bound = step_bound(model.layout)[: model.layout.frame]
    starts = list(range(0, max(frames - OVERLAP, 1), WINDOW - OVERLAP))
    done = Free(state.root.copy(), state.values.copy())
    cost = np.zeros(frames)
    for start in starts:
        stop = frames if start == starts[-1] else min(start + WINDOW, frames)
        index = np.arange(start, stop)
        window = Window(model, terms_of(index), times[index], smooth)
        solved, own = descend_coupled(
            window, _Frames(done.take(index)), lambda delta: np.clip(delta, -bound, bound), iterations, 1e-3
        )
        new = solved.free
        if start:
            share = (np.arange(OVERLAP) + 0.5) / OVERLAP
            share = share * share * (3 - 2 * share)
            old = np.arange(OVERLAP)
            faded = mixed(done.take(index[old]), new.take(old), share)
            new.root[old], new.values[old] = faded.root, faded.values
        done.root[index], done.values[index], cost[index] = new.root, new.values, own
        if progress is not None:
            progress(stop, frames)
    return done, cost
