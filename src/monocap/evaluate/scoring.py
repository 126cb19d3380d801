"""Metrics by name over N samples: the per-sample numbers that reports average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monocap import metrics
from monocap.errors import InputError
from monocap.evaluate.poses import Poses
from monocap.types import Array

_MESHES = 64
_STILL = 0.01  # m


@dataclass(frozen=True)
class Scene:
    """What metrics need beside the poses.

    ``sequence`` (N,) names, ``frame`` (N,) numbers, ``box`` (N,4) and ``head_box`` (N,4) px, ``area`` (N,) of the
    person in px² (NaN where unknown), ``fps`` of the sequences.
    """

    sequence: Array
    frame: Array
    box: Array
    head_box: Array
    area: Array
    fps: float = 30.0

    def take(self, index: Array) -> Scene:
        """The samples with these numbers, or where a mask is True."""
        return Scene(
            self.sequence[index], self.frame[index], self.box[index], self.head_box[index], self.area[index], self.fps
        )


Compute = Callable[[Poses, Poses, Scene], Array]


@dataclass(frozen=True)
class Metric:
    """``compute(estimate, truth, scene)`` gives (N,) in SI units; ``scale`` turns them into the printed ``unit``."""

    title: str
    unit: str
    scale: float
    compute: Compute
    lower_is_better: bool = True


def score(name: str, estimate: Poses, truth: Poses, scene: Scene) -> Array:
    """(N,) of one metric in its printed unit; NaN where it is not defined (nothing visible, no neighbours in time).

    Raises InputError for an unknown metric.
    """
    if name not in METRICS:
        raise InputError(f"no metric {name!r}; there are {', '.join(METRICS)}")
    return METRICS[name].scale * METRICS[name].compute(estimate, truth, scene)


def joint_errors(estimate: Poses, truth: Poses) -> tuple[str, Array]:
    """What "error by joint" means here, and its values (N,J): mm after Procrustes, or px in 2D; NaN where invisible."""
    both = _both(estimate, truth)
    if truth.joints.shape[-1] == 2:
        return "distance (px)", np.where(both, metrics.keypoint_distances(estimate.joints, truth.joints), np.nan)
    far = metrics.joint_distances(_filled(estimate), _filled(truth), "similarity", visible=both)
    return "distance after Procrustes (mm)", np.where(both, 1e3 * far, np.nan)


# ------------------------------------------------------------------ joints
def _both(estimate: Poses, truth: Poses) -> Array:
    return truth.visible & estimate.visible


def _filled(poses: Poses) -> Array:
    return np.nan_to_num(poses.joints)


def _with_root(poses: Poses) -> Array:
    """(N,J+1,3): the root as one more joint that alignment uses and no mean counts."""
    assert poses.root is not None
    return np.concatenate([_filled(poses), poses.root[:, None]], axis=1)


def _on_joints(function: Callable[..., Array], rooted: bool, **options: Any) -> Compute:
    def compute(estimate: Poses, truth: Poses, scene: Scene) -> Array:
        both = _both(estimate, truth)
        if not rooted:
            return function(_filled(estimate), _filled(truth), visible=both, **options)
        both = np.concatenate([both, np.zeros((len(both), 1), dtype=bool)], axis=1)
        last = both.shape[1] - 1
        return function(_with_root(estimate), _with_root(truth), root=last, visible=both, **options)

    return compute


# ------------------------------------------------------------------ surfaces
def _on_meshes(function: Callable[..., Array], rooted: bool) -> Compute:
    """A few samples at a time, since the meshes of a whole data set in float64 would fill the memory."""

    def compute(estimate: Poses, truth: Poses, scene: Scene) -> Array:
        if estimate.vertices is None or truth.vertices is None:
            raise InputError("vertex metrics need meshes of both, estimate and truth")
        values = np.full(len(truth), np.nan)
        for start in range(0, len(truth), _MESHES):
            part = slice(start, start + _MESHES)
            a, b = (p.vertices[part].astype(np.float64) for p in (estimate, truth))  # type: ignore[index]
            known = np.isfinite(a.sum(axis=(1, 2)) + b.sum(axis=(1, 2)))
            origins = (estimate.origin[part][known], truth.origin[part][known]) if rooted else ()  # type: ignore[index]
            values[np.flatnonzero(known) + start] = function(a[known], b[known], *origins)
        return values

    return compute


# ------------------------------------------------------------------ time
def runs(scene: Scene) -> list[Array]:
    """Numbers of samples that follow each other: same sequence, frames one step apart (the sequence's usual step)."""
    found = []
    for name in dict.fromkeys(scene.sequence.tolist()):
        index = np.flatnonzero(scene.sequence == name)
        index = index[np.argsort(scene.frame[index], kind="stable")]
        steps = np.diff(scene.frame[index])
        if len(steps):
            usual = np.median(steps)
            index_runs = np.split(index, np.flatnonzero((steps != usual) | (usual <= 0)) + 1)
            found += [run for run in index_runs if len(run) > 1]
    return found


def _in_time(function: Callable[[Poses, Poses, Scene], Array], shortest: int) -> Compute:
    """Values of runs of at least ``shortest`` frames at their first frames; NaN at the others."""

    def compute(estimate: Poses, truth: Poses, scene: Scene) -> Array:
        values = np.full(len(truth), np.nan)
        both = _both(estimate, truth)
        used = both.any(axis=0)  # a joint that the data set never has is no gap in time
        whole = (~both[:, used]).sum(axis=1) == 0
        ours, theirs = (replace(p, joints=p.joints[:, used]) for p in (estimate, truth))
        for run in runs(scene) if used.any() else ():
            for part in np.split(run, np.flatnonzero(np.diff(whole[run].astype(int))) + 1):
                if len(part) >= shortest and whole[part].all():
                    got = function(ours.take(part), theirs.take(part), scene)
                    values[part[: len(got)]] = got
        return values

    return compute


def _accel(estimate: Poses, truth: Poses, scene: Scene) -> Array:
    return metrics.accel(estimate.joints)


def _accel_error(estimate: Poses, truth: Poses, scene: Scene) -> Array:
    return metrics.accel_error(estimate.joints, truth.joints)


def _jitter(estimate: Poses, truth: Poses, scene: Scene) -> Array:
    return metrics.jitter(estimate.joints, scene.fps)


def _world(function: Callable[[Array, Array], Array]) -> Compute:
    return _in_time(lambda estimate, truth, scene: function(estimate.joints, truth.joints), 2)


def _rte(estimate: Poses, truth: Poses, scene: Scene) -> Array:
    assert truth.root is not None
    if np.ptp(truth.root, axis=0).max() < _STILL:
        return np.full(len(truth), np.nan)  # nobody moves: there is no length to compare with
    return metrics.rte(estimate.root, truth.root)


# ------------------------------------------------------------------ pictures
def _pck(threshold: float, size: Callable[[Poses, Scene], Array] | None) -> Compute:
    def compute(estimate: Poses, truth: Poses, scene: Scene) -> Array:
        limit = np.ones(len(truth)) if size is None else size(truth, scene)
        known = np.isfinite(limit) & (limit > 0)
        # A keypoint that was not estimated is a miss, not a joint to leave out.
        guess = np.where(estimate.visible[..., None], estimate.joints, np.inf)
        target = np.nan_to_num(truth.joints)
        got = metrics.pck_2d(guess, target, threshold, np.where(known, limit, 1.0), truth.visible)
        return np.where(known, got, np.nan)

    return compute


def _box(truth: Poses, scene: Scene) -> Array:
    return metrics.box_size(scene.box)


def _head(truth: Poses, scene: Scene) -> Array:
    return metrics.head_size(scene.head_box)


def _torso(truth: Poses, scene: Scene) -> Array:
    # lsp14: 9 left shoulder, 2 right hip
    seen = truth.visible[:, 9] & truth.visible[:, 2]
    return np.where(seen, metrics.torso_size(truth.joints, 9, 2), np.nan)


def _oks(estimate: Poses, truth: Poses, scene: Scene) -> Array:
    far = np.where(estimate.visible[..., None], estimate.joints, 1e9)
    got = metrics.oks(far, np.nan_to_num(truth.joints), np.nan_to_num(scene.area), truth.visible)
    return np.where(np.isfinite(scene.area), got, np.nan)


METRICS: dict[str, Metric] = {
    "mpjpe": Metric("MPJPE", "mm", 1e3, _on_joints(metrics.mpjpe, True)),
    "pa_mpjpe": Metric("PA-MPJPE", "mm", 1e3, _on_joints(metrics.pa_mpjpe, False)),
    "n_mpjpe": Metric("N-MPJPE", "mm", 1e3, _on_joints(metrics.n_mpjpe, True)),
    "pck_150mm": Metric("3D-PCK@150mm", "%", 1e2, _on_joints(metrics.pck, True, threshold=0.15), False),
    "auc": Metric("AUC", "%", 1e2, _on_joints(metrics.auc, True), False),
    "mve": Metric("MVE", "mm", 1e3, _on_meshes(metrics.mve, True)),
    "pa_mve": Metric("PA-MVE", "mm", 1e3, _on_meshes(metrics.pa_mve, False)),
    "accel": Metric("acceleration", "mm/frame²", 1e3, _in_time(_accel, 3)),
    "accel_error": Metric("acceleration error", "mm/frame²", 1e3, _in_time(_accel_error, 3)),
    "jitter": Metric("jitter", "10 m/s³", 0.1, _in_time(_jitter, 4)),
    "wa_mpjpe": Metric("WA-MPJPE", "mm", 1e3, _world(metrics.wa_mpjpe)),
    "w_mpjpe": Metric("W-MPJPE", "mm", 1e3, _world(metrics.w_mpjpe)),
    "rte": Metric("RTE", "%", 1e2, _in_time(_rte, 2)),
    "pck_05_box": Metric("PCK@0.05 of the box", "%", 1e2, _pck(0.05, _box), False),
    "pck_10_box": Metric("PCK@0.1 of the box", "%", 1e2, _pck(0.1, _box), False),
    "pck_20_torso": Metric("PCK@0.2 of the torso", "%", 1e2, _pck(0.2, _torso), False),
    "pckh_50": Metric("PCKh@0.5", "%", 1e2, _pck(0.5, _head), False),
    "oks": Metric("OKS", "%", 1e2, _oks, False),
}
