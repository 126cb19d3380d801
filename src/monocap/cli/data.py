"""``monocap data``: what a data set is, and body parameters for a user's own recordings."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import load_body
from monocap.cli.display import ProgressDisplay
from monocap.data.catalog import names, open_dataset, recognise
from monocap.data.checks import Checked
from monocap.data.labelling import label, output_path, write_labels
from monocap.data.recordings import read_markers, read_recordings
from monocap.errors import InputError, MonocapError
from monocap.files import read_npz


def info(path: Path, kind: str | None, limit: int, decode: bool, as_json: bool) -> int:
    """What a folder or file is recognised as, how much is in it, and what is wrong; returns the exit status."""
    if kind is not None and kind not in names():
        raise InputError(f"no data set {kind!r}; there are {', '.join(names())}")
    found = kind or recognise(path).name
    dataset = open_dataset(path, found)
    total = len(dataset)
    # Spread over the whole set: problems often sit in one sequence.
    chosen = np.unique(np.linspace(0, total - 1, min(limit, total)).astype(int)) if total else np.zeros(0, dtype=int)
    checked = Checked(dataset, "skip", decode, chosen.tolist())
    holds: Counter[str] = Counter()
    for sample in checked:
        holds["picture"] += sample.image is not None
        for name in ("box_center", "K", "T_camera_world", "joints3d", "joints2d", "params", "scan"):
            holds[name] += getattr(sample, name) is not None
    summary: dict[str, Any] = {
        "path": str(path),
        "kind": found,
        "name": dataset.name,
        "licence": dataset.info.licence,
        "source": dataset.info.source,
        "skeleton": dataset.skeleton,
        "samples": total,
        "sequences": len(dataset.sequences),
        "unreadable": [why for _, why in dataset.unreadable],
        "checked": checked.seen,
        "in_order": checked.used,
        "not_in_protocol": checked.not_in_protocol,
        "problems": checked.counts(),
        "first_problems": [problem.message for problem in checked.problems[:10]],
        "of_those_in_order_have": dict(holds),
    }
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return 0
    for key, value in summary.items():
        if isinstance(value, list):
            print(f"{key:22} {len(value)}")
            for line in value[:10]:
                print(f"{'':22} {line}")
        elif isinstance(value, dict):
            print(f"{key:22} {', '.join(f'{k}: {v}' for k, v in value.items() if v) or 'none'}")
        else:
            print(f"{key:22} {value}")
    return 0


def label_all(
    source: Path,
    out: Path,
    body: str,
    markers: Path | None,
    threshold: float | None,
    height: float | None,
    unit: str | None,
    axes: str | None,
    fps: float | None,
    skeleton: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Fit every recording of ``source`` and write one npz each; those that are there already are left, unless told."""
    if height is not None and not 0.4 <= height <= 2.6:
        raise InputError(f"height is {height} m; expected metres between 0.4 and 2.6")
    recordings = read_recordings(source, unit=unit, axes=axes, fps=fps, skeleton=skeleton)
    table = read_markers(markers)
    model = load_body(body)
    results: list[dict[str, Any]] = []
    failed = 0
    with ProgressDisplay() as display:
        for recording in recordings:
            target = output_path(out, recording)
            if target.exists() and not overwrite:
                done = read_npz(target, {"accepted", "residual", "residual_unit"})
                if {"accepted", "residual", "residual_unit"} <= set(done):
                    unit_of = str(done["residual_unit"])
                    results.append(_result(recording.name, target, done["accepted"], done["residual"], unit_of, True))
                    continue
            try:
                labels = label(
                    recording,
                    model,
                    table,
                    threshold,
                    height,
                    lambda done, total, name=recording.name: display(name, done, total),
                )
            except InputError as error:
                if len(recordings) == 1:
                    raise
                failed += 1
                results.append({"recording": recording.name, "error": str(error)})
                display.say(f"{recording.name}: {error}")
                continue
            write_labels(target, labels, recording, model)
            results.append(_result(recording.name, target, labels.accepted, labels.residual, labels.unit, False))
    if as_json:
        print(json.dumps({"recordings": results, "failed": failed}, ensure_ascii=False))
    else:
        for result in results:
            print(_line(result))
    if failed == len(recordings):
        raise MonocapError(f"none of {failed} recordings could be labelled")
    return 1 if failed else 0


def _result(
    name: str, target: Path, accepted: np.ndarray, residual: np.ndarray, unit: str, there: bool
) -> dict[str, Any]:
    finite = residual[np.isfinite(residual)]
    return {
        "recording": name,
        "file": str(target),
        "frames": len(accepted),
        "accepted": int(accepted.sum()),
        "residual_median": round(float(np.median(finite)), 2) if len(finite) else None,
        "residual_worst": round(float(finite.max()), 2) if len(finite) else None,
        "unit": unit,
        "was_there": there,
    }


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['recording']}: FAILED, {result['error']}"
    unit = result["unit"]
    there = " (was there already)" if result["was_there"] else ""
    return (
        f"{result['recording']}: {result['accepted']} of {result['frames']} frames accepted, residual median "
        f"{result['residual_median']} {unit}, worst {result['residual_worst']} {unit}: {result['file']}{there}"
    )
