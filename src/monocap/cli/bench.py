"""``monocap bench``."""

from __future__ import annotations

import json as json_module
from pathlib import Path

from monocap.errors import InputError
from monocap.evaluate.bench_capture import bench_capture
from monocap.pipeline.settings import Preset

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "demo.mp4"


def run(name: str, source: Path | None, preset: Preset, repeats: int, json: bool) -> int:
    """Run one benchmark and print it; returns the exit status."""
    if repeats < 1:
        raise InputError(f"--repeats is {repeats}; expected 1 or more")
    path = source or EXAMPLE
    if not path.is_file():
        raise InputError(f"{path}: no such video; pass one: monocap bench {name} VIDEO")
    figures = bench_capture(path, preset, repeats)
    if json:
        print(json_module.dumps(figures))
        return 0
    for key, value in figures.items():
        print(f"{key:32} {value:.3f}" if isinstance(value, float) else f"{key:32} {value}")
    return 0
