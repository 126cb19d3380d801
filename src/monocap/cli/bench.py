"""``monocap bench``."""

from __future__ import annotations

import json as json_module
from pathlib import Path

from monocap.evaluate.bench import BenchOptions, bench
from monocap.pipeline.settings import Preset


def run(name: str, source: Path | None, preset: Preset, weights: Path | None, repeats: int, json: bool) -> int:
    """Run one benchmark and print it; returns the exit status."""
    figures = bench(name, BenchOptions(repeats, source, preset, weights))
    if json:
        print(json_module.dumps(figures))
        return 0
    for key, value in figures.items():
        print(f"{key:42} {value:.5g}" if isinstance(value, float) else f"{key:42} {value}")
    return 0
