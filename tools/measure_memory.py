"""How much memory the capture of a long video takes, and whether it grows: a short video is looped, RSS sampled.

python tools/measure_memory.py VIDEO --minutes 10 --work EMPTY_FOLDER [--preset fast] [more options of capture]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av


def loop(source: Path, target: Path, minutes: float) -> int:
    """Write ``source`` again and again without coding it anew; returns the number of frames."""
    packets: list[tuple[bytes, int, int, int, bool]] = []
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        base: Any = stream.time_base
        packets += [
            (bytes(packet), packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and packet.dts is not None
        ]
        length = max(pts + duration for _, pts, _, duration, _ in packets) - min(pts for _, pts, *_ in packets)
        count = offset = 0
        with av.open(str(target), "w") as out:
            track = out.add_stream_from_template(stream)
            while offset * base < minutes * 60:
                for content, pts, dts, duration, key in packets:
                    packet = av.Packet(content)
                    packet.pts, packet.dts, packet.duration = pts + offset, dts + offset, duration
                    packet.time_base, packet.is_keyframe, packet.stream = base, key, track
                    out.mux(packet)
                    count += 1
                offset += length
    return count


def resident(pid: int) -> float | None:
    """Resident megabytes of a process (Linux), or None if it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    options, more = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    long = options.work / f"long{options.video.suffix}"
    frames = loop(options.video, long, options.minutes)
    out = options.work / "out"
    command = [sys.executable, "-m", "monocap", "capture", str(long), "-o", str(out), "--preset", options.preset]
    log = options.work / "log.txt"
    samples: list[tuple[float, float, str]] = []
    with log.open("w") as stream:
        begun = time.monotonic()
        process = subprocess.Popen([*command, *more], stderr=stream)
        while process.poll() is None:
            time.sleep(options.every)
            size = resident(process.pid)
            if size:
                last = (log.read_text().splitlines() or [""])[-1]
                samples.append((time.monotonic() - begun, size, last[:40]))
                print(f"{samples[-1][0]:.0f} s {size:.0f} MB  {last[:60]}", file=sys.stderr, flush=True)
    step = max(1, len(samples) // 20)
    report = json.loads((out / "report.json").read_text()) if process.returncode == 0 else {}
    print(
        json.dumps(
            {
                "frames": frames,
                "status": process.returncode,
                "peak_mb": report.get("peak_memory_mb"),
                "curve": [[round(t), round(size)] for t, size, _ in samples[::step]],
                "cpu_seconds": report.get("cpu_seconds"),
                "seconds": report.get("seconds"),
            }
        )
    )
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
