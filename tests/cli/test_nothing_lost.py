"""A capture that is killed, interrupted, out of room or called twice: nothing half-written, and it goes on."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monocap.assets import manifest
from monocap.cli import main
from monocap.cli.display import ProgressDisplay
from monocap.files import TEMPORARY
from monocap.media import open_media, write_image
from monocap.media.writers import VideoWriter
from monocap.pipeline import resume
from monocap.pipeline.lock import STATE, locked
from monocap.types import Motion

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "demo.mp4"
FRAMES = 18
# The command line in a process of its own, checkpoints often, after setting whatever limit the test is about.
CHILD = """
import sys
from monocap.pipeline import resume
resume.EVERY, resume._SHARE = 0.0, 0.0
from monocap.cli import main
sys.exit(main(sys.argv[1:]))
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a person who walks, small."""
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, 30.0, (320, 180)) as writer:
        for frame in itertools.islice(open_media(EXAMPLE), FRAMES):
            writer.write(cv2.resize(frame.image, (320, 180), interpolation=cv2.INTER_AREA), frame.time)
    return path


def arguments(clip: Path, out: Path, *more: str, overlay: bool = False) -> list[str]:
    drawn = "--overlay" if overlay else "--no-overlay"
    return ["capture", str(clip), "-o", str(out), "--preset", "fast", "--formats", "npz", drawn, *more]


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted capture."""
    out = tmp_path_factory.mktemp("whole")
    assert main(arguments(clip, out, overlay=True)) == 0
    return out


def start(clip: Path, out: Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, *arguments(clip, out)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def stop_at(frame: int, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every frame, and ``what`` happens after so many."""
    monkeypatch.setattr(resume, "EVERY", 0.0)
    monkeypatch.setattr(resume, "_SHARE", 0.0)

    def told(self: ProgressDisplay, stage: str, done: int, total: int | None) -> None:
        if stage == "keypoints" and done == frame:
            what()

    monkeypatch.setattr(ProgressDisplay, "__call__", told)


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    pytest.fail(f"{path} never came")


def same(first: Path, second: Path) -> None:
    a, b = np.load(first), np.load(second)
    assert set(a) == set(b)
    for name in a:
        if a[name].dtype.kind == "f":
            np.testing.assert_allclose(a[name], b[name], atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("monocap: ")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@posix
def test_killed_in_the_middle_and_gone_on_with(
    clip: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    process = start(clip, out)
    wait_for(out / STATE / "keypoints.npz", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert names(out) == [STATE], "no result before its time"
    (out / f"{TEMPORARY}{process.pid}-abc.mp4").write_bytes(b"as a kill in the overlay leaves it")

    for option, what in ((["--people", "1"], "people was all, now 1"), (["--fov", "60"], "fov was unset, now 60.0")):
        assert main(arguments(clip, out, "--resume", *option)) == 2
        (line,) = lines(capsys.readouterr().err)
        assert what in line
    assert main([*arguments(EXAMPLE, out, "--resume")]) == 2
    assert "the input is another file" in capsys.readouterr().err

    assert main(arguments(clip, out, "--resume")) == 0
    assert names(out) == ["motion.npz", "report.json"]
    report = json.loads((out / "report.json").read_text())
    assert 0 < report["resumed_from_frame"] < FRAMES
    same(whole / "motion.npz", out / "motion.npz")


def test_stopped_in_the_overlay_the_fit_is_kept(
    clip: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("monocap.pipeline.outputs.write_overlay_video", interrupt)
        assert main(arguments(clip, tmp_path, overlay=True)) == 130
    assert len(lines(capsys.readouterr().err)) == 1
    assert names(tmp_path) == [STATE, "motion.npz"]
    stamp = (tmp_path / "motion.npz").stat().st_mtime_ns
    monkeypatch.setattr("monocap.pipeline.engine.CaptureEngine.capture", interrupt)  # must not be called again
    assert main(arguments(clip, tmp_path, "--resume", overlay=True)) == 0
    assert (tmp_path / "motion.npz").stat().st_mtime_ns == stamp, "what was finished is left"
    same(whole / "motion.npz", tmp_path / "motion.npz")
    assert json.loads((tmp_path / "report.json").read_text())["warnings"]


def test_complete_captures_are_left_and_missing_formats_added(
    clip: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(shutil.copytree(whole, tmp_path / "copy"))
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("captured again")

    monkeypatch.setattr("monocap.pipeline.engine.CaptureEngine.capture", never)
    assert main(arguments(clip, whole, "--resume", "--json", overlay=True)) == 0
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["frames"] == FRAMES
    (whole / "overlay.mp4").unlink()
    assert main(arguments(clip, whole, "--resume", overlay=True)) == 0
    assert names(whole) == ["motion.npz", "overlay.mp4", "report.json"]
    assert (whole / "motion.npz").stat().st_mtime_ns == before["motion.npz"]
    assert Motion.load(whole / "motion.npz").frames == FRAMES


def test_a_damaged_checkpoint_is_no_obstacle(
    clip: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_at(5, interrupt, patch)
        assert main(arguments(clip, tmp_path)) == 130
    saved = tmp_path / STATE / "keypoints.npz"
    saved.write_bytes(saved.read_bytes()[:-200])
    assert main(arguments(clip, tmp_path, "--resume")) == 0
    assert "is damaged" in capsys.readouterr().err
    assert json.loads((tmp_path / "report.json").read_text())["resumed_from_frame"] == 0
    same(whole / "motion.npz", tmp_path / "motion.npz")


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_politely(
    number: signal.Signals,
    status: int,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    # a test run that was started in the background ignores Ctrl-C; here it must count
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_at(5, lambda: os.kill(os.getpid(), number), monkeypatch)
    try:
        ended = main(arguments(clip, tmp_path / "out"))
    except SystemExit as stop:
        ended = stop.code
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert ended == status
    assert len(lines(capsys.readouterr().err)) == (1 if number == signal.SIGINT else 0)
    assert names(tmp_path / "out") == [STATE]
    assert names(tmp_path / "out" / STATE) == ["keypoints.npz", "run.json"]
    assert signal.getsignal(signal.SIGTERM) is before


@posix
def test_no_room_left(clip: Path, tmp_path: Path) -> None:
    import resource

    limit = 5000  # bytes that a file may have: the first result that is larger cannot be written
    process = start(clip, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    error = process.communicate()[1]
    assert process.returncode == 2, error
    (line,) = lines(error)
    assert "Make room" in line
    assert names(tmp_path) == [STATE]


def test_a_second_run_into_the_same_folder(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path):
        assert main(arguments(clip, tmp_path)) == 2
        (line,) = lines(capsys.readouterr().err)
        assert "another monocap is writing there" in line
        assert names(tmp_path) == [STATE]


def test_results_of_other_captures_are_replaced_file_by_file(clip: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "motion.npz").write_bytes(b"of yesterday")
    (tmp_path / "mine.txt").write_text("not yours")
    assert main(arguments(clip, tmp_path)) == 0
    assert names(tmp_path) == ["mine.txt", "motion.npz", "report.json"]
    same(whole / "motion.npz", tmp_path / "motion.npz")


def test_an_input_is_never_written_over(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "overlay.mp4"
    copy.write_bytes(clip.read_bytes())
    assert main(arguments(copy, tmp_path, overlay=True)) == 2
    assert "written over by its own overlay" in capsys.readouterr().err
    assert copy.read_bytes() == clip.read_bytes()


def test_a_damaged_weight_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = manifest.find("blazepose_lite")
    wrong = bytearray(asset.path.read_bytes())
    wrong[-1] ^= 1
    (tmp_path / asset.file).parent.mkdir(parents=True)
    (tmp_path / asset.file).write_bytes(wrong)
    monkeypatch.setattr(type(asset), "path", property(lambda self: tmp_path / self.file))
    monkeypatch.setattr(manifest, "listing", lambda: (asset,))
    assert main(arguments(clip, tmp_path / "out")) == 2
    (line,) = lines(capsys.readouterr().err)
    assert "blazepose_lite" in line
    assert "sha256" in line
    assert not (tmp_path / "out").exists()


def test_the_report_is_complete(clip: Path, whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    motion = Motion.load(whole / "motion.npz")
    assert report["frames"] == FRAMES
    assert report["frames_with_person"] == motion.valid.sum(axis=1).tolist()
    assert set(report["seconds"]) == set(report["cpu_seconds"]) >= {"decode", "keypoints", "fit", "export", "render"}
    assert report["total_seconds"] >= sum(report["seconds"].values()) * 0.9
    assert report["key"]["input"] == resume.content_hash([clip])
    assert report["key"]["options"]["preset"] == "fast"
    assert report["key"]["weights"]["blazepose_lite"] == manifest.find("blazepose_lite").sha256
    for files in report["outputs"].values():
        for name, size in files.items():
            assert (whole / name).stat().st_size == size


def test_the_hash_sees_every_byte_of_small_files_and_the_ends_of_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    content = bytearray(os.urandom(10_000))

    def hashed() -> str:
        path.write_bytes(content)
        return resume.content_hash([path])

    first = hashed()
    assert hashed() == first
    for i in (0, 5000, 9999):
        content[i] ^= 1
        assert hashed() != first
        content[i] ^= 1
    assert resume.content_hash([path, path]) != first
    monkeypatch.setattr(resume, "_WHOLE", 5000)
    monkeypatch.setattr(resume, "_BLOCK", 50)
    first = hashed()
    for i in (0, 9999):
        content[i] ^= 1
        assert hashed() != first
        content[i] ^= 1
    content.append(0)
    assert hashed() != first


def test_several_inputs_and_one_of_them_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a 1.png", "ü2.png"):
        write_image(folder / name, np.full((64, 64, 3), 120, np.uint8))
    whole = (folder / "a 1.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    (folder / "c.txt").write_text("no picture")
    command = ["capture", str(folder), "-o", str(tmp_path / "out"), "--formats", "npz", "--no-overlay", "--json"]
    command += ["--preset", "fast"]
    assert main(command) == 2
    seen = capsys.readouterr()
    assert names(tmp_path / "out") == ["a 1", "ü2"]
    summary = json.loads(seen.out)
    assert (summary["failures"], len(summary["results"])) == (1, 2)
    assert len(seen.out.splitlines()) == 1
    (line,) = lines(seen.err)
    assert "b.png" in line
    assert "c.txt" in seen.err
    (folder / "b.png").unlink()
    assert main([*command, "--resume"]) == 0
    assert capsys.readouterr().err.count("complete already") == 2


def test_pictures_of_a_folder_and_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        write_image(tmp_path / "in" / f"{i}.png", np.full((48, 64, 3), 80 + i, np.uint8))
    done = main(["capture", str(tmp_path / "in"), "-o", str(tmp_path / "a"), "--fps", "12", "--preset", "fast"])
    assert done == 0
    motion = Motion.load(tmp_path / "a" / "motion.npz")
    assert (motion.frames, motion.fps) == (3, 12)

    class Camera:
        left = 4

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def read(self) -> tuple[bool, np.ndarray]:
            self.left -= 1
            time.sleep(0.01)
            return self.left >= 0, np.zeros((48, 64, 3), np.uint8)

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", lambda device: Camera())
    assert main(["capture", "0", "-o", str(tmp_path / "b"), "--preset", "fast", "--formats", "npz"]) == 0
    assert names(tmp_path / "b") == ["motion.npz", "overlay.mp4", "recording.mp4", "report.json"]
    assert Motion.load(tmp_path / "b" / "motion.npz").frames == 4
    assert main(["capture", str(tmp_path / "in" / "0.png"), "-o", str(tmp_path / "c"), "--duration", "3"]) == 2
