"""A camera of this machine, recorded to a file: what is captured afterwards is a video like any other, and is kept."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
from cv2.utils import logging

from monocap.errors import InputError, MediaError
from monocap.media.writers import VideoWriter

_FIRST_FRAME = 10.0  # seconds that a camera may take to wake up
_RATE = 30.0  # frames per second of the file's header; every frame keeps its own time
_MOST = 24 * 3600.0


def record(
    device: int, path: str | os.PathLike[str], seconds: float | None, progress: Callable[[float, int], None]
) -> Path:
    """Record camera ``device`` to an MP4 for ``seconds``, or until Ctrl-C; returns ``path``.

    ``progress(seconds so far, frames)`` is called after every frame. Ctrl-C ends the recording, not the program;
    before the first frame it is passed on.

    Raises InputError for an impossible duration, MediaError if there is no such camera or it gives no picture.
    """
    if seconds is not None and not (math.isfinite(seconds) and 0 < seconds <= _MOST):
        raise InputError(f"duration is {seconds}; expected seconds above 0, at most {_MOST:.0f}")
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # what OpenCV would print about a missing camera is said below
    camera = cv2.VideoCapture(device)
    logging.setLogLevel(before)
    try:
        if not camera.isOpened():
            raise MediaError(f"camera {device}: cannot be opened; is it plugged in, allowed, and not in use elsewhere?")
        return _record(camera, device, Path(path), seconds, progress)
    finally:
        camera.release()


@contextlib.contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """A question that Ctrl-C turns to False, so that no frame is cut in two; a second Ctrl-C interrupts as usual."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # only the main thread gets signals
        yield lambda: True
        return
    try:
        yield lambda: not pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _record(
    camera: cv2.VideoCapture, device: int, path: Path, seconds: float | None, progress: Callable[[float, int], None]
) -> Path:
    woken = time.monotonic()
    good, image = camera.read()
    while not good:
        if time.monotonic() - woken > _FIRST_FRAME:
            raise MediaError(f"camera {device}: gives no picture; is it in use by another program?")
        good, image = camera.read()
    height, width = image.shape[:2]
    start = time.monotonic()
    with VideoWriter(path, _RATE, (width, height)) as writer:
        last = 0.0
        writer.write(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 0.0)
        with _until_interrupted() as go_on:
            while go_on() and (seconds is None or last < seconds):
                good, image = camera.read()
                now = time.monotonic() - start
                if not good or image.shape[:2] != (height, width):
                    break  # unplugged: what there is is kept
                if now - last < 0.001:
                    continue
                writer.write(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now)
                last = now
                progress(now, writer.frames)
    return path
