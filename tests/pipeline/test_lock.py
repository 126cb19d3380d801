"""One capture at a time in a folder; what dead ones left is cleared away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monocap.errors import InputError
from monocap.files import TEMPORARY, replacing
from monocap.pipeline.lock import STATE, locked

HOLD = """
import sys, time
from pathlib import Path
from monocap.files import replacing
from monocap.pipeline.lock import locked
with locked(Path(sys.argv[1])):
    with replacing(Path(sys.argv[1]) / "overlay.mp4") as temporary:
        temporary.write_bytes(b"half")
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_second_one_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another monocap is writing there"), locked(out):
            pass
        assert any(p.name.startswith(TEMPORARY) for p in out.iterdir()), "what it writes is left alone"
    finally:
        holder.kill()
        holder.communicate()
    assert any(p.name.startswith(TEMPORARY) for p in out.iterdir())
    with locked(out):
        assert [p.name for p in out.iterdir()] == [STATE], "the dead one's half file is gone"
        (out / "motion.npz").write_bytes(b"whole")
    assert [p.name for p in out.iterdir()] == ["motion.npz"]


def test_temporaries_of_living_processes_stay(tmp_path: Path) -> None:
    other = tmp_path / f"{TEMPORARY}{os.getppid()}-abc.glb"
    other.touch()
    (tmp_path / f"{TEMPORARY}mine").touch()  # no number: not one of ours
    with locked(tmp_path):
        assert other.exists()
        assert (tmp_path / f"{TEMPORARY}mine").exists()


def test_folders_that_stay_empty_are_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), locked(tmp_path / "a" / "b"):
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir(), "a folder that was there stays"


def test_one_after_the_other_in_one_process(tmp_path: Path) -> None:
    for _ in range(3):
        with locked(tmp_path), pytest.raises(InputError, match="another monocap"), locked(tmp_path):
            pass


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_where_nothing_can_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write there"), locked(tmp_path / name):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_names_of_any_length_can_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 250 + ".npz")
    with replacing(target) as temporary:
        temporary.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
