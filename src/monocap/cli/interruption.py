"""Ctrl-C that is never lost: compiled code may swallow the KeyboardInterrupt, or turn it into another error.

numba raises SystemError when a signal arrives during its type inference, and a ctypes callback drops the exception.
So the signal is noted beside being raised, and asked for again at the next sign of progress.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_noted = threading.Event()


@contextmanager
def noting() -> Iterator[threading.Event]:
    """Within, SIGINT sets the event and raises KeyboardInterrupt; in another thread than the main one, nothing."""
    _noted.clear()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) in (
        signal.SIG_IGN,  # started in the background: not ours to heed
        None,
    ):
        yield _noted
        return
    before = signal.signal(signal.SIGINT, _note)
    try:
        yield _noted
    finally:
        signal.signal(signal.SIGINT, before)


def heed() -> None:
    """Raise the KeyboardInterrupt that was swallowed, if one was."""
    if _noted.is_set():
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    _noted.set()
    raise KeyboardInterrupt
