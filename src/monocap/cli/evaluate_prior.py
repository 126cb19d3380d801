"""``monocap evaluate prior``."""

from __future__ import annotations

import json as json_module
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from monocap.errors import InputError
from monocap.evaluate.prior import PriorEvaluationOptions, evaluate_prior
from monocap.evaluate.prior_report import prior_markdown, write_prior_report


def run(data: Path | None, out: Path, vposer: str, tokenizer: str, limit: int | None, json: bool) -> int:
    """Evaluate, write the report, print it (or, with ``json``, as one line); returns the exit status."""
    if data is None:
        raise InputError("evaluate prior needs --data FOLDER, a pose corpus that monocap data corpus wrote")
    options = PriorEvaluationOptions(data, out, vposer, tokenizer)
    if limit is not None:
        options = replace(options, poses=limit)
    console = Console(stderr=True)
    done = evaluate_prior(options, lambda text: console.print(text, highlight=False))
    written, warnings = write_prior_report(options.out, done, options.sheet)
    for warning in warnings:
        console.print(f"note: {warning}", highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    print(json_module.dumps(done.report, allow_nan=False) if json else prior_markdown(done.report, []))
    return 0
