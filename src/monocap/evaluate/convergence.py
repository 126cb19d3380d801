"""How the energy of a fit falls, stage by stage, as a picture. Needs matplotlib (extra ``evaluate``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monocap.errors import MissingDependencyError
from monocap.evaluate.plots import COLOURS
from monocap.files import replacing
from monocap.fitting.smplifyx.result import Fitted
from monocap.types import Array

_LINES = 200  # single curves beyond these are left to the median


def require_matplotlib() -> None:
    """Raises MissingDependencyError, which names the remedy, if it is not installed."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "evaluate") from error
    del mpl


def draw_convergence(path: Path, fits: Sequence[Fitted]) -> None:
    """Write ``path`` (PNG): a panel per stage, the energy over iterations, a curve per picture and their median.

    Every stage weighs the terms anew, so that curves of different panels do not continue each other. Nothing is
    written where nobody was fitted. Raises MissingDependencyError without matplotlib.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stages: dict[str, list[Array]] = {}
    for one in fits:
        rows = np.flatnonzero(one.found)
        for stage, values in one.trace:
            if len(rows) and len(values):
                stages.setdefault(stage, []).extend(np.asarray(values, np.float64)[:, rows].T)
    if not stages:
        return
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(3.2 * len(stages) + 0.8, 3.4), layout="constrained")
        panels = figure.subplots(1, len(stages), squeeze=False)[0]
        for axes, (stage, curves) in zip(panels, stages.items(), strict=True):
            _panel(axes, stage, curves)
        panels[0].set_ylabel("energy")
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=120)


def _panel(axes: Any, stage: str, curves: Sequence[Array]) -> None:
    longest = max(len(curve) for curve in curves)
    padded = np.array([np.concatenate([c, np.full(longest - len(c), c[-1])]) for c in curves])
    padded = np.where(padded > 0, padded, np.nan)
    if len(curves) > 1:
        for curve in padded[:_LINES]:
            axes.plot(curve, color=COLOURS[0], alpha=max(0.35, 1 / len(curves)), linewidth=0.7)
    median = np.nanmedian(padded, axis=0) if np.isfinite(padded).any() else padded[0]
    axes.plot(median, color=COLOURS[1], linewidth=1.6, label="median" if len(curves) > 1 else None)
    axes.set_yscale("log")
    axes.set_title(stage, fontsize=9)
    axes.set_xlabel("iteration")
    if len(curves) > 1:
        axes.legend(frameon=False)
