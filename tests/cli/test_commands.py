"""The verbs besides capture, and what the command line imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monocap.cli import main


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a run of the command line imports."""
    code = (
        "import sys; from monocap.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["capture", "--help"], ["regress", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"torch", "cv2", "matplotlib", "numpy", "numba", "scipy", "onnxruntime", "av"}
    assert not imported_by(*arguments) & heavy


def test_capture_does_not_import_torch() -> None:
    code = (
        "import sys, numpy, monocap\n"
        "monocap.capture_image(numpy.zeros((64, 64, 3), 'uint8'))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert "blazepose_heavy" in listed
    assert "Apache-2.0" in listed
    assert main(["weights", "verify"]) == 0
    assert capsys.readouterr().out.count("whole") == len(listed.splitlines())
    assert main(["weights", "info", "blazepose_lite"]) == 0
    assert "training_data" in capsys.readouterr().out
    assert main(["weights", "info"]) == 2
    assert main(["weights", "info", "yolo"]) == 2
    assert "no shipped weights called 'yolo'" in capsys.readouterr().err


def test_bodies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bodies", "list"]) == 0
    assert main(["bodies", "info"]) == 0
    assert "joints                     55" in capsys.readouterr().out
    assert main(["bodies", "info", "absent.npz"]) == 2


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out
    assert out.count("ok ") >= 7
