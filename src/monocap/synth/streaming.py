"""Samples in order from several processes, with a bounded number under way: for training, and for the shards."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from monocap.data.synthetic import SynthSample, encode
from monocap.errors import InputError, MonocapError
from monocap.synth.sampler import Sampler, SynthSettings

Made = TypeVar("Made")

_AHEAD = 3  # samples under way per worker: enough that nobody waits, few enough for memory
_worker: Sampler | None = None  # of a worker process


def stream(
    settings: SynthSettings | None = None,
    start: int = 0,
    count: int | None = None,
    workers: int = 2,
    numbers: Iterable[int] | None = None,
) -> Iterator[SynthSample]:
    """Samples ``start``, ``start`` + 1, … in order, made by ``workers`` processes (0: in this one) while you train.

    ``count``: how many, None without end; ``numbers`` instead of both: exactly these, in this order. At most three per
    worker are ahead of you. Leaving the loop ends the workers. The samples do not depend on how many there are. With
    workers, a script must call this below ``if __name__ == "__main__":``, since they start by importing it.

    Raises InputError for settings that make no sense, MonocapError if a worker process dies.
    """
    yield from each(settings or SynthSettings(), _numbers(start, count, numbers), workers, Sampler.sample)


def packed(
    settings: SynthSettings, numbers: Iterable[int], workers: int
) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """Number, how many people count as samples, and files (`data.synthetic.encode`) of each sample, in order."""
    yield from each(settings, numbers, workers, _pack)


def _pack(sampler: Sampler, number: int) -> tuple[int, int, dict[str, bytes]]:
    sample = sampler.sample(number)
    return number, len(sample.samples()), encode(sample)


def _numbers(start: int, count: int | None, numbers: Iterable[int] | None) -> Iterator[int]:
    if numbers is not None:
        yield from numbers
        return
    number = start
    while count is None or number < start + count:
        yield number
        number += 1


def each(
    settings: SynthSettings, numbers: Iterable[int], workers: int, make: Callable[[Sampler, int], Made]
) -> Iterator[Made]:
    """``make(sampler, number)`` for all numbers, in order; ``make`` must be a function of a module."""
    if workers < 0:
        raise InputError(f"workers is {workers}; expected 0 or more")
    if workers == 0:
        sampler = Sampler(settings=settings)
        for number in numbers:
            yield make(sampler, number)
        return
    # Spawned, not forked: a fork of a process with threads (numba's, a trainer's) may hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (settings,))
    waiting: deque[tuple[int, Future[Made]]] = deque()
    left = iter(numbers)
    try:
        for number in left:
            waiting.append((number, pool.submit(_run, make, number)))
            if len(waiting) < _AHEAD * workers:
                continue
            yield _taken(*waiting.popleft())
        while waiting:
            yield _taken(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _taken(number: int, future: Future[Made]) -> Made:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise MonocapError(
            f"a worker process died near sample {number} (killed, or out of memory?); try fewer --workers"
        ) from error


def _begin(settings: SynthSettings) -> None:
    """In a new worker: Ctrl-C is the parent's to handle."""
    global _worker  # noqa: PLW0603 - a process pool gives its workers no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = Sampler(settings=settings)


def _run(make: Callable[[Sampler, int], Made], number: int) -> Made:
    assert _worker is not None
    return make(_worker, number)
