"""``monocap capture``."""

from __future__ import annotations

import contextlib
import json as json_module
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from monocap.cli.display import ProgressDisplay
from monocap.errors import InputError, MonocapError
from monocap.files import filling
from monocap.media.readers import Media
from monocap.pipeline.inputs import Source, find_sources, folder_names
from monocap.pipeline.lock import locked
from monocap.pipeline.outputs import FORMATS, check_formats
from monocap.pipeline.run import CaptureRun, Request

_RECORDING = "recording.mp4"


def run(inputs: Sequence[str], out: Path, request: Request, duration: float | None, json: bool) -> int:
    """Capture every input; with several, one that fails is told and the others still run. Returns the exit status."""
    if not inputs:
        raise InputError("no input; expected photos or videos, for example: monocap capture dance.mp4 -o out")
    _check_names(request.formats)
    sources, notes = find_sources(inputs, request.fps, out)
    if duration is not None and all(source.device is None for source in sources):
        raise InputError("--duration is for recording from a camera; the inputs are files")
    first = None
    if len(sources) == 1 and sources[0].device is None:  # what is wrong with it is told before OUT is made
        first = sources[0].open()
        check_formats(request.formats, first)
    folders = [out] if len(sources) == 1 else [out / name for name in folder_names(sources)]
    summaries, failures = [], 0
    with terminable(), locked(out):
        capture = CaptureRun(request)
        for number, (source, folder) in enumerate(zip(sources, folders, strict=True), 1):
            label = f"[{number}/{len(sources)}] {source.label}" if len(sources) > 1 else ""
            with ProgressDisplay(label) as display:
                for note in notes if number == 1 else ():
                    display.say(f"note: {note}")
                try:
                    with _held(folder, out):
                        media = first or _open(source, folder, duration, request.resume, display)
                        summaries.append(_capture(capture, source, media, folder, display))
                except MonocapError as error:
                    if len(sources) == 1:
                        raise
                    failures += 1
                    display.say(f"monocap: {error}")
    if json:
        print(json_module.dumps({"results": summaries, "failures": failures}))
    return 2 if failures else 0


def _capture(
    capture: CaptureRun, source: Source, media: Media, folder: Path, display: ProgressDisplay
) -> dict[str, Any]:
    capture.request = replace(capture.request, fps=source.fps)
    with filling(folder):
        return capture.capture(media, folder, display, display.say)


def _open(source: Source, folder: Path, duration: float | None, resume: bool, display: ProgressDisplay) -> Media:
    if source.device is None:
        return source.open()
    from monocap.media.webcam import record

    path = folder / _RECORDING
    if resume and path.is_file():
        display.say(f"note: {path} was recorded before and is used")
    else:
        display.say("recording; Ctrl-C ends it, and what was recorded is captured" if duration is None else "recording")
        total = None if duration is None else round(duration)
        record(source.device, path, duration, lambda seconds, frames: display("record", int(seconds), total))
    return Source((path,)).open()


def _held(folder: Path, out: Path) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if folder == out else locked(folder)


def _check_names(formats: Sequence[str] | None) -> None:
    known = {name for names in FORMATS.values() for name in names}
    if formats is not None and not formats:
        raise InputError(f"--formats is empty; expected some of {', '.join(sorted(known))}")
    for name in formats or ():
        if name not in known:
            raise InputError(f"--formats: there is no {name!r}; expected some of {', '.join(sorted(known))}")


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """A polite end by the system (SIGTERM) clears up as Ctrl-C does; the exit status is the customary 143."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # only the main thread gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
