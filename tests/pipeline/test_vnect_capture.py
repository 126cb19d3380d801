"""VNect from frame to pose: what is followed is where it is, and every exporter can have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_vnect import write_toy

from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.cli import main
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import KinematicSkeleton
from monocap.fitting.smplifyx.energy import stature
from monocap.fitting.vnect_body import SKELETON, rest_points
from monocap.geometry import rotations
from monocap.media.writers import VideoWriter
from monocap.perception.vnect import ROOT, VNect
from monocap.pipeline.settings import CaptureSettings
from monocap.pipeline.vnect.networks import open_vnect
from monocap.pipeline.vnect.person import CALIBRATION, LiveOptions, LivePerson
from monocap.pipeline.vnect.run import VNectCapture, ahead
from monocap.skeletons.vnect import on_body
from monocap.types import Frame, Motion
from truth_maps import CAMERA, TruthCrop, TruthDetector, TruthNetwork, picture

FPS = 30.0


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def walk(body: BodyModel, frames: int, betas: np.ndarray | None = None, depth: float = 4.0) -> np.ndarray:
    """(T,21,3) m in the camera: walks on the spot, turning and coming nearer."""
    times = np.arange(frames) / FPS
    swing = np.sin(2 * np.pi * times)
    pose = np.zeros((frames, 21, 3))
    at = {name: i - 1 for i, name in enumerate(body.joint_names)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[:, at[f"{side}_hip"], 0] = -0.4 + 0.4 * sign * swing
        pose[:, at[f"{side}_knee"], 0] = 0.6 - 0.4 * sign * swing
        pose[:, at[f"{side}_shoulder"], 2] = -sign * (0.9 - 0.3 * swing)
        pose[:, at[f"{side}_elbow"], 1] = -0.8 * sign
    turn = np.zeros((frames, 3))
    turn[:, 1] = 0.4 + 0.5 * np.sin(np.pi * times)
    root = np.diag([1.0, -1.0, -1.0]) @ rotations.axis_angle_to_matrix(turn)
    points = body.keypoints(
        "smplx127",
        betas=np.tile(np.zeros(body.num_betas) if betas is None else betas, (frames, 1)),
        global_orient=rotations.matrix_to_axis_angle(root),
        body_pose=pose.reshape(frames, 63),
        transl=np.stack([0.3 * np.sin(2 * times), np.full(frames, 0.1), depth - 0.2 * times], axis=1),
    )
    return np.einsum("kj,tjc->tkc", on_body(), np.asarray(points, np.float64))


def follow(body: BodyModel, network: TruthNetwork, **options: object) -> VNectCapture:
    """The capture after all frames of the first person of ``network``'s truth."""
    capture = VNectCapture(VNect(network, TruthCrop()), TruthDetector(network), body, **options)  # type: ignore[arg-type]
    for t in range(network.joints.shape[1]):
        capture.step(Frame(picture(t), t, t / FPS), CAMERA)
    return capture


def test_true_maps_give_the_true_motion(body: BodyModel) -> None:
    truth = walk(body, 90)
    capture = follow(body, TruthNetwork(truth[None]), height=stature(body)[0], smooth=0.0)
    ((track, estimate),) = capture.finish(CAMERA)
    assert track.valid.all()
    assert track.skeleton == "vnect21"
    ours = [body.joint_names.index(name) for name in ("pelvis", "left_knee", "right_wrist", "head")]
    theirs = SKELETON.indices(("pelvis", "left_knee", "right_wrist", "head"))
    beside = estimate.joints[:, ours] - estimate.joints[:, :1]
    assert np.linalg.norm(beside - (truth[:, theirs] - truth[:, ROOT : ROOT + 1]), axis=-1).mean() < 0.025
    away = np.linalg.norm(estimate.joints[:, 0] - truth[:, ROOT], axis=-1) / truth[:, ROOT, 2]
    assert np.median(away) < 0.03
    assert estimate.residual_px.mean() < 5.0


def test_whoever_comes_nearer_is_not_held_back(body: BodyModel) -> None:
    truth = walk(body, 75, depth=6.0)
    truth[:, :, 2] -= (1.0 * np.arange(75) / FPS)[:, None]  # 1.2 m/s with the walk's own
    network = TruthNetwork(truth[None], noise_cells=0.1, noise=0.02)
    poses = follow(body, network, height=stature(body)[0]).poses(0)
    away = [abs(pose.fit.position[2] - true) / true for pose, true in zip(poses, truth[:, ROOT, 2], strict=True)]
    assert np.median(away) < 0.03
    assert max(away[5:]) < 0.08


def test_filters_and_fit_calm_noise_and_bring_joints_nearer(body: BodyModel) -> None:
    truth = walk(body, 120)
    network = TruthNetwork(truth[None], noise_cells=0.1, noise=0.03)
    capture = follow(body, network)
    poses = capture.poses(0)
    beside = truth - truth[:, ROOT : ROOT + 1]
    raw, filtered, own = (np.stack([getattr(p, name) for p in poses]) for name in ("raw", "filtered", "own"))
    fitted = np.stack([p.fit.points for p in poses])
    error = {n: metrics.mpjpe(p, beside, root=ROOT).mean() for n, p in (("raw", raw), ("fit", fitted))}
    shaken = [metrics.accel_error(p, beside, fps=FPS).mean() for p in (raw, filtered, fitted)]
    assert error["fit"] < 0.85 * error["raw"]
    assert shaken[1] < 0.8 * shaken[0]
    assert shaken[2] < 0.4 * shaken[1]
    lengths = np.linalg.norm(own - own[:, list(SKELETON.parents)], axis=-1)
    bones = [i for i in range(len(SKELETON)) if i != ROOT]
    assert lengths[CALIBRATION:, bones].std(axis=0).max() < 1e-9


def test_bones_are_measured_once_and_shape_found(body: BodyModel, rng: np.random.Generator) -> None:
    betas = np.zeros(body.num_betas)
    betas[:10] = rng.normal(size=10)
    tall, slope = stature(body)
    capture = follow(body, TruthNetwork(walk(body, 60, betas)[None]), height=float(tall + slope @ betas))
    live = capture._people[0].live
    assert live.calibrated
    wanted, found = (np.linalg.norm(np.diff(rest_points(body, b), axis=0), axis=1) for b in (betas, live.betas))
    mean = np.linalg.norm(np.diff(rest_points(body), axis=0), axis=1)
    assert np.abs(found - wanted).mean() < 0.5 * np.abs(mean - wanted).mean()
    short = follow(body, TruthNetwork(walk(body, 20, betas)[None]))
    assert not short._people[0].live.calibrated
    ((_, estimate),) = short.finish(CAMERA)  # a shorter video is measured in the end
    assert short._people[0].live.calibrated
    assert estimate.valid.sum() == 20


def test_what_comes_later_changes_nothing_after_the_bones_are_known(body: BodyModel) -> None:
    truth = walk(body, 80)
    other = truth.copy()
    other[70:, :, 0] += 0.3
    one, two = (follow(body, TruthNetwork(t[None])).poses(0) for t in (truth, other))
    assert all(np.array_equal(a.fit.pose, b.fit.pose) for a, b in zip(one[:70], two[:70], strict=True))
    assert not np.array_equal(one[75].fit.pose, two[75].fit.pose)


def test_back_within_ten_frames_after_being_hidden(body: BodyModel) -> None:
    truth, hidden = walk(body, 90), np.zeros((1, 90), bool)
    hidden[0, 50:65] = True
    capture = follow(body, TruthNetwork(truth[None], hidden))
    ((track, estimate),) = capture.finish(CAMERA)
    assert not track.valid[50:65].any()
    assert track.valid[75:].all()
    assert track.valid[:50].all()
    assert np.isfinite(estimate.joints).all()
    away = np.linalg.norm(estimate.joints[75:, 0] - truth[75:, ROOT], axis=-1)
    assert away.max() < 0.3


def test_a_live_program_that_keeps_nothing_sees_the_same(body: BodyModel) -> None:
    network = TruthNetwork(walk(body, 60)[None])
    kept = follow(body, network)
    live = VNectCapture(VNect(network, TruthCrop()), TruthDetector(network), body, keep=False)
    last = {}
    for t in range(60):
        last = live.step(Frame(picture(t), t, t / FPS), CAMERA)
    assert np.array_equal(last[0].fit.pose, kept.poses(0)[-1].fit.pose)
    assert live.finish(CAMERA) == []
    assert not live.times


def test_any_characters_skeleton_is_followed(body: BodyModel) -> None:
    truth = walk(body, 30)
    rest = rest_points(body) * 0.5  # a child's size, as a tree of VNect's own joints
    skeleton = KinematicSkeleton.of_table("vnect21", rest)
    live = LivePerson(skeleton, CAMERA, LiveOptions(filters=None))
    network = TruthNetwork(truth[None])
    looker = VNectCapture(VNect(network, TruthCrop()), TruthDetector(network), body)
    poses = []
    for t in range(30):
        looks = looker.tracker.step(picture(t), CAMERA)
        poses.append(live.step(looks[0], t / FPS)[0])
    bones = np.linalg.norm(poses[-1].fit.points - poses[-1].fit.points[list(SKELETON.parents)], axis=1)
    own = np.linalg.norm(rest - rest[list(SKELETON.parents)], axis=1)
    keep = [i for i in range(21) if i != ROOT]
    assert np.abs(bones - own)[keep].max() < 1e-6
    depths = poses[-1].fit.position[2] / truth[29, ROOT, 2]
    assert depths == pytest.approx(0.5, abs=0.06)
    with pytest.raises(InputError, match="points"):
        LivePerson(KinematicSkeleton.of_body(body), CAMERA)


def test_frames_ahead_are_the_same_and_errors_come_through() -> None:
    assert list(ahead(range(50), 3)) == list(range(50))

    def broken():
        yield 1
        raise InputError("the second one")

    with pytest.raises(InputError, match="second"):
        list(ahead(broken()))
    some = ahead(iter(range(10**9)), 2)
    assert next(some) == 0
    some.close()  # the thread ends


def test_a_video_by_the_command_line(tmp_path: Path, body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = write_toy(tmp_path / "toy.onnx", body)

    def seen(self, image, thorough=False, quick=False):
        box = np.array([[100.0, 20.0, 220.0, 220.0]])
        from monocap.types import Detections

        return Detections(box, np.array([0.9]), np.zeros((1, 17, 3)))

    monkeypatch.setattr("monocap.perception.people.PeopleDetector.detect", seen)
    video = tmp_path / "grey.mp4"
    with VideoWriter(video, 30.0, (320, 240)) as writer:
        for _ in range(12):
            writer.write(np.full((240, 320, 3), 100, np.uint8))
    arguments = ["--weights", str(toy), "--people", "largest", "--focal", "300", "--no-overlay"]
    assert main(["capture", str(video), "--engine", "vnect", "-o", str(tmp_path / "out"), *arguments]) == 0
    motion = Motion.load(tmp_path / "out" / "motion.npz")
    assert motion.people == 1
    assert motion.valid.all()
    assert len(motion.keypoint_names) == 21
    assert (tmp_path / "out" / "avatar.glb").stat().st_size > 1000
    still = ["regress", str(video), "--model", "vnect", "-o", str(tmp_path / "raw"), "--formats", "npz", *arguments]
    assert main(still) == 0
    raw = Motion.load(tmp_path / "raw" / "motion.npz")
    assert np.isfinite(raw.joints).all()
    assert raw.valid.all()


def test_no_network_and_wrong_files_are_told(tmp_path: Path, body: BodyModel, capsys: pytest.CaptureFixture) -> None:
    wrong = write_toy(tmp_path / "wrong.onnx", body, side=128)
    with pytest.raises(InputError, match="takes pictures of"):
        open_vnect(wrong)
    with pytest.raises(InputError, match="axes"):
        open_vnect(write_toy(tmp_path / "axes.onnx", body, axes="world"))
    with pytest.raises(InputError, match="hands and face"):
        CaptureSettings(engine="vnect", hands=True)
    from monocap.assets.sessions import locate

    with pytest.raises(InputError, match="no VNect network"):
        open_vnect(locate("blazepose_lite"))


@pytest.mark.parametrize(("arch", "scales", "axes"), [("vnect-light", 1, "crop"), ("vnect", 2, "camera")])
def test_trained_weights_are_asked_without_export(
    tmp_path: Path, arch: str, scales: int, axes: str, rng: np.random.Generator
) -> None:
    pytest.importorskip("torch")
    from monocap.nets.registry import build, save
    from monocap.perception.roi import Roi

    save(build(arch), tmp_path / "net.safetensors")
    network = open_vnect(tmp_path / "net.safetensors")
    assert (len(network.scales), network.axes) == (scales, axes)
    image = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    (look,) = network.look(image, [Roi(np.array([600.0, 400.0]), 500.0)], CAMERA)
    assert np.isfinite(look.points2d).all()
    assert np.abs(look.points2d[:, :2] - [600, 400]).max() < 260
    assert np.isfinite(look.places()).all()
