"""Some of the files that ``tools/fuzz_bodies.py`` makes: a body or a clear line, nothing run, nothing written."""

import importlib.util
import sys
from pathlib import Path

import pytest

CASES = 300


@pytest.fixture(scope="module")
def fuzz():
    path = Path(__file__).resolve().parents[2] / "tools" / "fuzz_bodies.py"
    spec = importlib.util.spec_from_file_location("fuzz_bodies", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_bodies"] = module
    spec.loader.exec_module(module)
    return module


def test_damaged_files_are_refused(fuzz, tmp_path):
    files, watch = fuzz.seeds(tmp_path), fuzz.Watch()
    for name, _ in files:
        fuzz.check(tmp_path / name, watch)  # imports what is imported late
    assert {fuzz.check(tmp_path / name, watch) for name, _ in files} == {"loaded"}
    outcomes = {}
    for number in range(CASES):
        name, data = fuzz.mutated(files, [], number)
        path = tmp_path / f"case{Path(name).suffix}"
        path.write_bytes(data)
        outcomes[number] = fuzz.check(path, watch)
    assert not {n: o for n, o in outcomes.items() if o not in ("loaded", "refused")}
    assert {"loaded", "refused"} == set(outcomes.values())


def test_bombs_are_refused(fuzz, tmp_path):
    watch = fuzz.Watch()
    for name, data in fuzz.bombs(tmp_path):
        path = tmp_path / name
        path.write_bytes(data)
        fuzz.check(path, watch)
        assert fuzz.check(path, watch) == "refused", name


def test_the_watch_sees_what_runs(fuzz, tmp_path):
    """Without this, a hook that notes nothing would pass for a reader that does nothing."""
    watch = fuzz.Watch()
    watch.on = True
    exec("1 + 1")
    (tmp_path / "written").write_text("x")
    watch.on = False
    assert [line.split()[0] for line in watch.seen] == ["exec", "open"]
