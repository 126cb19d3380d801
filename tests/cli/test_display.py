"""What a log shows of progress: done, total, time left; also when a stage starts late, or again for the next person."""

from __future__ import annotations

import pytest

from monocap.cli import display
from monocap.cli.display import ProgressDisplay


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    monkeypatch.setenv("COLUMNS", "200")
    with ProgressDisplay("[3/20] [red]dance.mp4") as shown:
        shown("keypoints", 500, 1000)  # a resumed capture: 500 are not of this run
        clock.now += 20
        shown("keypoints", 700, 1000)
        shown("fit", 0, 300)
        clock.now += 11
        shown("fit", 300, 300)
        shown("fit", 30, 300)  # the next person
        clock.now += 20
        shown("fit", 70, 300)
        shown("odd", 0, None)
        clock.now += 20
        shown("odd", 60, None)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "[3/20] [red]dance.mp4 keypoints: 700 of 1000, 30 s left, 10.0 frames/s"
    assert lines[2] == "[3/20] [red]dance.mp4 fit: 70 of 300, 115 s left, 2.0 frames/s"
    assert lines[3] == "[3/20] [red]dance.mp4 odd: 60, 3.0 frames/s"


def test_brackets_in_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay() as shown:
        shown.say("wrote out/[bold]a[1].npz")
    assert capsys.readouterr().err == "wrote out/[bold]a[1].npz\n"
