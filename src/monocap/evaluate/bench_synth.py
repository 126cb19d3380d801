"""How fast synthetic pictures are made: in full quality, and one person without shadows, and what takes the time."""

from __future__ import annotations

import cProfile
import multiprocessing
import pstats
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from monocap.evaluate.stopwatch import Figures
from monocap.synth.sampler import Sampler, SynthSettings

WORKERS = 2
PICTURES = 12  # of each worker and repeat
FITTINGS = 150  # people dressed before anything is timed
KINDS = {"full": SynthSettings(quality="full"), "fast": SynthSettings(quality="fast", people=(1, 1))}
# functions whose CPU time is told: name in the figures, end of the file's name, function
STAGES = (
    ("photograph", "render/photograph.py", "photograph"),
    ("shadow_maps", "render/lights.py", "build_lights"),
    ("lens", "synth/lens.py", "develop"),
    ("backdrop", "synth/backgrounds.py", "backdrop"),
    ("dress", "synth/wardrobe.py", "surfaces"),
    ("outfit", "synth/wardrobe.py", "choose"),
    ("pose", "bodies/model.py", "__call__"),
    ("place", "synth/poses.py", "set_down"),
    ("visibility", "synth/truth.py", "visibility"),
)


def bench_synth(repeats: int) -> Figures:
    """Pictures of 224 × 224 pixels per second of ``WORKERS`` processes together, CPU milliseconds per picture, and of
    the stages (which hold one another: shadow maps are part of photograph). Samples are those that users get, poses
    from the shipped priors; the wardrobe is made before the clock starts."""
    figures: Figures = {"workers": WORKERS, "pictures": WORKERS * PICTURES * repeats, "size": 224}
    for kind, settings in KINDS.items():
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(WORKERS, context, _warm_up, (settings,)) as pool:
            list(pool.map(_make, [1_000_000] * WORKERS, [1] * WORKERS))  # both have started and compiled
            starts = [worker * PICTURES * repeats for worker in range(WORKERS)]
            times = list(pool.map(_make, starts, [PICTURES * repeats] * WORKERS))
        count = WORKERS * PICTURES * repeats
        figures[f"{kind}_pictures_per_s"] = round(count / max(wall for wall, _ in times), 2)
        spent = 1e3 * sum(cpu for _, cpu in times) / count
        figures[f"{kind}_cpu_ms"] = round(spent, 1)
        figures[f"{kind}_pictures_per_s_of_cpu"] = round(1e3 * WORKERS / spent, 2)  # had they the processors alone
        figures |= {f"{kind}_{name}_cpu_ms": value for name, value in _stages(settings, PICTURES * repeats).items()}
    return figures


_sampler: Sampler | None = None  # of a worker process


def _warm_up(settings: SynthSettings) -> None:
    global _sampler  # noqa: PLW0603 - what a pool's initialiser leaves for its tasks
    _sampler = _dressed(settings)


def _dressed(settings: SynthSettings) -> Sampler:
    """A sampler whose wardrobe is made: each garment is fitted to the body when it is first worn, once per process."""
    sampler = Sampler(settings=settings)
    for n in range(FITTINGS):
        rng = np.random.default_rng(n)
        sampler.wardrobe.choose(rng, ("female", "male", "child")[n % 3], settings.split)
    for number in range(2):
        sampler.sample(1_000_000 + number)
    return sampler


def _make(start: int, count: int) -> tuple[float, float]:
    """Wall and CPU seconds of ``count`` samples from number ``start`` on."""
    assert _sampler is not None
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(start, start + count):
        _sampler.sample(number)
    return time.perf_counter() - wall, time.process_time() - cpu


def _stages(settings: SynthSettings, count: int) -> dict[str, float]:
    """CPU milliseconds per picture of each stage, with what it calls."""
    sampler = _dressed(settings)
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for number in range(count):
        sampler.sample(number)
    profile.disable()
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    out = {}
    for name, file, function in STAGES:
        spent = [
            row[3] for key, row in stats.items() if key[0].replace("\\", "/").endswith(file) and key[2] == function
        ]
        out[name] = round(1e3 * sum(spent) / count, 1)
    return out
