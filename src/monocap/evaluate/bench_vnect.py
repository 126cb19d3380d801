"""How fast VNect follows the people of a video: CPU time by stage, frames per second, and from frame to pose."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from monocap.bodies import load_body
from monocap.errors import MediaError
from monocap.evaluate.stopwatch import Figures
from monocap.geometry import kinematics
from monocap.media.readers import open_media
from monocap.perception import PeopleDetector
from monocap.pipeline.clock import StageClock
from monocap.pipeline.settings import CaptureSettings
from monocap.pipeline.vnect.networks import open_vnect
from monocap.pipeline.vnect.run import VNectCapture, ahead

STAGES = ("decode", "crop", "network", "read", "detector and rest", "fit")


def bench_vnect(video: Path, weights: Path | None, repeats: int, limit: int = 1) -> Figures:
    """``video`` followed ``repeats`` times after a warm-up; medians.

    Per stage, with nothing at the same time: ``STAGE_cpu_ms_per_frame``. Then as in live use, decoded by a thread of
    its own: ``fps`` and ``frame_to_pose_ms``, both of wall time, so of an idle machine; ``two_core_fps`` is what the
    slower of the two threads allows by its CPU time.
    """
    compile_s = kinematics.warmup()
    body, settings = load_body("open"), CaptureSettings()
    network, detector = open_vnect(weights, threads=1), PeopleDetector(threads=1)
    media = open_media(video)
    camera, _ = settings.camera(media.width, media.height, media.focal_px)
    live = VNectCapture(network, detector, body, limit=limit)
    clocks: list[StageClock] = []
    rates: list[float] = []
    waits: list[float] = []
    seen = 0
    for repeat in range(repeats + 1):
        live.clock = clock = StageClock()
        live.begin()
        frames = iter(open_media(video))
        while True:
            with clock.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            live.step(frame, camera)
        if not live.frames:
            raise MediaError(f"{video}: no frame could be decoded; is it a whole video file?")
        parts = sum(clock.cpu.get(name, 0.0) for name in ("crop", "network", "read"))
        clock.cpu["detector and rest"] = clock.cpu["track"] - parts
        if repeat:
            clocks.append(clock)
        live.begin()
        seen, begun = 0, time.perf_counter()
        lasting: list[float] = []
        for frame in ahead(open_media(video)):
            started = time.perf_counter()
            seen += len(live.step(frame, camera))
            lasting.append(1e3 * (time.perf_counter() - started))
        if repeat:
            rates.append(live.frames / (time.perf_counter() - begun))
            waits.append(median(lasting))
    count = live.frames
    figures: Figures = {
        "video": video.name,
        "size": f"{media.width}x{media.height}",
        "frames": count,
        "looks": seen,
        "repeats": repeats,
        "compile_s": round(compile_s, 3),
    }
    cpu = {name: 1e3 * median(clock.cpu.get(name, 0.0) for clock in clocks) / count for name in STAGES}
    for name, value in cpu.items():
        figures[f"{name.replace(' ', '_')}_cpu_ms_per_frame"] = round(value, 3)
    whole = sum(cpu.values())
    figures |= {
        "cpu_ms_per_frame": round(whole, 3),
        "two_core_fps": round(1e3 / max(whole - cpu["decode"], cpu["decode"]), 2),
        "fps": round(median(rates), 2),
        "frame_to_pose_ms": round(median(waits), 2),
        "frame_to_pose_cpu_ms": round(whole - cpu["decode"], 2),
    }
    return figures
