"""Training in processes of its own: two are one with twice the batch, and a killed one goes on to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

sys.path.insert(0, str(Path(__file__).parent))
from engine_run import run  # noqa: E402

from monocap.train.engine import CHECKPOINT, LOG  # noqa: E402

SCRIPT = Path(__file__).with_name("engine_run.py")


def start(out: Path, given: dict[str, Any], *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    environment |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    command = [sys.executable, str(SCRIPT), str(out), json.dumps(given), *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> int:
    _, told = process.communicate(timeout=240)
    if process.returncode not in (0, -signal.SIGKILL):
        pytest.fail(told)
    return process.returncode


def result(out: Path) -> dict[str, Any]:
    return torch.load(out / "result.pt", weights_only=True)


def equal(one: Any, other: Any) -> bool:
    """Of nested dicts and lists, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    given = {"steps": 3, "clip": None, "average": 0.9}
    assert finish(start(tmp_path / "two", given | {"devices": 2}, "method")) == 0
    run(tmp_path / "whole", dict(given), ["whole"])
    run(tmp_path / "pieces", given | {"accumulate": 2}, [])
    whole = result(tmp_path / "whole")
    assert len(whole["gradients"]) == 4, "two layers are trained, the batch norm is frozen"
    assert min(float(value.abs().max()) for value in whole["gradients"].values()) > 1e-3
    for other in (result(tmp_path / "two"), result(tmp_path / "pieces")):
        for name, value in whole["gradients"].items():
            torch.testing.assert_close(other["gradients"][name], value, rtol=0, atol=1e-5)
        for kind in ("module", "best"):
            for name, value in whole[kind].items():
                torch.testing.assert_close(other[kind][name], value, rtol=0, atol=1e-5)
    assert torch.equal(whole["module"]["1.running_mean"], whole["best"]["1.running_mean"])
    assert int(whole["module"]["1.num_batches_tracked"]) == 0
    assert not list(tmp_path.glob("two/.monocap*"))


@pytest.mark.slow
def test_masked_means_go_over_all_processes(tmp_path: Path) -> None:
    """Of points that are seen here and there: two processes, and two pieces, are one with twice the batch."""
    given = {"steps": 3, "clip": None}
    run(tmp_path / "whole", dict(given), ["whole", "masked"])
    run(tmp_path / "pieces", given | {"accumulate": 2}, ["masked"])
    assert finish(start(tmp_path / "two", given | {"devices": 2}, "masked")) == 0
    whole = result(tmp_path / "whole")
    assert min(float(value.abs().max()) for value in whole["gradients"].values()) > 1e-3
    for other in (result(tmp_path / "pieces"), result(tmp_path / "two")):
        for name, value in whole["gradients"].items():
            torch.testing.assert_close(other["gradients"][name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        {"dropout": 0.2, "average": 0.9, "accumulate": 2},
        # so large a loss that the scaler has to halve its scale several times
        {"precision": "16-mixed", "average": 0.9, "scale": 10.0},
    ],
    ids=["accumulated", "16 bits with scaler"],
)
def test_killed_run_goes_on_to_the_same_bits(given: dict[str, Any], tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, dict(given), [])
    assert finish(start(parts, given, f"kill={6 * given.get('accumulate', 1) + 1}")) == -signal.SIGKILL
    assert torch.load(parts / CHECKPOINT, weights_only=True)["step"] == 4
    (parts / f".monocap-tmp-{2**22 + 1}-x.ckpt").touch()  # as if it had been writing
    run(parts, dict(given), ["resume"])
    assert equal(result(whole), result(parts))
    ends = [torch.load(out / CHECKPOINT, weights_only=True) for out in (whole, parts)]
    for kept in ("module", "optimiser", "averaged", "best", *(["scaler"] if "scale" in given else [])):
        assert equal(ends[0][kept], ends[1][kept]), kept
    if "scale" in given:
        assert ends[0]["scaler"]["scale"] < 2**16
    logs = [[line.split(",")[:5] for line in (out / LOG).read_text().splitlines()] for out in (whole, parts)]
    assert [row[:2] + row[3:] for row in logs[0]] == [row[:2] + row[3:] for row in logs[1]]
    assert not list(parts.glob(".monocap-tmp-*"))


@pytest.mark.slow
def test_two_processes_die_together_and_go_on(tmp_path: Path) -> None:
    given = {"average": 0.9, "dropout": 0.2, "devices": 2}
    assert finish(start(tmp_path / "whole", given)) == 0
    parts = tmp_path / "parts"
    assert finish(start(parts, given, "kill=6")) != 0  # both kill themselves in step 6, whoever comes first
    running = int(parts.with_name("parts.pid").read_text())
    for _ in range(300):
        if not _alive(running):
            break
        time.sleep(0.1)
    assert not _alive(running)
    assert finish(start(parts, given, "resume")) == 0
    assert equal(result(tmp_path / "whole"), result(parts))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
