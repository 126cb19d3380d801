"""Batches of people for training: several data sets in fixed shares, or people rendered while training goes on.

A batch is a function of its seed and of what is mixed alone, however many workers prepare it and whichever they are: so
a run that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from monocap.data.augmentation import PUBLISHED, Change, draw
from monocap.data.catalog import names, open_dataset, recognise
from monocap.data.crop_families import crop_family
from monocap.data.dataset import Collection
from monocap.data.sample import Sample
from monocap.errors import InputError, MonocapError
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.train.supervision import Batch, collate, supervise

_TRIES = 200  # samples that say nothing before a data set is given up
_SEQUENCES = 3  # of one data set in one batch: whole files are opened for them
_BLOCK = 32  # numbers in a row, which share clothes in pictures of quality "fast": making them costs most
_BLOCKS = 2**26

MIXES: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "spin": ((0.3, ("human3.6m",)), (0.6, ("lsp", "mpii", "coco")), (0.1, ("mpi-inf-3dhp",))),
    "hmr2a": ((0.3, ("human3.6m",)), (0.1, ("mpii",)), (0.4, ("coco",)), (0.2, ("mpi-inf-3dhp",))),
}
"""Shares of groups of data sets (by the names of `monocap.data.catalog`); inside a group in proportion to size."""


@dataclass(frozen=True)
class Source:
    """A data set on disk: ``kind`` of `monocap.data.catalog` or "" to be told by its layout, ``path``; or with
    ``stream``, people rendered on the way (``path`` is then None). ``share`` of the batch, None by the plan's mix;
    ``points``: weight of its 2D; ``held``: so many of its last samples are not trained on."""

    path: Path | None = None
    kind: str = ""
    share: float | None = None
    points: float = 1.0
    held: int = 0
    stream: SynthSettings | None = None


def parse_sources(text: str) -> tuple[Source, ...]:
    """Sources of "synth:FOLDER,coco:FILE*0.3": kind (optional), path, share (optional), comma between.

    Raises InputError for an unknown kind, an absent path, or a share that is no number above 0.
    """
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        whole, _, share = item.rpartition("*")
        whole, share = (whole, share) if whole else (item, "")
        kind, _, path = whole.partition(":")
        if not path or kind not in names():
            kind, path = "", whole
        if not Path(path).exists():
            raise InputError(f"{path}: no such file or folder; data is KIND:PATH, kinds are {', '.join(names())}")
        try:
            weight = float(share) if share else None
        except ValueError:
            weight = float("nan")
        if weight is not None and not weight > 0:
            raise InputError(f"{item}: the share after * is {share!r}; expected a number above 0")
        found.append(Source(Path(path), kind or recognise(path).name, weight))
    if not found:
        raise InputError("no data; expected KIND:PATH, several with commas between, or --stream")
    return tuple(found)


def shares(sources: Sequence[Source], sizes: Sequence[int | None], mix: str | None = None) -> list[float]:
    """Which part of a batch each source gives, adding up to 1.

    By ``mix`` of `MIXES` (groups that are absent leave their share to the others); without it by the sources' own
    shares, where none has one in proportion to size. People rendered on the way, beside data sets, have their own share
    of the whole; the data sets divide the rest. Raises InputError for sources of which the mix knows nothing, or only
    some shares given.
    """
    streams = [i for i, source in enumerate(sources) if source.path is None]
    if streams and len(streams) < len(sources):
        part = sum(sources[i].share or 0.0 for i in streams)
        if not 0 < part < 1 or any(sources[i].share is None for i in streams):
            raise InputError(f"rendered people beside data sets are {part:g} of the batch; expected between 0 and 1")
        others = [i for i in range(len(sources)) if i not in streams]
        divided = dict(zip(others, shares([sources[i] for i in others], [sizes[i] for i in others], mix), strict=True))
        return [sources[i].share or 0.0 if i in streams else (1 - part) * divided[i] for i in range(len(sources))]
    if mix is not None:
        if mix not in MIXES:
            raise InputError(f"no mix {mix!r}; there are {', '.join(MIXES)}")
        given = [0.0] * len(sources)
        for share, kinds in MIXES[mix]:
            inside = [i for i, source in enumerate(sources) if _plain(source.kind) in kinds]
            total = sum(sizes[i] or 0 for i in inside)
            for i in inside:
                given[i] = share * (sizes[i] or 0) / max(total, 1)
        strangers = [source.kind for source, share in zip(sources, given, strict=True) if not share]
        if strangers:
            raise InputError(f"mix {mix!r} knows no {', '.join(strangers)}; give shares instead: KIND:PATH*SHARE")
    elif all(source.share is None for source in sources):
        given = [float(size or 1) for size in sizes]
    elif any(source.share is None for source in sources):
        raise InputError("either all data sets have a share (KIND:PATH*SHARE) or none")
    else:
        given = [float(source.share or 0) for source in sources]
    return [share / sum(given) for share in given]


def _plain(kind: str) -> str:
    return {"human3.6m-json": "human3.6m"}.get(kind, kind)


@dataclass(frozen=True)
class BatchPlan:
    """What batches are made of: ``count`` people of ``sources`` in the shares of ``mix`` (see `shares`), cut for
    ``family`` with ``augmentation``; ``joints`` and ``body`` that the network predicts; ``views``: crops of each
    rendered person."""

    sources: tuple[Source, ...]
    count: int
    family: str
    augmentation: str = "synthetic"
    mix: str | None = None
    joints: int = 22
    body: str = "open"
    views: int = 1

    def __post_init__(self) -> None:
        crop_family(self.family)
        if self.augmentation not in PUBLISHED:
            raise InputError(f"no augmentation {self.augmentation!r}; there are {', '.join(PUBLISHED)}")
        if self.count < 1 or self.views < 1:
            raise InputError(f"{self.count} people, {self.views} views; expected 1 or more of both")


class PeopleBatches(TorchDataset[Batch | MonocapError]):
    """Batches by their seed. Sent to a worker it opens its data there, when the first batch is asked for.

    `crop` and `together` say what is made of people: here what bodies are compared with; others override them.
    """

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan
        self._open: _Opened | None = None

    def __getstate__(self) -> Mapping[str, object]:
        return {"plan": self.plan, "_open": None}

    def __getitem__(self, seed: int) -> Batch | MonocapError:
        """The batch of ``seed``, or why it cannot be made: an error that crosses processes as it is."""
        try:
            return self.make(seed)
        except MonocapError as error:
            return type(error)(*error.args)

    @property
    def sizes(self) -> list[int | None]:
        """How many samples each source has to train on; None for one without end."""
        return self._opened.sizes

    @property
    def shares(self) -> list[float]:
        """See the function of this name."""
        return self._opened.shares

    def make(self, seed: int) -> Batch:
        """The batch of ``seed``. Raises InputError for data that is damaged or says nothing, MediaError for pictures
        that cannot be read."""
        opened, plan = self._opened, self.plan
        rng = np.random.default_rng([seed & 0xFFFFFFFF, seed >> 32])
        which = rng.choice(len(plan.sources), size=plan.count, p=opened.shares)
        draws = {int(at): _Draws(opened, plan, int(at), rng, self.crop) for at in np.unique(which)}
        crops = [draws[int(at)].next() for at in which]
        return self.together(crops, which.tolist())

    def crop(self, sample: Sample, change: Change, source: Source) -> Any:
        """One person after ``change``; None if nothing can be learned from it."""
        plan = self.plan
        return supervise(sample, crop_family(plan.family), change, plan.joints, plan.body, source.points)

    def together(self, crops: Sequence[Any], source: Sequence[int]) -> Any:
        """A batch of what `crop` gave, and the numbers of the sources they came from."""
        return collate(crops, source)

    def held(self, source: int, count: int) -> list[Sample]:
        """The last ``held`` samples of a source that are fit for it, at most ``count``, spread evenly."""
        opened = self._opened.collections[source]
        assert opened is not None
        first = len(opened) - self.plan.sources[source].held
        at = np.unique(np.linspace(first, len(opened) - 1, count).round().astype(int))
        return [sample for i in at if (sample := opened[int(i)]).in_protocol and sample.box is not None]

    @property
    def _opened(self) -> _Opened:
        if self._open is None:
            self._open = _Opened(self.plan)
        return self._open


@dataclass(eq=False)
class _Opened:
    """The sources of a plan, opened."""

    plan: BatchPlan
    collections: list[Collection | None] = field(init=False)
    sizes: list[int | None] = field(init=False)
    shares: list[float] = field(init=False)
    ranges: list[list[range]] = field(init=False)
    _samplers: dict[int, Sampler] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        sources = self.plan.sources
        self.collections = [None if s.path is None else open_dataset(s.path, s.kind or None) for s in sources]
        self.sizes = [None if c is None else len(c) - s.held for s, c in zip(sources, self.collections, strict=True)]
        for source, size in zip(sources, self.sizes, strict=True):
            if size is not None and size < 1:
                raise InputError(f"{source.path}: has {size + source.held} samples, {source.held} of them held out")
        self.shares = shares(sources, self.sizes, self.plan.mix)
        self.ranges = [_ranges(c, size) for c, size in zip(self.collections, self.sizes, strict=True)]

    def sampler(self, source: int) -> Sampler:
        if source not in self._samplers:
            settings = self.plan.sources[source].stream
            assert settings is not None
            self._samplers[source] = Sampler(settings=settings)
        return self._samplers[source]


class _Draws:
    """The crops of one source in one batch."""

    def __init__(
        self, opened: _Opened, plan: BatchPlan, source: int, rng: np.random.Generator,
        crop: Callable[[Sample, Change, Source], Any],
    ) -> None:  # fmt: skip
        self._opened, self._plan, self._source, self._rng, self._crop = opened, plan, source, rng, crop
        self._strengths = PUBLISHED[plan.augmentation]
        self._waiting: list[Sample] = []
        self._numbers: list[int] = []
        self._ranges = _some(opened.ranges[source], rng)

    def next(self) -> Any:
        for _ in range(_TRIES):
            sample = self._sample()
            change = draw(self._strengths, self._rng)
            if sample is None or not sample.in_protocol or sample.box is None:
                continue
            crop = self._crop(sample, change, self._plan.sources[self._source])
            if crop is not None:
                return crop
        raise InputError(f"{self._name}: of {_TRIES} samples none has a picture, a box and keypoints or parameters")

    @property
    def _name(self) -> str:
        path = self._plan.sources[self._source].path
        return "rendered people" if path is None else str(path)

    def _sample(self) -> Sample | None:
        collection = self._opened.collections[self._source]
        if collection is not None:
            return collection[_one(self._ranges, self._rng)]
        if not self._waiting:
            if not self._numbers:
                first = _BLOCK * int(self._rng.integers(_BLOCKS))
                self._numbers = list(range(first + _BLOCK - 1, first - 1, -1))
            people = self._opened.sampler(self._source).sample(self._numbers.pop()).samples()
            self._waiting = [person for person in people for _ in range(self._plan.views)]
        return self._waiting.pop() if self._waiting else None


def _ranges(collection: Collection | None, size: int | None) -> list[range]:
    """The first ``size`` samples by sequence."""
    if collection is None or size is None:
        return []
    whole = [collection.in_sequence(name) for name in collection.sequences]
    return [range(r.start, min(r.stop, size)) for r in whole if r.start < size]


def _some(ranges: list[range], rng: np.random.Generator) -> list[range]:
    """A few sequences, each drawn by how many samples it holds; the files of the others stay closed."""
    if not ranges:
        return []
    weights = np.array([len(r) for r in ranges], float)
    return [ranges[int(i)] for i in rng.choice(len(ranges), size=_SEQUENCES, p=weights / weights.sum())]


def _one(some: list[range], rng: np.random.Generator) -> int:
    """A sample of sequences that were drawn by their length: any of them alike, so that all have the same chance."""
    numbers = some[int(rng.integers(len(some)))]
    return numbers[int(rng.integers(len(numbers)))]


def load(
    batches: PeopleBatches, seeds: Sequence[int], workers: int, device: torch.device | str = "cpu", ahead: int = 2
) -> Iterator[Batch]:
    """The batches of ``seeds`` in order on ``device``, prepared by ``workers`` processes (0: in this one), ``ahead``
    each. Raises what `PeopleBatches.make` raises."""
    if workers < 0:
        raise InputError(f"workers is {workers}; expected 0 or more")
    on_gpu = torch.device(device).type == "cuda"
    loader: DataLoader[Batch | MonocapError] = DataLoader(
        batches,
        batch_size=None,
        sampler=seeds,
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        # not forked: a fork of a process with threads (numba's, the trainer's) may hang
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_begin if workers else None,
        pin_memory=on_gpu,
    )
    for batch in loader:
        if isinstance(batch, MonocapError):
            raise batch
        yield batch.to(device)


def _begin(worker: int) -> None:
    """In a new worker: Ctrl-C is the parent's to handle, and one thread each is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
