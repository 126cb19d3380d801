"""Recording from a camera that is not there: a stand-in gives the frames."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap.errors import InputError, MediaError
from monocap.media import webcam
from monocap.media.readers import open_media


class FakeCamera:
    """Gives ``frames`` blue pictures, then nothing; does ``at[n]`` before picture n."""

    def __init__(self, frames: int = 10**6, opened: bool = True) -> None:
        self.frames, self.opened, self.released, self.given = frames, opened, False, 0
        self.interrupt_at = -1

    def __call__(self, device: int) -> FakeCamera:
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def release(self) -> None:
        self.released = True

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.given == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.given += 1
        if self.given > self.frames:
            return False, None
        image = np.zeros((48, 64, 3), np.uint8)
        image[:] = (250, 20, 10)  # OpenCV gives blue first
        return True, image


class FakeClock:
    """A clock that goes on by a thirtieth of a second at every look."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1 / 30
        return self.now


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FakeCamera:
    fake = FakeCamera()
    monkeypatch.setattr(cv2, "VideoCapture", fake)
    monkeypatch.setattr(webcam, "time", FakeClock())
    return fake


def nothing(seconds: float, frames: int) -> None:
    pass


def test_so_many_seconds(camera: FakeCamera, tmp_path: Path) -> None:
    media = open_media(webcam.record(3, tmp_path / "a.mp4", 2.0, nothing))
    frames = list(media)
    assert frames[-1].time == pytest.approx(2.0, abs=0.05)
    assert len(frames) == pytest.approx(61, abs=2)
    assert np.abs(frames[30].image[20, 20].astype(int) - (10, 20, 250)).max() < 8
    assert camera.released


def test_interrupt_ends_the_recording_not_the_program(camera: FakeCamera, tmp_path: Path) -> None:
    camera.interrupt_at = 20
    before = signal.getsignal(signal.SIGINT)
    media = open_media(webcam.record(0, tmp_path / "a.mp4", None, nothing))
    assert 19 <= len(list(media)) <= 22
    assert signal.getsignal(signal.SIGINT) is before


def test_unplugged_on_the_way(camera: FakeCamera, tmp_path: Path) -> None:
    camera.frames = 7
    assert len(list(open_media(webcam.record(0, tmp_path / "a.mp4", None, nothing)))) == 7


def test_no_camera_or_no_picture(camera: FakeCamera, tmp_path: Path) -> None:
    camera.frames = 0
    with pytest.raises(MediaError, match="gives no picture"):
        webcam.record(0, tmp_path / "a.mp4", None, nothing)
    camera.opened = False
    with pytest.raises(MediaError, match="cannot be opened"):
        webcam.record(0, tmp_path / "a.mp4", None, nothing)
    for seconds in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(InputError, match="duration"):
            webcam.record(0, tmp_path / "a.mp4", seconds, nothing)
    assert list(tmp_path.iterdir()) == []
