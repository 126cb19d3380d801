"""Plots of a report: error by joint, by sequence, and how errors are spread. Needs matplotlib (extra ``evaluate``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monocap.errors import MissingDependencyError
from monocap.evaluate.report import Report
from monocap.evaluate.scoring import METRICS
from monocap.files import replacing

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe and Ito 2008
MANY = 40


def write_plots(folder: Path, report: Report) -> list[Path]:
    """Write ``by_joint.png``, ``by_sequence.png`` and ``spread.png``; returns their paths.

    Raises MissingDependencyError without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure  # without pyplot: no window system, no global state
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "evaluate") from error
    written = []
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        for name, draw in (("by_joint", _by_joint), ("by_sequence", _by_sequence), ("spread", _spread)):
            figure = Figure(figsize=(8, 4.5), layout="constrained")
            if draw(figure, report):
                path = folder / f"{name}.png"
                with replacing(path) as temporary:
                    figure.savefig(temporary, dpi=120)
                written.append(path)
    return written


def _bars(axes: Any, names: list[str], rows: list[tuple[str, list[float | None]]], label: str) -> None:
    height = 0.8 / len(rows)
    for k, (title, values) in enumerate(rows):
        places = [i + (k - (len(rows) - 1) / 2) * height for i in range(len(names))]
        widths = [value or 0.0 for value in values]
        axes.barh(places, widths, height, label=title, color=COLOURS[k % len(COLOURS)])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    _legend(axes)


def _by_joint(figure: Any, report: Report) -> bool:
    names = [name.replace("_", " ") for name in report["protocol"]["joints"]]
    rows = [(row["label"], row["by_joint"]["values"]) for row in report["rows"] if row["found"]]
    if not rows or not names:
        return False
    figure.set_figheight(max(3.0, 0.3 * len(names) + 1))
    _bars(figure.subplots(), names, rows, report["rows"][0]["by_joint"]["what"])
    return True


def _by_sequence(figure: Any, report: Report) -> bool:
    rows = [row for row in report["rows"] if row["metrics"] and row["found"]]
    if not rows:
        return False
    name = next(iter(rows[-1]["metrics"]))
    order = sorted(rows[-1]["by_sequence"], key=lambda s: -(rows[-1]["by_sequence"][s][name] or 0.0))[:MANY]
    values = [(row["label"], [row["by_sequence"][s].get(name) for s in order]) for row in rows]
    figure.set_figheight(max(3.0, 0.3 * len(order) + 1))
    _bars(figure.subplots(), order, values, f"{METRICS[name].title} ({METRICS[name].unit})")
    return True


def _spread(figure: Any, report: Report) -> bool:
    rows = [row for row in report["rows"] if row["metrics"] and row["found"]]
    if not rows:
        return False
    name = next(iter(rows[-1]["metrics"]))
    axes = figure.subplots()
    for k, row in enumerate(rows):
        values = sorted(
            value for sample in report["samples"] if (value := sample["values"][row["label"]].get(name)) is not None
        )
        shares = [(i + 1) / len(values) for i in range(len(values))]
        axes.step(values, shares, where="post", label=row["label"], color=COLOURS[k % len(COLOURS)])
    axes.set_xlabel(f"{METRICS[name].title} ({METRICS[name].unit})")
    axes.set_ylabel("share of samples up to it")
    axes.set_ylim(0, 1)
    _legend(axes)
    return True


def _legend(axes: Any) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
