"""`Dataset`: samples by number; `Collection`: one made of parts (files, sequences) that are read when first needed."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from monocap.data.sample import DatasetInfo, Sample
from monocap.errors import InputError

_KEPT_PARTS = 4  # parts held in memory: random access over shuffled frames would otherwise re-read a file per sample


class Dataset(Protocol):
    """What every data set offers; ``info``: licence and where to get it; ``unreadable``: what could not be opened."""

    @property
    def name(self) -> str: ...

    @property
    def skeleton(self) -> str: ...

    @property
    def info(self) -> DatasetInfo: ...

    @property
    def sequences(self) -> tuple[str, ...]: ...

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def in_sequence(self, sequence: str) -> range: ...


Load = Callable[[], Callable[[int], Sample]]


@dataclass(frozen=True)
class Part:
    """``count`` samples of one file or sequence; ``load()`` reads it and gives the function from number to `Sample`.

    ``broken``: why it cannot be read (then it holds no samples, and is reported instead of dropped).
    """

    sequence: str
    count: int
    load: Load | None = None
    broken: str = ""

    @classmethod
    def opened(cls, sequence: str, measure: Callable[[], int], load: Load) -> Part:
        """A part whose size must be read; a file that is damaged or refused becomes a broken part."""
        try:
            return cls(sequence, measure(), load)
        except InputError as error:
            return cls(sequence, 0, None, str(error))

    @classmethod
    def of(cls, sequence: str, samples: Sequence[Sample]) -> Part:
        """A part that is in memory already."""
        return cls(sequence, len(samples), lambda: samples.__getitem__)


class Collection:
    """A `Dataset` of parts in order. Indexing reads the part concerned; the last few stay in memory."""

    def __init__(self, info: DatasetInfo, parts: Iterable[Part]) -> None:
        self.info = info
        self._parts = [part for part in parts if part.count or part.broken]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + part.count)
        self._open: OrderedDict[int, Callable[[int], Sample]] = OrderedDict()

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def skeleton(self) -> str:
        return self.info.skeleton

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, in order, each once."""
        return tuple(dict.fromkeys(part.sequence for part in self._parts if part.count))

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """(name, why) of files that could not be opened."""
        return tuple((part.sequence, part.broken) for part in self._parts if part.broken)

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Sample by number (negative: from the end). Raises IndexError beyond, InputError for damaged files."""
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"sample {index} of {self.name}, which has {size}")
        index %= size
        at = bisect_right(self._starts, index) - 1
        while self._parts[at].count == 0:
            at += 1
        return self._part(at)(index - self._starts[at])

    def in_sequence(self, sequence: str) -> range:
        """Numbers of the samples of one sequence (its parts lie side by side)."""
        chosen = [i for i, part in enumerate(self._parts) if part.sequence == sequence and part.count]
        if not chosen:
            raise InputError(f"{self.name} has no sequence {sequence!r}; it has {len(self.sequences)} others")
        return range(self._starts[chosen[0]], self._starts[chosen[-1] + 1])

    def _part(self, at: int) -> Callable[[int], Sample]:
        if at in self._open:
            self._open.move_to_end(at)
            return self._open[at]
        load = self._parts[at].load
        assert load is not None
        self._open[at] = load()
        while len(self._open) > _KEPT_PARTS:
            self._open.popitem(last=False)
        return self._open[at]
