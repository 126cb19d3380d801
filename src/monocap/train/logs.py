"""What a run writes down: ``log.csv``, and TensorBoard's events where TensorBoard is installed."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from monocap.files import replacing

EVENTS = "tensorboard"  # folder beside log.csv
NO_TENSORBOARD = 'TensorBoard is not installed (pip install "monocap[train]"); the run is logged in log.csv alone'


def has_tensorboard() -> bool:
    """Whether events will be written."""
    return importlib.util.find_spec("tensorboard") is not None


class CsvLog:
    """One row per validation; rows after the checkpoint (``step``) that is gone on from are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        if path.exists() and step:
            with path.open(newline="") as handle:
                self._rows = [row for row in csv.DictReader(handle) if int(row["step"]) <= step]

    def write(self, step: int, rate: float, seconds: float, named: dict[str, float]) -> None:
        row = {"step": str(step), "learning_rate": f"{rate:.3e}", "seconds": f"{seconds:.1f}"}
        self._rows.append(row | {name: f"{value:.6g}" for name, value in named.items()})
        write_rows(self._path, self._rows)


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """A CSV file with a column for every name in any row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


class Events:
    """TensorBoard's scalars; nothing is written where it is absent. Events after ``step`` are hidden from then on."""

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = None
        if has_tensorboard():
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, max_queue=100)

    def write(self, step: int, named: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in named.items():
                self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
