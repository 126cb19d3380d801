"""``smplifyx --faithful``: SMPLify-X as published, stage by stage with L-BFGS, many pictures at once. Needs torch.

Kept as published (Pavlakos et al. 2019; facts of its code by reading and running it):

- the energy and its five stages (four for SMPL), every unknown free in each, VPoser's code as the pose, mean hands
  plus 12 coefficients each, confidences and joint weights squared, ρ = 100 px per coordinate, data weight 1000 / H;
- the camera: depth from the torso's length at rest (body upside down, turn 0), then place and turn of the body at
  rest by the torso's four joints, depth held by 100² per m²; it keeps still in all later stages;
- both orientations: shoulders closer than 25 px start a second fit, turned by half a turn about the body's own
  upright axis; the lower energy wins;
- L-BFGS (history 100, strong Wolfe, c1 10⁻⁴, c2 0.9) anew in every stage, at most 900 iterations and 1110 evaluations.

Mended, where the published code crashes or spoils results:

- torso joints that were not seen, (0, 0), count neither for depth nor in the camera stage; without a torso, the spread
  of all seen joints gives the depth, and all seen joints place the body. Too few points: not `found`, no crash;
- values that are not finite end the line search's step, at worst that sample, never the run (`lbfgs`);
- both starts are kept apart (on the CPU both results were one memory), the winner is the one that is returned whole;
- the energy that is compared and returned is the one at the end, not the one before the last step;
- gradients stop by the largest absolute entry (the released test took the absolute value of the largest);
- eyes have a prior (`Schedule.without_eyes` takes it away again); bodies do not cross the camera's plane;
- pose parameters come out as angles, hands with their mean; the latent code and coefficients beside them;
- interpenetration runs without CUDA; the cones' exponent is the released 8, or the paper's 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.collision import OFFICIAL_EXPONENT, OFFICIAL_SIGMA, PAPER_EXPONENT, Collider
from monocap.fitting.lbfgs import Limits, Result, minimise
from monocap.fitting.smplifyx.energy import joint_weights, part_of
from monocap.fitting.smplifyx.faithful_energy import Energy, Interpenetration
from monocap.fitting.smplifyx.problem import Views, on_body
from monocap.fitting.smplifyx.result import Fitted
from monocap.fitting.smplifyx.schedule import Schedule, schedule_for
from monocap.fitting.smplifyx.start import visible
from monocap.fitting.smplifyx.state import Free, Model
from monocap.geometry import rotations
from monocap.priors.gmm import PoseMixture
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

Progress = Callable[[int, int], None]

_TORSO = (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"))
_LEAST_SEEN = 3  # joints: fewer do not say where a body is
_NEAREST, _FARTHEST = 1.5, 1000.0  # m, of the depth that is guessed
_BATCH = 256  # pictures at once: histories of L-BFGS take 0.3 MB each


@dataclass(frozen=True)
class Faithful:
    """What may be set.

    ``prior`` over the pose and its ``weights`` (None: those shipped; a converted official VPoser, an official
    gmm_08.pkl); ``schedule`` (None: the published one of the body); ``limits`` of each stage; ``interpenetration``,
    its ``exponent`` "official" (8) or "paper" (4) and cone height ``sigma`` m; torch's ``dtype`` and ``device``.
    """

    prior: Literal["vposer", "mixture"] = "vposer"
    weights: str | None = None
    schedule: Schedule | None = None
    limits: Limits = field(default_factory=Limits)
    num_betas: int = 10
    interpenetration: bool = False
    exponent: Literal["official", "paper"] = "official"
    sigma: float = OFFICIAL_SIGMA
    dtype: Literal["float32", "float64"] = "float64"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("prior", ("vposer", "mixture")),
            ("exponent", ("official", "paper")),
            ("dtype", ("float32", "float64")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(allowed)}")


def fit_faithful(
    body: BodyModel, views: Views, options: Faithful | None = None, progress: Progress | None = None
) -> Fitted:
    """Fit one person in N pictures, each on its own; see the module for what is as published.

    ``progress(done, total)`` counts pictures. Raises InputError for a body other than SMPL, SMPL-H or SMPL-X, or
    keypoints that it does not have.
    """
    options = options or Faithful()
    views = on_body(views, body)
    mixture = None
    if options.prior == "mixture":
        vposer, mixture = None, PoseMixture.load(options.weights or "pose_mixture")
    else:
        vposer = VPoserPrior.load(options.weights or "vposer")
    model = Model.of(body, views.skeleton, vposer, options.num_betas)
    schedule = options.schedule or schedule_for(body.kind.name)
    contact = None
    if options.interpenetration:
        exponent = OFFICIAL_EXPONENT if options.exponent == "official" else PAPER_EXPONENT
        contact = Interpenetration(Collider.of(body), exponent, options.sigma)
    run = _Run(model, schedule, mixture, contact, options)
    found, count = [], len(views)
    for first in range(0, max(count, 1), _BATCH):
        some = views.take(np.arange(first, min(first + _BATCH, count)))

        def through(share: float, first: int = first, size: int = len(some)) -> None:
            if progress is not None:
                progress(first + round(share * size), count)

        found.append(run.fit(some, through))
    return _joined(found, model, options)


@dataclass(frozen=True)
class _Part:
    """What one batch came to: full vectors ``x`` (N,n) and the rest as in `Fitted`."""

    x: Array
    found: NDArray[np.bool_]
    terms: dict[str, Array]
    trace: list[tuple[str, Array]]
    start: NDArray[np.int64]
    converged: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    iterations: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    residual: Array


@dataclass(frozen=True)
class _Run:
    model: Model
    schedule: Schedule
    mixture: PoseMixture | None
    contact: Interpenetration | None
    options: Faithful

    def energy(self, views: Views) -> Energy:
        dtype = torch.float64 if self.options.dtype == "float64" else torch.float32
        return Energy(self.model, views, self.schedule, self.mixture, self.contact, dtype, self.options.device)

    def fit(self, views: Views, through: Callable[[float], None]) -> _Part:
        found = visible(views.keypoints)
        part = self._empty(views, found)
        if not found.any():
            return part
        rows = np.flatnonzero(found)
        views = views.take(rows)
        seen = self._seen(views)
        camera = self.place(views, seen)
        first, turned = self._starts(views, camera.x)
        owner = np.concatenate([np.arange(len(rows)), turned])
        energy = self.energy(views.take(owner))
        x, runs = first, []
        for number, stage in enumerate(self.schedule.stages):
            result = minimise(energy.stage(stage), x, self.options.limits, trace=True)
            x = result.x
            runs.append(result)
            through((number + 1) / len(self.schedule.stages))
        return self._chosen(part, rows, owner, energy, camera, runs)

    def _seen(self, views: Views) -> NDArray[np.bool_]:
        """(N,K) keypoints of the body that count; of all of it, hands and face too, where it has fewer than three."""
        names = skeletons.get(views.skeleton).joint_names
        body = np.array([part_of(name) == "body" for name in names])
        confidence = views.keypoints[..., 2]
        seen = body & (joint_weights(names, confidence, self.schedule, self.schedule.stages[0]) > 0)
        return np.where(seen.sum(axis=1, keepdims=True) >= _LEAST_SEEN, seen, confidence > 0)

    # ------------------------------------------------------------------ camera
    def place(self, views: Views, seen: NDArray[np.bool_]) -> Result:
        """The camera stage: all unknowns at rest but the body's turn and the translation."""
        energy, layout = self.energy(views), self.model.layout
        x = torch.zeros((len(views), layout.size), dtype=energy.dtype, device=energy.device)
        x[:, layout["pose"]] = energy.start_pose()
        with torch.no_grad():
            rest = energy.points(x[:1], energy.body_pose(x[:1]))[0].double().cpu().numpy()
        depth = guess_depth(views, rest, seen)
        x[:, layout["transl"].start + 2] = torch.as_tensor(depth, dtype=x.dtype, device=x.device)
        names = skeletons.get(views.skeleton).joint_names
        torso = np.array([name in self.schedule.camera_joints for name in names])
        usable = (views.keypoints[..., 2] > 0) & torso
        weight = np.where(usable.sum(axis=1, keepdims=True) >= _LEAST_SEEN, usable, seen)
        return minimise(energy.camera(weight, depth), x, self.options.limits, trace=True)

    def _starts(self, views: Views, x: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Starts of all runs, and which pictures have a second one: half a turn about the body's own y axis."""
        left, right = (_places(views, f"{side}_shoulder") for side in ("left", "right"))
        again = np.flatnonzero(np.linalg.norm((left - right)[:, :2], axis=1) < self.schedule.side_view)
        root = self.model.layout["root"]
        turn = rotations.axis_angle_to_matrix(np.array([0.0, np.pi, 0.0]))
        matrices = rotations.axis_angle_to_matrix(x[again][:, root].double().cpu().numpy()) @ turn
        second = x[again].clone()
        second[:, root] = torch.as_tensor(rotations.matrix_to_axis_angle(matrices), dtype=x.dtype, device=x.device)
        return torch.cat([x, second]), again

    # ------------------------------------------------------------------ results
    def _empty(self, views: Views, found: NDArray[np.bool_]) -> _Part:
        n = len(views)
        return _Part(
            np.zeros((n, self.model.layout.size)), found, {}, [], np.zeros(n, np.int64), np.zeros(n, bool),
            np.zeros(n, bool), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n),
        )  # fmt: skip

    def _chosen(
        self, part: _Part, rows: NDArray[np.int64], owner: NDArray[np.int64], energy: Energy, camera: Result,
        runs: list[Result],
    ) -> _Part:  # fmt: skip
        """Of each picture the run that ended lower, put in its row of ``part``."""
        last = runs[-1]
        final = last.value.double().cpu().numpy()
        best = np.arange(len(rows))
        for run in range(len(rows), len(owner)):
            if final[run] < final[owner[run]] or not np.isfinite(final[owner[run]]):
                best[owner[run]] = run
        samples = torch.as_tensor(best, device=energy.device)
        with torch.no_grad():
            terms = energy.terms(last.x[samples], samples, self.schedule.last)
            body_pose = energy.body_pose(last.x[samples])
            pixels = energy.project(energy.points(last.x[samples], body_pose), samples).double().cpu().numpy()
        views = energy.views.take(best)
        confidence = views.keypoints[..., 2]
        gap = np.sum((pixels - views.keypoints[..., :2]) ** 2, axis=-1)
        part.x[rows] = last.x[samples].double().cpu().numpy()
        part.residual[rows] = np.sqrt(np.sum(confidence * gap, axis=1) / np.sum(confidence, axis=1))
        part.start[rows] = best >= len(rows)
        part.converged[rows] = last.converged[best]
        part.failed[rows] = np.any([run.failed[best] for run in runs], axis=0)
        part.iterations[rows] = camera.iterations + sum(run.iterations[best] for run in runs)
        part.evaluations[rows] = camera.evaluations
        np.add.at(part.evaluations, rows[owner], sum(run.evaluations for run in runs))
        for name, value in terms.items():
            part.terms[name] = np.zeros(len(part.x))
            part.terms[name][rows] = value.double().cpu().numpy()
        stages = [("camera", camera.trace), *((f"stage {i + 1}", run.trace) for i, run in enumerate(runs))]
        for name, values in stages:
            assert values is not None
            table = np.full((values.shape[1], len(part.x)), np.nan)
            table[:, rows] = (values if name == "camera" else values[best]).T
            part.trace.append((name, table))
        return part


def guess_depth(views: Views, rest: Array, seen: NDArray[np.bool_]) -> Array:
    """The published first depth (N,) m: focal length × the torso's length at rest / its length in the picture.

    ``rest`` (K,3) m, keypoints of the body at rest; ``seen`` (N,K) joints of the body. Sides of the torso count where
    both ends were seen; without any, the spread of all seen joints stands for them. Within 1.5–1000 m.
    """
    names = skeletons.get(views.skeleton).joint_names
    sides = [pair for pair in _TORSO if all(name in names for name in pair)]
    flat, solid = np.zeros(len(views)), np.zeros(len(views))
    for pair in sides:
        one, other = (_places(views, name) for name in pair)
        both = (one[:, 2] > 0) & (other[:, 2] > 0)
        flat += both * np.linalg.norm((one - other)[:, :2], axis=1)
        solid += both * np.linalg.norm(np.subtract(*(rest[names.index(name)] for name in pair)))
    focal = views.K[:, 1, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        by_torso = focal * solid / flat
        spread = np.array([_spread(rest[None, :, :2], row[None])[0] for row in seen])
        by_spread = focal * spread / _spread(views.keypoints[..., :2], seen)
    return np.clip(np.where(np.isfinite(by_torso), by_torso, by_spread), _NEAREST, _FARTHEST)


def _spread(points: Array, seen: NDArray[np.bool_]) -> Array:
    """(N,) root-mean-square distance of the seen of ``points`` (N,K,2) from their mean; 0 without any."""
    count = np.maximum(seen.sum(axis=1), 1)[:, None]
    mean = np.sum(points * seen[..., None], axis=1) / count
    square = np.sum((points - mean[:, None]) ** 2, axis=-1) * seen
    return np.sqrt(square.sum(axis=1) / count[:, 0])


def _places(views: Views, name: str) -> Array:
    """Pixels and confidence (N,3) of a keypoint; not seen, if the skeleton has none of that name."""
    names = skeletons.get(views.skeleton).joint_names
    return views.keypoints[:, names.index(name)] if name in names else np.zeros((len(views), 3))


def _joined(parts: list[_Part], model: Model, options: Faithful) -> Fitted:
    """One result of all batches."""

    def rows(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

    x, layout = rows("x"), model.layout
    values = x.copy()
    values[:, layout["root"]] = 0.0
    names = list(dict.fromkeys(name for part in parts for name in part.terms))
    energies = {name: np.concatenate([part.terms.get(name, np.zeros(len(part.x))) for part in parts]) for name in names}
    failed = int(np.sum(rows("failed")))
    warnings = (f"{failed} pictures met values that are not finite and stopped early",) if failed else ()
    hands = [x[:, layout[name]] if name in model.body.hand_components else None for name in model.hands] or [None, None]
    return Fitted(
        params=model.params(Free(rotations.axis_angle_to_matrix(x[:, layout["root"]]), values)),
        latent=x[:, layout["pose"]] if options.prior == "vposer" else None,
        left_hand_pca=hands[0],
        right_hand_pca=hands[1],
        found=rows("found"),
        energies=energies,
        trace=_traces(parts),
        start=rows("start"),
        converged=rows("converged"),
        iterations=rows("iterations"),
        evaluations=rows("evaluations"),
        residual_px=rows("residual"),
        recipe="smplifyx",
        warnings=warnings,
    )


def _traces(parts: list[_Part]) -> tuple[tuple[str, Array], ...]:
    """Stage by stage, batches side by side; values are held after a run's end, NaN where nobody was found."""
    names = list(dict.fromkeys(name for part in parts for name, _ in part.trace))
    out = []
    for name in names:
        tables = [dict(part.trace).get(name, np.full((1, len(part.x)), np.nan)) for part in parts]
        longest = max(len(table) for table in tables)
        held = [np.concatenate([t, np.repeat(t[-1:], longest - len(t), axis=0)]) for t in tables]
        out.append((name, np.concatenate(held, axis=1)))
    return tuple(out)
