"""Body parameters from a user's own measurements, as MoSh and pseudo-ground-truth fits make them; accept or reject.

One batched Levenberg–Marquardt per recording (`fitting.solver`): a shape from frames spread over it, how markers sit on
this person, every frame on its own, and frames that ended badly again from their neighbours' poses. Hands, face and
toes are not fitted and stay at rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from monocap.bodies import BodyModel
from monocap.data.recordings import Recording
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.fitting.initialise import pose_from_hints, translation_from_keypoints
from monocap.fitting.point_sets import PointSet, marker_points, skeleton_points
from monocap.fitting.points3d import Points3D
from monocap.fitting.solver import Outcome, solve_frames, solve_shape
from monocap.fitting.state import PoseState, Skeleton, linearise
from monocap.fitting.terms import JointLimits, PosePull, Reprojection, Shape, Term
from monocap.geometry import kinematics, procrustes, rotations
from monocap.geometry.cameras import project
from monocap.priors import anatomical_prior
from monocap.skeletons import LIMBS12
from monocap.types import Array

Progress = Callable[[int, int], None]

LABEL_SCHEMA = "monocap.labels/1"
THRESHOLDS = {"joints": 30.0, "markers": 20.0, "keypoints2d": 0.03}
"""Residual up to which a frame is accepted: mm root-mean-square, or for 2D a share of the person's extent in px."""

_CHUNK = 200  # frames per batch: 200 × 63 × 63 Hessians and their rows fit into a laptop's cache hierarchy
_SHAPE_FRAMES = 60
_DEVIATION = {"joints": 0.008, "markers": 0.005}  # m
_OFFSET_DEVIATION = 0.015  # m: how far markers usually sit from where the table says
_SEATING_FRAMES = 30
_FEWEST = 6  # points without which a frame says too little
_MEAN_STATURE, _STATURE_DEVIATION = 1.70, 0.15


@dataclass(frozen=True)
class Labels:
    """``state``: poses of T frames and betas; ``residual`` (T,) in ``unit`` (mm or px), inf where too little was
    measured; ``accepted`` (T,) bool: residual up to ``limit`` (T,); ``offsets`` (N,3) m: see `label`."""

    state: PoseState
    residual: Array
    limit: Array
    accepted: NDArray[np.bool_]
    unit: str
    offsets: Array


@threadpool_limits.wrap(limits=1, user_api="blas")
def label(
    recording: Recording,
    body: BodyModel,
    markers: dict | None = None,
    threshold: float | None = None,
    height: float | None = None,
    progress: Progress | None = None,
) -> Labels:
    """Fit ``body`` to a recording; see the module. ``threshold``: mm, or share of the extent for 2D (`THRESHOLDS`).

    Markers, and joints of skeletons other than SMPL's in recordings of 30 frames or more, may sit up to 4 cm beside
    their expected places: ``Labels.offsets``.

    ``markers``: attachments (`recordings.read_markers`), needed for markers. ``height`` m, if known. The state is in
    the recording's own frame. Raises InputError if nothing in it can be placed on the body.
    """
    points = _points_on(body, recording, markers)
    limit = THRESHOLDS[recording.what] if threshold is None else threshold
    if not limit > 0:
        raise InputError(f"threshold {limit}; expected more than 0")
    # Points that are nowhere measured, or not on the body, would only cost time.
    used = np.flatnonzero(points.known & _measured(recording).any(axis=0))
    names = tuple(recording.names[i] for i in used)
    fit = _Fit(body, replace(recording, points=recording.points[:, used], names=names), points.take(used), height)
    if not fit.usable.any():
        raise InputError(f"{recording.name}: no frame has {_FEWEST} points that are known on the body")
    state = fit.run(progress)
    residual = fit.residual(state)
    limits = np.full(len(residual), limit) if recording.what != "keypoints2d" else limit * fit.extent()
    accepted = residual <= limits
    offsets = np.zeros((len(points.names), 3))
    offsets[used] = fit.offsets
    return Labels(state, residual, limits, accepted, "px" if recording.K is not None else "mm", offsets)


def _measured(recording: Recording) -> NDArray[np.bool_]:
    """(T,N): where there are numbers, and for keypoints some confidence."""
    found = np.asarray(np.isfinite(recording.points).all(axis=2))
    if recording.what == "keypoints2d":
        found &= recording.points[..., 2] > 0
    return found


def _points_on(body: BodyModel, recording: Recording, markers: dict | None) -> PointSet:
    if recording.what == "markers":
        if markers is None:
            raise InputError(f"{recording.name}: markers need a table of where they sit on the body")
        points = marker_points(body, markers, recording.names)
        if points.known.sum() < _FEWEST:
            known = ", ".join(list(markers)[:8])
            found = f"{int(points.known.sum())} of {len(recording.names)} markers"
            raise InputError(f"{recording.name}: {found} are in the table, which has {known} …")
        return points
    return skeleton_points(body, recording.skeleton)


class _Fit:
    """The measurements of one recording and the body they are fitted with."""

    def __init__(self, body: BodyModel, recording: Recording, points: PointSet, height: float | None) -> None:
        self.what, self.points, self.K, self.body = recording.what, points, recording.K, body
        self.prior = anatomical_prior()
        self.height = height
        measured = _measured(recording)
        if self.K is not None:
            self.weight = np.where(measured, np.clip(recording.points[..., 2], 0.0, 1.0), 0.0)
            self.target = np.nan_to_num(recording.points[..., :2])
        else:
            self.weight, self.target = measured.astype(np.float64), np.nan_to_num(recording.points)
        self.usable = (self.weight > 0).sum(axis=1) >= _FEWEST
        self.offsets = np.zeros((len(points.names), 3))
        # Markers never sit quite where the table says, and other skeletons' hips and shoulders are not SMPL's.
        foreign = self.what == "joints" and not recording.skeleton.startswith("smpl")
        self.seats = self.what == "markers" or (foreign and int(self.usable.sum()) >= _SEATING_FRAMES)
        self.skeleton = Skeleton.of(body, points.landmarks)

    # ------------------------------------------------------------------ the recipe
    def run(self, progress: Progress | None) -> PoseState:
        frames = np.flatnonzero(self.usable)
        spread = frames[np.unique(np.linspace(0, len(frames) - 1, min(_SHAPE_FRAMES, len(frames))).astype(int))]
        betas = self._shape(spread, self._betas_of_stature())
        if self.seats:
            for _ in range(2):
                state = self._solve(self._start(spread, betas), spread, 12).state
                self._seat(self._good(state, spread))
                betas = self._shape(spread, betas, state)
        done: list[PoseState] = []
        for start in range(0, len(frames), _CHUNK):
            part = frames[start : start + _CHUNK]
            done.append(self._frames(part, betas))
            if progress is not None:
                progress(min(start + _CHUNK, len(frames)), len(frames))
        state = _joined(done)
        # Frames without measurements take over the pose of the last that has them; they are rejected anyway.
        place = np.clip(np.searchsorted(frames, np.arange(len(self.usable)), side="right") - 1, 0, None)
        return state.take(place)

    def _frames(self, part: NDArray[np.int64], betas: Array) -> PoseState:
        outcome = self._solve(self._start(part, betas), part, 25)
        state, cost = outcome.state, outcome.cost
        for _ in range(3):  # a bad start (a limb on the wrong side of a limit) is cured by a neighbour's pose
            residual = self._misfit(state, part)
            bad = residual > 2.0 * np.median(residual) + 1e-9
            if not bad.any() or bad.all():
                break
            good = np.flatnonzero(~bad)
            wrong = np.flatnonzero(bad)
            near = good[np.argmin(np.abs(good[None] - wrong[:, None]), axis=1)]
            again = state.take(near)
            if self.K is None:
                again = replace(again, transl=again.transl + self._shift(again, part[wrong]))
            trial = self._solve(again, part[wrong], 15)
            better = np.zeros(len(part), dtype=bool)
            better[wrong] = trial.cost < cost[wrong] - 1e-6
            if not better.any():
                break
            source = np.zeros(len(part), dtype=np.int64)
            source[wrong] = np.arange(len(wrong))
            state = trial.state.take(source).where(better, state)
            cost = np.where(better, trial.cost[source], cost)
        return state

    def _shape(self, part: NDArray[np.int64], betas: Array, state: PoseState | None = None) -> Array:
        if state is None:
            state = self._solve(self._start(part, betas), part, 20).state
        rise = _sole_to_crown(self.body)
        height, deviation = (_MEAN_STATURE, _STATURE_DEVIATION) if self.height is None else (self.height, 0.01)
        if self.K is not None and self.height is None:
            deviation = 0.03  # one camera cannot tell near and small from far and tall
        strength = 1.0
        if self.seats or self.K is not None:  # misplaced points err alike in all frames: shape must not follow them
            strength = (0.2 if self.K is not None else 2.0) * len(part)
        terms = self._terms(state, part)
        return solve_shape(self.skeleton, state, terms, Shape(strength, height, deviation, rise), 25).state.betas

    def _betas_of_stature(self) -> Array:
        base, slope = _sole_to_crown(self.body)
        height = _MEAN_STATURE if self.height is None else self.height
        return slope * (height - base) / (1.0 + slope @ slope)

    def _solve(self, state: PoseState, part: NDArray[np.int64], iterations: int) -> Outcome:
        if self.K is None:  # coarse first, so that far limbs pull too
            state = solve_frames(self.skeleton, state, self._terms(state, part, coarse=True), iterations).state
        return solve_frames(self.skeleton, state, self._terms(state, part), iterations)

    def _terms(self, state: PoseState, part: NDArray[np.int64], coarse: bool = False) -> list[Term]:
        target, weight = self.target[part], self.weight[part]
        if self.K is not None:
            focal = 0.5 * (self.K[0, 0] + self.K[1, 1])
            deviation = 0.01 * 1.7 * focal / np.maximum(state.transl[:, 2], 0.3)
            marks: Term = _Mixed(Reprojection(target, weight, self.K, deviation, 6.0), self.points.mix)
            return [marks, PosePull(self.prior, 1.0), JointLimits(self.prior)]
        deviation = 0.05 if coarse else _DEVIATION[self.what]
        cutoff = 10.0 if coarse else 8.0
        return [
            Points3D(target, weight, self.points.mix, deviation, cutoff),
            PosePull(self.prior, 0.02),
            JointLimits(self.prior, 0.1),
        ]

    # ------------------------------------------------------------------ starts
    def _start(self, part: NDArray[np.int64], betas: Array) -> PoseState:
        if self.K is not None:
            return self._start_2d(part, betas)
        names = {name: i for i, name in enumerate(self.points.names)}
        limbs = [names[name] for name in LIMBS12 if name in names]
        if self.what == "joints" and len(limbs) == 12 and bool((self.weight[part][:, limbs] > 0).all()):
            root, pose = pose_from_hints(self.skeleton, self.prior, self.target[part], betas)
        else:
            root, pose = self._start_rigid(part, betas)
        state = PoseState(root, pose, np.zeros((len(part), 3)), betas)
        return replace(state, transl=self._shift(state, part))

    def _start_rigid(self, part: NDArray[np.int64], betas: Array) -> tuple[Array, Array]:
        """The trunk laid on its points, limbs as they hang every day."""
        pose = np.tile(self.prior.mean.reshape(-1), (len(part), 1))
        rest = PoseState(np.tile(np.eye(3), (len(part), 1, 1)), pose, np.zeros((len(part), 3)), betas)
        places = self._places(rest)
        trunk = self._trunk()
        weight = self.weight[part] * np.where(trunk, 1.0, 1e-3)
        root = procrustes.rigid_alignment(places, self.target[part], weight).rotation
        return np.asarray(root), pose

    def _trunk(self) -> Array:
        """(M,) bool: points that hang mostly on the pelvis, spine, neck or collars."""
        bones = np.isin(self.points.landmarks.bone, (0, 1, 2, 3, 6, 9, 12, 13, 14))
        return (self.points.mix * bones).sum(axis=1) > 0.5

    def _start_2d(self, part: NDArray[np.int64], betas: Array) -> PoseState:
        """Four headings of an upright person; the most probable of each frame wins."""
        assert self.K is not None
        best: Outcome | None = None
        upright = np.diag([1.0, -1.0, -1.0])
        pose = np.tile(self.prior.mean.reshape(-1), (len(part), 1))
        for turn in (0.0, 0.5, 1.0, 1.5):
            heading = rotations.axis_angle_to_matrix(np.array([0.0, turn * np.pi, 0.0]))
            state = PoseState(np.tile(upright @ heading, (len(part), 1, 1)), pose, np.zeros((len(part), 3)), betas)
            transl = translation_from_keypoints(self._places(state), self.target[part], self.weight[part], self.K)
            state = replace(state, transl=transl)
            outcome = solve_frames(self.skeleton, state, self._terms(state, part), 12)
            if best is None:
                best = outcome
            else:
                better = outcome.cost < best.cost
                best = Outcome(outcome.state.where(better, best.state), np.where(better, outcome.cost, best.cost))
        assert best is not None
        return best.state

    def _places(self, state: PoseState) -> Array:
        """(T,M,3) the points on the posed body."""
        return np.einsum("mn,tnc->tmc", self.points.mix, linearise(self.skeleton, state).points)

    def _shift(self, state: PoseState, part: NDArray[np.int64]) -> Array:
        """(T,3) translation that lays the body's points on the measured ones, by weighted means of the trunk's."""
        weight = self.weight[part]
        trunk = weight * self._trunk()
        weight = np.where(trunk.sum(axis=1, keepdims=True) >= 3, trunk, weight)[..., None]
        error = (self.target[part] - self._places(state)) * weight
        return error.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)

    # ------------------------------------------------------------------ what comes out
    def _misfit(self, state: PoseState, part: NDArray[np.int64]) -> Array:
        """(T,) root-mean-square distance over the measured points, m or px."""
        places = self._places(state)
        if self.K is not None:
            places = project(places, self.K)
        squared = np.sum((places - self.target[part]) ** 2, axis=-1)
        weight = self.weight[part]
        return np.sqrt(np.sum(weight * squared, axis=1) / np.maximum(weight.sum(axis=1), 1e-9))

    def residual(self, state: PoseState) -> Array:
        """(T,) mm or px for all frames; inf where too little was measured."""
        scale = 1.0 if self.K is not None else 1000.0
        return np.where(self.usable, scale * self._misfit(state, np.arange(len(self.usable))), np.inf)

    def extent(self) -> Array:
        """(T,) px: diagonal of the measured points."""
        seen = np.where(self.weight[..., None] > 0, self.target, np.nan)
        size = np.zeros(len(seen))
        for t in np.flatnonzero(self.usable):
            size[t] = np.linalg.norm(np.nanmax(seen[t], axis=0) - np.nanmin(seen[t], axis=0))
        return size

    def _good(self, state: PoseState, part: NDArray[np.int64]) -> tuple[PoseState, NDArray[np.int64]]:
        """The better half of the frames: corrupted ones must not move the markers."""
        order = np.argsort(self._misfit(state, part))[: max(len(part) // 2, 1)]
        return state.take(order), part[order]

    def _seat(self, known: tuple[PoseState, NDArray[np.int64]]) -> None:
        """Where each point really sits on this person: its mean error in the rest pose, drawn to the expected place."""
        state, part = known
        error = self.target[part] - self._places(state)
        world, _ = kinematics.forward_kinematics(state.local_rotations, self.skeleton.joints, self.skeleton.parents)
        main = self.points.landmarks.bone[np.argmax(self.points.mix, axis=1)]
        local = np.einsum("tmji,tmj->tmi", np.asarray(world)[:, main], error)
        weight = self.weight[part][..., None]
        prior = (_DEVIATION[self.what] / _OFFSET_DEVIATION) ** 2
        step = np.sum(weight * local, axis=0) / (np.sum(weight, axis=0) + prior)
        allowed = np.clip(self.offsets + step, -0.04, 0.04)
        self.points = self.points.moved(allowed - self.offsets)
        self.offsets = allowed
        self.skeleton = Skeleton.of(self.body, self.points.landmarks)


@dataclass(frozen=True)
class _Mixed:
    """A term on landmarks applied to weighted sums of them."""

    term: Term
    mix: Array

    def rows(self, at):  # type: ignore[no-untyped-def]
        frames = at.state.frames

        def mixed(derivative: Array) -> Array:
            n = derivative.shape[-1]
            flat = derivative.reshape(frames, self.mix.shape[1], 3 * n)
            return (self.mix @ flat).reshape(frames, len(self.mix), 3, n)

        points = np.einsum("mn,tnc->tmc", self.mix, at.points)
        b_points = None if at.b_points is None else mixed(at.b_points)
        return self.term.rows(replace(at, points=points, d_points=mixed(at.d_points), b_points=b_points))


def _sole_to_crown(body: BodyModel) -> tuple[float, Array]:
    template, directions = body.v_template[:, 1], body.shapedirs[:, 1]
    top, bottom = int(np.argmax(template)), int(np.argmin(template))
    return float(template[top] - template[bottom]), np.asarray(directions[top] - directions[bottom], np.float64)


def _joined(states: list[PoseState]) -> PoseState:
    return PoseState(
        np.concatenate([s.root for s in states]),
        np.concatenate([s.body_pose for s in states]),
        np.concatenate([s.transl for s in states]),
        states[0].betas,
    )


def write_labels(path: str | os.PathLike[str], labels: Labels, recording: Recording, body: BodyModel) -> None:
    """An npz with AMASS's keys (``poses, trans, betas, gender, mocap_frame_rate, surface_model_type``) and with
    ``residual``, ``limit``, ``residual_unit``, ``accepted``, ``coordinate_frame``.

    3D recordings are turned to AMASS's z-up world; what was measured in the camera stays there (OpenCV axes). Rejected
    frames are kept and marked.
    """
    state = labels.state
    root, transl = state.root, state.transl
    if recording.axes == "y-up":
        turn = rotations.axis_angle_to_matrix(np.array([np.pi / 2, 0.0, 0.0]))
        pelvis = body.rest_joints(betas=state.betas)[0].astype(np.float64)
        root, transl = turn @ root, (transl + pelvis) @ turn.T - pelvis
    joints = len(body.parents)
    poses = np.zeros((state.frames, 3 * joints))
    poses[:, :3] = rotations.matrix_to_axis_angle(root)
    poses[:, 3:66] = state.body_pose
    kinds = {24: "smpl", 52: "smplh", 55: "smplx"}
    write_npz(
        path,
        {
            "schema": np.array(LABEL_SCHEMA),
            "poses": poses.astype(np.float32),
            "trans": transl.astype(np.float32),
            "betas": state.betas.astype(np.float32),
            "gender": np.array("neutral"),
            "mocap_frame_rate": np.array(recording.fps),
            "surface_model_type": np.array(kinds.get(joints, body.name)),
            "body_model": np.array(body.name),
            "residual": labels.residual.astype(np.float32),
            "limit": labels.limit.astype(np.float32),
            "residual_unit": np.array(labels.unit),
            "accepted": labels.accepted,
            "coordinate_frame": np.array("camera" if recording.axes == "camera" else "world z-up"),
            "source": np.array(recording.name),
        },
    )


def output_path(folder: Path, recording: Recording) -> Path:
    """Where the labels of a recording go: one npz each, in the recording's own sub-folders."""
    return folder / f"{recording.name}.npz"
