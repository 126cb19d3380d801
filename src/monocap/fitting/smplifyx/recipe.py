"""The recipes: what is fitted, in which order. Read this first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.collision import Collider
from monocap.fitting.smplifyx.capsules import Capsules, Spheres
from monocap.fitting.smplifyx.energy import extents, joint_weights, points_3d, stature, terms_of
from monocap.fitting.smplifyx.interpenetration import Interpenetration, penetration
from monocap.fitting.smplifyx.observations import observed
from monocap.fitting.smplifyx.problem import Views, on_body
from monocap.fitting.smplifyx.result import Fitted
from monocap.fitting.smplifyx.schedule import Schedule, schedule_for
from monocap.fitting.smplifyx.solver import energy_of, minimise, minimise_shared, step_bound
from monocap.fitting.smplifyx.start import starts, starts_3d, visible
from monocap.fitting.smplifyx.state import Free, Model
from monocap.fitting.smplifyx.terms import Stature, Term, projection
from monocap.fitting.smplifyx.video import KEYS, between, smoothed
from monocap.geometry.rotations import geodesic_angle
from monocap.priors.gmm import PoseMixture
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

if TYPE_CHECKING:
    from monocap.fitting.smplifyx.faithful import Faithful

_BATCH = 64  # pictures at once
_COARSE = 2  # the stage that both starts pass first: strong priors, no hands and face
_TRIES, _MOST = (6, 8), 40  # iterations of both starts with coarse and with last weights, of the better one
_TOLERANCE = 4e-4  # relative gain that ends it
_SHAPE_FRAMES, _WINDOW_STEPS = 16, 6  # of a video: key frames that tell the shape, iterations of a window
_COLLISION_ROUNDS, _COLLISION_STEPS = 6, 4  # how often the triangles that meet are found, iterations with them
_CLEAR = 50.0  # times the published weight, which against so many pixels leaves half of the intersections
_RIVAL = 1.5  # a start is given up when its energy is so many times the other's
_HANDS = ("left_hand_pose", "right_hand_pose")
_KNOWN: WeakKeyDictionary[BodyModel, dict[tuple[str, str, int], tuple[Model, Spheres | None]]] = WeakKeyDictionary()

Progress = Callable[[int, int], None]
RecipeName = Literal["smplifyx", "smplify", "video"]


@dataclass(frozen=True)
class Options:
    """What a user may set.

    ``recipe``: smplifyx (VPoser, hands and face as far as the body has them), smplify (mixture prior, capsules), video
    (smplifyx with one shape, smooth over time; wants times); ``faithful``: the published stages with L-BFGS (torch);
    ``height`` m or None (unknown); ``share_betas``: one shape for all pictures; ``interpenetration``: keep the mesh
    out of itself (smplify always keeps its capsules apart instead); ``smooth`` (video) 1 = default, 0 = off;
    ``num_betas`` shape coefficients that are free; ``robust``: errors in pixels as published, or in units of the
    person's size in the picture.
    """

    recipe: RecipeName = "smplifyx"
    faithful: bool = False
    height: float | None = None
    share_betas: bool = False
    interpenetration: bool = False
    smooth: float = 1.0
    num_betas: int = 10
    robust: Literal["official", "person"] = "official"

    def __post_init__(self) -> None:
        if self.recipe not in ("smplifyx", "smplify", "video"):
            raise InputError(f"recipe is {self.recipe!r}; expected smplifyx, smplify or video")
        if self.height is not None and not 0.4 <= self.height <= 2.6:
            raise InputError(f"height is {self.height} m; expected metres between 0.4 and 2.6")
        if not 0.0 <= self.smooth <= 100.0:
            raise InputError(f"smooth is {self.smooth}; expected 0 (off) to 100, 1 is the default")
        if not 1 <= self.num_betas <= 300:
            raise InputError(f"num_betas is {self.num_betas}; expected 1 to 300, 10 is the default")


@threadpool_limits.wrap(limits=1, user_api="blas")
def fit(views: Views, body: BodyModel, options: Options | None = None, progress: Progress | None = None) -> Fitted:
    """One person in N pictures, or in a video when ``views`` have times and the recipe is ``video``.

    ``progress(done, total)`` counts pictures. Raises InputError for a body or keypoints that do not fit.
    """
    options = options or Options()
    if options.faithful:
        from monocap.fitting.smplifyx.faithful import Faithful, fit_faithful

        return fit_faithful(body, views, _faithful(Faithful, options), progress)
    return Fitter.of(body, on_body(views, body).skeleton, options).fit(on_body(views, body), progress)


@dataclass(frozen=True, eq=False)
class Fitter:
    """Holds what does not change between people: the body's points, the prior, the weights."""

    body: BodyModel
    model: Model
    schedule: Schedule
    mixture: PoseMixture | None
    capsules: Capsules | None
    options: Options

    @classmethod
    def of(cls, body: BodyModel, skeleton: str, options: Options) -> Fitter:
        """Those of a body and a set of keypoints, made once."""
        recipe = "smplify" if options.recipe == "smplify" else "smplifyx"
        key = (skeleton, recipe, options.num_betas)
        known = _KNOWN.setdefault(body, {})
        if key not in known:
            vposer = VPoserPrior.load() if recipe == "smplifyx" else None
            model = Model.of(body, skeleton, vposer, options.num_betas)
            known[key] = model, Spheres.of(model.body) if recipe == "smplify" else None
        schedule = schedule_for(body.kind.name, recipe)
        if recipe != "smplify":
            return cls(body, known[key][0], schedule, None, None, options)
        spheres = known[key][1]
        assert spheres is not None
        capsules = Capsules(spheres, spheres.pairs(), schedule.last.collision)
        return cls(body, known[key][0], schedule, PoseMixture.load(), capsules, options)

    def fit(self, views: Views, progress: Progress | None = None) -> Fitted:
        found = np.flatnonzero(visible(views.keypoints) | _enough(views.points3d, len(views)))
        if not len(found):
            return self._report(views, found, _nobody(self.model))
        seen = views.take(found)
        if self.options.recipe == "video":
            solved = self._video(seen, progress)
        else:
            parts = []
            for first in range(0, len(found), _BATCH):
                parts.append(self._pictures(seen.take(slice(first, first + _BATCH))))
                if progress is not None:
                    progress(min(first + _BATCH, len(found)), len(found))
            solved = _joined(parts)
            if self.options.share_betas and len(found) > 1:
                solved = self._one_shape(seen, solved)
        if self.options.interpenetration and self.capsules is None:
            solved = self._apart(seen, solved)
        return self._report(views, found, solved)

    def energy(self, views: Views, stage: int = -1, rough: bool = False) -> list[Term]:
        """The terms that are minimised: a stage's, the last by default, and what the options and views add.

        ``rough``: without depth, silhouette, scan and ground, which mislead a body that is not near them yet.
        """
        weights = self.schedule.stages[stage]
        terms = terms_of(self.model, views, self.schedule, weights, self.mixture, self.options.robust)
        if self.capsules is not None:
            terms.append(self.capsules)
        measured = points_3d(self.model.body, views)
        if measured is not None:
            terms.append(measured)
        if not rough:
            terms += observed(self.model.body, views, extents(views))
        if self.options.height is not None:
            terms.append(Stature(self.options.height, stature(self.model.body)))
        return terms

    def _pictures(self, views: Views) -> Solved:
        """Each picture on its own: two starts with strong priors, then those that may win, then the winner."""
        views = replace(views, times=None)
        model, count = self.model, len(views)
        bound = step_bound(model.layout)
        start, ill = starts(model, self._likely_betas(), views.keypoints, views.K)
        measured = points_3d(model.body, views)
        if measured is not None:
            laid = np.flatnonzero(_enough(views.points3d, count))
            known = starts_3d(model, self._likely_betas(), measured, views).take(laid)
            start.root[2 * laid], start.values[2 * laid] = known.root, known.values
            ill[2 * laid], ill[2 * laid + 1] = 0.0, np.inf
        if self.mixture is not None:
            start.values[:, model.layout["pose"]] = self.mixture.mean[: start.values[:, model.layout["pose"]].shape[1]]
        tried = np.flatnonzero(np.isfinite(ill))
        owner = tried // 2
        evaluate = energy_of(model, self.energy(views.take(owner), _COARSE, rough=True))
        coarse = minimise(evaluate, start.take(tried), bound, _TRIES[0], 1e-3)
        state, cost, used = coarse.state, coarse.cost, coarse.iterations
        keep = cost <= _RIVAL * _least(cost, owner, count)[owner]
        keep &= ~_merged(state, cost, owner)
        rivals = np.flatnonzero(keep & (np.bincount(owner[keep], minlength=count)[owner] > 1))
        cost = np.where(keep, cost, np.inf)
        if len(rivals):
            evaluate = energy_of(model, self.energy(views.take(owner[rivals]), rough=True))
            race = minimise(evaluate, state.take(rivals), bound, _TRIES[1], 1e-3)
            state.root[rivals], state.values[rivals] = race.state.root, race.state.values
            cost[rivals], used[rivals] = race.cost, used[rivals] + race.iterations
        order = np.lexsort((cost, owner))
        best = order[np.searchsorted(owner[order], np.arange(count))]
        last = minimise(energy_of(model, self.energy(views, rough=True)), state.take(best), bound, _MOST, _TOLERANCE)
        used = used[best] + last.iterations
        trace = [("coarse", coarse.trace[:, best]), ("last", last.trace)]
        if any(known is not None for known in (views.masks, views.depths, views.scans, views.ground)):
            last = minimise(energy_of(model, self.energy(views)), last.state, bound, _MOST, _TOLERANCE)
            used = used + last.iterations
            trace.append(("observed", last.trace))
        return Solved(last.state, tuple(trace), tried[best] % 2, last.converged, used)

    def _one_shape(self, views: Views, solved: Solved) -> Solved:
        """All pictures again, with one shape."""
        evaluate = energy_of(self.model, self.energy(views))
        split = self.model.layout.frame
        last = minimise_shared(evaluate, solved.state, step_bound(self.model.layout), split, 25, _TOLERANCE)
        return replace(
            solved,
            state=last.state,
            trace=(*solved.trace, ("one shape", last.trace)),
            converged=last.converged,
            iterations=solved.iterations + last.iterations,
        )

    def _apart(self, views: Views, solved: Solved) -> Solved:
        """What runs through itself is pushed out: triangles that meet are found, the energy minimised, and again."""
        model, collider = self.model, Collider.of(self.model.body)
        bound, weight = step_bound(model.layout), _CLEAR * self.schedule.last.collision
        bound[model.layout["betas"]] = 0.0
        views = replace(views, times=None)
        state, used = solved.state, solved.iterations
        for _ in range(_COLLISION_ROUNDS):
            parts = []
            for first in range(0, len(views), _BATCH):
                some = slice(first, first + _BATCH)
                part = views.take(some)
                contact = Interpenetration.at(model, state.take(some), collider, weight)
                evaluate = energy_of(model, [*self.energy(part), contact])
                parts.append(minimise(evaluate, state.take(some), bound, _COLLISION_STEPS, 1e-3))
            state = Free(*(np.concatenate([getattr(p.state, n) for p in parts]) for n in ("root", "values")))
            used = used + np.concatenate([p.iterations for p in parts])
        return replace(solved, state=state, iterations=used)

    def _video(self, views: Views, progress: Progress | None) -> Solved:
        """Key frames as pictures, one shape, then all frames at once."""
        count = len(views)
        if views.times is None:
            raise InputError("the recipe video needs times, seconds per frame; without them use smplifyx")
        apart = max(int(KEYS / np.median(np.diff(views.times))), 1) if count > 1 else 1
        keys = np.unique(np.r_[np.arange(0, count, apart), count - 1])
        batches = (keys[first : first + _BATCH] for first in range(0, len(keys), _BATCH))
        rough = _joined([self._pictures(views.take(batch)) for batch in batches])
        spread = np.unique(np.linspace(0, len(keys) - 1, min(_SHAPE_FRAMES, len(keys))).astype(np.int64))
        evaluate = energy_of(self.model, self.energy(views.take(keys[spread])))
        layout, start = self.model.layout, rough.state.take(spread)
        shaped = minimise_shared(evaluate, start, step_bound(layout), layout.frame, 12, 1e-3).state
        rough.state.root[spread], rough.state.values[spread] = shaped.root, shaped.values
        rough.state.values[:, layout["betas"]] = shaped.values[0, layout["betas"]]
        state = between(rough.state, views.times[keys], views.times)

        def terms(index: NDArray[np.int64]) -> list[Term]:
            return self.energy(views.take(index))

        state, cost = smoothed(self.model, state, views.times, terms, self.options.smooth, _WINDOW_STEPS, progress)
        near = np.clip(np.searchsorted(keys, np.arange(count)), 0, len(keys) - 1)
        return Solved(state, (("video", cost[None]),), rough.start[near], np.ones(count, bool), rough.iterations[near])

    def _likely_betas(self) -> Array:
        """(B,) the likeliest shape: the mean, or that of the height."""
        betas = np.zeros(self.model.body.num_betas)
        if self.options.height is None:
            return betas
        base, slope = stature(self.model.body)
        return slope * (self.options.height - base) / (1e-6 + slope @ slope)

    def _report(self, views: Views, found: NDArray[np.int64], solved: Solved) -> Fitted:
        """Results in the rows of the pictures in which somebody was found."""
        model, count = self.model, len(views)
        state = model.rest(count)
        state.root[found], state.values[found] = solved.state.root, solved.state.values
        energies: dict[str, Array] = {}
        residual = np.zeros(count)
        for first in range(0, len(found), _BATCH):
            some = found[first : first + _BATCH]
            part = views.take(some)
            at = model.at(state.take(some))
            for term in self.energy(part):
                energies.setdefault(term.name, np.zeros(count))[some] += term.rows(at).cost
            pixels, _ = projection(at.points, part.K)
            weight = np.sqrt(
                joint_weights(model.points.names, part.keypoints[..., 2], self.schedule, self.schedule.last)
            )
            squared = np.sum((pixels - part.keypoints[..., :2]) ** 2, axis=-1)
            residual[some] = np.sqrt(np.sum(weight * squared, axis=1) / np.maximum(weight.sum(axis=1), 1e-9))

        if self.options.interpenetration and self.capsules is None and len(found):
            apart = _CLEAR * self.schedule.last.collision * penetration(model, solved.state, Collider.of(model.body))
            energies["collision"] = np.zeros(count)
            energies["collision"][found] = apart

        def spread(values: Array, fill: float = 0) -> Array:
            out = np.full((*values.shape[:-1], count), fill, dtype=np.result_type(values))
            out[..., found] = values
            return out

        hands = [
            state.values[:, model.layout[name]] if name in model.body.hand_components else None for name in model.hands
        ]
        left, right = hands or (None, None)
        seen = np.zeros(count, dtype=bool)
        seen[found] = True
        return Fitted(
            params=model.params(state),
            latent=state.values[:, model.layout["pose"]].copy() if model.vposer is not None else None,
            left_hand_pca=left,
            right_hand_pca=right,
            found=seen,
            energies=energies,
            trace=tuple((name, spread(values, np.nan)) for name, values in solved.trace),
            start=spread(solved.start),
            converged=spread(solved.converged),
            iterations=spread(solved.iterations),
            residual_px=residual,
            recipe=self.options.recipe,
        )


@dataclass(frozen=True)
class Solved:
    """States of the N pictures in which somebody is seen, and how they came about; fields as in `Fitted`."""

    state: Free
    trace: tuple[tuple[str, Array], ...]
    start: Array
    converged: Array
    iterations: Array


def _enough(points3d: Array | None, count: int) -> NDArray[np.bool_]:
    """(count,) whether so many 3D points were measured that they place a body."""
    if points3d is None:
        return np.zeros(count, dtype=bool)
    return np.sum(points3d[..., 3] > 0, axis=1) >= 4


def _least(cost: Array, owner: NDArray[np.int64], count: int) -> Array:
    """(count,) the least cost of each owner's samples."""
    out = np.full(count, np.inf)
    np.minimum.at(out, owner, cost)
    return out


def _merged(state: Free, cost: Array, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Samples that have come to the same place as the one before them, of the same owner."""
    same = np.zeros(len(owner), dtype=bool)
    turned = geodesic_angle(state.root[1:], state.root[:-1]) < 0.2
    same[1:] = (owner[1:] == owner[:-1]) & turned & (np.abs(cost[1:] - cost[:-1]) < 0.02 * cost[:-1])
    return same


def _nobody(model: Model) -> Solved:
    none = np.zeros(0, dtype=np.int64)
    return Solved(model.rest(0), (), none, none.astype(bool), none)


def _joined(parts: Sequence[Solved]) -> Solved:
    """Batches side by side; a shorter trace is held at its end."""
    if len(parts) == 1:
        return parts[0]
    traces = []
    for k, (name, _) in enumerate(parts[0].trace):
        tables = [part.trace[k][1] for part in parts]
        longest = max(len(table) for table in tables)
        held = [np.concatenate([t, np.repeat(t[-1:], longest - len(t), axis=0)]) for t in tables]
        traces.append((name, np.concatenate(held, axis=1)))
    return Solved(
        Free(
            np.concatenate([part.state.root for part in parts]), np.concatenate([part.state.values for part in parts])
        ),
        tuple(traces),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.converged for part in parts]),
        np.concatenate([part.iterations for part in parts]),
    )


def _faithful(kind: type[Faithful], options: Options) -> Faithful:
    if options.recipe != "smplifyx":
        raise InputError(f"recipe {options.recipe!r} has no faithful form; expected smplifyx")
    if options.height is not None or options.share_betas or options.robust != "official":
        raise InputError("the published fit knows no height, shared shape or scaled errors; fit without faithful")
    return kind(interpenetration=options.interpenetration, num_betas=options.num_betas)
