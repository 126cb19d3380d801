"""The body layer on synthetic SMPL-X files: against smplx itself, and its own promises."""

import os
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from synthetic import random_parameters, write_body

from monocap.bodies import load_body
from monocap.bodies.load import EXTRA_POINTS
from monocap.bodies.parameters import PARTS
from monocap.bodies.read import is_zero
from monocap.errors import InputError
from monocap.files import read_npz


@pytest.fixture(scope="module")
def body_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bodies") / "SMPLX_NEUTRAL.npz"
    write_body(path, np.random.default_rng(5))
    return path


@pytest.fixture(scope="module")
def body(body_file):
    return load_body(body_file)


def by_definition(arrays, parameters):
    """One body by the textbook's 4×4 matrices, float64."""
    from scipy.spatial.transform import Rotation

    coefficients = np.concatenate([parameters["betas"], parameters["expression"]])
    pose = np.concatenate([parameters[name] for name, _ in PARTS[55]]).reshape(-1, 3)
    local = Rotation.from_rotvec(pose).as_matrix()
    shaped = arrays["v_template"] + arrays["shapedirs"] @ coefficients
    rest = arrays["J_regressor"] @ shaped
    shaped = shaped + arrays["posedirs"] @ (local[1:] - np.eye(3)).ravel()
    parents = arrays["kintree_table"][0]
    world = np.zeros((len(rest), 4, 4))
    for j in range(len(rest)):
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = local[j], rest[j] - (rest[parents[j]] if j else 0)
        world[j] = step if j == 0 else world[parents[j]] @ step
    joints = world[:, :3, 3] + parameters["transl"]
    bones = world.copy()
    bones[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], rest)
    blended = np.einsum("vj,jab->vab", arrays["weights"], bones)
    return np.einsum("vab,vb->va", blended[:, :3, :3], shaped) + blended[:, :3, 3] + parameters["transl"], joints


def test_equals_the_definition(body, body_file, rng):
    arrays, parameters = read_npz(body_file), random_parameters(rng)
    vertices, joints = by_definition(arrays, parameters)
    out = body(**parameters)
    np.testing.assert_allclose(out.vertices, vertices, atol=2e-6)  # the body keeps its directions in float32
    np.testing.assert_allclose(out.joints, joints, atol=2e-6)


def test_equals_smplx(body_file, rng, monkeypatch):
    torch = pytest.importorskip("torch", reason="smplx runs on torch")
    smplx = pytest.importorskip("smplx", reason="the oracle is not installed")
    parameters = random_parameters(rng, 4)
    short = {"left_eye_pose": "leye_pose", "right_eye_pose": "reye_pose"}
    # the small mesh does not have the official vertex numbers that smplx reads its extra joints from
    monkeypatch.setitem(smplx.body_models.VERTEX_IDS, "smplx", {name: 7 * i for i, name in enumerate(EXTRA_POINTS)})
    for flat in (True, False):
        oracle = smplx.SMPLX(
            str(body_file), use_pca=False, flat_hand_mean=flat, batch_size=4, num_betas=10, dtype=torch.float64,
            num_expression_coeffs=10, create_body_pose=False,
        )  # fmt: skip
        want = oracle(**{short.get(k, k): torch.tensor(v) for k, v in parameters.items()})
        ours = load_body(body_file, flat_hand_mean=flat)
        out = ours(**parameters)
        np.testing.assert_allclose(out.vertices, want.vertices.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(out.joints, want.joints.detach().numpy()[:, :55], atol=1e-5)
        twin = ours(**{k: torch.tensor(v) for k, v in parameters.items()})
        np.testing.assert_allclose(twin.vertices.numpy(), want.vertices.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(twin.joints.numpy(), out.joints, atol=1e-12)


def test_batches_broadcast_and_missingis_zero(body, rng):
    one = random_parameters(rng)
    many = random_parameters(rng, 2, 3)
    mixed = {**many, "betas": one["betas"], "transl": one["transl"], "expression": many["expression"][:1, :1]}
    out = body(**mixed)
    assert out.vertices.shape == (2, 3, 400, 3)
    assert out.joints.shape == (2, 3, 55, 3)
    for i in range(2):
        for t in range(3):
            single = {k: np.broadcast_to(v, (2, 3, v.shape[-1]))[i, t] for k, v in mixed.items()}
            np.testing.assert_allclose(out.vertices[i, t], body(**single).vertices, atol=1e-12)
    # shape varies, pose does not
    shapes = body(betas=many["betas"], body_pose=one["body_pose"])
    np.testing.assert_allclose(
        shapes.joints[1, 2], body(betas=many["betas"][1, 2], body_pose=one["body_pose"]).joints, atol=1e-12
    )
    zeros = {k: np.zeros_like(v) for k, v in one.items()}
    np.testing.assert_allclose(body().vertices, body(**zeros).vertices, atol=1e-7)
    np.testing.assert_allclose(body().joints, body.J_template, atol=1e-7)
    assert body(transl=np.zeros((0, 3))).vertices.shape == (0, 400, 3)


def test_dtypes_follow_the_input(body, rng):
    double = random_parameters(rng)
    single = {k: v.astype(np.float32) for k, v in double.items()}
    assert body(**double).vertices.dtype == body(**double).joints.dtype == np.float64
    out = body(**single)
    assert out.vertices.dtype == out.joints.dtype == np.float32
    np.testing.assert_allclose(out.vertices, body(**double).vertices, atol=5e-6)
    assert body(transl=[0, 0, 1]).vertices.dtype == np.float32


def test_leading_betas_and_too_many(body, rng):
    few = rng.normal(size=4)
    padded = np.concatenate([few, np.zeros(6)])
    np.testing.assert_allclose(body(betas=few).vertices, body(betas=padded).vertices, atol=1e-12)
    with pytest.raises(InputError, match="up to 10"):
        body(betas=np.zeros(11))
    with pytest.raises(InputError, match="has no pose"):
        body(pose=np.zeros(72))
    with pytest.raises(InputError, match=r"body_pose has shape \(69,\); expected \(..., 63\)"):
        body(body_pose=np.zeros(69))
    with pytest.raises(InputError, match="broadcast"):
        body(body_pose=np.zeros((2, 63)), transl=np.zeros((3, 3)))
    np.testing.assert_allclose(body(betas=np.zeros(0)).joints, body().joints, atol=1e-6)


def test_parts_equal_the_whole(body, rng):
    parameters = random_parameters(rng, 3)
    out = body(**parameters)
    np.testing.assert_allclose(body.joints_only(**parameters), out.joints, atol=1e-12)
    ids = rng.integers(0, 400, 17)
    np.testing.assert_allclose(body.vertices_at(ids, **parameters), out.vertices[:, ids], atol=1e-9)
    rest = body.rest_joints(parameters["betas"], parameters["expression"])
    still = body(betas=parameters["betas"], expression=parameters["expression"])
    np.testing.assert_allclose(rest, still.joints, atol=1e-12)
    turned = body.joints_only(betas=parameters["betas"][0], global_orient=parameters["global_orient"][0])
    np.testing.assert_allclose(turned[0], body.rest_joints(parameters["betas"][0])[0], atol=1e-12)
    with pytest.raises(InputError, match="vertex ids"):
        body.vertices_at([400])


def test_torch_has_gradients_and_the_same_values(body, rng):
    torch = pytest.importorskip("torch", reason="the torch twin")
    parameters = random_parameters(rng, 2)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in parameters.items()}
    module = body.to("torch", dtype=torch.float64)
    out = module(**tensors)
    np.testing.assert_allclose(out.vertices.detach().numpy(), body(**parameters).vertices, atol=1e-9)
    weight = torch.tensor(rng.normal(size=out.vertices.shape))
    (weight * out.vertices).sum().backward()
    h = 1e-6
    for name in parameters:
        step = {**parameters, name: parameters[name] + h * (direction := rng.normal(size=parameters[name].shape))}
        back = {**parameters, name: parameters[name] - h * direction}
        want = ((body(**step).vertices - body(**back).vertices) * weight.numpy()).sum() / (2 * h)
        got = (tensors[name].grad.numpy() * direction).sum()
        assert got == pytest.approx(want, rel=2e-5, abs=1e-6), name
    at_rest = {k: torch.zeros(v.shape, requires_grad=True) for k, v in parameters.items()}
    body(**at_rest).vertices.square().sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in at_rest.values())


@pytest.mark.parametrize(
    ("columns", "betas", "expressions"), [(10, 10, 0), (20, 10, 10), (310, 300, 10), (400, 300, 100)]
)
def test_column_rule_of_the_files(tmp_path, rng, columns, betas, expressions):
    arrays = write_body(tmp_path / "a.npz", rng, vertices=60, columns=columns)
    body = load_body(tmp_path / "a.npz")
    assert (body.num_betas, body.num_expressions) == (betas, expressions)
    first = 10 if columns < 400 else 300
    np.testing.assert_allclose(body.exprdirs, arrays["shapedirs"][..., first : first + expressions], atol=1e-7)


def test_zero_blocks_are_trimmed_and_zero_posedirs_not_read(tmp_path, rng):
    path = tmp_path / "open.npz"
    arrays = write_body(path, rng, vertices=300, columns=400, poses=False, dtype=np.float32)
    arrays["shapedirs"][..., 16:300] = 0
    arrays["shapedirs"][..., 310:] = 0
    np.savez_compressed(path, **arrays)
    body = load_body(path)
    assert (body.num_betas, body.num_expressions) == (16, 10)
    assert body.posedirs is None
    assert is_zero(path, "posedirs")
    arrays["posedirs"][299, 2, 485] = 1e-30  # one entry that is not zero, in a block that still packs as well
    np.savez_compressed(path, **arrays)
    assert not is_zero(path, "posedirs")
    assert load_body(path).posedirs is not None


@pytest.mark.parametrize(("skeleton", "size"), [("smpl24", 69), ("smplh52", 63)])
def test_smpl_and_smplh_files(tmp_path, rng, skeleton, size):
    path = tmp_path / "body.npz"
    write_body(path, rng, columns=16, skeleton=skeleton)
    body = load_body(path)
    assert body.num_betas == 16
    out = body(body_pose=rng.normal(0, 0.5, (2, size)), betas=rng.normal(size=16))
    assert out.joints.shape == (2, len(body.joint_names), 3)
    with pytest.raises(InputError, match="jaw_pose"):
        body(jaw_pose=np.zeros(3))


def test_files_that_are_no_bodies_are_refused(tmp_path, rng):
    np.savez(tmp_path / "x.npz", v_template=np.zeros((4, 3)))
    with pytest.raises(InputError, match="lacks f, shapedirs"):
        load_body(tmp_path / "x.npz")
    with pytest.raises(InputError, match="no such file"):
        load_body("SMPLX_NEUTRAL.pkl")
    with pytest.raises(InputError, match="no body 'smplx_neutral'; expected open"):
        load_body("smplx_neutral")
    arrays = write_body(tmp_path / "y.npz", rng, vertices=60)
    np.savez(tmp_path / "z.npz", **{**arrays, "J_regressor": np.zeros((54, 60))})
    with pytest.raises(InputError, match="J_regressor"):
        load_body(tmp_path / "z.npz")


def test_the_open_body_needs_no_torch():
    """In a process of its own, since another test may have imported torch already."""
    code = (
        "import sys; from monocap.bodies import load_body;"
        "b = load_body('open'); o = b(betas=[1.0], transl=[0.0, 0.0, 3.0]);"
        "assert 'torch' not in sys.modules; print(b.posedirs is None, b.num_betas, o.joints.shape[0])"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    no_correctives, betas, joints = ran.stdout.split()
    assert (no_correctives, joints) == ("True", "55")
    assert int(betas) >= 16


def test_open_body_equals_its_own_regressor_and_torch(rng):
    body = load_body("open")
    parameters = random_parameters(rng, 2, betas=16, expressions=body.num_expressions)
    still = body(betas=parameters["betas"], expression=parameters["expression"])
    path = resources.files("monocap.bodies") / "data" / "open.npz"
    regressor = read_npz(str(path), keys=["J_regressor"])["J_regressor"].astype(np.float64)
    np.testing.assert_allclose(regressor @ still.vertices, still.joints, atol=2e-6)
    assert list(body.extra_vertex_ids) == list(EXTRA_POINTS)
    points = body(**parameters).vertices[:, list(body.extra_vertex_ids.values())]
    np.testing.assert_allclose(body.extra_points(**parameters), points, atol=1e-12)
    torch = pytest.importorskip("torch", reason="the torch twin")
    twin = body(**{k: torch.tensor(v) for k, v in parameters.items()})
    np.testing.assert_allclose(twin.vertices.numpy(), body(**parameters).vertices, atol=1e-9)


def test_memory_of_many_subsets_stays_bounded(body):
    for i in range(40):
        body.vertices_at([i])
    assert len(body._cache) < 30
