"""``monocap evaluate``."""

from __future__ import annotations

import json as json_module
import sys

from rich.console import Console
from rich.table import Table

from monocap.cli.display import ProgressDisplay
from monocap.errors import InputError
from monocap.evaluate import protocols
from monocap.evaluate.program import Evaluated, EvaluateOptions, evaluate
from monocap.evaluate.scoring import METRICS


def run(options: EvaluateOptions, json: bool) -> int:
    """Evaluate and print a table (or, with ``json``, the report on one line); returns the exit status."""
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit is {options.limit}; expected 1 or more")
    with ProgressDisplay() as display:
        done = evaluate(options, lambda count, total: display("samples", count, total))
        for warning in done.warnings:
            display.say(f"note: {warning}")
        for path in done.written:
            display.say(f"wrote {path}")
    if json:
        print(json_module.dumps(done.report, allow_nan=False))
    else:
        _print(done)
    return 0


def list_protocols(json: bool) -> int:
    """Print the protocols there are."""
    every = [protocols.get(name) for name in protocols.names()]
    if json:
        print(json_module.dumps([{"name": p.name, "version": p.version, "title": p.title} for p in every]))
        return 0
    for p in every:
        metrics = ", ".join(METRICS[name].title for name in p.metrics)
        print(f"{p.name:16} {p.title} · {len(p.joints)} joints · {metrics}")
    return 0


def _print(done: Evaluated) -> None:
    report = done.report
    data = report["data"]
    table = Table(title=f"{report['protocol']['name']}, version {report['protocol']['version']}", title_justify="left")
    names = list(dict.fromkeys(name for row in report["rows"] for name in row["metrics"]))
    for heading in ("estimate", "missed", *(f"{METRICS[name].title}, {METRICS[name].unit}" for name in names)):
        table.add_column(heading, justify="left" if heading == "estimate" else "right")
    for row in report["rows"]:
        cells = [_cell(row["metrics"].get(name)) for name in names]
        table.add_row(row["label"], str(row["missed"]), *cells)
    console = Console(file=sys.stdout)
    console.print(table)
    console.print(
        f"mean (median); {data['compared']} of {data['read']} samples, {data['skipped']} skipped, "
        f"{data['not_of_protocol']} not of the protocol",
        highlight=False,
    )


def _cell(summary: dict | None) -> str:
    if summary is None or summary["mean"] is None:
        return "–"
    return f"{summary['mean']:.1f} ({summary['median']:.1f})"
