"""``monocap evaluate camera-bias`` and ``monocap evaluate tals``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

from monocap.cli.display import ProgressDisplay
from monocap.errors import InputError


def bias(data: Path | None, out: Path, body: str, limit: int | None, json: bool) -> int:
    """Study the wrong camera, write the report, print it (or, with ``json``, as one line); returns the exit status."""
    from monocap.evaluate.camera_bias import BiasOptions, study, summary
    from monocap.evaluate.camera_bias_report import bias_markdown, write_bias_report

    options = BiasOptions(data, out, body, _checked(limit))
    with ProgressDisplay() as display:
        found = study(options, lambda count, total: display("people", count, total))
        report = summary(options, found)
        written, warnings = write_bias_report(out, found, report)
        for warning in warnings:
            display.say(f"note: {warning}")
        _say_written(display, written)
    print(json_module.dumps(report, allow_nan=False) if json else bias_markdown(report, []))
    return 0


def tals(data: Path | None, out: Path, body: str, limit: int | None, json: bool) -> int:
    """Derive thresholds, write and print them (or, with ``json``, the report as one line); returns the exit status."""
    from monocap.evaluate.tals import TalsOptions, derive, markdown, write

    options = TalsOptions(data, out, body, limit=_checked(limit))
    with ProgressDisplay() as display:
        thresholds, report = derive(options, lambda count, total: display("people", count, total))
        _say_written(display, write(options, thresholds, report))
    print(json_module.dumps(report, allow_nan=False) if json else markdown(thresholds, report))
    return 0


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}; expected 1 or more")
    return limit


def _say_written(display: Any, written: list[Path]) -> None:
    for path in written:
        display.say(f"wrote {path}")
