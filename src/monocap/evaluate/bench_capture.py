"""How fast capture is here: frames per second, and CPU milliseconds per stage and frame."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from monocap.geometry import kinematics
from monocap.media.readers import open_media
from monocap.pipeline.clock import StageClock
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.outputs import write_video_outputs
from monocap.pipeline.settings import CaptureSettings, Preset


def bench_capture(video: Path, preset: Preset, repeats: int) -> dict[str, float | int | str]:
    """Capture ``video`` ``repeats`` times, with all outputs, after one warm-up; medians over the repeats.

    ``compile_s`` is what kernels took to compile or to come from numba's cache, apart from everything else;
    ``capture_fps`` counts keypoints and fit (decode included), ``total_fps`` also the overlay video and exports.
    """
    compile_s = kinematics.warmup()
    engine = CaptureEngine(CaptureSettings(preset=preset))
    started = time.perf_counter()
    runs: list[StageClock] = []
    walls: list[float] = []
    frames, people, first_s = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats + 1):
            engine.clock = clock = StageClock()
            media = open_media(video)
            begun = time.perf_counter()
            motion = engine.capture(media)
            captured = time.perf_counter() - begun
            write_video_outputs(Path(folder), media, motion, engine.body, ("npz", "glb"), True, clock)
            frames, people = motion.frames, motion.people
            if repeat == 0:
                first_s = time.perf_counter() - started
                continue
            clock.wall["capture"], clock.wall["total"] = captured, time.perf_counter() - begun
            runs.append(clock)
            walls.append(clock.wall["total"])
    figures: dict[str, float | int | str] = {
        "video": video.name,
        "preset": preset,
        "frames": frames,
        "people": people,
        "repeats": repeats,
        "compile_s": round(compile_s, 3),
        "first_run_s": round(first_s, 3),
        "capture_fps": round(frames / median(run.wall["capture"] for run in runs), 3),
        "total_fps": round(frames / median(walls), 3),
    }
    for stage in runs[0].cpu:
        figures[f"{stage}_cpu_ms_per_frame"] = round(1e3 * median(run.cpu[stage] for run in runs) / frames, 3)
        figures[f"{stage}_wall_ms_per_frame"] = round(1e3 * median(run.wall[stage] for run in runs) / frames, 3)
    return figures
