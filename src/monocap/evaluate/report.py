"""What an evaluation found, as data: averages with their certainty, every sample, what was left out and why."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monocap.evaluate import protocols
from monocap.evaluate.poses import Poses
from monocap.evaluate.predictions import Estimate
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.evaluate.scoring import METRICS, joint_errors, score
from monocap.evaluate.truth import Truth
from monocap.files import replacing
from monocap.metrics import bootstrap_interval
from monocap.pipeline.outputs import versions
from monocap.types import Array

SCHEMA = "monocap.evaluation/1"
ALL_SAMPLES = 50  # up to here the Markdown report lists every sample, beyond it the worst
Report = dict[str, Any]


def build_report(protocol: EvaluationProtocol, truth: Truth, estimates: Sequence[Estimate], command: str) -> Report:
    """Everything as one JSON-ready object; numbers in printed units, NaN as None.

    A sample for which nothing was found counts as 0 % in shares (PCK, AUC) and is left out of mean distances; how many
    there were stands beside every row as ``missed``.
    """
    info = truth.samples[0].info
    rows, values = [], {}
    for estimate in estimates:
        scores = {name: _scores(name, estimate, truth) for name in _possible(protocol, estimate.poses, truth.poses)}
        values[estimate.label] = scores
        rows.append(_row(estimate, truth, scores))
    return {
        "schema": SCHEMA,
        "command": command,
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "title": protocol.title,
            "joints": list(protocol.joints),
            "root": list(protocol.root),
            "points": protocol.points,
            "unit": protocol.unit,
            "body": protocol.body,
            "regressor": protocol.regressor,
            "truth": protocol.truth,
            "traps": list(protocol.traps),
        },
        "data": {
            "name": info.name,
            "licence": info.licence,
            "read": truth.seen,
            "compared": len(truth.samples),
            "skipped": len({problem.sample for problem in truth.problems}),
            "not_of_protocol": truth.deselected,
            "problems": dict(Counter(problem.kind for problem in truth.problems)),
            "problem_list": [problem.message for problem in truth.problems],
            "notes": truth.notes,
        },
        "rows": rows,
        "samples": [
            {
                "sample": sample.name,
                "picture": sample.image.name if isinstance(sample.image, Path) else "",
                "sequence": str(truth.scene.sequence[i]),
                "values": {
                    label: {name: _number(got[i]) for name, got in scores.items()} for label, scores in values.items()
                },
            }
            for i, sample in enumerate(truth.samples)
        ],
        "published": [row.__dict__ for row in protocols.published(protocol.name)],
        "versions": versions(),
    }


def _possible(protocol: EvaluationProtocol, estimate: Poses, truth: Poses) -> list[str]:
    """The protocol's metrics that can be computed here: without meshes no MVE."""
    meshes = estimate.vertices is not None and truth.vertices is not None
    return [name for name in protocol.metrics if meshes or name not in ("mve", "pa_mve")]


def _scores(name: str, estimate: Estimate, truth: Truth) -> Array:
    got = score(name, estimate.poses, truth.poses, truth.scene)
    missed = np.nan if METRICS[name].lower_is_better else 0.0
    return np.where(estimate.found, got, missed)


def _row(estimate: Estimate, truth: Truth, scores: dict[str, Array]) -> dict[str, Any]:
    by_sequence = {}
    for sequence in dict.fromkeys(truth.scene.sequence.tolist()):
        here = truth.scene.sequence == sequence
        by_sequence[sequence] = {name: _number(_mean(values[here])) for name, values in scores.items()}
    title, errors = joint_errors(estimate.poses, truth.poses)
    errors = np.where(estimate.found[:, None], errors, np.nan)
    return {
        "label": estimate.label,
        "found": int(estimate.found.sum()),
        "missed": int((~estimate.found).sum()),
        "metrics": {name: _summary(name, values, truth.scene.sequence) for name, values in scores.items()},
        "by_sequence": by_sequence,
        "by_joint": {"what": title, "values": [_number(_mean(errors[:, j])) for j in range(errors.shape[1])]},
        "notes": estimate.notes,
    }


def _summary(name: str, values: Array, sequences: Array) -> dict[str, Any]:
    metric, known = METRICS[name], np.isfinite(values)
    summary: dict[str, Any] = {"title": metric.title, "unit": metric.unit, "lower_is_better": metric.lower_is_better}
    if not known.any():
        return summary | {"samples": 0, "sequences": 0, "mean": None, "median": None}
    for statistic in ("mean", "median"):
        found = bootstrap_interval(values[known], sequences[known], statistic)
        summary[statistic] = _number(found.value)
        summary[f"{statistic}_95"] = [_number(found.low), _number(found.high)]
        summary["samples"], summary["sequences"] = found.samples, found.clusters
    return summary


def worst(report: Report, count: int) -> list[int]:
    """Numbers of the samples with the largest error (or lowest share) of the first metric in the last row."""
    row = report["rows"][-1]
    if not row["metrics"]:
        return []
    name = next(iter(row["metrics"]))
    sign = 1.0 if METRICS[name].lower_is_better else -1.0
    values = [sample["values"][row["label"]][name] for sample in report["samples"]]
    known = [(sign * value, i) for i, value in enumerate(values) if value is not None]
    return [i for _, i in sorted(known, reverse=True)[:count]]


def write_json(path: Path, report: Report) -> None:
    """The report as JSON, indented."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
