"""Only ordinary files on this machine, only containers that hold the film themselves, only claims that make sense."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from videos import clip, make

from monocap.errors import MediaError
from monocap.media import readers
from monocap.media.pictures import write_image
from monocap.media.readers import open_media, open_pictures


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.mp4", "rtsp://x/y", "file:///etc/hosts", "https://a/b.jpg"])
def test_addresses(address: str) -> None:
    with pytest.raises(MediaError, match="download it first"):
        open_media(address)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes among its files")
def test_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    for path in (tmp_path / "a.mp4", Path("/dev/zero")):
        with pytest.raises(MediaError, match="device or pipe"):
            open_media(path)


@pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 400, "concat:a.mp4|a.mp4", "a%03d.png", "-.mp4"])
def test_names_that_are_no_files(name: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_media(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["-a.mp4", "a:b.mp4", "ü ñ 走.mp4", "a%03d.mp4", "a'b\".mp4", "http.mp4"])
def test_odd_names_that_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "plain.mp4", clip(3)).rename(name)
    assert len(list(open_media(name))) == 3
    write_image("plain.png", clip(1)[0])
    Path("plain.png").rename(f"{name}.png")
    assert open_media(f"{name}.png").kind == "image"


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'inner.mkv'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ninner.mkv\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>inner.mkv</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
    ],
    ids=["concat", "hls", "sdp", "dash"],
)
def test_lists_of_other_files(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "inner.mkv", clip(2))
    for suffix in ("mp4", "m3u8"):
        (tmp_path / f"a.{suffix}").write_text(text)
        with pytest.raises(MediaError, match="neither"):
            open_media(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_and_sound_with_a_cover(cover: bool, tmp_path: Path) -> None:
    picture: Any = None
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound: Any = container.add_stream("aac", rate=44100)
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
        for _ in range(3):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate = 44100
            container.mux(sound.encode(frame))
        if cover:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(clip(1)[0], "rgb24").reformat(format="yuvj420p")))
            container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    with pytest.raises(MediaError, match="no picture track"):
        open_media(tmp_path / "a.mp4")


def with_stamps(monkeypatch: pytest.MonkeyPatch, stamps: list[int | None], base: Fraction = Fraction(1, 10)) -> None:
    original = readers._frames

    def other(*arguments: Any) -> Iterator[Any]:
        for frame, stamp in zip(original(*arguments), stamps, strict=False):
            frame.pts, frame.time_base = stamp, base
            yield frame

    monkeypatch.setattr(readers, "_frames", other)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 1, 2, 3_000_000_000, 3_000_000_001], [0, 0.1, 0.2, 0.3, 0.4]),  # years later
        ([0, 1, 2, -50_000, -49_999], [0, 0.1, 0.2, 0.3, 0.4]),  # a counter that starts again
        ([0, 1, 2, 30, 31], [0, 0.1, 0.2, 3.0, 3.1]),  # a true pause
        ([7, None, None, None, None], [0, 0.1, 0.2, 0.3, 0.4]),
    ],
    ids=["forward", "back", "pause", "none"],
)
def test_stamps_that_jump(
    stamps: list[int | None], times: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = open_media(make(tmp_path / "a.mp4", clip(5), rate=10))
    with_stamps(monkeypatch, stamps)
    np.testing.assert_allclose([frame.time for frame in media], times, atol=1e-6)
    assert any("jump" in warning for warning in media.warnings) == (
        max(s or 0 for s in stamps) > 100 or -50_000 in stamps
    )


def test_reading_from_a_frame_on_gives_the_same_frames(tmp_path: Path) -> None:
    pictures = []
    for i, image in enumerate(clip(6)):
        pictures.append(tmp_path / f"{i}.png")
        write_image(pictures[-1], image)
    video = make(tmp_path / "a.mkv", clip(8), pts=[500, 520, 600, 610, 900, 901, 1000, 1500])
    for media in (open_media(video), open_pictures(pictures, 10), open_media(pictures[0])):
        whole = list(media)
        for start in (0, 1, 5, 20):
            rest = list(media.frames(start))
            assert [(f.index, f.time) for f in rest] == [(f.index, f.time) for f in whole[start:]]
            assert all((a.image == b.image).all() for a, b in zip(rest, whole[start:], strict=True))


def test_large_video_frames_are_given_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.mkv", clip(2, 120, 160), codec="ffv1", pixels="yuv444p", turn=90)
    monkeypatch.setattr(readers, "WORKING_PIXELS", 5000)
    media = open_media(path)
    assert (media.full_size, (media.width, media.height)) == ((120, 160), (60, 80))
    assert next(iter(media)).image.shape == (80, 60, 3)
    monkeypatch.setattr(readers, "_MAX_VIDEO_PIXELS", 10_000)
    with pytest.raises(MediaError):
        open_media(path)
