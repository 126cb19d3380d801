"""What ``monocap evaluate prior`` writes: JSON, a Markdown page, plots and a sheet of rendered samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monocap.bodies import load_body
from monocap.errors import MissingDependencyError
from monocap.evaluate.plots import COLOURS
from monocap.evaluate.prior import REPLACED, TURNED, PriorEvaluation
from monocap.files import replacing
from monocap.media.pictures import write_image
from monocap.render import render_view
from monocap.types import Array

TILE = (150, 200)


def write_prior_report(folder: Path, done: PriorEvaluation, sheet: int) -> tuple[list[Path], list[str]]:
    """Write everything into ``folder``; returns the paths and warnings (plots are left out without matplotlib)."""
    folder.mkdir(parents=True, exist_ok=True)
    written, warnings = [], []
    for model, name in (("VPoser", "samples_vposer"), ("GMM", "samples_gmm")):
        if sheet:
            path = folder / f"{name}.jpg"
            write_image(path, samples_sheet(done.samples[model][:sheet]))
            written.append(path)
    try:
        written += _plots(folder, done)
    except MissingDependencyError as error:
        warnings.append(f"no plots: {error}")
    page, data = folder / "report.md", folder / "report.json"
    with replacing(page) as temporary:
        temporary.write_text(prior_markdown(done.report, written), encoding="utf-8")
    with replacing(data) as temporary:
        temporary.write_text(json.dumps(done.report, indent=1, allow_nan=False), encoding="utf-8")
    return [data, page, *written], warnings


def samples_sheet(body_pose: Array, columns: int = 8) -> Array:
    """Rendered bodies of poses (N,63) as one picture (H,W,3) uint8, each standing on its lowest point."""
    body = load_body("open")
    tiles = []
    for pose in body_pose:
        vertices = np.asarray(body(body_pose=pose.astype(np.float32)).vertices, np.float64)
        vertices[:, 1] -= vertices[:, 1].min()
        middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        target = np.array([middle[0], 0.85, middle[2]])
        view = render_view(
            *(vertices, body.faces),
            eye=target + np.array([1.3, 0.4, 3.2]),
            target=target,
            size=(2 * TILE[0], 2 * TILE[1]),
        )
        tiles.append(cv2.resize(view, TILE, interpolation=cv2.INTER_AREA))
    columns = min(columns, len(tiles))
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def prior_markdown(report: dict[str, Any], pictures: list[Path]) -> str:
    """The report as a page of text."""
    lines = ["# Pose priors on held-out performers", "", f"`{report['command']}`", ""]
    lines += [", ".join(f"{name} {count}" for name, count in report["poses"].items()) + " poses.", ""]
    lines += ["## Reconstruction", "", "Mean joint error in mm (median, 95th percentile), and of the skin.", ""]
    for split, rows in report["reconstruction"].items():
        lines += [f"| {split} | joints | median | 95 % | skin |", "|---|---:|---:|---:|---:|"]
        for name, row in rows.items():
            cells = (row[key] for key in ("joint_mm", "joint_mm_median", "joint_mm_95", "skin_mm"))
            lines.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in cells) + " |")
        lines += ["", f"VPoser is {report['vposer_below_pca'][split]:.0%} below the principal components.", ""]
    book = report["codebook"]
    lines += ["## Codebook", "", f"{book['used']:.1%} of {book['codes']} codes in use on the test split, "]
    lines[-1] += f"perplexity {book['perplexity']:.0f}."
    lines += ["", "## Samples beyond the joint limits", "", "| model | joints | poses with any |", "|---|---:|---:|"]
    for name, row in {**report["samples"], "held-out real poses": report["held_out_violations"]}.items():
        lines.append(f"| {name} | {row['joints']:.2%} | {row['poses']:.1%} |")
    lines += ["", "Tokens: poses of the test split with "]
    lines[-1] += f"{REPLACED:.0%} of their tokens replaced at random."
    table = report["separation"]
    names = list(next(iter(table.values())))
    lines += ["", "## Separation of real from spoilt poses (area under the ROC curve)", ""]
    lines += ["| spoilt by | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {kind} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |" for kind, row in table.items()]
    lines += ["", "Limb-swapped: one arm and one leg are another pose's, mirrored from the other side. Over-rotated: "]
    lines[-1] += f"every joint turned {TURNED} times as far. Random: each joint uniform within its limits."
    lines += [""] + [f"![{path.stem.replace('_', ' ')}]({path.name})\n" for path in pictures]
    return "\n".join(lines).rstrip() + "\n"


def _plots(folder: Path, done: PriorEvaluation) -> list[Path]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure  # without pyplot: no window system, no global state
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "evaluate") from error
    drawings: dict[str, Callable[[Any, PriorEvaluation], None]] = {
        "reconstruction": _reconstruction,
        "codebook": _codebook,
    }
    written = []
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        for name, draw in drawings.items():
            figure = Figure(figsize=(8, 3.6), layout="constrained")
            draw(figure, done)
            path = folder / f"{name}.png"
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=120)
            written.append(path)
    return written


def _reconstruction(figure: Any, done: PriorEvaluation) -> None:
    for axes, (split, errors) in zip(
        np.atleast_1d(figure.subplots(1, len(done.errors))), done.errors.items(), strict=True
    ):
        top = 1000 * max(np.quantile(values, 0.98) for values in errors.values())
        for colour, (name, values) in zip(COLOURS, errors.items(), strict=False):
            bins = np.linspace(0, top, 60)
            axes.hist(1000 * values, bins, histtype="stepfilled", alpha=0.45, color=colour, label=name)
            axes.axvline(1000 * values.mean(), color=colour, linewidth=1)
        axes.set_title(f"{split} split")
        axes.set_xlabel("mean joint error (mm)")
        axes.set_ylabel("poses")
        axes.legend(frameon=False)


def _codebook(figure: Any, done: PriorEvaluation) -> None:
    axes = figure.subplots()
    axes.fill_between(np.arange(len(done.code_counts)), np.sort(done.code_counts)[::-1] + 0.5, 0.5, step="mid")
    axes.set_yscale("log")
    axes.set_xlabel("codes, most used first")
    axes.set_ylabel("times used (+ ½)")
