"""``monocap capture``."""

from __future__ import annotations

import json as json_module
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monocap.cli.display import ProgressDisplay
from monocap.errors import InputError, MonocapError
from monocap.media.readers import Media, open_media
from monocap.pipeline.clock import StageClock
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.outputs import (
    check_formats,
    report_of,
    write_photo_outputs,
    write_report,
    write_video_outputs,
)
from monocap.pipeline.settings import CaptureSettings


def run(
    inputs: Sequence[Path],
    out: Path,
    settings: CaptureSettings,
    formats: Sequence[str] | None,
    overlay: bool,
    json: bool,
) -> int:
    """Capture every input; with several, one that fails is told and the others still run. Returns the exit status."""
    if not inputs:
        raise InputError("no input; expected photos or videos, for example: monocap capture dance.mp4 -o out")
    opened = [open_media(path) for path in inputs]  # what is wrong with them is told before any work is done
    chosen = [check_formats(formats, media) for media in opened]
    folders = [out] if len(inputs) == 1 else _folders(inputs, out)
    for folder in folders:
        _make_writable(folder)
    engine = CaptureEngine(settings)
    summaries, failures = [], 0
    for media, folder, wanted in zip(opened, folders, chosen, strict=True):
        with ProgressDisplay(media.path.name if len(inputs) > 1 else "") as display:
            try:
                summaries.append(_one(engine, media, folder, wanted, overlay, display))
            except MonocapError as error:
                if len(inputs) == 1:
                    raise
                failures += 1
                display.say(f"monocap: {error}")
    if json:
        print(json_module.dumps({"results": summaries, "failures": failures}))
    return 2 if failures else 0


def _one(
    engine: CaptureEngine,
    media: Media,
    folder: Path,
    formats: Sequence[str],
    overlay: bool,
    display: ProgressDisplay,
) -> dict[str, Any]:
    engine.clock = clock = StageClock()
    motion = engine.capture(media, display)
    if media.kind == "image":
        written = write_photo_outputs(folder, media.path.stem, media, motion, engine.body, formats, overlay, clock)
        report = folder / f"{media.path.stem}.report.json"
    else:
        written = write_video_outputs(folder, media, motion, engine.body, formats, overlay, clock, display)
        report = folder / "report.json"
    summary = report_of(media, motion, asdict(engine.settings), engine.warnings, clock, engine.body)
    summary["outputs"] = [path.name for path in written]
    write_report(report, summary)
    for warning in engine.warnings:
        display.say(f"note: {warning}")
    for path in [*written, report]:
        display.say(f"wrote {path}")
    return {"input": str(media.path), "outputs": [str(path) for path in [*written, report]], **_brief(summary)}


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror}); choose another folder with -o") from error


def _brief(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: summary[key] for key in ("kind", "frames", "people", "frames_with_person", "warnings", "seconds")}


def _folders(inputs: Sequence[Path], out: Path) -> list[Path]:
    """One folder per input, by its stem; equal stems get _2, _3, …"""
    seen: dict[str, int] = {}
    folders = []
    for path in inputs:
        count = seen[path.stem] = seen.get(path.stem, 0) + 1
        folders.append(out / (path.stem if count == 1 else f"{path.stem}_{count}"))
    return folders
