"""``monocap synth``: pictures of people with exact truth, contact sheets of them, the frozen benchmark."""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from monocap.cli.display import ProgressDisplay
from monocap.data.synthetic import Entry, entries, read_entry, read_index
from monocap.errors import InputError, MonocapError
from monocap.files import filling
from monocap.media.pictures import write_image
from monocap.pipeline.lock import locked
from monocap.synth import benchmark as frozen
from monocap.synth.shards import ShardPlan, Written, write_shards
from monocap.synth.sheet import Drawn, contact_sheet

_MOST_WORKERS = 8
_REMEDY = "finished shards are kept, nothing half-written. Make room, then run the same command again"


def parse_size(text: str) -> tuple[int, int]:
    """``224`` or ``320x240``. Raises InputError for anything else."""
    found = re.fullmatch(r"([0-9]{1,5})(?:[x×]([0-9]{1,5}))?", text.strip())
    if not found:
        raise InputError(f"--size is {text!r}; expected pixels, such as 224 or 320x240")
    return int(found[1]), int(found[2] or found[1])


def parse_people(text: str) -> tuple[int, int]:
    """``2`` or ``1-4``. Raises InputError for anything else."""
    found = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text.strip())
    if not found:
        raise InputError(f"--people is {text!r}; expected a number or a range, such as 1-4")
    return int(found[1]), int(found[2] or found[1])


def default_workers() -> int:
    """One per processor, up to eight."""
    return max(1, min(os.cpu_count() or 1, _MOST_WORKERS))


def render(plan: ShardPlan, out: Path, workers: int | None, sheet: bool, as_json: bool) -> int:
    """Write the shards that are not there yet; returns the exit status."""
    written = _write(plan, out, workers)
    if sheet:
        _sheet(out, out / "sheet.jpg", 48, "plain")
    _tell(written, out, as_json)
    return 0


def sheet(folder: Path | None, out: Path | None, count: int, drawn: Drawn) -> int:
    """A contact sheet of samples spread over a folder of shards."""
    if folder is None:
        raise InputError("expected a folder, for example: monocap synth sheet pictures")
    path = out or folder / f"sheet{'' if drawn == 'plain' else '-' + drawn}.jpg"
    _sheet(folder, path, count, drawn)
    print(path)
    return 0


def benchmark(out: Path, workers: int | None, count: int | None, as_json: bool) -> int:
    """Make synth-v1 in a folder and compare it with what was frozen; returns the exit status."""
    written = _write(frozen.plan(count), out, workers)
    checked = frozen.verify(out)
    if as_json:
        print(json.dumps({**_summary(written, out), **checked.summary()}))
    else:
        _tell(written, out, False)
        for line in checked.lines():
            print(line)
    if checked.wrong:
        raise MonocapError(f"{out}: {len(checked.wrong)} samples are not those of {frozen.NAME}")
    return 0


def _write(plan: ShardPlan, out: Path, workers: int | None) -> Written:
    count = default_workers() if workers is None else workers
    with locked(out), ProgressDisplay(unit="pictures") as display, filling(out, _REMEDY):
        return write_shards(plan, out, count, lambda a, b: display("pictures", a, b), display.say)


def _sheet(folder: Path, path: Path, count: int, drawn: Drawn) -> None:
    if not 1 <= count <= 1000:
        raise InputError(f"--count is {count}; expected 1 to 1000 pictures on a sheet")
    shards = [folder] if folder.is_file() else [folder / shard["file"] for shard in read_index(folder)["shards"]]
    found: list[tuple[Path, Entry]] = [(shard, entry) for shard in shards for entry in entries(shard)]
    chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    samples = [read_entry(*found[i]) for i in islice(chosen, count)]
    columns = 5 if drawn == "maps" else min(8, max(1, round(np.sqrt(1.4 * len(samples)))))
    write_image(path, contact_sheet(samples, columns, drawn), quality=84)


def _summary(written: Written, out: Path) -> dict[str, Any]:
    return {
        "folder": str(out),
        "samples": written.samples,
        "people": written.people,
        "made": written.made,
        "kept": written.kept,
        "remade": dict(written.remade),
    }


def _tell(written: Written, out: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_summary(written, out)))
        return
    print(
        f"{written.samples} pictures, {written.people} people: {out} ({len(written.made)} shards made, "
        f"{len(written.kept)} were there)"
    )
