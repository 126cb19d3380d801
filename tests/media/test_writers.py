"""Videos written and decoded again with PyAV directly (not with the reader)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from videos import clip

from monocap.errors import InputError, MediaError
from monocap.media.writers import VideoWriter
from monocap.types import Array


def decode(path: Path) -> tuple[Any, list[float], list[Array]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        about = (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height, stream.average_rate)
        frames = list(container.decode(stream))
        return about, [f.time or 0.0 for f in frames], [f.to_ndarray(format="rgb24") for f in frames]


def test_frames_and_rate(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a video ü.mp4"
    frames = clip(8)
    with VideoWriter(path, 25, (64, 48)) as writer:
        for image in frames:
            writer.write(image)
    (codec, pixels, width, height, rate), times, images = decode(path)
    assert (codec, pixels, width, height) == ("h264", "yuv420p", 64, 48)
    assert float(rate) == pytest.approx(25)
    np.testing.assert_allclose(times, np.arange(8) / 25, atol=1e-4)
    for truth, image in zip(frames, images, strict=True):
        assert np.abs(image[40, 50].astype(int) - truth[40, 50]).max() < 6
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_sources_times_are_kept(tmp_path: Path) -> None:
    given = np.cumsum([0, 0.033, 0.034, 0.2, 0.0166, 0.5, 0.04])
    with VideoWriter(tmp_path / "a.mp4", 30, (64, 48)) as writer:
        for image, time in zip(clip(7), given, strict=True):
            writer.write(image, time)
    about, times, _ = decode(tmp_path / "a.mp4")
    np.testing.assert_allclose(times, given, atol=1e-4)
    assert float(about[4]) == pytest.approx(7 / (given[-1] + 0.04), rel=0.1)


def test_odd_sizes_are_padded_by_one(tmp_path: Path) -> None:
    image = np.full((47, 61, 3), 200, np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 25, (61, 47)) as writer:
        writer.write(image)
    about, _, images = decode(tmp_path / "a.mp4")
    assert about[2:4] == (62, 48)
    assert images[0].min() > 190  # no dark border


@pytest.mark.parametrize("colour", [(200, 40, 90), (20, 180, 60), (10, 20, 240)])
def test_colours_survive(colour: tuple[int, int, int], tmp_path: Path) -> None:
    from monocap.media.readers import open_media

    for height in (48, 720):
        with VideoWriter(tmp_path / "a.mp4", 25, (64, height)) as writer:
            writer.write(np.full((height, 64, 3), colour, np.uint8))
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert next(container.decode(video=0)).colorspace == 1  # tagged, so that no player guesses
        got = next(iter(open_media(tmp_path / "a.mp4"))).image[20, 20]
        assert np.abs(got.astype(int) - colour).max() <= 5


def test_an_error_leaves_neither_file_nor_remains(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the film of yesterday")

    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4", 25, (64, 48)) as writer:
            writer.write(clip(1)[0])
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"the film of yesterday"


def test_an_empty_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frame"), VideoWriter(tmp_path / "a.mp4", 25, (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_and_frames(tmp_path: Path) -> None:
    for path, fps, size in (("a.avi", 25, (64, 48)), ("a.mp4", 0, (64, 48)), ("a.mp4", 25, (0, 48))):
        with pytest.raises(InputError):
            VideoWriter(tmp_path / path, fps, size)
    with VideoWriter(tmp_path / "a.mp4", 25, (64, 48)) as writer:
        writer.write(clip(1)[0], 1.0)
        with pytest.raises(InputError, match="after"):
            writer.write(clip(1)[0], 1.0)
        with pytest.raises(InputError, match="expected"):
            writer.write(np.zeros((48, 60, 3), np.uint8))
        with pytest.raises(InputError, match="uint8"):
            writer.write(np.zeros((48, 64, 3)))
    with pytest.raises(InputError, match="closed"):
        writer.write(clip(1)[0])


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("room", [20, 3000])
def test_no_room_on_the_disk(room: int, tmp_path: Path) -> None:
    """At the first write, or while frames are encoded: an error that names the reason, and no file."""
    code = (
        "import resource, sys, numpy\n"
        "from monocap.media import VideoWriter\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "noise = numpy.random.default_rng(1).integers(0, 255, (20, 96, 96, 3), dtype='uint8')\n"
        "try:\n"
        "    with VideoWriter(sys.argv[1], 25, (96, 96)) as writer:\n"
        "        [writer.write(frame) for frame in noise]\n"
        "except OSError as error:\n"
        "    print('OSError', error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "OSError File too large"
    assert list(tmp_path.iterdir()) == []
