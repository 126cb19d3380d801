"""Results in the published layout: written, read by pickle and by us, exported."""

import pickle

import numpy as np
import pytest

from monocap import Motion, load_body
from monocap.cli import main
from monocap.errors import InputError
from monocap.export.official_pickle import (
    motion_of_official,
    official_vertices,
    read_official,
    write_mesh,
    write_official,
)
from monocap.priors.vposer import VPoserPrior
from monocap.types import BodyParams, Camera

CAMERA = Camera(900.0, 900.0, 319.5, 239.5, 640, 480)


@pytest.fixture(scope="module")
def body():
    return load_body("open").with_betas(10)


@pytest.fixture
def person(body, rng):
    latent, hands = rng.normal(0, 1, 32), rng.normal(0, 1, (2, 12))
    fingers = body.with_hands(12, flat_hand_mean=False)
    full = np.asarray(fingers.full_pose(left_hand_pose=hands[0], right_hand_pose=hands[1])).reshape(-1)
    params = BodyParams(
        betas=rng.normal(0, 1, 10),
        global_orient=np.array([3.0, 0.2, 0.1]),
        body_pose=VPoserPrior.load().decode(latent),
        transl=np.array([0.1, 0.2, 3.0]),
        jaw_pose=np.array([0.2, 0.0, 0.0]),
        left_hand_pose=full[75:120],
        right_hand_pose=full[120:165],
        expression=rng.normal(0, 1, body.num_expressions),
    )
    return params, latent, hands


def test_pickles_come_back(tmp_path, body, person):
    params, latent, hands = person
    path = tmp_path / "results" / "a" / "000.pkl"
    write_official(path, params, CAMERA, latent, (hands[0], hands[1]))
    with path.open("rb") as stream:
        plain = pickle.load(stream)  # our own file
    shapes = {name: value.shape for name, value in plain.items()}
    assert shapes["body_pose"] == (1, 32)
    assert shapes["left_hand_pose"] == (1, 12)
    assert shapes["camera_rotation"] == (1, 3, 3)
    assert shapes["betas"] == shapes["expression"] == (1, 10)
    assert b"numpy._core" not in path.read_bytes()  # numpy 1 knows the old name only
    assert path.read_bytes()[:2] == b"\x80\x02"
    result = read_official(path, body)
    assert result.notes == ()
    assert result.camera == CAMERA
    for name, value in params.asdict().items():
        np.testing.assert_allclose(getattr(result.params, name), value, atol=2e-6, err_msg=name)
    # the code alone gives the same pose
    for extra in ("body_pose_axis_angle", "focal_length", "camera_center", "image_size"):
        plain.pop(extra)
    path.write_bytes(pickle.dumps(plain, protocol=2))
    bare = read_official(path, body)
    np.testing.assert_allclose(bare.params.body_pose, params.body_pose, atol=1e-5)
    assert bare.camera.fx == 5000
    assert any("--vposer" in note for note in bare.notes)
    assert any("--body" in note for note in bare.notes)


def test_the_mesh_is_upright_and_without_translation(tmp_path, body, person):
    params, _, _ = person
    vertices = official_vertices(body, params)
    own = np.asarray(body(**body.own(params.asdict())).vertices, np.float64)
    np.testing.assert_allclose(vertices * [1, -1, -1] + params.transl, own, atol=1e-6)
    assert vertices[:, 1].argmax() != vertices[:, 1].argmin()
    head, feet = (body.joint_names.index(name) for name in ("head", "left_foot"))
    joints = np.asarray(body.joints_only(**body.own(params.asdict())))
    assert joints[head, 1] < joints[feet, 1]  # the camera's y points down
    write_mesh(tmp_path / "m.obj", vertices, body.faces)
    lines = (tmp_path / "m.obj").read_text().splitlines()
    read = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(read, vertices, atol=1e-7)
    assert sum(line.startswith("f ") for line in lines) == len(body.faces)


def test_export_takes_them(tmp_path, body, person, capsys):
    params, latent, hands = person
    write_official(tmp_path / "000.pkl", params, CAMERA, latent, (hands[0], hands[1]))
    assert main(["export", str(tmp_path / "000.pkl"), "--to", "npz", "-o", str(tmp_path / "m.npz")]) == 0
    motion = Motion.load(tmp_path / "m.npz")
    assert motion.people == motion.frames == 1
    own = np.asarray(body.joints_only(**body.own(params.asdict())))
    np.testing.assert_allclose(motion.joints[0, 0], own, atol=1e-5)
    assert main(["export", str(tmp_path / "000.pkl"), "--to", "obj", "-o", str(tmp_path / "m.obj")]) == 0
    assert (tmp_path / "m.obj").stat().st_size > 100_000
    motion.save(tmp_path / "n.npz")
    arguments = ["export", str(tmp_path / "n.npz"), "--to", "glb", "-o", str(tmp_path / "n.glb"), "--vposer", "x"]
    assert main(arguments) == 2
    assert "--vposer" in capsys.readouterr().err


def test_the_ground_lies_under_the_body(tmp_path, body, person):
    params, latent, _ = person
    write_official(tmp_path / "a.pkl", params, CAMERA, latent)
    motion = motion_of_official(read_official(tmp_path / "a.pkl", body), body)
    vertices = np.asarray(body(**body.own(motion.params(0).asdict())).vertices, np.float64).reshape(-1, 3)
    T = motion.T_world_camera[0]
    world = vertices @ T[:3, :3].T + T[:3, 3]
    assert world[:, 1].min() == pytest.approx(0, abs=1e-5)


class _Evil:
    def __reduce__(self):
        return print, ("run",)


def good(**changes):
    base = {"camera_translation": np.zeros((1, 3)), "betas": np.zeros((1, 10)), "global_orient": np.zeros((1, 3))}
    return {**base, "body_pose": np.zeros((1, 63)), **changes}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"a": _Evil()}, "refused"),
        ([1, 2], "dictionary"),
        ({"betas": np.zeros((1, 10))}, "lacks camera_translation"),
        (good(body_pose=np.zeros((1, 30))), "30 numbers"),
        (good(betas=np.zeros((1, 400))), "400 betas"),
        (good(global_orient=np.full((1, 3), np.nan)), "not finite"),
        (good(camera_rotation=-np.eye(3)[None]), "turned"),
        (good(left_hand_pose=np.zeros((1, 60))), "60 coefficients"),
        (good(betas="x"), "no array"),
    ],
)
def test_strange_pickles_are_refused(tmp_path, body, content, told, capsys):
    path = tmp_path / "s.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=told) as error:
        read_official(path, body)
    assert "s.pkl" in str(error.value)
    assert "run" not in capsys.readouterr().out


def test_fields_may_be_absent(tmp_path, body):
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(good(), protocol=4))
    result = read_official(tmp_path / "p.pkl", body)
    assert not np.any(np.asarray(result.params.asdict()["left_hand_pose"]))
    assert result.params.asdict()["expression"].shape == (body.num_expressions,)
