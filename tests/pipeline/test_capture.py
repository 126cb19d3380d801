"""Capture from end to end on real pictures, empty ones and broken ones; what is written is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import monocap
from monocap.cli import main
from monocap.media import open_media
from monocap.media.writers import VideoWriter
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import CaptureSettings
from monocap.types import Motion

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of ``make demo``, with the fast preset."""
    out = tmp_path_factory.mktemp("demo")
    assert main(["capture", str(EXAMPLE), "-o", str(out), "--preset", "fast"]) == 0
    return out


def projected(motion: Motion) -> np.ndarray:
    """(T,55,2) pixels of the first person's joints."""
    joints = motion.joints[0]
    return joints[..., :2] / joints[..., 2:] * motion.K[:, None, [0, 1], [0, 1]] + motion.K[:, None, :2, 2]


@pytest.mark.slow
def test_demo_writes_what_it_promises(demo: Path) -> None:
    names = ["avatar.glb", "motion.npz", "motion_00.bvh", "motion_01.bvh", "overlay.mp4", "report.json"]
    assert sorted(p.name for p in demo.iterdir()) == names
    motion = Motion.load(demo / "motion.npz")
    assert (motion.people, motion.frames) == (2, 105), "the woman who walks, and the man on the roof behind her"
    report = json.loads((demo / "report.json").read_text())
    assert report["frames_with_person"] == motion.valid.sum(axis=1).tolist()
    assert set(report["cpu_seconds"]) >= {"decode", "keypoints", "fit", "render", "encode", "export"}
    assert any("focal length" in warning for warning in report["warnings"])


@pytest.mark.slow
def test_demo_sits_on_the_person(demo: Path) -> None:
    """Joints project onto the keypoints, feet stand on the ground, and the walk crosses the picture leftwards."""
    motion = Motion.load(demo / "motion.npz")
    assert motion.valid[0].mean() > 0.95
    pixels = projected(motion)
    names = [str(n) for n in motion.keypoint_names]
    height = np.ptp(motion.keypoints2d[0, :, :, 1], axis=1)
    for joint in ("left_shoulder", "right_shoulder", "left_knee", "right_knee", "left_wrist", "right_ankle"):
        gap = np.linalg.norm(
            pixels[:, list(motion.joint_names).index(joint)] - motion.keypoints2d[0, :, names.index(joint), :2], axis=1
        )
        assert np.median(gap / height) < 0.05, joint
    T = motion.T_world_camera[0]
    world = motion.joints[0] @ T[:3, :3].T + T[:3, 3]
    feet = world[:, [7, 8, 10, 11], 1].min(axis=1)
    assert -0.1 < np.median(feet) < 0.25
    assert 1.4 < np.median(world[:, 15, 1]) < 1.75, "the head joint of an adult who walks"
    assert world[-1, 0, 0] < world[0, 0, 0] - 1.0


@pytest.mark.slow
def test_python_and_command_line_agree(demo: Path) -> None:
    motion = monocap.capture(EXAMPLE, preset="fast")
    np.testing.assert_allclose(motion.joints, Motion.load(demo / "motion.npz").joints, atol=1e-4)


@pytest.mark.parametrize("name", ["yoga.jpg", "pose.jpg"])
def test_photo(shared: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    source = shared(f"media/{name}")
    assert main(["capture", str(source), "-o", str(tmp_path), "--preset", "fast"]) == 0
    stem = source.stem
    present = {p.name for p in tmp_path.iterdir()}
    assert {f"{stem}.npz", f"{stem}.glb", f"{stem}.obj", f"{stem}.overlay.png", f"{stem}.report.json"} <= present
    motion = Motion.load(tmp_path / f"{stem}.npz")
    assert motion.people == 1
    assert motion.frames == 1
    limbs = [i for i, n in enumerate(motion.joint_names) if n in ("left_ankle", "right_ankle", "left_wrist")]
    names = [str(n) for n in motion.keypoint_names]
    for i in limbs:
        seen = motion.keypoints2d[0, 0, names.index(str(motion.joint_names[i])), :2]
        extent = np.ptp(motion.keypoints2d[0, 0, :, 0:2], axis=0).max()
        assert np.linalg.norm(projected(motion)[0, i] - seen) < 0.08 * extent
    overlay, original = cv2.imread(str(tmp_path / f"{stem}.overlay.png")), cv2.imread(str(source))
    assert overlay is not None
    assert original is not None
    assert overlay.shape == original.shape
    changed = (np.abs(overlay.astype(int) - original).sum(axis=2) > 30).mean()
    assert 0.01 < changed < 0.6


def test_everybody_in_a_photo(shared: Callable[[str], Path]) -> None:
    """Three men, one in front of the others; the order is the same whoever is asked for."""
    noses = np.array([[190, 150], [385, 462], [872, 152]])
    source = shared("media/three_people.jpg")
    motion = monocap.capture(source, preset="fast")
    assert (motion.people, motion.frames) == (3, 1)
    assert motion.track_id.tolist() == [0, 1, 2]
    seen = motion.keypoints2d[:, 0, [str(n) for n in motion.keypoint_names].index("nose"), :2]
    apart = np.linalg.norm(noses[:, None] - seen, axis=-1)
    assert (apart.min(axis=1) < 30).all()
    assert (apart.min(axis=0) < 30).all()
    largest = monocap.capture(source, preset="fast", people="largest")
    np.testing.assert_allclose(largest.joints, motion.joints[:1], atol=1e-5)


@pytest.fixture
def two_people(shared: Callable[[str], Path], tmp_path: Path) -> Path:
    """Twelve frames of a large and a small person, the small one gone in the last four."""
    pose, messi = (cv2.imread(str(shared(f"media/{name}"))) for name in ("pose.jpg", "messi5.jpg"))
    assert pose is not None
    assert messi is not None
    path = tmp_path / "two.mp4"
    scene = np.full((540, 960, 3), 120, np.uint8)
    large = cv2.resize(pose[180:680, 200:800], (600, 500))
    small = cv2.resize(messi, (328, 205))
    with VideoWriter(path, 10.0, (960, 540)) as writer:
        for frame in range(12):
            image = scene.copy()
            image[20:520, 2 * frame : 2 * frame + 600] = large
            if frame < 8:
                image[100:305, 630 : 630 + 328] = small
            writer.write(np.ascontiguousarray(image[..., ::-1]))
    return path


def test_everybody_in_a_video(two_people: Path) -> None:
    engine = CaptureEngine(CaptureSettings(preset="fast"))
    motion = engine.capture(open_media(two_people))
    assert motion.people == 2
    assert motion.track_id.tolist() == [0, 1]
    assert motion.valid.tolist() == [[True] * 12, [True] * 8 + [False] * 4]
    assert "person 1 was found in 8 of 12 frames; see 'valid'" in engine.warnings
    x = motion.keypoints2d[:, 0, 0, 0]
    assert x[0] < 620 < x[1]
    alone = monocap.capture(two_people, preset="fast", people="largest")
    assert alone.people == 1
    np.testing.assert_allclose(alone.keypoints2d, motion.keypoints2d[:1], atol=1e-3)


@pytest.mark.parametrize("people", [0, -1, True, "biggest", 1.5])
def test_bad_number_of_people(people: object) -> None:
    with pytest.raises(ValueError, match="expected all, largest, or a number from 1"):
        CaptureSettings(people=people)  # type: ignore[arg-type]


def test_nobody_is_no_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((240, 320, 3), 128, np.uint8))
    assert main(["capture", str(tmp_path / "wall.png"), "-o", str(tmp_path / "out")]) == 0
    motion = Motion.load(tmp_path / "out" / "wall.npz")
    assert motion.people == 0
    assert motion.joints.shape == (0, 1, 55, 3)
    assert (tmp_path / "out" / "wall.glb").stat().st_size > 100
    with VideoWriter(tmp_path / "wall.mp4", 10.0, (320, 240)) as writer:
        for _ in range(4):
            writer.write(np.full((240, 320, 3), 90, np.uint8))
    assert main(["capture", str(tmp_path / "wall.mp4"), "-o", str(tmp_path / "video")]) == 0
    motion = Motion.load(tmp_path / "video" / "motion.npz")
    assert (motion.people, motion.frames) == (0, 4)
    assert (tmp_path / "video" / "overlay.mp4").stat().st_size > 0


def test_several_inputs_get_a_folder_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "a" / "x.png", tmp_path / "x.png"):
        cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    inputs = [str(tmp_path / "a" / "x.png"), str(tmp_path / "x.png")]
    assert main(["capture", *inputs, "-o", str(tmp_path / "out"), "--no-overlay", "--formats", "npz", "--json"]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x", "x_2"]
    assert sorted(p.name for p in (tmp_path / "out" / "x").iterdir()) == ["x.npz", "x.report.json"]
    summary = json.loads(capsys.readouterr().out)
    assert summary["failures"] == 0
    assert [r["people"] for r in summary["results"]] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4"], "missing.mp4: no such file"),
        ([], "no input"),
        (["text.mp4"], "text.mp4"),
        (["empty.mp4"], "empty"),
        (["ok.png", "--focal", "wide"], "--focal is 'wide'; expected pixels or auto"),
        (["ok.png", "--focal", "nan"], "expected pixels above 0"),
        (["ok.png", "--focal", "900", "--fov", "60"], "at most one of them"),
        (["ok.png", "--fov", "400"], "expected degrees between 1 and 170"),
        (["ok.png", "--height", "180"], "expected metres between 0.4 and 2.6"),
        (["ok.png", "--smooth", "-1"], "expected 0 (off) to 100"),
        (
            ["ok.png", "--formats", "npz,fbx"],
            "there is no 'fbx'; expected some of amass, bvh, glb, html, json, npz, obj, vrma",
        ),
        (["ok.png", "--body", "nobody.npz"], "nobody.npz"),
        (["ok.png", "-o", "text.mp4"], "text.mp4: cannot write there"),
        (["clip.mp4", "--formats", "fbx"], "there is no 'fbx'"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("this is no video\n" * 40)
    Path("empty.mp4").touch()
    cv2.imwrite("ok.png", np.zeros((48, 64, 3), np.uint8))
    with VideoWriter("clip.mp4", 10.0, (64, 48)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert main(["capture", *([] if "-o" in arguments else ["-o", "out"]), *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("monocap:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not Path("out").exists() or not list(Path("out").iterdir())


def test_wrong_arguments_to_python() -> None:
    with pytest.raises(ValueError, match="preset"):
        monocap.capture_image(np.zeros((8, 8, 3), np.uint8), preset="quick")
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8 RGB"):
        monocap.capture_image(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="the options of capture are preset"):
        monocap.capture_image(np.zeros((8, 8, 3), np.uint8), focus=3)
    with pytest.raises(AttributeError, match="no attribute 'captur'"):
        monocap.captur  # noqa: B018
