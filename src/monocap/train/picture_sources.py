"""What a user said of pictures to learn from: which data sets, rendered people, and who is held out to validate on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from monocap.data.sample import Sample
from monocap.data.synthetic import read_synthetic
from monocap.errors import InputError
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.train.people_batches import PeopleBatches, Source, parse_sources

HELD = 64  # people that validation looks at


class SaidOfPictures(Protocol):
    """``data`` as `parse_sources` reads it; ``stream``: people rendered on the way, alone or with ``stream_share`` of
    the batch beside the data; ``held``: a folder of rendered people to validate on."""

    @property
    def data(self) -> str: ...
    @property
    def stream(self) -> SynthSettings | None: ...
    @property
    def stream_share(self) -> float | None: ...
    @property
    def held(self) -> Path | None: ...


def picture_sources(options: SaidOfPictures) -> tuple[tuple[Source, ...], list[Sample]]:
    """What is trained on, and who is held out where that is known beforehand; else `held_of` says.

    Without ``held``, the last of the first rendered folder are held out, or people rendered from the test split.
    Raises InputError for nothing to train on, nobody to validate on, or data that is not there.
    """
    sources = parse_sources(options.data) if options.data else ()
    if options.stream is not None:
        sources = (*sources, Source(stream=options.stream, share=options.stream_share))
    if not sources:
        raise InputError("nothing to train on; give data (KIND:PATH, …), or people rendered on the way (stream)")
    if options.held is not None:
        return sources, _spread(read_synthetic(options.held))
    first = next((i for i, source in enumerate(sources) if source.kind == "synth" and source.path), None)
    if first is not None:
        path = sources[first].path
        assert path is not None
        kept = replace(sources[first], held=max(1, min(4 * HELD, len(read_synthetic(path)) // 8)))
        return (*sources[:first], kept, *sources[first + 1 :]), []
    if options.stream is None:
        raise InputError("nobody to validate on: give a folder of rendered people (held)")
    return sources, _rendered(replace(options.stream, split="test"))


def held_of(batches: PeopleBatches) -> list[Sample]:
    """The people whom the plan's sources keep for validation."""
    source = next(i for i, source in enumerate(batches.plan.sources) if source.held)
    return batches.held(source, HELD)


def named(sources: Sequence[Source]) -> str:
    """The data sets among ``sources`` as `parse_sources` reads them, without the folders that they lie in."""
    return ",".join(
        f"{s.kind}:{s.path.name}" + (f"*{s.share:g}" if s.share else "") for s in sources if s.path is not None
    )


def _spread(people: Any) -> list[Sample]:
    at = np.unique(np.linspace(0, len(people) - 1, HELD).round().astype(int))
    return [sample for i in at if (sample := people[int(i)]).in_protocol and sample.box is not None]


def _rendered(settings: SynthSettings) -> list[Sample]:
    """`HELD` people of pictures that are made now: performers, skins, fabrics and backgrounds of the test split."""
    sampler, found, number = Sampler(settings=settings), [], 0
    while len(found) < HELD:
        found += [s for s in sampler.sample(number).samples() if s.in_protocol and s.box is not None]
        number += 1
    return found[:HELD]
