"""One set of keypoints → its folder: fitted, written, reported; gone on with where an earlier run was stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monocap.data.keypoint_files import KeypointSet, read_points
from monocap.data.keypoint_files.pictures import Pictures, media_of, with_pictures, with_size
from monocap.data.recordings import Recording
from monocap.files import filling
from monocap.fitting.smplifyx.result import Fitted
from monocap.media.readers import Media
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.pipeline.keypoint_fit.fitting import Fit, KeypointFitter, is_video
from monocap.pipeline.keypoint_fit.gender import GenderChoice
from monocap.pipeline.keypoint_fit.outputs import (
    check_formats,
    file_names,
    report_of,
    told_of,
    write_format,
    write_latents,
    write_overlay,
)
from monocap.pipeline.keypoint_fit.parts import FitCheckpoint, fit_key
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.outputs import versions, write_report
from monocap.pipeline.resume import weights_in_use
from monocap.types import Motion

_TRACED = 64  # people whose convergence is drawn


@dataclass(frozen=True)
class FitRequest:
    """What is wanted: ``formats`` (None: the usual ones), ``overlay`` (needs pictures), ``latents``, to ``resume``;
    ``plot`` draws the convergence into a file. ``notes`` go to the report's warnings."""

    settings: FitSettings
    formats: Sequence[str] | None = None
    overlay: bool = False
    latents: bool = False
    resume: bool = False
    plot: Callable[[Path, Sequence[Fitted]], None] | None = None
    notes: tuple[str, ...] = ()


def read_set(path: Path, settings: FitSettings, pictures: Pictures | None) -> KeypointSet | Recording:
    """Keypoints whose pictures all know their size (or 3D joints). Raises InputError in one line."""
    size = settings.size
    if size is None and settings.common.intrinsics is not None:
        size = settings.common.intrinsics.width, settings.common.intrinsics.height

    def told(name: str) -> tuple[int, int] | None:
        return (None if pictures is None else pictures.size(name)) or size

    found = read_points(path, skeleton=settings.skeleton, size=told, unit=settings.unit, axes=settings.axes)
    if isinstance(found, Recording):
        return found
    if pictures is not None:
        if is_video(found, settings) and not found.video:
            found = replace(found, video=True)
        found = with_pictures(found, pictures)
    return with_size(found, size)


class FitRun:
    """Fits sets one after the other."""

    def __init__(self, request: FitRequest) -> None:
        self.request = request
        self._weights = weights_in_use()
        self._versions = versions()
        self._genders = GenderChoice(request.settings)

    def run(
        self,
        found: KeypointSet,
        pictures: Pictures | None,
        folder: Path,
        progress: Progress = silent,
        say: Callable[[str], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Fit ``found`` into ``folder``, which the caller holds (`pipeline.lock`); returns a summary.

        Raises InputError if an option does not suit, ``resume`` finds another fit, or nothing can be written.
        """
        request, settings = self.request, self.request.settings
        video = is_video(found, settings)
        formats = check_formats(request.formats, video)
        media = media_of(found, pictures, settings.fps or found.fps)
        overlay = request.overlay and media is not None
        begun, cpu = time.perf_counter(), time.process_time()
        key = fit_key(found.files, settings, self._versions, self._weights)
        wanted = [*formats, *(["overlay"] if overlay else []), *(["latents"] if request.latents else [])]
        stems = file_names([one.name for one in found.pictures])
        report = folder / "report.json"
        checkpoint = FitCheckpoint(folder, key, report, request.resume, say)
        names = ["motion"] if video else stems
        parts = [f"{name}/{part}" for name in names for part in wanted if part != "overlay"]
        parts += [
            f"{name}/overlay"
            for name, one in zip(names, found.pictures, strict=False)
            if overlay and (video or one.image)
        ]
        parts += ["plot"] if request.plot else []
        if checkpoint.reported and all(part in checkpoint.outputs for part in parts):
            checkpoint.clear()
            say(f"{found.files[0].name}: complete already")
            return _summary(folder, report, json.loads(report.read_text(encoding="utf-8")))
        clock = StageClock()
        if settings.gender == "auto":
            with clock.stage("gender"):
                found = self._genders.completed(found)
        fitter = KeypointFitter(settings, clock)
        entries: list[dict[str, Any]] = []
        traced: list[Fitted] = []
        for fit in fitter.fit(found, progress, checkpoint):
            name = "motion" if video else stems[fit.index]
            frame_names = _frame_names(fit, stems, video)
            for part in wanted:
                where = f"{name}/{part}"
                if where not in checkpoint.outputs:
                    if part == "overlay" and not video and found.pictures[fit.index].image is None:
                        continue  # its picture is not there, which a note tells
                    paths = _write(part, folder, name, fit, frame_names, media, progress, clock)
                    checkpoint.finish(where, paths)
            entries.append(told_of(fit))
            if len(traced) < _TRACED:
                traced += [person.fitted for person in fit.people]
        if request.plot is not None and "plot" not in checkpoint.outputs:
            path = folder / "convergence.png"
            request.plot(path, traced)
            checkpoint.finish("plot", [path] if path.is_file() else [])
        warnings = list(dict.fromkeys([*request.notes, *fitter.warnings]))
        frames = len(found.pictures)
        told = report_of(found.files[0].name, found.kind, video, settings, entries, warnings, clock, frames)
        told |= {"formats": list(formats), "outputs": checkpoint.outputs, "key": key}
        told["total_seconds"] = round(time.perf_counter() - begun, 3)
        told["total_cpu_seconds"] = round(time.process_time() - cpu, 3)
        write_report(report, told)
        checkpoint.clear()
        for warning in warnings:
            say(f"note: {warning}")
        say(f"wrote {_count(checkpoint.outputs)} and {report}")
        return _summary(folder, report, told)


def _write(
    part: str,
    folder: Path,
    name: str,
    fit: Fit,
    frame_names: Sequence[str],
    media: Callable[[int], Media] | None,
    progress: Progress,
    clock: StageClock,
) -> list[Path]:
    with filling(folder):
        if part == "overlay":
            assert media is not None
            motion: Motion = fit.motion
            return [write_overlay(folder, name, motion, fit, media(fit.index), clock, progress)]
        if part == "latents":
            return [write_latents(folder / f"{name}.latents.npz", fit)]
        return write_format(part, folder, name, fit, frame_names, progress, clock)


def _frame_names(fit: Fit, stems: Sequence[str], video: bool) -> Sequence[str]:
    """What the frames are called in the published layout: as their pictures, or by number where some are missing."""
    if not video:
        return [stems[fit.index]]
    count = len(fit.times)
    return stems if len(stems) == count else [f"{frame:06d}" for frame in range(count)]


def _count(outputs: dict[str, dict[str, int]]) -> str:
    count = sum(len(files) for files in outputs.values())
    return f"{count} file{'' if count == 1 else 's'}"


def _summary(folder: Path, report: Path, told: dict[str, Any]) -> dict[str, Any]:
    names = ("input", "kind", "video", "frames", "people", "recipe", "faithful", "fits", "warnings", "seconds")
    outputs = [str(folder / name) for files in told["outputs"].values() for name in files]
    return {**{name: told[name] for name in names if name in told}, "outputs": [*outputs, str(report)]}
