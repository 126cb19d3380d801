"""Draw what attention costs over the size of the image: ``python tools/measure_smpler_cost.py OUT.png``.

Left counted, right measured on this machine (one thread, CPU time, medians).
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from monocap.evaluate.bench_smpler import PIXELS, TARGETS, attention_costs
from monocap.evaluate.plots import COLOURS
from monocap.files import replacing

CURVES = (
    ("full", 26, "all to all, 26 targets among the pixels", COLOURS[3], "s"),
    ("decoupled", 6890, "decoupled, 6,890 targets", COLOURS[1], "v"),
    ("decoupled", 431, "decoupled, 431 targets", COLOURS[2], "^"),
    ("decoupled", 26, "decoupled, 26 targets (SMPLer)", COLOURS[0], "o"),
    ("folded", 26, "the same, keys and values not computed (here)", "#56B4E9", "D"),
)


def main(path: Path, repeats: int = 5) -> None:
    costs = attention_costs(repeats)
    assert {cost.targets for cost in costs} == set(TARGETS)
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    panels = figure.subplots(1, 2)
    titles = ("counted: million multiplications", "measured: milliseconds of one processor core")
    for axes, title, what in zip(panels, titles, ("mmacs", "milliseconds"), strict=True):
        for kind, targets, label, colour, marker in CURVES:
            mine = [c for c in costs if (c.kind, c.targets) == (kind, targets)]
            values = [getattr(c, what) for c in mine]
            axes.loglog([c.pixels for c in mine], values, marker, ls="-", color=colour, label=label, ms=5)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("image tokens")
        axes.set_xticks(PIXELS, [f"{round(p**0.5)}²" for p in PIXELS])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, frameon=False
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/measure_smpler_cost.py OUT.png")
    main(Path(sys.argv[1]))
