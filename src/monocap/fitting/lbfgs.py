"""L-BFGS with a strong Wolfe line search for many small problems at once. Needs ``monocap[torch]``.

Every sample has its own history, line search and stopping, as if it were alone; only the energy is evaluated
together: in each round all samples that still search ask for one point each. A sample never waits for another's line
search, and one that has stopped costs nothing more.

Nocedal and Wright, *Numerical Optimization* (2006), algorithms 7.4, 3.5 and 3.6; steps are chosen by cubic
interpolation with the safeguards of minFunc (Schmidt 2005), as in ``torch.optim.LBFGS``, so that both take the same
path where rounding allows. Directions come from the compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2): a
few batched products instead of a loop over the history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monocap.errors import InputError, MissingDependencyError
from monocap.types import Array

try:
    import torch
    from torch import Tensor
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error

Energy = Callable[[Tensor, Tensor], Tensor]
"""``energy(x (A,n), samples (A,)) -> (A,)``: values of some of the samples, differentiable; row i belongs to sample
``samples[i]`` and depends on no other row."""

_CURVATURE = 1e-10  # pairs with s·y no larger say nothing sound about curvature, and are left out


@dataclass(frozen=True)
class Limits:
    """When a sample stops, and how its line search judges a step.

    Defaults are SMPLify-X's: at most 900 ``iterations`` (30 steps of 30) and 1110 ``evaluations`` (30 × 37); stop where
    no gradient entry exceeds ``gradient``, an iteration moves no unknown by more than ``move``, or a ``round`` of
    iterations lowers the energy by no more than ``change`` of it (as a fraction; of 1 where it is smaller than 1).
    ``history`` pairs; ``c1``, ``c2`` of the Wolfe conditions; at most ``search`` evaluations in one line search.
    """

    iterations: int = 900
    evaluations: int = 1110
    gradient: float = 1e-5
    move: float = 1e-9
    change: float = 1e-9
    round: int = 30
    history: int = 100
    c1: float = 1e-4
    c2: float = 0.9
    search: int = 25


@dataclass(frozen=True)
class Result:
    """``x`` (N,n) where each sample ended, ``value`` (N,) there, never above that of the start; ``iterations`` and
    ``evaluations`` (N,). ``converged`` (N,): stopped by a tolerance, not by a cap. ``failed`` (N,): met a value
    that is not finite and could not step round it; ``x`` is then the best point before. ``trace`` (N,M): the value
    after each iteration, held after the last, or None if not asked for.
    """

    x: Tensor
    value: Tensor
    iterations: Array
    evaluations: Array
    converged: Array
    failed: Array
    trace: Array | None = None


def minimise(energy: Energy, x0: Tensor, limits: Limits | None = None, *, trace: bool = False) -> Result:
    """Minimise N independent energies from ``x0`` (N,n), float32 or float64, on its device.

    Raises InputError for a start of another shape or kind.
    """
    if x0.ndim != 2 or not x0.is_floating_point():
        raise InputError(f"x0 is {x0.dtype} of shape {tuple(x0.shape)}; expected floating point (N,n)")
    return _Run(energy, x0.detach().clone(), limits or Limits()).result(trace)


class _Pairs:
    """The last steps and gradient changes of each sample, oldest first, and their inner products (float64)."""

    def __init__(self, like: Tensor, history: int) -> None:
        count, size = like.shape
        self.length = np.zeros(count, np.int64)
        self.capacity, self._like, self._size = history, like, size
        self._room(min(8, history))

    def _room(self, room: int) -> None:
        """Make or enlarge the storage: long histories are rare, and cost memory and time for every sample."""
        count, old = len(self.length), getattr(self, "s", None)
        s, y = (self._like.new_zeros((count, room, self._size)) for _ in range(2))
        double = {"dtype": torch.float64, "device": self._like.device}
        sy, yy = torch.zeros((count, room, room), **double), torch.zeros((count, room, room), **double)
        gamma = torch.ones(count, **double)
        if old is not None:
            n = old.shape[1]
            s[:, :n], y[:, :n], sy[:, :n, :n], yy[:, :n, :n] = self.s, self.y, self.sy, self.yy
            gamma = self.gamma
        self.s, self.y, self.sy, self.yy, self.gamma = s, y, sy, yy, gamma

    def add(self, rows: Array, step: Tensor, change: Tensor) -> None:
        """Append ``step`` and ``change`` (A,n) to the samples ``rows``, dropping the oldest where there is no room."""
        product = torch.sum(step * change, dim=1)
        sound = (product > _CURVATURE).cpu().numpy()
        if not sound.any():
            return
        rows, index = rows[sound], torch.as_tensor(sound, device=step.device)
        step, change = step[index], change[index]
        room = self.s.shape[1]
        if (self.length[rows] >= room).any() and room < self.capacity:
            self._room(min(2 * room, self.capacity))
        full = rows[self.length[rows] >= self.s.shape[1]]
        if len(full):
            for stored in (self.s, self.y):
                stored[full] = torch.roll(stored[full], -1, 1)
            for stored in (self.sy, self.yy):
                stored[full] = torch.roll(stored[full], (-1, -1), (1, 2))
            self.length[full] -= 1
        at = self.length[rows]
        self.s[rows, at], self.y[rows, at] = step, change
        wide = change.double()[..., None]
        by_s = (self.s[rows].double() @ wide)[..., 0]  # sᵢ·y of the new y
        by_y = (self.y[rows].double() @ wide)[..., 0]
        later = torch.as_tensor(np.arange(self.s.shape[1]) > at[:, None], device=step.device)
        by_s, by_y = by_s.masked_fill(later, 0.0), by_y.masked_fill(later, 0.0)
        self.sy[rows, at], self.yy[rows, at] = 0.0, by_y
        self.sy[rows, :, at], self.yy[rows, :, at] = by_s, by_y
        self.gamma[rows] = torch.sum(step.double() * change.double(), 1) / torch.sum(change.double() ** 2, 1)
        self.length[rows] = at + 1

    def direction(self, rows: Array, gradient: Tensor) -> Tensor:
        """−H g (A,n) of the samples ``rows``."""
        used = int(self.length[rows].max()) if len(rows) else 0
        if not used:
            return -gradient
        s, y = self.s[rows, :used], self.y[rows, :used]
        sy, yy, gamma = self.sy[rows, :used, :used], self.yy[rows, :used, :used], self.gamma[rows, None, None]
        diagonal = torch.diagonal(sy, dim1=1, dim2=2)
        empty = torch.as_tensor(np.arange(used) >= self.length[rows, None], device=gradient.device)
        upper = sy + torch.diag_embed(empty.to(sy.dtype))  # no pair there: the rows and columns are zero
        column = gradient[..., None]
        s_g, y_g = (s @ column).double(), (y @ column).double()
        inner = torch.linalg.solve_triangular(upper, s_g, upper=True)
        right = diagonal[..., None] * inner + gamma * (yy @ inner - y_g)
        outer = torch.linalg.solve_triangular(upper.mT, right, upper=False)
        kind = gradient.dtype
        moved = s.mT @ outer.to(kind) - gamma.to(kind) * (y.mT @ inner.to(kind))
        return -(gamma.to(kind) * column + moved)[..., 0]


def _cubic(x1: Array, f1: Array, g1: Array, x2: Array, f2: Array, g2: Array, low: Array, high: Array) -> Array:
    """Where the cubic through two values and slopes is least, kept within [low, high]; the middle if it has no
    minimum, or if something is not finite."""
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    d2 = np.sqrt(np.maximum(square, 0.0))
    rising = x1 <= x2
    a, b = np.where(rising, x1, x2), np.where(rising, x2, x1)
    g_a, g_b = np.where(rising, g1, g2), np.where(rising, g2, g1)
    found = b - (b - a) * ((g_b + d2 - d1) / (g_b - g_a + 2 * d2))
    good = (square >= 0) & np.isfinite(found)
    return np.where(good, np.clip(found, low, high), 0.5 * (low + high))


class _Search:
    """The line searches of all samples: for each, two ends of an interval with value, slope and gradient there.

    While bracketing, end 0 is the last trial and the interval is open; in the zoom the better end is ``low``.
    """

    def __init__(self, like: Tensor, limits: Limits) -> None:
        count = len(like)
        self.limits = limits
        self.t, self.f, self.slope = (np.zeros((2, count)) for _ in range(3))
        self.gradient = like.new_zeros((2, *like.shape))
        self.low = np.zeros(count, np.int64)
        self.zooming = np.zeros(count, bool)
        self.slow = np.zeros(count, bool)  # the last step came too near an end of the interval
        self.tries = np.zeros(count, np.int64)
        self.f0, self.slope0, self.trial = (np.zeros(count) for _ in range(3))
        self.reach = np.zeros(count)  # largest entry of the direction

    def begin(self, rows: Array, f: Array, slope: Array, gradient: Tensor, trial: Array, reach: Array) -> None:
        """Start at the current point of ``rows``, with ``trial`` (A,) as the first step to try."""
        self.t[0, rows], self.f[0, rows], self.slope[0, rows] = 0.0, f, slope
        self.gradient[0, rows] = gradient
        self.f0[rows], self.slope0[rows], self.trial[rows], self.reach[rows] = f, slope, trial, reach
        self.zooming[rows] = self.slow[rows] = False
        self.low[rows] = self.tries[rows] = 0

    def _set(self, end: Array | int, rows: Array, f: Array, slope: Array, gradient: Tensor) -> None:
        self.t[end, rows], self.f[end, rows], self.slope[end, rows] = self.trial[rows], f, slope
        self.gradient[end, rows] = gradient

    def advance(self, rows: Array, f: Array, slope: Array, gradient: Tensor) -> Array:
        """Judge the trials of ``rows``; returns which (A,) of them are through, `low` then being the end to take."""
        self.tries[rows] += 1
        done = np.zeros(len(rows), bool)
        zooming = self.zooming[rows]
        for part, judge in ((~zooming, self._bracket), (zooming, self._zoom)):
            if part.any():
                place = np.flatnonzero(part)
                some = torch.as_tensor(place, device=gradient.device)
                done[place] = judge(rows[place], f[place], slope[place], gradient[some])
        left = rows[~done & self.zooming[rows]]
        width = np.abs(self.t[1, left] - self.t[0, left]) * self.reach[left]
        ended = (width < self.limits.move) | (self.tries[left] >= self.limits.search)
        done |= np.isin(rows, left[ended])
        self._interpolate(left[~ended])
        return done

    def _poor(self, rows: Array, f: Array) -> Array:
        """No sufficient decrease (Armijo); a value that is not finite is never one."""
        return ~(f <= self.f0[rows] + self.limits.c1 * self.trial[rows] * self.slope0[rows])

    def _bracket(self, rows: Array, f: Array, slope: Array, gradient: Tensor) -> Array:
        poor = self._poor(rows, f) | ((self.tries[rows] > 2) & (f >= self.f[0, rows]))
        good = ~poor & (np.abs(slope) <= -self.limits.c2 * self.slope0[rows])
        closed = poor | (~good & (slope >= 0))
        spent = ~good & ~closed & (self.tries[rows] >= self.limits.search)
        self._set(1, rows, f, slope, gradient)
        self.low[rows] = np.where(closed & ~(f < self.f[0, rows]), 0, 1)
        self.zooming[rows] = closed
        on = ~good & ~closed & ~spent
        if on.any():
            r = rows[on]
            before, now = self.t[0, r], self.t[1, r]
            ends = self.f[0, r], self.slope[0, r], now, self.f[1, r], self.slope[1, r]
            self.trial[r] = _cubic(before, *ends, now + 0.01 * (now - before), 10 * now)
            for stored in (self.t, self.f, self.slope):
                stored[0, r] = stored[1, r]
            self.gradient[0, r] = self.gradient[1, r]
        return good | spent

    def _zoom(self, rows: Array, f: Array, slope: Array, gradient: Tensor) -> Array:
        low = self.low[rows]
        high = 1 - low
        worse = self._poor(rows, f) | ~(f < self.f[low, rows])
        good = ~worse & (np.abs(slope) <= -self.limits.c2 * self.slope0[rows])
        turned = ~worse & ~good & (slope * (self.t[high, rows] - self.t[low, rows]) >= 0)
        r, a, b = rows[turned], low[turned], high[turned]
        for stored in (self.t, self.f, self.slope):
            stored[b, r] = stored[a, r]
        self.gradient[b, r] = self.gradient[a, r]
        self._set(np.where(worse, high, low), rows, f, slope, gradient)
        first, second = self.f[0, rows], self.f[1, rows]
        self.low[rows] = np.where(worse, np.where(second < first, 1, 0), low)
        return good

    def _interpolate(self, rows: Array) -> None:
        """The next trial inside the interval, a tenth of it away from its ends where they attract the steps."""
        (t1, t2), (f1, f2), (g1, g2) = self.t[:, rows], self.f[:, rows], self.slope[:, rows]
        low, high = np.minimum(t1, t2), np.maximum(t1, t2)
        t = _cubic(t1, f1, g1, t2, f2, g2, low, high)
        margin = 0.1 * (high - low)
        near = np.minimum(high - t, t - low) < margin
        moved = near & (self.slow[rows] | (t >= high) | (t <= low))
        inside = np.where(np.abs(t - high) < np.abs(t - low), high - margin, low + margin)
        self.trial[rows] = np.where(moved, inside, t)
        self.slow[rows] = near & ~moved


class _Run:
    """One minimisation: the points of all samples, their line searches and histories."""

    def __init__(self, energy: Energy, x: Tensor, limits: Limits) -> None:
        self.energy, self.x, self.limits = energy, x, limits
        count = len(x)
        self.gradient, self.d = torch.zeros_like(x), torch.zeros_like(x)
        self.f = np.full(count, np.nan)
        self.iterations, self.evaluations = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.converged, self.failed = np.zeros(count, bool), np.zeros(count, bool)
        self.active = np.arange(count)
        self.mark = np.full(count, np.inf)  # the value when the round began
        self.trace: list[tuple[Array, Array]] = []

    def result(self, trace: bool) -> Result:
        count = len(self.x)
        if count:
            with np.errstate(all="ignore"):  # trials may be infinite: the search steps back from them
                self._minimise()
        value = torch.as_tensor(self.f, dtype=self.x.dtype, device=self.x.device)
        return Result(
            *(self.x, value, self.iterations, self.evaluations, self.converged, self.failed),
            trace=self._traced() if trace else None,
        )

    def _traced(self) -> Array:
        longest = int(self.iterations.max(initial=0))
        table, at = np.full((len(self.x), longest + 1), np.nan), np.zeros(len(self.x), np.int64)
        for rows, values in self.trace:
            table[rows, at[rows]] = values
            at[rows] += 1
        for row, used in zip(table, at, strict=True):
            row[used:] = row[used - 1]
        return table

    def _minimise(self) -> None:
        limits, x = self.limits, self.x
        self.pairs, self.search = _Pairs(x, limits.history), _Search(x, limits)
        f, gradient, largest = self._evaluate(x, self.active)
        self.f, self.gradient, self.mark = f.copy(), gradient, f.copy()
        self.trace.append((self.active, f.copy()))
        sound = np.isfinite(largest) & np.isfinite(f)
        self.failed = ~sound
        self.converged = sound & (largest <= limits.gradient)
        self.active = np.flatnonzero(sound & ~self.converged)
        self._aim(self.active)
        while len(self.active):
            rows = self.active
            t = torch.as_tensor(self.search.trial[rows], dtype=x.dtype, device=x.device)[:, None]
            f, gradient, largest = self._evaluate(x[rows] + t * self.d[rows], rows)
            slope = torch.sum(gradient * self.d[rows], dim=1).double().cpu().numpy()
            f = np.where(np.isfinite(largest) & np.isfinite(slope), f, np.inf)
            f = np.where(np.isnan(f), np.inf, f)
            through = self.search.advance(rows, f, slope, gradient)
            self._accept(rows[through])

    def _evaluate(self, x: Tensor, rows: Array) -> tuple[Array, Tensor, Array]:
        """Values (A,), gradients (A,n) and their largest entries (A,) of some samples."""
        self.evaluations[rows] += 1
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            values = self.energy(x, torch.as_tensor(rows, device=x.device))
            gradient = torch.autograd.grad(values.sum(), x)[0]
        with torch.no_grad():
            both = torch.stack([values.detach().double(), gradient.abs().amax(dim=1).double()]).cpu().numpy()
        return both[0], gradient, both[1]

    def _accept(self, rows: Array) -> None:
        """Move ``rows`` to the better end of their intervals, decide which of them stop, and aim the others anew."""
        if not len(rows):
            return
        search, limits, x = self.search, self.limits, self.x
        low = search.low[rows]
        t, f, gradient = search.t[low, rows], search.f[low, rows], search.gradient[low, rows]
        step = torch.as_tensor(t, dtype=x.dtype, device=x.device)[:, None] * self.d[rows]
        self.pairs.add(rows, step, gradient - self.gradient[rows])
        x[rows] += step
        self.gradient[rows] = gradient
        self.f[rows] = f
        self.iterations[rows] += 1
        self.trace.append((rows, f.copy()))
        largest = gradient.abs().amax(dim=1).double().cpu().numpy()
        still = np.abs(t) * search.reach[rows] <= limits.move
        # no finite trial on the whole way back to the start of the search
        lost = still & ~np.isfinite(search.f[1 - low, rows])
        ended = self.iterations[rows] % limits.round == 0
        fell = self.mark[rows] - f
        flat = ended & (fell <= limits.change * np.maximum(np.maximum(np.abs(self.mark[rows]), np.abs(f)), 1.0))
        self.mark[rows] = np.where(ended, f, self.mark[rows])
        self.failed[rows] = lost
        self.converged[rows] = ~lost & ((largest <= limits.gradient) | still | flat)
        capped = (self.iterations[rows] >= limits.iterations) | (self.evaluations[rows] >= limits.evaluations)
        self._stop(rows[lost | self.converged[rows] | capped])
        self._aim(rows[~(lost | self.converged[rows] | capped)])

    def _aim(self, rows: Array) -> None:
        """A new direction and first step for ``rows``; those that it does not lead downhill stop."""
        if not len(rows):
            return
        gradient = self.gradient[rows]
        d = self.pairs.direction(rows, gradient)
        sums = torch.stack([torch.sum(d * gradient, 1), d.abs().amax(1), gradient.abs().sum(1)])
        slope, reach, total = sums.double().cpu().numpy()
        downhill = slope <= -self.limits.move
        fresh = self.iterations[rows] == 0
        trial = np.where(fresh, np.minimum(1.0, 1.0 / total), 1.0)
        self.d[rows] = d
        self.search.begin(rows, self.f[rows], slope, gradient, trial, reach)
        self.converged[rows[~downhill]] = True
        self._stop(rows[~downhill])

    def _stop(self, rows: Array) -> None:
        self.active = np.setdiff1d(self.active, rows)
