"""The two recipes of capture: one picture, and one person through a video. Read these first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.guess import GuessPull, guessed_hints, guessed_state, trust_in
from monocap.fitting.initialise import initial_state, translation_from_keypoints
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.observation import Observation
from monocap.fitting.pose_priors import GaussianPull, LatentPull, LimitExcess, MixturePull
from monocap.fitting.smoothness import Smoothness
from monocap.fitting.solver import solve_frames, solve_shape, solve_window
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.fitting.terms import Bending, Directions, PosePull, Reprojection, Shape, Term
from monocap.geometry import rotations
from monocap.priors import PosePrior, anatomical_prior
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array, BodyEstimate, BodyGuess, BodyParams, Camera, Keypoints, Track

Progress = Callable[[int, int], None]

WINDOW, OVERLAP = 300, 30
SHAPE_FRAMES = 100
MEAN_STATURE = 1.70
PriorName = Literal["gaussian", "anatomy", "mixture", "vposer"]
ACCELERATION = 9.0  # m/s², 10 mm/frame² at 30 fps


@dataclass(frozen=True)
class Strengths:
    """``prior`` multiplies the energy of the pose prior of that name; ``hint_deviation`` (rad): how far hints err.

    Of a regression network's guess: ``guess_share`` of the hints is its, and ``guess_deviation`` (rad): how far its
    joints turn wrong.
    """

    prior: Mapping[PriorName, float]
    hint_deviation: float
    guess_share: float = 0.6
    guess_deviation: float = 0.25


# Of a video's frames errors are alike, so the prior weighs more than on a photo, where it would damage odd poses.
PHOTO = Strengths({"gaussian": 0.5, "anatomy": 0.5, "mixture": 0.25, "vposer": 0.5}, 0.1)
VIDEO = Strengths({"gaussian": 1.0, "anatomy": 1.0, "mixture": 0.5, "vposer": 1.0}, 0.08)


@dataclass(frozen=True)
class FitOptions:
    """What a user may set: ``height`` m (None: the adult mean, held loosely), ``smooth`` (1 = default, 0 = off).

    ``prior``: gaussian (learned, the default); anatomy (independent axes, nothing learned); mixture (SMPLify's);
    vposer (dear: for photographs).
    """

    height: float | None = None
    smooth: float = 1.0
    prior: PriorName = "gaussian"

    def __post_init__(self) -> None:
        if self.height is not None and not 0.4 <= self.height <= 2.6:
            raise InputError(f"height is {self.height} m; expected metres between 0.4 and 2.6")
        if not 0.0 <= self.smooth <= 100.0:
            raise InputError(f"smooth is {self.smooth}; expected 0 (off) to 100, 1 is the default")


class Fitter:
    """Fits one body to the keypoints of one person at a time; holds what does not change between people."""

    def __init__(self, body: BodyModel, camera: Camera, options: FitOptions | None = None) -> None:
        self.body, self.camera, self.options = body, camera, options or FitOptions()
        self.prior = anatomical_prior()
        self.limits = PoseLimits.load()
        self.pull = _pull(self.options.prior, self.prior)
        self.skeleton = Skeleton.of(body, blazepose_landmarks(body))

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def photo(self, keypoints: Keypoints, guess: BodyGuess | None = None) -> BodyEstimate:
        """One picture (T = 1): several starts, of which the most probable wins; a network's ``guess`` (1,…) is one.

        Weak priors: strengths that are right for video damage odd poses.
        """
        seen = Observation.of(keypoints.points2d[None], keypoints.points3d[None], self.camera, self.skeleton.landmarks)
        seen = self._with_guess(seen, guess, PHOTO)
        # Starts: as the hints say; their depth mirrored; flat. One batch, the lowest energy wins.
        starts = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0], [1.0, 1.0, 0.0]])
        batch = seen.take(np.zeros(len(starts), dtype=np.int64))
        state = self._start(replace(batch, hints=batch.hints * starts[:, None]))
        if seen.said is not None:
            state = _concatenate(state, self._start_as_said(seen, state.betas))
            batch = seen.take(np.zeros(len(starts) + 1, dtype=np.int64))
        state = solve_frames(self.skeleton, state, self._terms(batch, state, PHOTO, 8.0), 15).state
        outcome = solve_frames(self.skeleton, state, self._terms(batch, state, PHOTO, 5.0), 40)
        best = np.array([int(np.argmin(outcome.cost))])
        state = outcome.state.take(best)
        terms = self._terms(seen, state, PHOTO, 5.0)
        state = solve_shape(self.skeleton, state, terms, self._shape(1.0), 20).state
        return self._estimate(state, seen, np.array([True]), np.array([keypoints.score]))

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def video(self, track: Track, times: Array, progress: Progress | None = None) -> BodyEstimate:
        """A track through T frames at ``times`` (T,) s → parameters for every frame, one shape.

        Frames where the person was not found are bridged between the first and last sighting (by smoothness; without
        it, interpolated), held beyond, and stay marked in ``valid``. ``progress(done, total)`` counts frames.
        """
        frames = len(track.valid)
        if len(times) != frames:
            raise InputError(f"times has {len(times)} entries; expected one per frame of the track ({frames})")
        valid = np.asarray(track.valid, dtype=bool)
        if not valid.any():
            raise InputError("the track holds no frame in which the person was found; nothing can be fitted")
        found = np.flatnonzero(valid)
        first, last = int(found[0]), int(found[-1])
        points2d = np.where(valid[:, None, None], track.points2d, 0.0)
        seen = Observation.of(points2d, track.points3d, self.camera, self.skeleton.landmarks)
        seen = self._with_guess(seen, track.guess, VIDEO)

        spread = found[np.unique(np.linspace(0, len(found) - 1, min(SHAPE_FRAMES, len(found))).astype(int))]
        betas = self._shape_from(seen.take(spread))

        sighted = seen.take(found)
        state = self._alone(sighted, replace(self._start(sighted), betas=betas), 8.0, 6)
        smooth = self.options.smooth > 0.0 and last - first >= 2
        if not smooth:
            state = self._alone(sighted, state, 5.0, 12)
        state = self._bridge(state, found, np.arange(first, last + 1))
        if smooth:
            inner = seen.take(slice(first, last + 1))
            state = self._windows(state, inner, times[first : last + 1], progress)
        index = np.clip(np.arange(frames), first, last) - first
        state = state.take(index)
        return self._estimate(state, seen, valid, np.asarray(track.score))

    def as_guessed(self, track: Track) -> BodyEstimate:
        """The body as a network says it, T frames with one shape, nothing fitted; judged by the keypoints like a fit.

        Frames where nobody was found are interpolated, held at the ends, and stay marked in ``valid``. Raises
        InputError for a track without a guess.
        """
        valid = np.asarray(track.valid, dtype=bool)
        if track.guess is None or not valid.any():
            raise InputError("the track holds no frame with a network's guess; nothing can be said")
        found = np.flatnonzero(valid)
        guess = BodyGuess(*(np.asarray(v)[found] for v in (track.guess.pose, track.guess.betas, track.guess.pelvis)))
        frames = np.arange(found[0], found[-1] + 1)
        state = self._bridge(guessed_state(self.skeleton, guess), found, frames)
        state = state.take(np.clip(np.arange(len(valid)), found[0], found[-1]) - found[0])
        points2d = np.where(valid[:, None, None], track.points2d, 0.0)
        seen = Observation.of(points2d, track.points3d, self.camera, self.skeleton.landmarks)
        return self._estimate(state, seen, valid, np.asarray(track.score))

    @threadpool_limits.wrap(limits=1, user_api="blas")
    def frames_alone(self, track: Track, rows: NDArray[np.int64]) -> tuple[Observation, PoseState]:
        """Some frames of a track, quickly, each on its own with the likeliest shape: what the recipe `camera` starts
        from. A track of one frame is fitted as a photo."""
        seen = Observation.of(track.points2d[rows], track.points3d[rows], self.camera, self.skeleton.landmarks)
        if len(track.valid) > 1:
            return seen, self._alone(seen, self._start(seen), 8.0, 6)
        params = self.photo(Keypoints(track.skeleton, track.points2d[0], track.points3d[0], 1.0)).params
        root = rotations.axis_angle_to_matrix(np.asarray(params.global_orient))
        return seen, PoseState(root, np.asarray(params.body_pose), np.asarray(params.transl), np.asarray(params.betas))

    def _with_guess(self, seen: Observation, guess: BodyGuess | None, strengths: Strengths) -> Observation:
        """What a network says, beside the keypoints; believed as far as the keypoints bear it out."""
        if guess is None:
            return seen
        said = guessed_state(self.skeleton, guess)
        trust = trust_in(self.skeleton, said, guess, seen)
        share = (strengths.guess_share * trust)[:, None, None]
        hints = (1 - share) * seen.hints + share * guessed_hints(self.skeleton, said)
        return replace(seen, hints=hints, said=said, trust=trust)

    def _start_as_said(self, seen: Observation, betas: Array) -> PoseState:
        """The pose that a network says, where the keypoints put it."""
        assert seen.said is not None
        state = replace(seen.said, transl=np.zeros_like(seen.said.transl), betas=betas)
        points = landmark_points(self.skeleton, state)
        return replace(state, transl=translation_from_keypoints(points, seen.target, seen.weight, seen.K))

    def _start(self, seen: Observation) -> PoseState:
        shape = self._shape(1.0)
        base, slope = shape.sole_to_crown
        betas = slope * (shape.height - base) / (1.0 + slope @ slope)  # the likeliest betas of that stature
        return initial_state(self.skeleton, self.prior, seen.target, seen.weight, seen.hints, seen.K, betas)

    def _alone(self, seen: Observation, start: PoseState, cutoff: float, iterations: int) -> PoseState:
        """Every frame on its own. Run by run, so that memory stays flat."""
        solved: PoseState | None = None
        for first in range(0, start.frames, WINDOW):
            part = slice(first, first + WINDOW)
            state = start.take(part)
            terms = self._terms(seen.take(part), state, VIDEO, cutoff)
            state = solve_frames(self.skeleton, state, terms, iterations).state
            solved = state if solved is None else _concatenate(solved, state)
        assert solved is not None
        return solved

    def _shape_from(self, seen: Observation) -> Array:
        """One shape from frames spread over the track."""
        state = self._alone(seen, self._start(seen), 8.0, 6)
        terms = self._terms(seen, state, VIDEO, 5.0)
        return solve_shape(self.skeleton, state, terms, self._shape(0.5 * len(seen.target)), 8).state.betas

    def _windows(self, state: PoseState, seen: Observation, times: Array, progress: Progress | None) -> PoseState:
        """Windows over time, each started from its neighbour's result, cross-faded where they overlap."""
        frames = state.frames
        starts = list(range(0, max(frames - OVERLAP, 1), WINDOW - OVERLAP))
        done: PoseState | None = None
        for start in starts:
            stop = frames if start == starts[-1] else min(start + WINDOW, frames)
            part = slice(start, stop)
            window = state.take(part)
            if done is not None:
                window = _concatenate(done.take(slice(start, done.frames)), window.take(slice(OVERLAP, None)))
            smoothness = Smoothness(times[part], acceleration=ACCELERATION / self.options.smooth)
            terms = self._terms(seen.take(part), window, VIDEO, 5.0)
            window = solve_window(self.skeleton, window, terms, smoothness, 12, 1e-4).state
            done = window if done is None else _crossfade(done, window, OVERLAP)
            if progress is not None:
                progress(stop, frames)
        assert done is not None
        return done

    def _terms(self, seen: Observation, state: PoseState, strengths: Strengths, cutoff: float) -> list[Term]:
        reprojection = Reprojection(seen.target, seen.weight, seen.K, seen.deviation(state), cutoff)
        return [reprojection, *self.pose_terms(seen, strengths)]

    def pose_terms(self, seen: Observation, strengths: Strengths) -> list[Term]:
        """All terms that do not concern the camera: hints, guess, priors, limits."""
        pairs = self.skeleton.landmarks.pairs
        direction, weight = seen.directions(pairs)
        said: list[Term] = []
        if seen.said is not None and seen.trust is not None and np.isfinite(strengths.guess_deviation):
            said = [GuessPull(seen.said.root, seen.said.body_pose, seen.trust, strengths.guess_deviation)]
        return [
            *said,
            Directions(direction, weight, pairs, strengths.hint_deviation),
            self.pull(strengths.prior[self.options.prior]),
            LimitExcess(self.limits),
            Bending(),
        ]

    def _shape(self, strength: float) -> Shape:
        template, directions = self.body.v_template[:, 1], self.body.shapedirs[:, 1]
        top, bottom = int(np.argmax(template)), int(np.argmin(template))
        rise = float(template[top] - template[bottom]), np.asarray(directions[top] - directions[bottom], np.float64)
        height, deviation = (MEAN_STATURE, 0.03) if self.options.height is None else (self.options.height, 0.01)
        return Shape(strength, height, deviation, rise)

    def _bridge(self, state: PoseState, found: NDArray[np.int64], frames: NDArray[np.int64]) -> PoseState:
        """States at ``found`` frames spread to all ``frames``: interpolated on rotations and translation."""
        if len(found) == len(frames):
            return state
        after = np.clip(np.searchsorted(found, frames), 1, max(len(found) - 1, 1))
        if len(found) == 1:
            return state.take(np.zeros(len(frames), dtype=np.int64))
        before = after - 1
        share = (frames - found[before]) / (found[after] - found[before])
        return _mix(state.take(before), state.take(after), share)

    def _estimate(self, state: PoseState, seen: Observation, valid: NDArray[np.bool_], score: Array) -> BodyEstimate:
        betas = state.betas
        params = BodyParams(
            betas=betas,
            global_orient=rotations.matrix_to_axis_angle(state.root),
            body_pose=state.body_pose,
            transl=state.transl,
        )
        joints = self.body.joints_only(**params.asdict())
        points = landmark_points(self.skeleton, state)
        focal = np.array([seen.K[0, 0], seen.K[1, 1]])
        projected = points[..., :2] / np.maximum(points[..., 2:], 0.05) * focal + seen.K[:2, 2]
        squared = np.sum((projected - seen.target) ** 2, axis=-1)
        total = np.maximum(seen.weight.sum(axis=1), 1e-9)
        residual = np.sqrt(np.sum(seen.weight * squared, axis=1) / total)
        inlier = np.sum(seen.weight / (1.0 + squared / (4.0 * seen.deviation(state)[:, None]) ** 2), axis=1) / total
        confidence = np.where(valid, np.clip(score, 0.0, 1.0) * inlier, 0.0)
        return BodyEstimate(params, np.asarray(joints), valid, confidence, np.where(valid, residual, 0.0))


def _pull(name: PriorName, anatomy: PosePrior) -> Callable[[float], Term]:
    """The chosen pose prior as a term of given strength; it and the limits are all that says which poses are human."""
    match name:
        case "gaussian":
            return partial(GaussianPull, PoseGaussian.load())
        case "mixture":
            return partial(MixturePull, PoseMixture.load())
        case "vposer":
            return partial(LatentPull, VPoserPrior.load())
        case "anatomy":
            return partial(PosePull, anatomy)
    raise InputError(f"prior is {name!r}; expected gaussian, anatomy, mixture or vposer")


def _mix(a: PoseState, b: PoseState, share: Array) -> PoseState:
    """Between two states frame by frame: shortest path on every rotation, straight line for the translation."""
    mixed = _between(a.local_rotations, b.local_rotations, share[:, None])
    pose = rotations.matrix_to_axis_angle(mixed[:, 1:]).reshape(-1, 63)
    transl = a.transl + share[:, None] * (b.transl - a.transl)
    return PoseState(mixed[:, 0], pose, transl, a.betas)


def _between(a: Array, b: Array, share: Array) -> Array:
    turn = rotations.matrix_to_axis_angle(np.swapaxes(a, -1, -2) @ b)
    return a @ rotations.axis_angle_to_matrix(turn * share[..., None])


def _concatenate(a: PoseState, b: PoseState) -> PoseState:
    return PoseState(
        np.concatenate([a.root, b.root]),
        np.concatenate([a.body_pose, b.body_pose]),
        np.concatenate([a.transl, b.transl]),
        a.betas,
    )


def _crossfade(done: PoseState, window: PoseState, overlap: int) -> PoseState:
    """``window`` begins ``overlap`` frames before the end of ``done``; ease from one to the other."""
    share = (np.arange(overlap) + 0.5) / overlap
    share = share * share * (3 - 2 * share)
    mixed = _mix(done.take(slice(done.frames - overlap, None)), window.take(slice(0, overlap)), share)
    head, tail = done.take(slice(0, done.frames - overlap)), window.take(slice(overlap, None))
    return _concatenate(_concatenate(head, mixed), tail)
