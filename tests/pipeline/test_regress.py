"""`monocap regress` and ``capture --engine`` from end to end, with a small network of the shipped ones' signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
from toy_regressor import write_toy

from monocap.cli import main
from monocap.data.crop_families import crop_family
from monocap.errors import AssetError, InputError
from monocap.media import read_picture
from monocap.media.writers import VideoWriter
from monocap.perception.regressor import body_square
from monocap.pipeline.cast import cast_of
from monocap.pipeline.regress.guesses import calm_guess
from monocap.pipeline.regress.networks import open_regressor
from monocap.pipeline.settings import CaptureSettings
from monocap.pipeline.sightings import Sightings
from monocap.types import BodyGuess, Keypoints, Motion


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy") / "toy.onnx")


def test_regress_writes_what_capture_writes(
    shared: Callable[[str], Path], toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One picture with one person; the body is exactly what the network said, where its square says."""
    out = tmp_path / "out"
    argv = [
        "regress",
        str(shared("media/messi5.jpg")),
        "-o",
        str(out),
        "--weights",
        str(toy),
        "--focal",
        "600",
        "--json",
    ]
    assert main([*argv, "--people", "largest"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failures"] == 0
    assert {path.suffix for path in out.iterdir()} >= {".npz", ".glb", ".obj", ".png", ".json"}
    motion = Motion.load(out / "messi5.npz")
    assert (motion.people, motion.frames) == (1, 1)
    np.testing.assert_allclose(np.abs(motion.global_orient[0, 0]), [np.pi, 0, 0], atol=1e-4)
    np.testing.assert_allclose(motion.body_pose, 0, atol=1e-5)
    assert (motion.betas[0, :3] > 0).all(), "the colour of the crop"
    camera = motion.camera()
    square = body_square(motion.keypoints2d[0, 0], crop_family("light"), camera)
    pelvis = motion.joints[0, 0, 0]
    assert pelvis[2] == pytest.approx(2 * 600 / (square.size * 0.75), rel=1e-3)
    seen = pelvis[:2] / pelvis[2] * 600 + [camera.cx, camera.cy]
    np.testing.assert_allclose(seen, square.center, atol=0.1)
    report = json.loads((out / "messi5.report.json").read_text())
    assert report["settings"]["engine"] == "hmr"
    assert report["settings"]["refine"] is False
    assert report["seconds"]["regress"] > 0
    assert "fit" not in report["seconds"]


@pytest.mark.slow
def test_a_video_is_regressed_and_refined(shared: Callable[[str], Path], toy: Path, tmp_path: Path) -> None:
    """Six frames of one picture: tracked, one shape; with capture's fit the guess is a start and the keypoints win."""
    image = read_picture(shared("media/messi5.jpg")).image
    video = tmp_path / "still.mp4"
    with VideoWriter(video, 25.0, (image.shape[1], image.shape[0])) as writer:
        for frame in range(6):
            writer.write(image, frame / 25)
    engine = ["--weights", str(toy), "--no-overlay", "--people", "largest", "--preset", "fast", "--formats", "npz"]
    assert main(["regress", str(video), "-o", str(tmp_path / "said"), *engine]) == 0
    assert main(["capture", str(video), "-o", str(tmp_path / "both"), "--engine", "hmr", *engine]) == 0
    said, both = (Motion.load(tmp_path / name / "motion.npz") for name in ("said", "both"))
    assert said.frames == both.frames == 6
    assert said.valid[0].sum() >= 5
    seen = said.valid[0]
    np.testing.assert_allclose(said.body_pose[0, seen], 0, atol=1e-4)
    assert np.abs(both.body_pose[0, seen]).max() > 0.5, "the player kicks"
    assert (both.confidence[0, seen] > said.confidence[0, seen]).all()
    assert main(["capture", str(video), "-o", str(tmp_path / "both"), "--engine", "hmr", *engine, "--resume"]) == 0


def test_settings_that_do_not_go_together_are_told(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="engine 'magic'"):
        CaptureSettings(engine="magic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"hmr(,| or) smpler"):
        CaptureSettings(weights=str(toy))
    with pytest.raises(InputError, match=r"hmr(,| or) smpler"):
        CaptureSettings(refine=False)
    assert CaptureSettings(engine="hmr", weights=str(toy)).network == "hmr"
    assert CaptureSettings().network is None
    with pytest.raises(InputError, match="no shipped weights called 'nothing'"):
        open_regressor("hmr", "nothing")
    with pytest.raises(InputError, match="no regression network"):
        open_regressor("hmr", "blazepose_lite")
    with pytest.raises(AssetError, match="no such file"):
        open_regressor("hmr", tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(AssetError, match="cannot load"):
        open_regressor("hmr", tmp_path / "broken.onnx")
    with pytest.raises(InputError, match="takes pictures of"):
        open_regressor("hmr", write_toy(tmp_path / "small.onnx", side=128))
    with pytest.raises(InputError, match="no crop family"):
        open_regressor("hmr", write_toy(tmp_path / "odd.onnx", crop_family="odd"))
    assert open_regressor("smpler", toy).manner.view == "picture"


def test_what_a_network_is_told_goes_by_its_inputs_names(tmp_path: Path) -> None:
    """`box` is plain, `box_info` CLIFF's, whatever the architecture is called; 22 joints are of the open body."""
    from toy_regressor import FACING

    smpl = np.concatenate([FACING[None], np.zeros((23, 3))])
    own = open_regressor("smpler", write_toy(tmp_path / "a.onnx", box="box_info", arch="smpler-w32")).manner
    assert (own.box, own.box_numbers, own.view, own.shape) == ("box_info", "cliff", "picture", "open")
    tall: dict[str, Any] = {"side": 256, "width": 192, "crop_family": ""}
    camera = open_regressor("hmr", write_toy(tmp_path / "b.onnx", smpl, arch="camerahmr", **tall))
    assert own.pelvis == (0, 0, 0)
    assert camera.manner.pelvis[1] == -0.22, "above SMPL's origin, y is down"
    assert (camera.manner.box_numbers, camera.manner.shape, camera.crop) == ("plain", "smpl", crop_family("camerahmr"))
    cliff = open_regressor("hmr", write_toy(tmp_path / "c.onnx", smpl, box="box_info", arch="cliff-hrnet48", **tall))
    assert (cliff.manner.box_numbers, cliff.manner.shape, cliff.crop) == ("cliff", "smpl", crop_family("cliff"))
    light = open_regressor("hmr", write_toy(tmp_path / "d.onnx", crop_family="", arch="hmr-light"))
    assert (light.manner.shape, light.crop) == ("open", crop_family("light"))
    with pytest.raises(InputError, match="box or box_info"):
        open_regressor("hmr", write_toy(tmp_path / "e.onnx", box="elsewhere"))


def test_guesses_stay_with_their_person_and_survive_a_stop() -> None:
    rng = np.random.default_rng(0)
    sightings = Sightings("blazepose33", guesses=True)
    looks = {4: np.ones((4, 216), np.float32) / 216}
    poses = rng.normal(size=(12, 66)).astype(np.float32)
    for frame in range(12):
        points = np.column_stack([rng.uniform(100, 200, (33, 2)), np.full(33, 0.9)]).astype(np.float32)
        seen = {4: Keypoints("blazepose33", points, np.ones((33, 3), np.float32), 0.9)} if frame not in (5, 6) else {}
        guesses = {i: BodyGuess(poses[frame], np.full(10, frame), np.array([0.0, 0.0, 3.0])) for i in seen}
        sightings.add(frame / 30, seen, looks, None, guesses)
    again = Sightings("blazepose33", guesses=True)
    again.restore(sightings.state())
    (track,) = cast_of(again, {4}, 640, 480).tracks
    assert track.guess is not None
    np.testing.assert_array_equal(track.guess.pose[track.valid], poses[track.valid])
    assert not track.guess.pelvis[5:7].any()
    np.testing.assert_array_equal(track.guess.betas[7], 7)
    with pytest.raises(InputError, match="pose"):
        again.restore(Sightings("blazepose33").state())


def test_what_is_said_of_a_video_is_calmed() -> None:
    """A steady turn with noise: less noise, the same turn; off changes nothing, and unseen frames stay as they are."""
    rng = np.random.default_rng(1)
    frames, times = 60, np.arange(60) / 30
    pose = np.zeros((frames, 66))
    pose[:, 0] = np.pi
    pose[:, 3] = np.linspace(0, 1, frames)
    pelvis = np.column_stack([np.linspace(0, 1, frames), np.zeros(frames), np.full(frames, 3.0)])
    valid = np.ones(frames, bool)
    valid[20:23] = False
    noisy = BodyGuess(
        pose + rng.normal(0, 0.05, pose.shape), np.zeros((frames, 10)), pelvis + rng.normal(0, 0.05, (60, 3))
    )
    calm = calm_guess(noisy, valid, times, 1.0)
    inner = valid & (np.arange(frames) > 5) & (np.arange(frames) < 54)
    assert np.std((calm.pose - pose)[inner, 3:]) < 0.6 * np.std((noisy.pose - pose)[inner, 3:])
    assert np.std((calm.pelvis - pelvis)[inner]) < 0.5 * np.std((noisy.pelvis - pelvis)[inner])
    np.testing.assert_array_equal(calm.pose[~valid], noisy.pose[~valid])
    assert calm_guess(noisy, valid, times, 0.0) is noisy
