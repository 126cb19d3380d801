"""Is a file of predictions what it says? Millimetres, exchanged sides and other joint orders are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from monocap import metrics
from monocap.errors import InputError
from monocap.evaluate.poses import Poses
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.types import Array

_SEGMENTS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_UNITS = ((1000.0, "millimetres"), (100.0, "centimetres"), (39.37, "inches"), (0.001, "kilometres"))
_NEAR_UNIT = 1.5  # a factor within this of a unit's is that unit
_PLAUSIBLE = 2.5  # wrong by more than this in size: another unit, or not metric at all
_ORDER = 3.0  # ratio between the relative lengths of one segment, estimate against truth
_SWAP_GAIN = 0.6  # exchanged sides: the error falls to less than this share
_SWAP_SHARE = 0.7  # … in at least this share of the samples
_ENOUGH = 3


def check_predictions(protocol: EvaluationProtocol, estimate: Poses, truth: Poses) -> list[str]:
    """Refuse predictions that are systematically in another unit or joint order, or with left and right exchanged.

    Looks at medians over all samples, so single bad predictions pass. Returns warnings about what could not be
    checked. Raises InputError saying what seems wrong.
    """
    if estimate.joints.shape[-1] != truth.joints.shape[-1]:
        raise InputError(
            f"predictions have {estimate.joints.shape[-1]} coordinates per point, truth {truth.joints.shape[-1]}"
        )
    warnings = []
    both = estimate.visible & truth.visible
    if len(truth) < _ENOUGH:
        warnings.append(f"only {len(truth)} samples: exchanged sides and joint order were not checked")
    if estimate.joints.shape[-1] == 3:
        _check_units(estimate, truth, both)
        if len(truth) >= _ENOUGH:
            _check_sides(protocol.joints, estimate, truth, both)
            _check_lengths(protocol.joints, estimate, truth, both)
            _check_order(protocol.joints, estimate, truth, both)
    elif len(truth) >= _ENOUGH:
        _check_sides(protocol.joints, estimate, truth, both)
        _check_order(protocol.joints, estimate, truth, both)
    return warnings


def _extent(points: Array, visible: Array) -> Array:
    """(N,) root mean square distance of the visible points from their middle."""
    weight = visible[..., None].astype(np.float64)
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1)
    points = np.where(visible[..., None], points, 0.0)
    middle = points.sum(axis=1, keepdims=True) / count
    return np.sqrt((weight * (points - middle) ** 2).sum(axis=(1, 2)) / count[:, 0, 0])


def _check_units(estimate: Poses, truth: Poses, both: Array) -> None:
    if estimate.vertices is not None and truth.vertices is not None and both.sum() < 2 * len(both):
        everything = np.ones(truth.vertices.shape[:2], bool)
        ours, theirs = _extent(estimate.vertices, everything), _extent(truth.vertices, everything)
    else:
        ours, theirs = _extent(estimate.joints, both), _extent(truth.joints, both)
    usable = (both.sum(axis=1) >= 2) | (estimate.vertices is not None)
    usable &= theirs > 0
    if not usable.any():
        return
    ratio = float(np.median(ours[usable] / theirs[usable]))
    for factor, unit in _UNITS:
        if factor / _NEAR_UNIT < ratio < factor * _NEAR_UNIT:
            raise InputError(f"predictions are {ratio:.3g} times as large as the truth: {unit}? Expected metres")
    if not 1 / _PLAUSIBLE < ratio < _PLAUSIBLE:
        raise InputError(
            f"predictions are {ratio:.3g} times as large as the truth; expected metres of whole people (normalised "
            "coordinates or another joint order?)"
        )


def _check_lengths(names: Sequence[str], estimate: Poses, truth: Poses, both: Array) -> None:
    at = {name: i for i, name in enumerate(names)}
    wrong = []
    ratios = {}
    for side in ("left", "right"):
        for a, b in _SEGMENTS:
            one, other = at.get(f"{side}_{a}"), at.get(f"{side}_{b}")
            if one is None or other is None or not (seen := both[:, one] & both[:, other]).any():
                continue
            length = [np.linalg.norm(p.joints[seen, one] - p.joints[seen, other], axis=-1) for p in (estimate, truth)]
            ratios[f"{side} {a}–{b}"] = float(np.median(length[0]) / max(np.median(length[1]), 1e-9))
    if len(ratios) < 4:
        return
    usual = float(np.median(list(ratios.values())))
    wrong = [name for name, ratio in ratios.items() if not usual / _ORDER < max(ratio, 1e-9) < usual * _ORDER]
    if wrong:
        raise InputError(
            f"joints in another order? Limbs of the predictions have impossible lengths ({', '.join(wrong)}). "
            f"Expected {', '.join(names)}"
        )


def _check_order(names: Sequence[str], estimate: Poses, truth: Poses, both: Array) -> None:
    """Would another assignment of joints fit far better? Works on centred points, as far as axes are the same."""
    whole = both.all(axis=1)
    if whole.sum() < _ENOUGH or len(names) < 4:
        return
    ours, theirs = (p.joints[whole] - p.joints[whole].mean(axis=1, keepdims=True) for p in (estimate, truth))
    cost = np.median(np.linalg.norm(ours[:, :, None] - theirs[:, None], axis=-1), axis=0)
    _, best = linear_sum_assignment(cost.T)  # best[k]: which of the given joints lies where joint k should
    straight, assigned = float(np.trace(cost)), float(cost[best, np.arange(len(names))].sum())
    moved = [f"{names[k]} where {names[j]} is expected" for j, k in enumerate(best) if j != k]
    if len(moved) >= 2 and assigned < _SWAP_GAIN * straight:
        raise InputError(
            f"joints in another order? In another one the error falls to {assigned / straight:.0%}: "
            f"{'; '.join(moved[:4])}. Expected {', '.join(names)}"
        )


def _check_sides(names: Sequence[str], estimate: Poses, truth: Poses, both: Array) -> None:
    straight = _aligned_error(estimate.joints, truth.joints, both)
    for what, parts in (("left and right", (*_ARM, *_LEG)), ("the legs'", _LEG), ("the arms'", _ARM)):
        order = exchanged(names, parts)
        if (order == np.arange(len(names))).all():
            continue
        swapped = _aligned_error(estimate.joints[:, order], truth.joints, estimate.visible[:, order] & truth.visible)
        known = np.isfinite(straight) & np.isfinite(swapped)
        if known.sum() < _ENOUGH:
            continue
        better = (swapped < _SWAP_GAIN * straight)[known].mean()
        if better >= _SWAP_SHARE and np.median(swapped[known]) < _SWAP_GAIN * np.median(straight[known]):
            sides = what if what.startswith("left") else f"{what} left and right"
            raise InputError(
                f"{sides} are exchanged: with them exchanged back, the median error falls from "
                f"{np.median(straight[known]):.4g} to {np.median(swapped[known]):.4g}. Was a regressor of the other "
                "family used, or the picture mirrored?"
            )


def exchanged(names: Sequence[str], parts: Sequence[str]) -> Array:
    """(J,) permutation that exchanges left and right of the named ``parts`` only (and of the head's, if all are)."""
    at = {name: i for i, name in enumerate(names)}
    order = np.arange(len(names))
    whole = set(parts) == {*_ARM, *_LEG}
    for name, i in at.items():
        side, _, part = name.partition("_")
        other = {"left": "right", "right": "left"}.get(side)
        if other is not None and (whole or part in parts):
            order[i] = at.get(f"{other}_{part}", i)
    return order


def _aligned_error(estimate: Array, truth: Array, both: Array) -> Array:
    a, b = np.nan_to_num(estimate), np.nan_to_num(truth)
    if a.shape[-1] == 3:
        return metrics.pa_mpjpe(a, b, both)
    return metrics.pixel_error(a, b, both)
