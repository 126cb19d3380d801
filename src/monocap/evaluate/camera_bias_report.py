"""What ``monocap evaluate camera-bias`` writes: JSON, a Markdown page, plots, people as the wrong camera has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.errors import MissingDependencyError
from monocap.evaluate.camera_bias import CAMERAS, THRESHOLDS, Bias
from monocap.evaluate.plots import COLOURS
from monocap.files import replacing

_SHOWN = 8  # people
_FIRST, _SECOND = THRESHOLDS
_PARENTS = skeletons.get("smplx55").parents[:22]


def write_bias_report(folder: Path, bias: Bias, report: dict[str, Any]) -> tuple[list[Path], list[str]]:
    """Write everything into ``folder``; returns the paths and warnings (plots are left out without matplotlib)."""
    folder.mkdir(parents=True, exist_ok=True)
    plots, warnings = [], []
    try:
        plots = _plots(folder, bias, report)
    except MissingDependencyError as error:
        warnings.append(f"no plots: {error}")
    page, data = folder / "report.md", folder / "report.json"
    with replacing(page) as temporary:
        temporary.write_text(bias_markdown(report, plots), encoding="utf-8")
    with replacing(data) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    return [data, page, *plots], warnings


def bias_markdown(report: dict[str, Any], plots: list[Path]) -> str:
    """The report as a page of text."""
    lines = ["# What a crop network's camera does to true bodies", "", f"`{report['command']}`", ""]
    lines += [
        f"{report['people']} people of {report['data']}. Distances are in widths of HMR 2.0's crop; its camera has"
    ]
    lines += ["5000 px over 256, as if from 40 m. PCK counts joints in the picture only.", ""]
    lines += [
        "## True bodies under a camera",
        "",
        f"| camera | PCK@{_FIRST} | PCK@{_SECOND} | mean error |",
        "|---|---:|---:|---:|",
    ]
    for row in report["cameras"].values():
        first, second = row["pck"]
        lines.append(f"| {row['what']} | {first:.3f} | {second:.3f} | {row['mean_error']:.4f} |")
    lines += ["| true camera | 1.000 | 1.000 | 0.0000 |", ""]
    lines += ["| published | PCK@0.05 | PCK@0.1 |", "|---|---:|---:|"]
    lines += [f"| {row['what']} | {row['pck'][0]:.2f} | {row['pck'][1]:.2f} |" for row in report["published"]]
    lines += [
        "",
        "Published numbers are TokenHMR's, written there as PCK@0.5 and 1.0. They take the camera that HMR 2.0",
    ]
    lines += [
        "predicted; here everything but the focal length is chosen as well as possible, so these are upper bounds.",
        "",
    ]
    if report["fading"]:
        lines += ["## Bodies that follow the 2D", ""]
        lines += [
            f"{report['fitted']} true bodies are fitted to their own true 2D while the prior of everyday poses fades."
        ]
        lines += ["Under the true camera 2D and 3D improve together; under the wrong one 2D is bought with 3D.", ""]
        lines += [f"| prior | wrong: PCK@0.01 | PCK@{_FIRST} | MPJPE mm | true: PCK@0.01 | PCK@{_FIRST} | MPJPE mm |"]
        lines += ["|---:|---:|---:|---:|---:|---:|---:|"]
        for wrong, right in zip(report["fading"]["wrong"], report["fading"]["right"], strict=True):
            cells = [f"{row['pck'][0]:.3f} | {row['pck'][1]:.3f} | {row['mpjpe_mm']:.1f}" for row in (wrong, right)]
            lines.append(f"| {wrong['strength']:g} | {cells[0]} | {cells[1]} |")
        lines.append("")
    lines += ["## Where the error lies", ""]
    for what, rows in report["by"].items():
        lines += [
            f"| {what} | people | error | PCK@{_FIRST} | error, seen straight | PCK@{_FIRST} |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            until = "and more" if row["to"] is None else f"– {row['to']:g}"
            cells = f"{row['best']:.4f} | {row['pck_best']:.3f} | {row['straight']:.4f} | {row['pck_straight']:.3f}"
            lines.append(f"| {row['from']:g} {until} | {row['people']} | {cells} |")
        lines.append("")
    lines += ["| joint | error | to the right | downwards | error, seen straight |", "|---|---:|---:|---:|---:|"]
    for name, row in report["by_joint"].items():
        cells = f"{row['mean_error']:.4f} | {row['right']:+.4f} | {row['down']:+.4f} | {row['straight']:.4f}"
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    lines += [""] + [f"![{path.stem.replace('_', ' ')}]({path.name})\n" for path in plots]
    return "\n".join(lines).rstrip() + "\n"


def _plots(folder: Path, bias: Bias, report: dict[str, Any]) -> list[Path]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure  # without pyplot: no window system, no global state
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "evaluate") from error
    drawings: dict[str, Callable[[Any, Bias, dict[str, Any]], bool]] = {
        "pck": _pck,
        "pck_against_mpjpe": _against,
        "where": _where,
        "by_joint": _by_joint,
        "people": _people,
    }
    written = []
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        for name, draw in drawings.items():
            figure = Figure(figsize=(8, 4.2), layout="constrained")
            if draw(figure, bias, report):
                path = folder / f"{name}.png"
                with replacing(path) as temporary:
                    figure.savefig(temporary, dpi=120)
                written.append(path)
    return written


def _pck(figure: Any, bias: Bias, report: dict[str, Any]) -> bool:
    axes = figure.subplots()
    for colour, name in zip(COLOURS, CAMERAS, strict=True):
        error = np.linalg.norm(bias.off[name], axis=-1)
        error = np.sort(error[np.isfinite(error)])
        axes.plot(error, np.arange(1, len(error) + 1) / len(error), color=colour, label=CAMERAS[name])
    for marker, row in zip("ox", report["published"][:2], strict=True):
        axes.plot(THRESHOLDS, row["pck"], marker, color="black", label=f"published: {row['what']}")
    axes.set_xlim(0, 0.2)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("distance to the true keypoint (crop widths)")
    axes.set_ylabel("share of joints up to it")
    axes.legend(frameon=False, loc="lower right")
    return True


def _against(figure: Any, bias: Bias, report: dict[str, Any]) -> bool:
    if not report["fading"]:
        return False
    axes = figure.subplots()
    for colour, (camera, rows) in zip(COLOURS, report["fading"].items(), strict=False):
        title = "true camera" if camera == "right" else "the crop's fixed camera"
        axes.plot(
            *zip(*[(row["mpjpe_mm"], row["pck"][0]) for row in rows], strict=True), "o-", color=colour, label=title
        )
        axes.annotate(
            "prior fades", (rows[-1]["mpjpe_mm"], rows[-1]["pck"][0]), xytext=(-10, -14), textcoords="offset points"
        )
    error = np.linalg.norm(bias.off["best"], axis=-1)
    own = float((error[np.isfinite(error)] <= 0.01).mean())
    axes.plot([0], [own], "*", markersize=12, color=COLOURS[1], label="the true body under the crop's camera")
    axes.plot([0], [1], "*", markersize=12, color=COLOURS[0], label="the true body under the true camera")
    axes.set_xlabel("MPJPE (mm)")
    axes.set_ylabel("PCK@0.01 (crop widths)")
    axes.set_ylim(0, 1.05)
    axes.legend(frameon=False)
    return True


def _where(figure: Any, bias: Bias, report: dict[str, Any]) -> bool:
    every = figure.subplots(1, len(report["by"]), sharey=True)
    for axes, (what, rows) in zip(every, report["by"].items(), strict=True):
        names = [f"{row['from']:g}–{'' if row['to'] is None else format(row['to'], 'g')}" for row in rows]
        for shift, colour, key, title in (
            (-0.2, COLOURS[0], "best", "as it is"),
            (0.2, COLOURS[1], "straight", "seen straight"),
        ):
            axes.bar(np.arange(len(rows)) + shift, [row[key] for row in rows], 0.4, color=colour, label=title)
        axes.set_xticks(range(len(rows)), names)
        axes.set_xlabel(what)
    every[0].set_ylabel("error of true bodies (crop widths)")
    every[0].legend(frameon=False)
    return True


def _by_joint(figure: Any, bias: Bias, report: dict[str, Any]) -> bool:
    rows = report["by_joint"]
    figure.set_figheight(max(3.0, 0.2 * len(rows) + 1))
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.barh(places - 0.2, [row["mean_error"] for row in rows.values()], 0.4, color=COLOURS[0], label="as it is")
    axes.barh(places + 0.2, [row["straight"] for row in rows.values()], 0.4, color=COLOURS[1], label="seen straight")
    axes.set_yticks(places, [name.replace("_", " ") for name in rows])
    axes.invert_yaxis()
    axes.set_xlabel("error of true bodies (crop widths)")
    axes.legend(frameon=False)
    return True


def _people(figure: Any, bias: Bias, report: dict[str, Any]) -> bool:
    """True 2D, and the same true body under the best fixed camera, of people from least to most error."""
    error = np.nanmean(np.linalg.norm(bias.off["best"], axis=-1), axis=1)
    whole = [i for i, one in enumerate(bias.people) if one.known[:22].all()]
    if len(whole) < 2:
        return False
    order = sorted(whole, key=lambda i: error[i])
    chosen = [order[int(k)] for k in np.linspace(len(order) // 4, len(order) - 1, min(_SHOWN, len(order)))]
    rows = 1 if len(chosen) < 4 else 2
    chosen = chosen[: len(chosen) // rows * rows]
    figure.set_figheight(3.2 * rows)
    for axes, i in zip(np.ravel(figure.subplots(rows, len(chosen) // rows)), chosen, strict=True):
        one = bias.people[i]
        for colour, flat, title in (
            (COLOURS[2], one.flat, "true"),
            (COLOURS[3], one.flat + bias.off["best"][i], "crop camera"),
        ):
            for child, parent in enumerate(_PARENTS):
                if parent >= 0:
                    axes.plot(
                        *flat[[child, parent]].T, color=colour, linewidth=1.4, label=title if child == 1 else None
                    )
        axes.set_aspect("equal")
        axes.set_xlim(-0.45, 0.45)
        axes.set_ylim(0.55, -0.55)
        axes.axis("off")
        axes.set_title(f"f {one.focal:.1f}\n{one.distance:.1f} m\n{np.degrees(one.aside):.0f}° aside", fontsize=8)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return True
