"""One input → its folder: captured, written, reported; gone on with where an earlier run was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monocap.errors import InputError
from monocap.export import skin_texture
from monocap.media.readers import Media
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.memory import peak_resident_mb
from monocap.pipeline.outputs import (
    check_formats,
    report_of,
    versions,
    write_photo_outputs,
    write_report,
    write_video_outputs,
)
from monocap.pipeline.resume import Checkpoint, run_key, weights_in_use
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Motion

_BRIEF = ("input", "kind", "frames", "people", "frames_with_person", "warnings", "seconds")


@dataclass(frozen=True)
class Request:
    """What is wanted of every input: ``formats`` (None: all usual ones), an ``overlay``, to ``resume``.

    ``skin`` is painted on what has one (a name or file, `export.skin_texture`; None: the body's own). ``fps`` is that
    of pictures taken as one video. Results depend on both. ``notes`` go to every report's warnings.
    """

    settings: CaptureSettings
    formats: Sequence[str] | None = None
    overlay: bool = True
    resume: bool = False
    fps: float | None = None
    skin: str | None = None
    notes: tuple[str, ...] = ()


class CaptureRun:
    """Captures inputs one after the other; body and networks are loaded once, and only if something is to be done."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._weights = weights_in_use()
        self._versions = versions()
        self._engine: CaptureEngine | None = None

    def capture(
        self,
        media: Media,
        folder: Path,
        progress: Progress = silent,
        say: Callable[[str], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Capture ``media`` into ``folder``, which the caller holds (`pipeline.lock`); returns a summary.

        ``say`` takes lines for the user: what was written, and warnings.

        Raises InputError if an option does not suit, ``resume`` finds another capture, or nothing can be written.
        """
        request = self.request
        formats = check_formats(request.formats, media)
        parts = [*formats, *(["overlay"] if request.overlay else [])]
        report = folder / (f"{media.path.stem}.report.json" if media.kind == "image" else "report.json")
        _spare_the_input(media, folder)
        begun, cpu = time.perf_counter(), time.process_time()
        key = run_key(media.files, request.settings, self._versions, self._weights, request.fps, request.skin)
        checkpoint = Checkpoint(folder, key, report, request.resume, say)
        if checkpoint.reported and all(part in checkpoint.outputs for part in parts):
            checkpoint.clear()
            say(f"{media.path.name}: complete already")
            return self._summary(media, folder, report, _read_report(report))
        engine = self._ready()
        engine.clock = clock = StageClock()
        motion, warnings = self._motion(engine, media, folder, checkpoint, progress)
        for part in parts:
            if part not in checkpoint.outputs:
                checkpoint.finish(part, _write(part, folder, media, motion, engine, request.skin, clock, progress))
        warnings = list(dict.fromkeys([*request.notes, *warnings]))
        told = report_of(media, motion, asdict(request.settings), warnings, clock, engine.body)
        told["formats"], told["overlay"] = list(formats), request.overlay
        told["outputs"], told["key"] = checkpoint.outputs, key
        told["resumed_from_frame"] = checkpoint.resumed_from
        told["total_seconds"] = round(time.perf_counter() - begun, 3)
        told["total_cpu_seconds"] = round(time.process_time() - cpu, 3)
        peak = peak_resident_mb()
        told["peak_memory_mb"] = None if peak is None else round(peak)
        write_report(report, told)
        checkpoint.clear()
        for warning in warnings:
            say(f"note: {warning}")
        for files in checkpoint.outputs.values():
            for name in files:
                say(f"wrote {folder / name}")
        say(f"wrote {report}")
        return self._summary(media, folder, report, told)

    def _ready(self) -> CaptureEngine:
        if self._engine is None:
            engine = CaptureEngine(self.request.settings)
            skin_texture(engine.body, self.request.skin)  # what is wrong with it is told before the work
            self._engine = engine
        return self._engine

    def _motion(
        self, engine: CaptureEngine, media: Media, folder: Path, checkpoint: Checkpoint, progress: Progress
    ) -> tuple[Motion, list[str]]:
        kept = checkpoint.motion()
        if kept is not None:
            checkpoint.resumed_from = kept.frames
            return kept, checkpoint.warnings()
        if "npz" in checkpoint.outputs:  # other formats are asked for than before, or some are gone
            (name,) = checkpoint.outputs["npz"]
            motion = Motion.load(folder / name)
            checkpoint.resumed_from = motion.frames
            return motion, checkpoint.warnings()
        motion = engine.capture(media, progress, checkpoint)
        if media.kind == "video":
            checkpoint.keep_motion(motion, engine.warnings)
        return motion, engine.warnings

    def _summary(self, media: Media, folder: Path, report: Path, told: dict[str, Any]) -> dict[str, Any]:
        outputs = [str(folder / name) for files in told["outputs"].values() for name in files]
        brief = {name: told[name] for name in _BRIEF if name in told}
        return {**brief, "input": str(media.path), "outputs": [*outputs, str(report)]}


def _write(
    part: str,
    folder: Path,
    media: Media,
    motion: Motion,
    engine: CaptureEngine,
    skin: str | None,
    clock: StageClock,
    progress: Progress,
) -> list[Path]:
    """Write one format, or the overlay."""
    formats, overlay = ([], True) if part == "overlay" else ([part], False)
    if not overlay:  # that tells its own progress
        progress(f"write {part}", 0, None)
    if media.kind == "image":
        return write_photo_outputs(folder, media.path.stem, media, motion, engine.body, formats, overlay, clock, skin)
    return write_video_outputs(folder, media, motion, engine.body, formats, overlay, clock, progress, skin)


def _spare_the_input(media: Media, folder: Path) -> None:
    """Raises InputError if the input would be written over."""
    own = folder / ("overlay.mp4" if media.kind == "video" else f"{media.path.stem}.overlay.png")
    if any(path.resolve() == own.resolve() for path in media.files):
        raise InputError(f"{own}: this input would be written over by its own overlay; choose another folder with -o")


def _read_report(path: Path) -> dict[str, Any]:
    import json

    return json.loads(path.read_text(encoding="utf-8"))
