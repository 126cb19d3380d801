"""Fair timing: rivals take turns in one process, medians of wall and CPU time, first calls not counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

Figures = dict[str, float | int | str]
"""What a benchmark returns: one flat object of named figures."""


def race(
    rivals: Mapping[str, Callable[[], Any]], repeats: int, seconds: float = 0.05
) -> dict[str, tuple[float, float]]:
    """Median (wall, CPU) seconds per call of each rival.

    Each is called once to warm up; then, ``repeats`` times, each in turn is called as often as fills about ``seconds``,
    so that whatever else the machine does hits all of them. All run with one thread.
    """
    calls: dict[str, int] = {}
    for name, rival in rivals.items():
        rival()
        begun = time.perf_counter()
        rival()
        calls[name] = max(1, round(seconds / max(time.perf_counter() - begun, 1e-9)))
    walls: dict[str, list[float]] = {name: [] for name in rivals}
    cpus: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, rival in rivals.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls[name]):
                rival()
            walls[name].append((time.perf_counter() - wall) / calls[name])
            cpus[name].append((time.process_time() - cpu) / calls[name])
    return {name: (median(walls[name]), median(cpus[name])) for name in rivals}


def milliseconds(times: Mapping[str, tuple[float, float]], per: int = 1) -> Figures:
    """``NAME_wall_ms`` and ``NAME_cpu_ms`` of what `race` returns, divided by ``per`` (bodies or frames a call)."""
    figures: Figures = {}
    for name, (wall, cpu) in times.items():
        figures[f"{name}_wall_ms"] = round(1e3 * wall / per, 5)
        figures[f"{name}_cpu_ms"] = round(1e3 * cpu / per, 5)
    return figures


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """torch, if it is installed, computes with one thread inside."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
