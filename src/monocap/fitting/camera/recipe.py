"""The recipe `camera`: focal length, tilt and distances told by the people in a picture or a video.

The camera stands still. Frames are few and chosen (those in which a foot stands while the body moves on), a grid over
focal lengths finds the basin, and one solve of everything together ends it (`solver`). How sure the answer is comes
with it: where people do not tell the focal length, that is said, and the one guessed beforehand is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, uniform_filter1d
from threadpoolctl import threadpool_limits

from monocap.errors import InputError
from monocap.fitting.camera.scene import Person, Prior, SceneState, Stance
from monocap.fitting.camera.solver import Scene, Solved, solve_scene
from monocap.fitting.observation import Observation
from monocap.fitting.recipes import PHOTO, VIDEO, Fitter, Strengths
from monocap.fitting.state import PoseState, landmark_points
from monocap.geometry.cameras import look_rotation, ray_of
from monocap.perception.field_of_view import CameraGuess, tilt_of
from monocap.types import Array, Camera, Track

_MOST_FRAMES, _FEWEST = 48, 12  # of all people together; of one without stances
_MOST_PEOPLE = 4
_GRID = (-0.6, -0.3, 0.0, 0.3, 0.6)  # of ln f about the guess; no farther than so many deviations of it:
_REACH = 2.2
_TILT = np.deg2rad([15.0, 4.0])  # how cameras are tilted where nothing tells
_SIZE, _KNOWN_SIZE = 0.05, 0.01  # relative deviation of statures; of one that was given
_ALIKE = 6.0  # frames of one person count as so many independent ones
_SLOW, _SHORTEST, _LONGEST, _SEEN = 0.35, 0.15, 1.0, 0.4  # m/s, s, s, confidence
_TOLD = 0.75  # of the guess's deviation: what is left if people tell the focal length
_CUTOFF = 5.0


@dataclass(frozen=True)
class CameraFit:
    """``camera`` to go on with; ``log_sigma`` of ln f after the fit; ``pitch`` and ``roll`` rad as `CameraGuess` has
    them; ``told``: whether people told the focal length, else the camera is the guess's; ``words`` for the user."""

    camera: Camera
    log_sigma: float
    pitch: float
    roll: float
    told: bool
    words: str


@threadpool_limits.wrap(limits=1, user_api="blas")
def fit_camera(fitter: Fitter, tracks: Sequence[Track], times: Array, guess: CameraGuess) -> CameraFit:
    """The camera before which the people of ``tracks`` (T frames at ``times`` s, a photo T = 1) were seen.

    ``fitter`` has the guess's camera, under which the tracks' 3D hints were lifted; the camera stands still and does
    not zoom. Raises InputError if nobody is seen in any frame.
    """
    if abs(math.log(fitter.camera.fx / guess.focal)) > 1e-6:
        raise InputError(f"the fit's camera has {fitter.camera.fx:.1f} px, the guess {guess.focal:.1f}; expected equal")
    seen = [track for track in tracks if np.any(track.valid)]
    if not seen:
        raise InputError("nobody is seen in any frame; no camera can be told")
    seen = sorted(seen, key=lambda track: -_extent(track))[:_MOST_PEOPLE]
    still = len(times) == 1
    chosen = [_choose(track, fitter, np.asarray(times, np.float64), _MOST_FRAMES // len(seen)) for track in seen]
    began = [fitter.frames_alone(track, rows) for track, (rows, _) in zip(seen, chosen, strict=True)]
    stances = _stances([spans for _, spans in chosen], began, fitter, still)
    observations = [one for one, _ in began]
    prior = _prior(guess, fitter, max(len(one.target) for one in observations))
    start = _start([state for _, state in began], observations, stances, fitter, guess)
    scene = _Scenes(fitter, observations, stances, prior, PHOTO if still else VIDEO)
    reach = _REACH * guess.log_sigma
    tried = [
        scene.solve(*scene.moved(start, by), hold=True, iterations=4) for by in _GRID if abs(by) <= reach or not by
    ]
    best = min(tried, key=lambda one: one.cost)
    for iterations in (10, 6):  # hints are turned to the new focal length in between
        best = scene.solve(*scene.moved(best.state, 0.0), hold=False, iterations=iterations)
    return _judged(fitter.camera, guess, best)


class _Scenes:
    """The same people under different focal lengths: their hints follow the ray on which they stand."""

    def __init__(
        self,
        fitter: Fitter,
        seen: Sequence[Observation],
        stances: tuple[Stance, ...],
        prior: Prior,
        strengths: Strengths,
    ) -> None:
        self.fitter, self.seen, self.stances, self.prior, self.strengths = fitter, seen, stances, prior, strengths
        names = fitter.skeleton.landmarks.keypoint_names
        self._hips = [names.index("left_hip"), names.index("right_hip")]
        self._feet = _soles(names)

    def moved(self, state: SceneState, by: float) -> tuple[SceneState, tuple[Array, ...]]:
        """``state`` with ln f moved ``by``, distances and headings with it; and the hints' turns (T,3,3) from the
        first camera's."""
        turns = tuple(self._turn(seen, state.log_focal + by) for seen in self.seen)
        if not by:
            return state, turns
        factor = np.array([1.0, 1.0, math.exp(by)])
        before = tuple(self._turn(seen, state.log_focal) for seen in self.seen)
        poses = []
        for pose, now, then in zip(state.poses, turns, before, strict=True):
            poses.append(replace(pose, root=now @ np.swapaxes(then, 1, 2) @ pose.root, transl=pose.transl * factor))
        places = state.places * factor
        return replace(state, poses=tuple(poses), log_focal=state.log_focal + by, places=places), turns

    def solve(self, state: SceneState, turns: tuple[Array, ...], hold: bool, iterations: int) -> Solved:
        people = []
        for seen, turn, pose in zip(self.seen, turns, state.poses, strict=True):
            turned = replace(seen, hints=seen.hints @ np.swapaxes(turn, 1, 2))
            focal = math.exp(state.log_focal)
            size = seen.deviation(replace(pose, transl=pose.transl * [1, 1, seen.K[0, 0] / focal]))
            terms = tuple(self.fitter.pose_terms(turned, self.strengths))
            stands = _stands(seen, self._feet, self.fitter.camera)
            skeleton = self.fitter.skeleton
            people.append(Person(skeleton, terms, seen.target, seen.weight, size, _CUTOFF, self._feet, stands))
        scene = Scene(self.fitter.camera, tuple(people), self.stances, self.prior)
        return solve_scene(scene, state, hold, iterations)

    def _turn(self, seen: Observation, log_focal: float) -> Array:
        middle = seen.target[:, self._hips].mean(axis=1)
        K = seen.K.copy()
        K[[0, 1], [0, 1]] *= math.exp(log_focal) / seen.K[0, 0]
        now, then = (look_rotation(ray_of(middle, one)) for one in (K, seen.K))
        return np.asarray(now @ np.swapaxes(then, 1, 2))


def _prior(guess: CameraGuess, fitter: Fitter, frames: int) -> Prior:
    tilt, sigma = np.zeros(2), _TILT
    if guess.pitch is not None and guess.roll is not None and guess.tilt_sigma is not None:
        tilt, sigma = np.array([guess.pitch, guess.roll]), np.full(2, guess.tilt_sigma)
    size = _SIZE if fitter.options.height is None else _KNOWN_SIZE
    return Prior(math.log(guess.focal), guess.log_sigma, tilt, sigma, size, max(1.0, frames / _ALIKE))


def _start(
    poses: Sequence[PoseState],
    seen: Sequence[Observation],
    stances: tuple[Stance, ...],
    fitter: Fitter,
    guess: CameraGuess,
) -> SceneState:
    """Poses as fitted one by one, feet where they are on average, up as the bodies stand or the guess says."""
    feet = _soles(fitter.skeleton.landmarks.keypoint_names)
    points = [landmark_points(fitter.skeleton, pose) for pose in poses]
    if guess.pitch is not None and guess.roll is not None:
        tilt = np.array([guess.pitch, guess.roll])
    else:
        head = fitter.skeleton.landmarks.keypoint_names.index("nose")
        axes = [at[:, head] - at[:, np.concatenate(feet)].mean(axis=1) for at in points]
        stands = [_stands(one, feet, fitter.camera) > 0 for one in seen]
        kept = np.concatenate([axis[stand] for axis, stand in zip(axes, stands, strict=True)])
        tilt = np.clip(tilt_of(np.median(kept, axis=0)), -0.6, 0.6) if len(kept) else np.zeros(2)
    places = [points[one.person][one.rows][:, one.points].mean(axis=(0, 1)) for one in stances]
    at = np.array(places).reshape(-1, 3)
    up = np.array([-np.sin(tilt[1]) * np.cos(tilt[0]), -np.cos(tilt[1]) * np.cos(tilt[0]), np.sin(tilt[0])])
    owner = np.array([one.person for one in stances], np.int64)
    levels = np.array([np.median(at[owner == i] @ up) if (owner == i).any() else np.nan for i in range(len(poses))])
    level = float(np.nanmedian(levels)) if np.isfinite(levels).any() else -1.0
    levels = np.where(np.isfinite(levels), levels, level)
    return SceneState(tuple(poses), math.log(guess.focal), tilt, level, levels, np.zeros(len(poses)), at)


def _choose(
    track: Track, fitter: Fitter, times: Array, most: int
) -> tuple[NDArray[np.int64], list[tuple[int, NDArray[np.int64]]]]:
    """Frames to fit, and of each stance its foot (0 left, 1 right) and its places among them."""
    if len(times) == 1:
        return np.zeros(1, np.int64), []
    spans = [(foot, span) for foot in (0, 1) for span in _standing(track, fitter, times, foot)]
    spans.sort(key=lambda one: one[1].start)
    keep = np.unique(np.linspace(0, len(spans) - 1, min(len(spans), most // 3)).astype(int)) if spans else []
    kept = [(foot, np.unique([span.start, (span.start + span.stop - 1) // 2, span.stop - 1]))
            for foot, span in (spans[i] for i in keep)]  # fmt: skip
    found = np.flatnonzero(track.valid)
    rows = np.unique(np.concatenate([np.zeros(0, np.int64), *(span for _, span in kept)]))
    if len(rows) < _FEWEST:
        spread = found[np.linspace(0, len(found) - 1, min(_FEWEST, len(found))).astype(int)]
        rows = np.unique(np.concatenate([rows, spread]))
    return rows, [(foot, np.searchsorted(rows, span)) for foot, span in kept]


def _standing(track: Track, fitter: Fitter, times: Array, foot: int) -> list[slice]:
    """Runs of frames in which a foot hardly moves in the picture: across the line of sight no focal length matters."""
    names = fitter.skeleton.landmarks.keypoint_names
    index = [names.index(f"{('left', 'right')[foot]}_{part}") for part in ("ankle", "heel", "foot_index")]
    points, hints = np.asarray(track.points2d, np.float64), np.asarray(track.points3d, np.float64)
    flat, space = (value - value.mean(axis=1, keepdims=True) for value in (points[..., :2], hints[..., :2]))
    scale = np.sqrt(np.sum(flat**2, axis=(1, 2)) / np.maximum(np.sum(space**2, axis=(1, 2)), 1e-6))  # px per metre
    place = uniform_filter1d(points[:, index, :2].mean(axis=1), 5, axis=0, mode="nearest")
    step = np.maximum(np.gradient(times), 1e-3)[:, None]
    speed = np.linalg.norm(np.gradient(place, axis=0) / step, axis=1) / np.maximum(scale, 1.0)
    camera, at = fitter.camera, points[:, index]
    inside = ((at[..., :2] >= 0) & (at[..., :2] < [camera.width, camera.height])).all(axis=(1, 2))
    slow = (speed < _SLOW) & inside & (at[..., 2].mean(axis=1) > _SEEN) & np.asarray(track.valid, bool)
    runs = np.asarray(label(slow)[0])  # pyright: ignore[reportIndexIssue]
    out = []
    for (run,) in find_objects(runs):
        pieces = 1 + int((times[run.stop - 1] - times[run.start]) / _LONGEST)
        edges = np.linspace(run.start, run.stop, pieces + 1).astype(int)
        out += [slice(a, b) for a, b in pairwise(edges)]
    return [one for one in out if times[one.stop - 1] - times[one.start] >= _SHORTEST]


def _stances(
    spans: Sequence[list[tuple[int, NDArray[np.int64]]]],
    began: Sequence[tuple[Observation, PoseState]],
    fitter: Fitter,
    still: bool,
) -> tuple[Stance, ...]:
    """Of a video as found; of a photo of several people the lower foot of everybody, if it is seen."""
    feet = _soles(fitter.skeleton.landmarks.keypoint_names)
    if not still:
        return tuple(Stance(i, rows, feet[foot]) for i, own in enumerate(spans) for foot, rows in own)
    out = []
    for i, (seen, _) in enumerate(began):
        if len(began) > 1 and _stands(seen, feet, fitter.camera)[0] > 0:
            lower = int(np.argmax([seen.target[0, foot, 1].mean() for foot in feet]))
            out.append(Stance(i, np.zeros(1, np.int64), feet[lower]))
    return tuple(out)


def _soles(names: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    left, right = (np.array([names.index(f"{s}_heel"), names.index(f"{s}_foot_index")]) for s in ("left", "right"))
    return left, right


def _stands(seen: Observation, feet: tuple[NDArray[np.int64], NDArray[np.int64]], camera: Camera) -> Array:
    """(T,) 1 where both feet are inside the picture and sure, else 0."""
    both = np.concatenate(feet)
    at = seen.target[:, both]
    inside = ((at >= 0) & (at < [camera.width, camera.height])).all(axis=(1, 2))
    return (inside & (seen.weight[:, both].min(axis=1) > 0.25)).astype(np.float64)


def _extent(track: Track) -> float:
    points = np.asarray(track.points2d)[np.asarray(track.valid, bool), :, :2]
    return float(np.ptp(points, axis=1).max(axis=1).mean() * np.sqrt(len(points)))


def _judged(camera: Camera, guess: CameraGuess, found: Solved) -> CameraFit:
    pitch, roll = (float(v) for v in found.state.tilt)
    if not math.isfinite(found.log_sigma) or found.log_sigma > _TOLD * guess.log_sigma:
        words = f"the focal length cannot be told from these people; kept {guess.focal:.0f} px ({guess.source})"
        return CameraFit(camera, guess.log_sigma, pitch, roll, False, words)
    ratio = math.exp(found.state.log_focal) / camera.fx
    moved = replace(camera, fx=camera.fx * ratio, fy=camera.fy * ratio)
    within = 100 * (math.exp(found.log_sigma) - 1)
    words = f"focal length {moved.fx:.0f} px by the people (give or take {within:.0f} %), beside: {guess.source}"
    return CameraFit(moved, found.log_sigma, pitch, roll, True, words)
