"""Videos that real cameras and editors make: turned, uneven in time, of odd formats, cut off, or no video at all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import clip, make

from monocap.errors import InputError, MediaError
from monocap.media import readers
from monocap.media.readers import open_media, open_pictures
from monocap.media.writers import VideoWriter
from monocap.types import Array


def corner(image: Array) -> tuple[str, str]:
    """Which corner is white."""
    height, width = image.shape[:2]
    means = {
        (v, h): image[slice(0, height // 4) if v == "top" else slice(-(height // 4), None)][
            :, slice(0, width // 4) if h == "left" else slice(-(width // 4), None)
        ].mean()
        for v in ("top", "bottom")
        for h in ("left", "right")
    }
    return max(means, key=lambda k: means[k])


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_display_matrix_is_applied(turn: int, mirror: tuple[bool, bool], tmp_path: Path) -> None:
    frames = clip(3)
    media = open_media(make(tmp_path / "a b ü.mp4", frames, turn=turn, mirror=mirror))
    upright = np.rot90(frames[0], turn // 90)  # counter-clockwise, then mirrored
    upright = upright[:: -1 if mirror[1] else 1, :: -1 if mirror[0] else 1]
    assert (media.height, media.width) == upright.shape[:2]
    for frame in media:
        assert frame.image.shape == upright.shape
        assert corner(frame.image) == corner(upright)


def test_uneven_times_are_the_stamps_of_the_frames(tmp_path: Path) -> None:
    stamps = [500, 520, 600, 610, 900, 901, 1000, 1500]
    path = make(tmp_path / "a.mkv", clip(8), pts=stamps)
    media = open_media(path)
    for _ in range(2):  # the same every time that it is iterated
        frames = list(media)
        np.testing.assert_allclose([f.time for f in frames], (np.array(stamps) - 500) / 1000, atol=1e-6)
        assert [f.index for f in frames] == list(range(8))
        for i, frame in enumerate(frames):
            assert abs(int(frame.image[40, 50, 0]) - (40 + 20 * i)) < 6
    assert media.warnings == []


def test_what_the_file_tells_about_itself(tmp_path: Path) -> None:
    media = open_media(make(tmp_path / "a.mp4", clip(10), rate=20))
    assert (media.kind, media.width, media.height, media.frame_count) == ("video", 64, 48, 10)
    assert media.fps == pytest.approx(20)
    assert media.duration == pytest.approx(0.5)
    assert media.focal_px is None
    matroska = open_media(make(tmp_path / "a.mkv", clip(10), rate=20))  # has no frame count of its own
    assert matroska.frame_count == pytest.approx(10, abs=1)
    assert len(list(matroska)) == 10


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix", "size"),
    [
        ("ffv1", "gray", "mkv", (48, 64)),
        ("ffv1", "gray10le", "mkv", (48, 64)),
        ("ffv1", "yuv420p10le", "mkv", (48, 64)),
        ("png", "rgba", "mov", (48, 64)),
        ("ffv1", "yuv444p", "mkv", (47, 61)),
        ("ffv1", "yuv420p", "mkv", (47, 61)),
        ("mpeg4", "yuv420p", "avi", (48, 64)),
        ("mjpeg", "yuvj420p", "avi", (48, 64)),
    ],
)
def test_pixel_formats_become_rgb(codec: str, pixels: str, suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    frames = clip(4, *size)
    media = open_media(make(tmp_path / f"a.{suffix}", frames, codec=codec, pixels=pixels))
    read = list(media)
    assert len(read) == 4
    for truth, frame in zip(frames, read, strict=True):
        assert frame.image.shape == (*size, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert abs(int(frame.image[-8, -8, 1]) - int(truth[-8, -8, 1])) < 6


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (480, 1), (720, 1), (720, 2)], ids=str)
def test_colours_follow_the_tagged_or_customary_matrix(height: int, matrix: int, tmp_path: Path) -> None:
    image = np.zeros((height, 64, 3), np.uint8)
    image[:] = (200, 40, 90)
    if matrix == 2:  # untagged high definition is BT.709, and must not be read as BT.601
        made = make(tmp_path / "a.mkv", [_yuv709(image)], codec="ffv1", pixels="yuv444p", source="yuv444p")
    else:
        made = make(tmp_path / "a.mkv", [image], codec="ffv1", pixels="yuv444p", tags={"colorspace": matrix})
    got = next(iter(open_media(made))).image[height // 2, 32]
    assert np.abs(got.astype(int) - (200, 40, 90)).max() <= 3


def _yuv709(image: Array) -> Array:
    """Limited-range BT.709 planes (3,H,W) worked out from the standard."""
    r, g, b = np.moveaxis(image / 255.0, -1, 0)
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    planes = np.stack([16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748])
    return np.round(planes).astype(np.uint8)


def test_wide_pixels_become_square(tmp_path: Path) -> None:
    media = open_media(make(tmp_path / "a.mkv", clip(2), aspect=Fraction(4, 3)))
    assert (media.width, media.height) == (85, 48)
    assert next(iter(media)).image.shape == (48, 85, 3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_cut_off_gives_what_it_holds_and_says_so(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    whole = make(
        tmp_path / f"a.{suffix}", list(noise), file_options={"movflags": "faststart"} if suffix == "mp4" else {}
    )
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    media = open_media(cut)
    frames = list(media)
    assert 5 < len(frames) < 30
    assert [f.index for f in frames] == list(range(len(frames)))
    assert len(media.warnings) == 1
    complete = open_media(whole)
    assert len(list(complete)) == 30
    assert complete.warnings == []


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    raw = bytearray(make(tmp_path / "a.avi", list(noise), codec="mjpeg", pixels="yuvj420p").read_bytes())
    starts = [i for i in range(len(raw) - 4) if raw[i : i + 3] == b"\xff\xd8\xff"]
    raw[starts[10] : starts[10] + 600] = bytes(600)
    (tmp_path / "b.avi").write_bytes(raw)
    media = open_media(tmp_path / "b.avi")
    frames = list(media)
    assert len(frames) in (29, 30)  # decoders may give a grey picture for the damaged one
    times = [f.time for f in frames]
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(29 / 25, abs=0.05)  # what follows keeps its own time
    assert len(frames) == 30 or len(media.warnings) == 1


@pytest.mark.parametrize("kind", ["text", "empty", "missing", "folder", "sound", "index lost"])
def test_what_is_no_video_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    if kind == "text":
        path.write_text("this is not a film\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "sound":
        import wave

        path = tmp_path / "a.wav"
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(1600))
    elif kind == "index lost":
        raw = make(tmp_path / "whole.mp4", clip(8)).read_bytes()
        path.write_bytes(raw[: raw.index(b"moov") - 8] if raw.index(b"moov") > raw.index(b"mdat") else raw[:200])
    with pytest.raises(MediaError) as caught:
        open_media(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert ("cut off" in str(caught.value)) == (kind == "index lost")


def test_a_shape_that_changes_on_the_way(tmp_path: Path) -> None:
    first = make(tmp_path / "a.h264", clip(5)).read_bytes()
    second = make(tmp_path / "b.h264", clip(5, 64, 64)).read_bytes()
    (tmp_path / "c.h264").write_bytes(first + second)
    media = open_media(tmp_path / "c.h264")  # a bare stream: no index, no length
    frames = list(media)
    assert len(frames) == 10
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    assert (np.diff([f.time for f in frames]) > 0).all()
    assert any("shape changes" in w for w in media.warnings)


def test_play_lists_do_not_reach_out(tmp_path: Path) -> None:
    make(tmp_path / "inner.mkv", clip(2))
    (tmp_path / "a.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(MediaError):
        open_media(tmp_path / "a.m3u8")


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    media = open_media(make(tmp_path / "a.mkv", clip(8, 240, 320) * 15, codec="ffv1", pixels="yuv420p"))
    tracemalloc.start()
    count = sum(1 for _ in media)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 120
    assert peak < 8 * 240 * 320 * 3  # a few frames, not 120


def test_pictures_as_one_video(tmp_path: Path) -> None:
    from monocap.media.pictures import write_image

    paths = []
    for i, image in enumerate(clip(4)):
        paths.append(tmp_path / f"{i}.png")
        write_image(paths[-1], image)
    media = open_pictures(paths, 10)
    frames = list(media)
    assert (media.kind, media.width, media.height, media.fps, media.frame_count) == ("video", 64, 48, 10.0, 4)
    np.testing.assert_allclose([f.time for f in frames], [0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(frames[3].image, clip(4)[3])
    write_image(paths[2], np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(MediaError, match="first picture"):
        list(open_pictures(paths, 10))
    with pytest.raises(InputError):
        open_pictures([], 10)


def test_stamps_that_repeat_still_make_time_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.mp4"
    with VideoWriter(path, 30.0, (64, 48)) as writer:
        for i in range(6):
            writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    stamps = [0, 512, 512, 513, 500, 2000]
    original = readers._frames

    def broken(*arguments: Any) -> Iterator[Any]:
        for frame, stamp in zip(original(*arguments), stamps, strict=False):
            frame.pts, frame.time_base = stamp, Fraction(1, 15360)
            yield frame

    monkeypatch.setattr(readers, "_frames", broken)
    times = [frame.time for frame in open_media(path)]
    steps = np.diff(times)
    assert len(times) == 6
    assert steps.min() > 0.0004
    assert times[-1] == pytest.approx(2000 / 15360)
