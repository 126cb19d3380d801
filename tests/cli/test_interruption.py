"""Ctrl-C ends a run with 130, even where compiled code swallows it or makes another error of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

import pytest

from monocap.cli import app, main
from monocap.cli.display import ProgressDisplay


class _Program:
    def __init__(self, verb: Callable[[], int]) -> None:
        self.verb = verb

    def cli(self, args: list[str], prog: str) -> int:
        return self.verb()


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _swallowed() -> int:
    with contextlib.suppress(KeyboardInterrupt):
        _press()
    with ProgressDisplay() as display:
        display("frames", 1, 2)
    return 0


def _turned_into_another_error() -> int:
    try:
        _press()
    except KeyboardInterrupt as error:
        raise SystemError("CPUDispatcher returned a result with an exception set") from error
    return 0


def _plain() -> int:
    _press()
    return 0


@pytest.mark.parametrize("verb", [_plain, _swallowed, _turned_into_another_error])
def test_an_interruption_is_never_lost(
    verb: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(app, "build", lambda: _Program(verb))
    assert main(["anything"]) == 130
    assert capsys.readouterr().err.strip().endswith("interrupted; nothing half-written is left behind")
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_not_an_interruption_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise SystemError("a defect")

    monkeypatch.setattr(app, "build", lambda: _Program(broken))
    with pytest.raises(SystemError, match="a defect"):
        main(["anything"])
