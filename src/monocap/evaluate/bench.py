"""All benchmarks, by name: one function each, in a file of its own, that returns one flat object of figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monocap.errors import InputError
from monocap.evaluate.bench_bodies import bench_bodies
from monocap.evaluate.bench_capture import bench_capture
from monocap.evaluate.bench_collision import bench_collision
from monocap.evaluate.bench_fit import bench_fit
from monocap.evaluate.bench_kinematics import bench_kinematics
from monocap.evaluate.bench_render import bench_render
from monocap.evaluate.bench_skeleton import bench_skeleton
from monocap.evaluate.bench_smplifyx import bench_smplifyx
from monocap.evaluate.bench_synth import bench_synth
from monocap.evaluate.bench_vnect import bench_vnect
from monocap.evaluate.stopwatch import Figures
from monocap.pipeline.settings import Preset

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "demo.mp4"


@dataclass(frozen=True)
class BenchOptions:
    """``repeats`` of which the median is taken (``smplifyx``, ``lbfgs``: so many pictures); ``source`` video for
    ``capture`` and ``vnect``, ``preset`` for the first, ``weights`` for the second."""

    repeats: int = 3
    source: Path | None = None
    preset: Preset = "fast"
    weights: Path | None = None


def _video(options: BenchOptions, name: str) -> Path:
    path = options.source or EXAMPLE
    if not path.is_file():
        raise InputError(f"{path}: no such video; pass one: monocap bench {name} VIDEO")
    return path


def _capture(options: BenchOptions) -> Figures:
    return bench_capture(_video(options, "capture"), options.preset, options.repeats)


def _vnect(options: BenchOptions) -> Figures:
    return bench_vnect(_video(options, "vnect"), options.weights, options.repeats)


def _lbfgs(options: BenchOptions) -> Figures:
    from monocap.evaluate.bench_lbfgs import bench_lbfgs  # needs torch

    return bench_lbfgs(options.repeats)


def _smpler(options: BenchOptions) -> Figures:
    from monocap.evaluate.bench_smpler import bench_smpler  # needs torch

    return bench_smpler(options.repeats)


BENCHES: dict[str, Callable[[BenchOptions], Figures]] = {
    "capture": _capture,
    "kinematics": lambda options: bench_kinematics(options.repeats),
    "bodies": lambda options: bench_bodies(options.repeats),
    "render": lambda options: bench_render(options.repeats),
    "synth": lambda options: bench_synth(options.repeats),
    "fit": lambda options: bench_fit(options.repeats),
    "smplifyx": lambda options: bench_smplifyx(options.repeats),
    "collision": lambda options: bench_collision(options.repeats),
    "skeleton": lambda options: bench_skeleton(options.repeats),
    "lbfgs": _lbfgs,
    "smpler": _smpler,
    "vnect": _vnect,
}


def bench(name: str, options: BenchOptions | None = None) -> Figures:
    """Run one benchmark. Raises InputError for an unknown name, or fewer than one repeat."""
    options = options or BenchOptions()
    if name not in BENCHES:
        raise InputError(f"no benchmark {name!r}; there are {', '.join(BENCHES)}")
    if options.repeats < 1:
        raise InputError(f"--repeats is {options.repeats}; expected 1 or more")
    return BENCHES[name](options)
