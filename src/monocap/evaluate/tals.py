"""``monocap evaluate tals``: from which error on is a keypoint, or a pseudo-true joint, to be believed?

Thresholds for `train.tals`, derived as TokenHMR derives its own, but for any data set whose cameras are known: 2D, how
far true bodies lie from their true keypoints under the camera that the network believes in; angles, how far a body
drifts whose pose is fitted to true keypoints under that camera, as pseudo-truth is made.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from monocap import skeletons
from monocap.bodies import load_body
from monocap.data.dataset import Dataset
from monocap.data.sample import Sample
from monocap.data.tals_thresholds import TalsThresholds
from monocap.errors import InputError
from monocap.evaluate.program import open_data
from monocap.evaluate.wrong_camera import POINTS, ROOT, Drift, Fits, Seen, best_camera, seen, under
from monocap.files import replacing
from monocap.types import Array

STRENGTH = 0.5
"""Of the prior while a pose is fitted: that of a photograph's capture."""

FEWEST_PEOPLE = 20
PUBLISHED = {"points": (0.0050, 0.0166), "rotations": (0.116, 0.624)}
"""Ranges of TokenHMR's own, BEDLAM under HMR 2.0's predicted camera: crop widths squared over 44 points, rad."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TalsOptions:
    """``data``: a data set with 3D joints in the camera and intrinsics; ``body``: whose parameters it has, for angles.

    ``scale``: factor on the mean angles (TokenHMR 0.8 of its own); ``limit``: at most so many people, spread evenly.
    """

    data: Path | None
    out: Path = Path("out/tals")
    body: str = "open"
    scale: float = 1.0
    limit: int | None = None

    @property
    def command(self) -> str:
        words = ["monocap", "evaluate", "tals", *([] if self.data is None else ["--data", self.data.name])]
        return shlex.join([*words, *([] if self.limit is None else ["--limit", str(self.limit)])])


def people(dataset: Dataset, limit: int | None) -> Iterator[tuple[Sample, Seen]]:
    """Samples with a known camera, and how their crops show them; of ``limit`` numbers spread over the set."""
    count = len(dataset)
    chosen = (
        range(count) if limit is None or limit >= count else np.unique(np.linspace(0, count - 1, limit).astype(int))
    )
    for index in chosen:
        sample = dataset[int(index)]
        one = seen(sample)
        if one is not None:
            yield sample, one


def derive(options: TalsOptions, progress: Progress | None = None) -> tuple[TalsThresholds, dict[str, Any]]:
    """The thresholds and a report of them. Raises InputError for data without cameras, or too few people in it."""
    dataset, fits = open_data(options.data), Fits(load_body(options.body))
    squared, absolute, wrong, right = [], [], [], []
    with threadpool_limits(1, user_api="blas"):
        for done, (sample, one) in enumerate(people(dataset, options.limit), 1):
            body = one.points - one.points[ROOT]
            off = under(body, best_camera(body, one.flat, one.known)) - one.flat
            off[~one.known] = np.nan
            squared.append(np.square(off).sum(axis=1))
            absolute.append(np.abs(off).sum(axis=1))
            if fits.takes(sample, options.body):
                wrong.append(fits.wrong(sample, one, [STRENGTH])[0])
                right.append(fits.right(sample, one, [STRENGTH])[0])
            if progress is not None:
                progress(done, options.limit or len(dataset))
    if len(squared) < FEWEST_PEOPLE:
        raise InputError(
            f"{dataset.name}: {len(squared)} people with 3D joints, intrinsics and a box; "
            f"expected at least {FEWEST_PEOPLE}"
        )
    if len(wrong) < FEWEST_PEOPLE:
        raise InputError(
            f"{dataset.name}: {len(wrong)} people with parameters of body {options.body!r}, from which angles follow; "
            f"expected at least {FEWEST_PEOPLE} (see --body)"
        )
    joints = tuple(skeletons.get("smplx55").joint_names[: len(wrong[0].rotations)])
    angles = options.scale * _mean_angles(wrong)
    report = {
        "command": options.command,
        "data": dataset.name,
        "people": len(squared),
        "fitted": len(wrong),
        "drift_right_camera": _named(joints, _mean_angles(right)),
        "mpjpe_mm": {"wrong": _mpjpe(wrong), "right": _mpjpe(right)},
    }
    about = {"camera": "5000 px over 256 px crops (HMR 2.0)", "scale": options.scale}
    about |= {key: report[key] for key in ("command", "data", "people", "fitted")}
    thresholds = TalsThresholds(
        _named(POINTS, np.nanmean(squared, axis=0)),
        _named(POINTS, np.nanmean(absolute, axis=0)),
        _named(joints, angles),
        about,
    )
    return thresholds, report


def _named(names: Sequence[str], values: Array) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value) and value > 0}


def _mean_angles(drifts: Sequence[Drift]) -> Array:
    return np.mean([drift.rotations for drift in drifts], axis=0)


def _mpjpe(drifts: Sequence[Drift]) -> float:
    return 1000 * float(np.mean([drift.joints.mean() for drift in drifts]))


def write(options: TalsOptions, thresholds: TalsThresholds, report: dict[str, Any]) -> list[Path]:
    """``tals.json``, which training reads, and ``report.md``; their paths."""
    options.out.mkdir(parents=True, exist_ok=True)
    data, page = options.out / "tals.json", options.out / "report.md"
    thresholds.write(data)
    with replacing(page) as temporary:
        temporary.write_text(markdown(thresholds, report), encoding="utf-8")
    return [data, page]


def markdown(thresholds: TalsThresholds, report: dict[str, Any]) -> str:
    """The report as a page of text."""
    mpjpe = report["mpjpe_mm"]
    lines = ["# Thresholds below which an error counts little", "", f"`{report['command']}`", ""]
    lines += [
        f"{report['people']} people of {report['data']}, {report['fitted']} of them fitted. Fitted to true keypoints"
    ]
    lines += [
        f"under the crop's fixed camera, bodies end {mpjpe['wrong']:.0f} mm (MPJPE) from the truth, under the true one"
    ]
    lines += [f"{mpjpe['right']:.0f} mm, which the prior and what keypoints leave open explain.", ""]
    lines += [
        "## 2D",
        "",
        "Mean squared distance in crop widths, its root in pixels of a 256 px crop, mean |Δx| + |Δy|.",
    ]
    low, high = PUBLISHED["points"]
    lines += [
        f"TokenHMR's lie between {low:.4f} and {high:.4f} (18–33 px): BEDLAM's bodies under HMR 2.0's own guess of the"
    ]
    lines += [
        "camera, while here it is the best camera of that focal length.",
        "",
        "| point | squared | px | l1 |",
        "|---|---:|---:|---:|",
    ]
    for name, value in thresholds.points.items():
        lines.append(f"| {name} | {value:.5f} | {256 * value**0.5:.1f} | {thresholds.points_l1[name]:.4f} |")
    low, high = PUBLISHED["rotations"]
    lines += [
        "",
        "## Rotations",
        "",
        "Mean angle to the truth, degrees; beside it the same under the true camera. TokenHMR's lie",
    ]
    lines += [f"between {np.degrees(low):.1f}° and {np.degrees(high):.1f}°, and 26.4° for the root.", ""]
    lines += ["| joint | wrong camera | true camera |", "|---|---:|---:|"]
    for name, value in thresholds.rotations.items():
        right = report["drift_right_camera"].get(name, 0.0)
        lines.append(f"| {name} | {np.degrees(value):.1f} | {np.degrees(right):.1f} |")
    return "\n".join(lines) + "\n"
