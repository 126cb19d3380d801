"""A folder of webdataset shards: written whole, found again, made again where they are damaged or missing.

``synth-NNNNNNNN.tar`` holds a fixed number of samples from number N on (`data.synthetic` describes the files inside);
``index.json`` the settings, and size and SHA-256 of every shard. Both appear only when complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monocap.data.synthetic import INDEX, SCHEMA, SynthSample, read_index, read_shard
from monocap.errors import InputError
from monocap.files import replacing
from monocap.synth.sampler import SAMPLER_VERSION, SynthSettings
from monocap.synth.streaming import packed

PER_SHARD = 100
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ShardPlan:
    """Samples ``start`` … ``start + count`` of ``settings``, ``per_shard`` in each file; ``name`` of the data set."""

    settings: SynthSettings
    count: int
    start: int = 0
    per_shard: int = PER_SHARD
    name: str = "synth"

    def __post_init__(self) -> None:
        if self.count < 1 or self.start < 0 or not 1 <= self.per_shard <= 10_000:
            raise InputError(
                f"count {self.count}, start {self.start}, {self.per_shard} per shard; expected 1, 0, 1 or more"
            )

    def shards(self) -> list[tuple[str, range]]:
        """File names and the numbers in each."""
        firsts = range(self.start, self.start + self.count, self.per_shard)
        last = self.start + self.count
        return [(f"synth-{first:08d}.tar", range(first, min(first + self.per_shard, last))) for first in firsts]


@dataclass(frozen=True)
class Written:
    """``made`` and ``kept`` shards by name, and ``remade`` with why: those that were damaged or missing."""

    made: list[str]
    kept: list[str]
    remade: list[tuple[str, str]]
    samples: int
    people: int


def identity(settings: SynthSettings) -> dict[str, Any]:
    """What samples depend on, ready for JSON: folders by their content, not their place."""
    return {
        "sampler": SAMPLER_VERSION,
        "seed": settings.seed,
        "size": list(settings.size),
        "aspects": settings.aspects,
        "people": list(settings.people),
        "split": settings.split,
        "quality": settings.quality,
        "vertices": settings.vertices,
        "corpus": None if settings.corpus is None else _digest(settings.corpus, "*.npz"),
        "backgrounds": None if settings.backgrounds is None else _digest(settings.backgrounds, "**/*"),
        "like": None if settings.like is None else _digest(settings.like, "**/*"),
        "refine": None if settings.refine is None else _sha256(settings.refine)[:16],
    }


def _digest(folder: Path, pattern: str) -> str:
    """Names and sizes of a folder's files (contents of a corpus too: it is small and is what poses depend on)."""
    digest = hashlib.sha256()
    files = [folder] if folder.is_file() else sorted(path for path in folder.glob(pattern) if path.is_file())
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        if path.suffix == ".npz":
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def write_shards(
    plan: ShardPlan,
    out: Path,
    workers: int = 2,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Written:
    """Make what is not there yet; the same bytes whatever ``workers``. ``progress(done, total)`` counts samples.

    Shards that are complete are kept after their SHA-256 was compared; one that is missing or damaged is told by
    ``say`` and made again. Raises InputError if the folder holds samples of other settings.
    """
    wanted = identity(plan.settings)
    known = _known(plan, out, wanted)
    kept, remade, todo, entries = [], [], [], {}
    for name, numbers in plan.shards():
        entry = known.get(name)
        why = _why_not(out / name, entry, numbers)
        if why is None and entry is not None:
            entries[name] = entry
            kept.append(name)
            continue
        if why:
            remade.append((name, why))
            say(f"{name}: {why}; it is made again")
        todo.append((name, numbers))
    total = sum(len(numbers) for _, numbers in plan.shards())
    done = sum(entry["count"] for entry in entries.values())
    if progress is not None:
        progress(done, total)
    made: list[str] = []
    source = packed(plan.settings, (number for _, numbers in todo for number in numbers), workers)
    try:
        for name, numbers in todo:
            # What the index says must never be more than what is there.
            _write_index(plan, out, wanted, entries)
            people = 0
            with replacing(out / name) as temporary:
                with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
                    for _ in numbers:
                        number, shown, files = next(source)
                        _add(archive, f"{number:08d}", files)
                        people += shown
                        done += 1
                        if progress is not None:
                            progress(done, total)
                size, digest = temporary.stat().st_size, _sha256(temporary)
            entries[name] = {
                "file": name, "first": numbers[0], "count": len(numbers), "people": people, "bytes": size,
                "sha256": digest,
            }  # fmt: skip
            made.append(name)
        _write_index(plan, out, wanted, entries)
    finally:
        source.close()  # type: ignore[attr-defined]  # ends the workers
    people = sum(entry["people"] for entry in entries.values())
    return Written(made, kept, remade, total, people)


def _known(plan: ShardPlan, out: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Entries of the folder's index by name. Raises InputError if it is of other settings."""
    if not (out / INDEX).exists():
        return {}
    index = read_index(out)
    before = index.get("settings")
    now = {**wanted, "start": plan.start, "per_shard": plan.per_shard}
    if before != now:
        before = before if isinstance(before, dict) else {}
        changed = [f"{key} was {before.get(key)}, now {new}" for key, new in now.items() if before.get(key) != new]
        told = "; ".join(changed[:3]) or "unknown"
        raise InputError(f"{out}: holds samples of other settings ({told}); give another folder with -o")
    return {shard["file"]: shard for shard in index["shards"]}


def _why_not(shard: Path, entry: dict[str, Any] | None, numbers: range) -> str | None:
    """Why a shard cannot be kept; None if it can, empty if it was never there."""
    if entry is None:
        return "is not in the index" if shard.is_file() else ""
    if (entry["first"], entry["count"]) != (numbers[0], len(numbers)):
        return f"holds {entry['count']} samples, wanted are {len(numbers)}"
    if not shard.is_file():
        return "is missing"
    if shard.stat().st_size != entry["bytes"] or _sha256(shard) != entry["sha256"]:
        return "is damaged"
    return None


def _write_index(plan: ShardPlan, out: Path, settings: dict[str, Any], entries: dict[str, Any]) -> None:
    content = {
        "schema": SCHEMA,
        "name": plan.name,
        "settings": {**settings, "start": plan.start, "per_shard": plan.per_shard},
        "planned": plan.count,
        "count": sum(entry["count"] for entry in entries.values()),
        "shards": [entries[name] for name in sorted(entries)],
    }
    with replacing(out / INDEX) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _add(archive: tarfile.TarFile, key: str, files: dict[str, bytes]) -> None:
    for extension, content in files.items():
        header = tarfile.TarInfo(f"{key}.{extension}")  # no times, no owners: the same bytes every time
        header.size = len(content)
        archive.addfile(header, io.BytesIO(content))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(folder: Path | str, unfinished: bool = False) -> Iterator[SynthSample]:
    """All samples of a folder of shards (or of one shard), in order.

    Raises InputError, naming it, at a shard that is missing or damaged, and at the end of a folder whose making was
    stopped (unless ``unfinished``): nothing is passed over in silence.
    """
    folder = Path(folder)
    if folder.is_file():
        yield from read_shard(folder)
        return
    index = read_index(folder)
    for shard in index["shards"]:
        path = folder / shard["file"]
        if not path.is_file():
            raise InputError(f"{path}: the shard is missing; run the same monocap synth render again")
        count = 0
        for sample in read_shard(path):
            count += 1
            yield sample
        if count != shard["count"]:
            raise InputError(f"{path}: {count} samples instead of {shard['count']}; run the same command again")
    if index["count"] < index["planned"] and not unfinished:
        raise InputError(f"{folder}: {index['count']} of {index['planned']} samples; run the same monocap synth again")
