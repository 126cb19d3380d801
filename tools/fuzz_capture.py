"""Mutate pictures and videos and capture them: a right result or a clear line, never a traceback, hang or much memory.

    python tools/fuzz_capture.py --cases 500 --work EMPTY_FOLDER [--network 0.1] [--seeds picture.jpg video.mp4 …]

Every case is a file and a fresh process with limits on time (60 s of one processor,
ten times as much on the clock, since machines are busy with other things) and memory (2 GB). Most cases stop after all
frames are decoded; a share of them (``--network``) goes through the whole capture. Failures are kept in the folder and
listed; the exit status is 1 if there are any. The same number always makes the same file.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

SECONDS, MEMORY = 60, 2_000_000_000
_DECODE = """
import sys
from monocap.errors import MonocapError
from monocap.media import open_media
try:
    media = open_media(sys.argv[1])
    times, frames = [], 0
    for frame in media:
        frames += 1
        assert frame.image.shape == (media.height, media.width, 3), frame.image.shape
        assert frame.image.dtype == "uint8" and frame.image.flags.c_contiguous
        assert not times or frame.time > times[-1], (times[-1], frame.time)
        assert 0 <= frame.time < 1e9 and frame.index == frames - 1
        times.append(frame.time)
    print("read", media.kind, media.width, media.height, frames, media.warnings)
except MonocapError as error:
    print("monocap:", error)
    sys.exit(2)
"""


# ------------------------------------------------------------------ seeds
def photo(size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with gradients and edges, so that every coder has something to do."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(
        np.stack([x, y, (x * y / 255 + 40 * ((x // 16 + y // 16) % 2))], -1).clip(0, 255).astype("u1")
    )


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def film(suffix: str, codec: str, pixels: str, frames: int = 12, size: tuple[int, int] = (96, 64)) -> bytes:
    stream = io.BytesIO()
    picture = np.asarray(photo((96, 64)).resize(size))
    with av.open(stream, "w", format=suffix) as container:
        track = container.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = *size, pixels  # type: ignore[attr-defined]
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 5 * i, axis=1), "rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(track.encode(frame))  # type: ignore[attr-defined]
        container.mux(track.encode(None))  # type: ignore[attr-defined]
    return stream.getvalue()


def seeds() -> dict[str, bytes]:
    """Small files of every kind that is read, by a name with the usual ending."""
    image, exif = photo(), Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA405: 28, 0xA002: 160, 0xA003: 120})
    alpha = image.copy()
    alpha.putalpha(128)
    deep = Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16)) * 257)
    return {
        "plain.jpg": saved(image, "JPEG", exif=exif),
        "progressive.jpg": saved(image, "JPEG", progressive=True, subsampling=0),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "plain.png": saved(image, "PNG", exif=exif),
        "alpha.png": saved(alpha, "PNG"),
        "deep.png": saved(deep, "PNG"),
        "palette.png": saved(image.convert("P"), "PNG", transparency=3),
        "photo.webp": saved(image, "WEBP", exif=exif),
        "photo.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "photo.bmp": saved(image, "BMP"),
        "photo.jp2": saved(image, "JPEG2000"),
        "photo.avif": saved(image, "AVIF"),
        "moving.gif": saved(image.convert("P"), "GIF", save_all=True, append_images=[image.rotate(9).convert("P")] * 3),
        "moving.png": saved(image, "PNG", save_all=True, append_images=[image.rotate(9)] * 3),
        "film.mp4": film("mp4", "libx264", "yuv420p"),
        "film.mov": film("mov", "mpeg4", "yuv420p"),
        "film.mkv": film("matroska", "libx264", "yuv420p"),
        "film.webm": film("webm", "libvpx", "yuv420p"),
        "film.avi": film("avi", "mjpeg", "yuvj420p"),
        "film.ts": film("mpegts", "mpeg2video", "yuv420p"),
        "lossless.mkv": film("matroska", "ffv1", "yuv420p10le"),
        "film.flv": film("flv", "flv1", "yuv420p"),
        "film.h264": film("h264", "libx264", "yuv420p"),
    }


# ------------------------------------------------------------------ mutations
def flip_bits(data: bytes, draw: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(draw.choice((1, 3, 10, 60))):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def flip_header(data: bytes, draw: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(draw.choice((1, 2, 6))):
        out[draw.randrange(min(len(out), 300))] = draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, draw.randrange(256)))
    return bytes(out)


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: max(1, int(len(data) * draw.random()))]


def cut_out(data: bytes, draw: random.Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice((1, 4, 37, 600))
    return data[:start] + data[start + length :]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.choice((4, 64, 2000))]
    return data[:start] + piece * draw.choice((2, 10, 200)) + data[start:]


def overwrite(data: bytes, draw: random.Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice((4, 40, 1000))
    filler = draw.choice((b"\0", b"\xff", b"\x80"))
    return data[:start] + filler * min(length, len(data) - start) + data[start + length :]


def big_number(data: bytes, draw: random.Random) -> bytes:
    """A length or size somewhere becomes enormous, zero or negative."""
    out = bytearray(data)
    number = draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000, 0x00FFFFFF, 0xFFFF))
    start = draw.randrange(max(1, min(len(out) - 4, draw.choice((100, 1000, 10**9)))))
    out[start : start + 4] = struct.pack(draw.choice("><") + "I", number)
    return bytes(out)


_MUTATIONS = (flip_bits, flip_header, cut, cut_out, repeat, overwrite, big_number)


def splice(first: bytes, second: bytes, draw: random.Random) -> bytes:
    """The head of one file on the body of another."""
    at = draw.choice((4, 16, 64, 512, len(first) // 2))
    return first[:at] + second[draw.choice((0, at, len(second) // 2)) :]


# ------------------------------------------------------------------ made to hurt
def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, extra: bytes = b"", rows: int | None = None
) -> bytes:
    """A PNG that claims a size; ``rows`` of zeros are in it (None: all of them, which pack to almost nothing)."""
    row = 1 + -(-width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(row)) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def exif_bomb(entries: int, draw: random.Random) -> bytes:
    """A JPEG whose EXIF block has many entries that point anywhere, and directories that point at themselves."""
    body = b"II*\0\x08\0\0\0" + struct.pack("<H", entries)
    for i in range(entries):
        tag = draw.choice((0x0112, 0x8769, 0xA405, 0x920A, 0x8825, 0xA005, i & 0xFFFF))
        body += struct.pack(
            "<HHII", tag, draw.randrange(14), draw.choice((1, 0, 0xFFFFFFFF, 70000)), draw.choice((8, 0, 26, 2**32 - 1))
        )
    block = b"Exif\0\0" + body[:65000]
    plain = saved(photo(), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def jpeg_of_size(width: int, height: int, progressive: bool) -> bytes:
    """A small JPEG that claims another size."""
    data = bytearray(saved(photo(), "JPEG", progressive=progressive))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def lying_mp4(draw: random.Random) -> bytes:
    """Sizes, counts, durations or rates of an MP4 become absurd."""
    data = bytearray(film("mp4", "libx264", "yuv420p"))
    box = draw.choice(
        (b"tkhd", b"mdhd", b"mvhd", b"stsz", b"stts", b"stco", b"stsc", b"avc1", b"avcC", b"ctts", b"elst")
    )
    at = data.find(box)
    if at > 0:
        for _ in range(draw.choice((1, 4, 12))):
            i = at + 4 + draw.randrange(80)
            if i + 4 < len(data):
                data[i : i + 4] = struct.pack(">I", draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65535)))
    return bytes(data)


def hostile(draw: random.Random) -> tuple[str, bytes]:
    """A file that is made to take memory or time, or to lead elsewhere."""
    makers: Sequence[tuple[str, Callable[[], bytes]]] = (
        ("claim.png", lambda: png(60000, 60000, rows=10)),
        ("just.png", lambda: png(20000, 20000, rows=50)),
        ("wide.png", lambda: png(400_000, 20, colour=0)),
        ("tall.png", lambda: png(20, 400_000)),
        ("zeros.png", lambda: png(9000, 9000, colour=draw.choice((0, 2, 4, 6)))),
        ("deep.png", lambda: png(3000, 3000, depth=16, colour=6)),
        ("bits.png", lambda: png(20000, 20000, depth=1, colour=draw.choice((0, 3)))),
        ("text.png", lambda: png(64, 64, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000))))),
        ("profile.png", lambda: png(64, 64, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(80_000_000))))),
        ("turns.png", lambda: png(64, 64, extra=chunk(b"eXIf", draw.randbytes(500)))),
        ("exif.jpg", lambda: exif_bomb(draw.choice((3, 500, 5000)), draw)),
        ("claim.jpg", lambda: jpeg_of_size(draw.choice((1, 65000, 20000)), draw.choice((65000, 20000, 3)), False)),
        ("waves.jpg", lambda: jpeg_of_size(20000, 20000, True)),
        ("odd.mp4", lambda: film("mp4", "libx264", "yuv444p", 5, (draw.randrange(17, 90), draw.randrange(17, 90)))),
        ("huge.mkv", lambda: film("matroska", "ffv1", "gray", 2, (9000, 8000))),
        ("large.mkv", lambda: film("matroska", "ffv1", "yuv420p", 2, (8192, 8192))),
        ("lies.mp4", lambda: lying_mp4(draw)),
        ("list.mp4", lambda: b"ffconcat version 1.0\nfile '/dev/zero'\nfile 'http://127.0.0.1:9/a'\n" * 3),
        ("list.m3u8", lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n"),
        ("script.mp4", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(x) run\n"),
        ("noise.mp4", lambda: draw.randbytes(draw.choice((1, 100, 100_000)))),
        ("noise.jpg", lambda: b"\xff\xd8\xff" + draw.randbytes(5000)),
    )
    name, make = draw.choice(makers)
    return name, make()


def case(number: int, given: dict[str, bytes]) -> tuple[str, bytes]:
    """Name and content of one case."""
    draw = random.Random(number)
    return hostile(draw) if draw.random() < 0.2 else _mutated(draw, given)


def mutated(number: int, given: dict[str, bytes]) -> tuple[str, bytes]:
    """As `case`, but never one that is made to take memory or time."""
    return _mutated(random.Random(number), given)


def _mutated(draw: random.Random, given: dict[str, bytes]) -> tuple[str, bytes]:
    name = draw.choice(sorted(given))
    data = given[name]
    if draw.random() < 0.12:
        return name, splice(data, given[draw.choice(sorted(given))], draw)
    for _ in range(draw.choice((1, 1, 2, 5))):
        data = draw.choice(_MUTATIONS)(data, draw) or b"\0"
    return name, data


# ------------------------------------------------------------------ trying them
@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``kind`` "read", "told" (one line, exit 2) or what was wrong."""

    kind: str
    seconds: float
    text: str
    peak_mb: float = 0.0


_WRAPPED = """
import resource, runpy, sys
code = sys.argv.pop(1)
try:
    exec(compile(code, "case", "exec"), {"__name__": "__main__"})
finally:
    sys.stdout.flush()
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
_CAPTURE = "import sys\nfrom monocap.cli import main\nsys.exit(main(sys.argv[1:]))"


def attempt(path: Path, network: bool) -> Outcome:
    """Read one file in a process of its own, or capture it."""
    out = path.with_name(path.name + ".out")
    arguments = ["capture", str(path), "-o", str(out), "--preset", "fast"] if network else [str(path)]
    command = [sys.executable, "-W", "error", "-c", _WRAPPED, _CAPTURE if network else _DECODE, *arguments]

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (4 * MEMORY, 4 * MEMORY))  # a stop; what counts is measured
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    begun = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, timeout=10 * SECONDS, preexec_fn=limits, check=False)
    except subprocess.TimeoutExpired:
        return Outcome("hang", time.monotonic() - begun, "")
    seconds = time.monotonic() - begun
    text = (done.stdout + done.stderr).decode(errors="replace")
    peak = 1024 * max((float(line.split()[1]) for line in text.splitlines() if line.startswith("peak ")), default=0.0)
    told = [line for line in text.splitlines() if line.startswith("monocap: ")]
    written = sorted(p.name for p in out.rglob("*")) if out.exists() else []
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        kind = "hang"
    elif "Traceback" in text:
        kind = "traceback"
    elif peak > MEMORY:
        kind = "memory"
    elif done.returncode == 0 and (not network or written):
        kind = "read"
    elif done.returncode == 2 and len(told) == 1 and not written:
        kind = "told"
    else:
        kind = f"exit {done.returncode}"
    return Outcome(kind, seconds, text, peak / 1e6)


def run(
    numbers: Sequence[int], work: Path, share: float, given: dict[str, bytes], jobs: int
) -> list[tuple[int, Path, Outcome]]:
    work.mkdir(parents=True, exist_ok=True)

    def one(number: int) -> tuple[int, Path, Outcome]:
        name, data = case(number, given)
        path = work / f"{number:05d}_{name}"
        path.write_bytes(data)
        outcome = attempt(path, random.Random(-1 - number).random() < share)
        if outcome.kind in ("read", "told"):
            path.unlink()
            shutil.rmtree(path.with_name(path.name + ".out"), ignore_errors=True)
        return number, path, outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, numbers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--network", type=float, default=0.1, help="share that goes through the whole capture")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="files to mutate besides the made ones")
    options = parser.parse_args()
    given = seeds() | {path.name: path.read_bytes() for path in options.seeds}
    results = run(
        range(options.first, options.first + options.cases), options.work, options.network, given, options.jobs
    )
    bad = [(number, path, outcome) for number, path, outcome in results if outcome.kind not in ("read", "told")]
    for number, path, outcome in bad:
        print(
            f"case {number} {path}: {outcome.kind}, {outcome.seconds:.0f} s, {outcome.peak_mb:.0f} MB\n"
            f"{outcome.text[-1500:]}\n"
        )
    print(
        json.dumps(
            {
                "cases": len(results),
                "outcomes": Counter(outcome.kind for _, _, outcome in results),
                "longest_s": round(max(outcome.seconds for _, _, outcome in results), 1),
                "most_mb": round(max(outcome.peak_mb for _, _, outcome in results)),
            }
        )
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
