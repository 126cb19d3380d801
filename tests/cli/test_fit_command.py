"""`monocap fit` end to end: projected bodies in, the same bodies out, in every layout; resume; what users get wrong."""

import json

import numpy as np
import pytest

from monocap import Motion, capture_image, load_body, skeletons
from monocap.cli import main
from monocap.data.keypoint_files import write_keypoints
from monocap.geometry.procrustes import similarity_alignment
from monocap.media.pictures import write_image
from monocap.pipeline.keypoint_fit import fitting
from monocap.priors.gmm import PoseMixture

SIZE, FOCAL = (640, 480), 700.0


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def people(body):
    """Three people: OpenPose's 135 points (3,135,3) and the true joints (3,22,3)."""
    rng = np.random.default_rng(4)
    poses = PoseMixture.load().mean[:63] + rng.normal(0, 0.12, (3, 63))
    given = {
        "body_pose": poses,
        "global_orient": np.array([[np.pi, 0.0, 0.0], [3.0, 0.3, 0.1], [2.9, 0.0, -0.4]]),
        "transl": np.array([[0.0, 0.2, 3.2], [-0.6, 0.1, 4.0], [0.7, 0.2, 3.6]]),
        "betas": np.zeros((3, 10)),
    }
    points = np.asarray(body.camera_keypoints("openpose135", **given), np.float64)
    pixels = points[..., :2] / points[..., 2:] * FOCAL + [319.5, 239.5]
    joints = np.asarray(body.joints_only(**given), np.float64)[:, :22]
    return np.concatenate([pixels, np.full((3, 135, 1), 0.9)], axis=-1), joints


def openpose(points):
    face = np.zeros((70, 3))
    face[17:68], face[:17] = points[67:118], points[118:135]
    return {
        "pose_keypoints_2d": points[:25].ravel().tolist(),
        "hand_left_keypoints_2d": points[25:46].ravel().tolist(),
        "hand_right_keypoints_2d": points[46:67].ravel().tolist(),
        "face_keypoints_2d": face.ravel().tolist(),
    }


@pytest.fixture
def folder(tmp_path, people):
    """Keypoints and pictures: a with two people, b with nobody, c with one."""
    points, _ = people
    (tmp_path / "kp").mkdir()
    (tmp_path / "img").mkdir()
    for name, rows in (("a", [0, 1]), ("b", []), ("c", [2])):
        content = {"version": 1.3, "people": [openpose(points[row]) for row in rows]}
        (tmp_path / "kp" / f"{name}_keypoints.json").write_text(json.dumps(content))
        write_image(tmp_path / "img" / f"{name}.png", np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    return tmp_path


def run(*arguments):
    return main(["fit", *(str(a) for a in arguments)])


def apart(motion, person, truth):
    """Mean distance of joints to the truth, m, after the best similarity."""
    joints = np.asarray(motion.joints[person, 0, :22], np.float64)
    return np.linalg.norm(similarity_alignment(joints, truth).apply(joints) - truth, axis=1).mean()


def test_pictures_of_a_folder(folder, people, capsys):
    out = folder / "out"
    options = ["--images", folder / "img", "-o", out, "--focal", FOCAL, "--formats", "npz,obj,glb,pkl,meshes"]
    assert run(folder / "kp", *options, "--latents", "--json") == 0
    summary = json.loads(capsys.readouterr().out)["results"][0]
    assert summary["people"] == 3
    a, b, c = (Motion.load(out / f"{name}.npz") for name in "abc")
    assert (a.people, b.people, c.people) == (2, 0, 1)
    assert a.keypoints2d.shape == (2, 1, 135, 3)
    assert a.valid.all()
    _, truth = people
    nearest = [min(apart(a, p, t) for t in truth[:2]) for p in (0, 1)]
    assert max(*nearest, apart(c, 0, truth[2])) < 0.05
    for name in ("a.overlay.png", "a.obj", "a.glb", "b.glb", "results/a/001.pkl", "meshes/c/000.obj", "a.latents.npz"):
        assert (out / name).is_file(), name
    assert not (out / "results" / "b").exists()
    assert (out / "a.overlay.png").read_bytes() != (folder / "img" / "a.png").read_bytes()
    report = json.loads((out / "report.json").read_text())
    entry = report["fits"][0]["people"][0]
    assert entry["energy"] == pytest.approx(sum(entry["energies"].values()), rel=1e-4)
    assert {"reprojection", "body_pose", "betas"} <= set(entry["energies"])
    latents = np.load(out / "a.latents.npz")
    assert latents["00.latent"].shape == (1, 32)
    assert latents["01.left_hand_pca"].shape == (1, 12)
    assert report["outputs"]["a/npz"]["a.npz"] == (out / "a.npz").stat().st_size
    assert sorted(p.name for p in out.iterdir() if p.name.startswith(".")) == []


def test_a_killed_fit_goes_on_to_the_same_result(folder, monkeypatch, capsys):
    monkeypatch.setitem(fitting._BATCH, False, 1)
    options = ["--images", folder / "img", "--no-overlay", "--focal", FOCAL, "--formats", "npz"]
    assert run(folder / "kp", "-o", folder / "whole", *options) == 0
    solved, calls = fitting.recipe.fit, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solved(*arguments)

    monkeypatch.setattr(fitting.recipe, "fit", killed)
    assert run(folder / "kp", "-o", folder / "out", *options) == 130
    assert (folder / "out" / "a.npz").is_file()
    assert not (folder / "out" / "c.npz").exists()
    calls.append(1)
    assert run(folder / "kp", "-o", folder / "out", *options, "--resume") == 0
    assert len(calls) == 4  # the batch that was done is not fitted again
    for name in "abc":
        one, other = (Motion.load(folder / where / f"{name}.npz") for where in ("whole", "out"))
        for field in ("body_pose", "transl", "betas", "joints", "expression"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert run(folder / "kp", "-o", folder / "out", *options, "--resume") == 0
    assert len(calls) == 4
    assert "complete already" in capsys.readouterr().err
    other = json.loads((folder / "kp" / "c_keypoints.json").read_text())
    other["people"][0]["pose_keypoints_2d"][0] += 1
    (folder / "kp" / "c_keypoints.json").write_text(json.dumps(other))
    assert run(folder / "kp", "-o", folder / "out", *options, "--resume", "--recipe", "smplify") == 2
    error = capsys.readouterr().err
    assert "another file" in error
    assert "recipe was auto, now smplify" in error


def test_frames_of_a_video(tmp_path, body, people):
    """Two people move; one is missing for a while. One shape each, gaps marked, as long as the video."""
    points, _ = people
    frames = 12
    moving = np.stack([np.stack([points[k] + [2.0 * t * (1 - 2 * k), 0, 0] for t in range(frames)]) for k in (0, 1)])
    moving[1, 4:6] = 0
    write_keypoints(tmp_path / "k.npz", moving[..., :25, :], "openpose25", fps=30.0, image_size=SIZE)
    out = tmp_path / "out"
    assert run(tmp_path / "k.npz", "-o", out, "--focal", FOCAL, "--formats", "npz,bvh,pkl") == 0
    motion = Motion.load(out / "motion.npz")
    assert (motion.people, motion.frames, motion.fps) == (2, frames, 30.0)
    assert motion.valid.sum(axis=1).tolist() == [12, 10]
    assert not motion.valid[1, 4:6].any()
    assert np.isfinite(motion.body_pose).all()
    steps = np.linalg.norm(np.diff(motion.transl, axis=1), axis=-1)
    assert steps.max() < 0.2
    assert (out / "motion_01.bvh").is_file()
    assert (out / "results" / "000011" / "001.pkl").is_file()
    assert not (out / "results" / "000004" / "001.pkl").exists()


@pytest.mark.parametrize("skeleton", ["openpose25", "coco17"])
def test_the_skeleton_recipe(tmp_path, people, skeleton):
    points, truth = people
    rows = np.repeat(points[:1, None, :25], 6, axis=1)
    a, b = skeletons.mapping("openpose25", skeleton)
    moving = np.zeros((1, 6, len(skeletons.get(skeleton)), 3))
    moving[:, :, b] = rows[:, :, a]
    write_keypoints(tmp_path / "k.npz", moving, skeleton, fps=30.0, image_size=SIZE)
    options = ["-o", tmp_path / "out", "--recipe", "skeleton", "--focal", FOCAL, "--formats", "npz"]
    assert run(tmp_path / "k.npz", *options) == 0
    motion = Motion.load(tmp_path / "out" / "motion.npz")
    assert motion.valid.all()
    assert apart(motion, 0, truth[0]) < 0.08
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"ik", "proj", "smooth"} <= set(report["fits"][0]["people"][0]["energies"])


def test_joints_in_space(tmp_path, body, rng):
    pose = PoseMixture.load().mean[:63]
    joints = np.asarray(body.joints_only(body_pose=pose), np.float64)[:24][None]
    np.savez(tmp_path / "j.npz", joints=joints, skeleton="smpl24", axes="y-up")
    assert run(tmp_path / "j.npz", "-o", tmp_path / "out", "--formats", "npz,glb") == 0
    motion = Motion.load(tmp_path / "out" / "j.npz")
    world = motion.joints[0, 0] @ motion.T_world_camera[0, :3, :3].T + motion.T_world_camera[0, :3, 3]
    found, truth = world[:22] - world[0], joints[0, :22] - joints[0, 0]
    assert np.linalg.norm(found - truth, axis=1).mean() < 0.01
    assert world[:, 1].min() == pytest.approx(0, abs=1e-5)
    assert motion.joints[0, 0, :, 2].min() > 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "does not tell the size"),
        (("--size", "640"), "--size is '640'"),
        (("--size", "640x480", "--formats", "fbx"), "there is no 'fbx'"),
        (("--size", "640x480", "--gender", "male"), "--gender male"),
        (("--size", "640x480", "--fast", "--faithful"), "--fast and --faithful"),
        (("--size", "640x480", "--body", "nothing.npz"), "nothing.npz"),
        (("--size", "640x480", "--skeleton", "coco19"), "coco19"),
        (("--images", "absent"), "absent"),
        (("--size", "640x480", "--recipe", "video", "--faithful"), "faithful"),
    ],
)
def test_what_users_get_wrong(folder, capsys, arguments, told):
    assert run(folder / "kp", "-o", folder / "out", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert told in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (folder / "out").exists()


def test_pictures_that_do_not_belong(folder, capsys):
    for name in "abc":
        (folder / "img" / f"{name}.png").rename(folder / "img" / f"{name}_other.png")
    assert run(folder / "kp", "--images", folder / "img", "-o", folder / "out") == 2
    assert "a.jpg" in capsys.readouterr().err
    assert run(folder / "kp", "--images", folder / "img" / "b_other.png", "-o", folder / "out") == 2
    assert "a.jpg" in capsys.readouterr().err


def test_a_picture_may_be_missing(folder, capsys):
    (folder / "img" / "c.png").unlink()
    options = ["--images", folder / "img", "--size", "640x480", "-o", folder / "out", "--formats", "npz"]
    assert run(folder / "kp", *options) == 0
    assert "1 pictures of the keypoints are not in" in capsys.readouterr().err
    assert (folder / "out" / "c.npz").is_file()
    assert (folder / "out" / "a.overlay.png").is_file()
    assert not (folder / "out" / "c.overlay.png").exists()
    assert run(folder / "kp", *options, "--resume") == 0
    assert "complete already" in capsys.readouterr().err


def test_a_plot_needs_matplotlib(folder, monkeypatch, capsys):
    import builtins

    real = builtins.__import__

    def without(name, *rest, **named):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(folder / "kp", "--size", "640x480", "-o", folder / "out", "--plot") != 0
    assert "monocap[evaluate]" in capsys.readouterr().err


def test_what_capture_saw_can_be_fitted_again(shared, tmp_path):
    """The keypoints of a captured picture, without the 3D hints that capture has: the same person, roughly posed.

    The focal length is given: without hints, depth has several minima, and a few per cent decide between them.
    """
    captured = capture_image(shared("media/yoga.jpg"), focal=864.0)
    captured.save(tmp_path / "yoga.npz")
    assert run(tmp_path / "yoga.npz", "-o", tmp_path / "out", "--formats", "npz") == 0
    fitted = Motion.load(tmp_path / "out" / "yoga.npz")
    np.testing.assert_array_equal(fitted.keypoints2d, captured.keypoints2d.astype(np.float32))
    np.testing.assert_allclose(fitted.K, captured.K, rtol=1e-6)
    assert fitted.transl[0, 0, 2] == pytest.approx(captured.transl[0, 0, 2], rel=0.3)
    assert apart(fitted, 0, captured.joints[0, 0, :22]) < 0.15
    drawn = fitted.joints[0, 0, :22] @ fitted.K[0].T
    seen = captured.joints[0, 0, :22] @ captured.K[0].T
    off = np.linalg.norm(drawn[:, :2] / drawn[:, 2:] - seen[:, :2] / seen[:, 2:], axis=1)
    assert np.median(off) < 0.03 * max(captured.image_size)
