"""``monocap evaluate camera-bias``: what does the wrong camera of crop networks do to true bodies, and to fitted ones?

Three questions, on a data set whose cameras are known:

- how many keypoints of *true* bodies come to lie right (PCK) under one fixed focal length, if everything else of the
  camera is chosen as well as can be, or so that the pelvis stands where it truly does;
- where they err: by joint, focal length, distance, and how far aside the person stands;
- what bodies do that follow the 2D nevertheless: PCK against MPJPE while the prior that holds them fades.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.evaluate.program import open_data
from monocap.evaluate.tals import FEWEST_PEOPLE, Progress, people
from monocap.evaluate.wrong_camera import (
    POINTS,
    ROOT,
    Drift,
    Fits,
    Seen,
    best_camera,
    pelvis_camera,
    straightened,
    under,
)
from monocap.types import Array

SCHEMA = "monocap.camera-bias/1"
THRESHOLDS = (0.05, 0.1)
"""Of PCK, crop widths: where the papers write PCK@0.5 and 1.0."""

PUBLISHED = (
    {"what": "HMR 2.0b's bodies and cameras, BEDLAM", "pck": (0.78, 0.88)},
    {"what": "true bodies under HMR 2.0b's cameras, BEDLAM", "pck": (0.66, 0.86)},
    {"what": "true bodies under the true camera", "pck": (1.0, 1.0)},
)
"""Dwivedi et al. 2024 (TokenHMR), table of the camera bias."""

CAMERAS = {
    "best": "fixed focal length, the best camera for the 2D",
    "pelvis": "fixed focal length, the pelvis where it truly is",
    "straight": "as best, but the body as seen straight ahead",
    "moderate": "the picture's own place of the crop, focal length 0.9 × the longer side (the usual lens)",
}
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
"""Of the prior that fades, from where bodies keep their everyday pose to where 2D is all that counts."""

_FOCALS = (0.0, 0.7, 1.0, 1.5, 2.2, np.inf)
_DISTANCES = (0.0, 2.0, 3.0, 4.5, 7.0, np.inf)
_ASIDES = (0.0, 5.0, 10.0, 20.0, np.inf)


@dataclass(frozen=True)
class BiasOptions:
    """``data``: a data set with 3D joints in the camera and intrinsics; ``body``: whose parameters it has;
    ``limit``: at most so many people; ``fitted``: how many of them are fitted along the fading prior."""

    data: Path | None
    out: Path = Path("out/camera-bias")
    body: str = "open"
    limit: int | None = None
    fitted: int = 200

    @property
    def command(self) -> str:
        words = ["monocap", "evaluate", "camera-bias", *([] if self.data is None else ["--data", self.data.name])]
        return shlex.join([*words, *([] if self.limit is None else ["--limit", str(self.limit)])])


@dataclass
class Bias:
    """What was found: ``off`` by camera (N,K,2) crop widths, NaN where not seen; ``people`` (N,) of it; ``drifts`` by
    camera "wrong" and "right", a list per person of one drift per strength; ``name`` of the data set."""

    name: str
    people: list[Seen] = field(default_factory=list)
    off: dict[str, Array] = field(default_factory=dict)
    drifts: dict[str, list[list[Drift]]] = field(default_factory=dict)


def study(options: BiasOptions, progress: Progress | None = None) -> Bias:
    """Look at every person. Raises InputError for data without cameras or with too few people."""
    dataset = open_data(options.data)
    fits = Fits(load_body(options.body))
    found = Bias(dataset.name, drifts={"wrong": [], "right": []})
    off: dict[str, list[Array]] = {name: [] for name in CAMERAS}
    total = min(len(dataset), options.limit or len(dataset))
    every = max(1, total // max(options.fitted, 1))
    with threadpool_limits(1, user_api="blas"):
        for number, (sample, one) in enumerate(people(dataset, options.limit)):
            found.people.append(one)
            for name, flat in placed(one).items():
                off[name].append(np.where(one.known[:, None], flat - one.flat, np.nan))
            if number % every == 0 and fits.takes(sample, options.body):
                found.drifts["wrong"].append(fits.wrong(sample, one, STRENGTHS))
                found.drifts["right"].append(fits.right(sample, one, STRENGTHS))
            if progress is not None:
                progress(number + 1, total)
    if len(found.people) < FEWEST_PEOPLE:
        raise InputError(
            f"{dataset.name}: {len(found.people)} people with 3D joints, intrinsics and a box; "
            f"expected at least {FEWEST_PEOPLE}"
        )
    found.off = {name: np.stack(rows) for name, rows in off.items()}
    return found


def placed(one: Seen) -> dict[str, Array]:
    """Where the points (K,2) of a true body come to lie in its crop, by the cameras of `CAMERAS`."""
    body, straight = one.points - one.points[ROOT], straightened(one)
    # a wrong but moderate lens where the crop truly lies: the pelvis stays on its pixel, at the depth of its size
    focal = 0.9 * max(one.image_size)
    root = np.array([one.points[ROOT, 0], one.points[ROOT, 1], one.points[ROOT, 2] * focal / one.focal_px])
    moderate = body + root
    pixels = focal * moderate[:, :2] / moderate[:, 2:] + one.principal
    return {
        "best": under(body, best_camera(body, one.flat, one.known)),
        "pelvis": under(body, pelvis_camera(one)),
        "straight": under(straight, best_camera(straight, one.flat, one.known)),
        "moderate": (pixels - one.center) / one.size,
    }


def pck(off: Array, threshold: float) -> float:
    """Share of points (…,2) that lie within ``threshold``; NaN are not counted."""
    distance = np.linalg.norm(off, axis=-1)
    return float((distance[np.isfinite(distance)] <= threshold).mean())


def summary(options: BiasOptions, bias: Bias) -> dict[str, Any]:
    """Everything as numbers by name, for JSON."""
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "command": options.command,
        "data": bias.name,
        "people": len(bias.people),
        "fitted": len(bias.drifts["wrong"]),
        "thresholds": list(THRESHOLDS),
        "published": [{**row, "pck": list(row["pck"])} for row in PUBLISHED],
        "cameras": {
            name: {
                "what": what,
                "pck": [pck(bias.off[name], t) for t in THRESHOLDS],
                "mean_error": float(np.nanmean(np.linalg.norm(bias.off[name], axis=-1))),
            }
            for name, what in CAMERAS.items()
        },
    }
    error = np.linalg.norm(bias.off["best"], axis=-1)
    report["by_joint"] = {
        name: {
            "mean_error": float(np.nanmean(error[:, k])),
            "right": float(np.nanmean(bias.off["best"][:, k, 0])),
            "down": float(np.nanmean(bias.off["best"][:, k, 1])),
            "straight": float(np.nanmean(np.linalg.norm(bias.off["straight"][:, k], axis=-1))),
        }
        for k, name in enumerate(POINTS)
        if np.isfinite(error[:, k]).any()
    }
    report["by"] = {
        "focal length (longer sides)": _binned(bias, [one.focal for one in bias.people], _FOCALS),
        "distance (m)": _binned(bias, [one.distance for one in bias.people], _DISTANCES),
        "aside (degrees)": _binned(bias, [np.degrees(one.aside) for one in bias.people], _ASIDES),
    }
    report["fading"] = {
        camera: [_faded(bias.drifts[camera], i, strength) for i, strength in enumerate(STRENGTHS)]
        for camera in ("right", "wrong")
        if bias.drifts[camera]
    }
    return report


def _binned(bias: Bias, values: Sequence[float], edges: Sequence[float]) -> list[dict[str, Any]]:
    """Error and PCK of people whose value lies between two edges."""
    rows, at = [], np.asarray(values)
    for low, high in pairwise(edges):
        mine = (at >= low) & (at < high)
        if not mine.any():
            continue
        row: dict[str, Any] = {"from": low, "to": None if np.isinf(high) else high, "people": int(mine.sum())}
        for name in ("best", "straight"):
            row[name] = float(np.nanmean(np.linalg.norm(bias.off[name][mine], axis=-1)))
            row[f"pck_{name}"] = pck(bias.off[name][mine], THRESHOLDS[0])
        rows.append(row)
    return rows


def _faded(drifts: Sequence[Sequence[Drift]], i: int, strength: float) -> dict[str, Any]:
    """PCK and MPJPE of all fitted people at one strength of the prior."""
    flat = np.concatenate([drift[i].flat for drift in drifts])
    flat = flat[np.isfinite(flat)]
    joints = np.array([drift[i].joints.mean() for drift in drifts])
    return {
        "strength": strength,
        "pck": [float((flat <= t).mean()) for t in (0.01, *THRESHOLDS)],
        "error": float(flat.mean()),
        "mpjpe_mm": 1000 * float(joints.mean()),
        "mpjpe_median_mm": 1000 * float(np.median(joints)),
    }
