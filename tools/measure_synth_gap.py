"""From synthetic to real: how often the keypoint network is right, joint by joint, on each of several data sets.

    python tools/measure_synth_gap.py FOLDER_OF_SYNTH REAL_DATA_SET … [-o docs/images/synth_gap.png]
        [--preset fast|balanced|accurate] [--limit N] [--whole]

A joint is right if it lies within a tenth of the longer side of the box round the person's true limb joints that
count. Compared are the twelve limb joints that all data sets have, in the picture, and visible where a data set says
so; who was not found has no joint right. The open body's joints lie at anatomical places, those of other data sets
where their annotators put them: some of the difference is a matter of definition. ``--whole``: only people with all
twelve joints in the picture, none hidden by anybody or anything else, and at least 90 pixels tall, as most are in
real data sets.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import numpy as np

from monocap import skeletons
from monocap.data import Sample, open_dataset
from monocap.data.synthetic import BY_ITSELF, VISIBLE
from monocap.evaluate.capture_run import sample_keypoints
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import CaptureSettings, Preset
from monocap.skeletons import LIMBS12
from monocap.types import Array

SHARE = 0.1
_TALL = 90  # px between the highest and the lowest limb joint


def limbs(sample: Sample) -> tuple[Array, Array]:
    """True limb joints (12,2) px, and which of them count (12,)."""
    assert sample.joints2d is not None
    at = skeletons.get(sample.skeleton2d).indices(LIMBS12)
    points = sample.joints2d[at]
    counts = points[:, 2] > 0
    if "visibility" in sample.notes:
        counts &= np.asarray(sample.notes["visibility"])[at] == VISIBLE
    return points[:, :2], counts


def whole_one(sample: Sample) -> bool:
    """All twelve joints in the picture and not hidden by anything else, and some size."""
    assert sample.joints2d is not None
    at = skeletons.get(sample.skeleton2d).indices(LIMBS12)
    states = np.asarray(sample.notes.get("visibility", np.full(len(sample.joints2d), VISIBLE)))[at]
    return bool(np.isin(states, (VISIBLE, BY_ITSELF)).all() and np.ptp(sample.joints2d[at, 1]) >= _TALL)


def measure(engine: CaptureEngine, folder: Path, limit: int | None, whole: bool) -> tuple[Array, Array, int, int]:
    """Right (12,), compared (12,), people, and how many of them were found."""
    dataset = open_dataset(folder)
    usable = [i for i in range(len(dataset)) if not whole or whole_one(dataset[i])]
    chosen = [usable[i] for i in np.linspace(0, len(usable) - 1, min(limit or len(usable), len(usable))).astype(int)]
    right, compared, people, seen = np.zeros(12), np.zeros(12), 0, 0
    names = skeletons.get("blazepose33").indices(LIMBS12)
    for index in chosen:
        sample = dataset[index]
        if not sample.in_protocol or sample.joints2d is None:
            continue
        points, counts = limbs(sample)
        if counts.sum() < 4:
            continue
        people += 1
        compared += counts
        found = sample_keypoints(engine, sample, sample.read_image())
        if found is None:
            continue
        seen += 1
        size = float(np.ptp(points[counts], axis=0).max())
        away = np.linalg.norm(found.points2d[names, :2] - points, axis=1)
        right += counts & (away <= SHARE * size)
    return right, compared, people, seen


def plot(path: Path, rows: dict[str, Array]) -> None:
    """Bars by joint, left and right together, one colour for each data set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 3.0))
    for i, (name, share) in enumerate(rows.items()):
        axes.bar(np.arange(len(share)) + 0.8 * i / len(rows), share, 0.8 / len(rows), label=name, align="edge")
    axes.set_xticks(np.arange(7) + 0.4, [*(name.removeprefix("left_") for name in LIMBS12[::2]), "all"])
    axes.set_ylabel(f"PCK@{SHARE:g} of the box, %")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False, ncols=len(rows), loc="lower left", bbox_to_anchor=(0, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="PCK of the keypoint network by joint, on several data sets.")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--preset", choices=("fast", "balanced", "accurate"), default="fast")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    engine = CaptureEngine(CaptureSettings(preset=cast(Preset, given.preset)))
    rows: dict[str, Array] = {}
    print(f"| data set, preset {given.preset} | people | found | {' | '.join(n[5:] for n in LIMBS12[::2])} | all |")
    print("| --- " * 10 + "|")
    for folder in given.data:
        right, compared, people, seen = measure(engine, folder, given.limit, given.whole)
        both, of = right.reshape(6, 2).sum(axis=1), compared.reshape(6, 2).sum(axis=1)
        share = 100 * np.append(both, both.sum()) / np.maximum(np.append(of, of.sum()), 1)
        rows[folder.name] = share
        print(f"| {folder.name} | {people} | {seen} | {' | '.join(f'{value:.0f}' for value in share)} |", flush=True)
    if given.out is not None:
        plot(given.out, rows)


if __name__ == "__main__":
    main()
