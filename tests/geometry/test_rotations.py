"""Rotations against scipy, roma, the official codes' numbers, and differences; numpy and torch alike."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from monocap.errors import InputError
from monocap.geometry import rotations as rot

LAYOUTS: tuple[rot.Layout6D, ...] = ("interleaved_columns", "contiguous_columns", "contiguous_rows")
SMALL = settings(max_examples=60, deadline=None)

# vectors of all lengths up to 2π, with tiny ones and those next to π on purpose
directions = arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 1e-3)
angles = st.one_of(
    st.floats(0, 2 * math.pi),
    st.floats(0, 1e-6),
    st.floats(-1e-6, 1e-6).map(lambda e: math.pi + e),
    st.sampled_from([0.0, 1e-12, 1e-4, 0.5, math.pi]),
)


@st.composite
def vectors(draw):
    v = draw(directions)
    return v / np.linalg.norm(v) * draw(angles)


def wxyz(rotation):
    q = rotation.as_quat(scalar_first=True)
    return np.where(q[..., :1] < 0, -q, q)


def angle_between(a, b):
    return np.linalg.norm(Rotation.from_matrix(np.swapaxes(a, -1, -2) @ b).as_rotvec(), axis=-1)


@SMALL
@given(vectors())
def test_conversions_equal_scipy(v):
    judge = Rotation.from_rotvec(v)
    matrix = rot.axis_angle_to_matrix(v)
    np.testing.assert_allclose(matrix, judge.as_matrix(), atol=1e-14)
    q = rot.axis_angle_to_quaternion(v)
    np.testing.assert_allclose(rot.quaternion_to_matrix(q), judge.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(np.abs(q @ judge.as_quat(scalar_first=True)), 1, atol=1e-14)
    back = rot.matrix_to_quaternion(matrix)
    assert back[0] >= 0
    np.testing.assert_allclose(np.abs(back @ judge.as_quat(scalar_first=True)), 1, atol=1e-14)
    for again in (rot.matrix_to_axis_angle(matrix), rot.quaternion_to_axis_angle(q)):
        assert np.linalg.norm(again) <= math.pi + 1e-12
        np.testing.assert_allclose(rot.axis_angle_to_matrix(again), matrix, atol=1e-13)
    if np.linalg.norm(v) < math.pi - 1e-6:
        np.testing.assert_allclose(rot.matrix_to_axis_angle(matrix), v, atol=1e-9)


@SMALL
@given(vectors(), vectors())
def test_products_angles_and_slerp_equal_scipy(v, w):
    a, b = Rotation.from_rotvec(v), Rotation.from_rotvec(w)
    qa, qb = rot.axis_angle_to_quaternion(v), rot.axis_angle_to_quaternion(w)
    product = rot.quaternion_multiply(qa, qb)
    np.testing.assert_allclose(rot.quaternion_to_matrix(product), (a * b).as_matrix(), atol=1e-13)
    np.testing.assert_allclose(rot.quaternion_multiply(qa, rot.quaternion_conjugate(qa)), [1, 0, 0, 0], atol=1e-14)
    angle = (a.inv() * b).magnitude()
    np.testing.assert_allclose(rot.geodesic_angle(a.as_matrix(), b.as_matrix()), angle, atol=1e-7)
    if angle < math.pi - 1e-3:
        half = Slerp([0, 1], Rotation.concatenate([a, b]))(0.3)
        np.testing.assert_allclose(rot.quaternion_to_matrix(rot.slerp(qa, qb, 0.3)), half.as_matrix(), atol=1e-9)


@SMALL
@given(vectors(), st.sampled_from(LAYOUTS))
def test_6d_round_trip(v, layout):
    matrix = rot.axis_angle_to_matrix(v)
    six = rot.matrix_to_rotation_6d(matrix, layout)
    np.testing.assert_allclose(rot.rotation_6d_to_matrix(six, layout), matrix, atol=1e-14)


def test_6d_layouts_equal_the_official_codes(shared):
    values = json.loads(shared("reference/reference_values.json").read_text())["rot6d"]
    for layout in LAYOUTS:
        key = next(k for k in values if k.startswith(layout))
        got = rot.rotation_6d_to_matrix(np.array(values["input"]), layout)
        np.testing.assert_allclose(got, values[key], atol=1e-7)


def test_rodrigues_equals_the_official_codes(shared):
    values = json.loads(shared("reference/reference_values.json").read_text())["axis_angle_to_rotmat"]
    for key in ("SPIN batch_rodrigues", "HMR2 aa_to_rotmat"):
        got = rot.axis_angle_to_matrix(np.array(values["input"], dtype=np.float32))
        np.testing.assert_allclose(got, values[key], atol=3e-7)


def test_equal_to_roma(rng):
    torch = pytest.importorskip("torch", reason="roma runs on torch")
    roma = pytest.importorskip("roma", reason="the judge is not installed")
    v = torch.tensor(rng.normal(0, 1.5, (50, 3)))
    matrix = roma.rotvec_to_rotmat(v)
    np.testing.assert_allclose(rot.axis_angle_to_matrix(v), matrix, atol=1e-13)
    np.testing.assert_allclose(rot.matrix_to_axis_angle(matrix), roma.rotmat_to_rotvec(matrix), atol=1e-12)
    noisy = matrix + torch.tensor(rng.normal(0, 0.3, (50, 3, 3)))
    np.testing.assert_allclose(rot.project_to_so3(noisy), roma.special_procrustes(noisy), atol=1e-12)
    six = torch.tensor(rng.normal(size=(50, 3, 2)))
    ours = rot.rotation_6d_to_matrix(six.reshape(50, 6), "interleaved_columns")
    np.testing.assert_allclose(ours, roma.special_gramschmidt(six), atol=1e-12)


@SMALL
@given(vectors(), directions)
def test_left_jacobian_is_the_derivative_of_the_exponential(v, d):
    h = 1e-6
    plus, minus = (Rotation.from_rotvec(v + s * h * d) for s in (1, -1))
    want = (plus * minus.inv()).as_rotvec() / (2 * h)
    np.testing.assert_allclose(rot.left_jacobian_so3(v) @ d, want, atol=1e-8)


@SMALL
@given(directions, directions)
def test_rotation_between_is_the_shortest_arc(a, b):
    turn = rot.rotation_between(a, b)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-13)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    np.testing.assert_allclose(turn @ a, b, atol=1e-7)
    angle = math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))
    assert Rotation.from_matrix(turn).magnitude() == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotation_between_opposite_directions(rng, dtype):
    a = rng.normal(size=(200, 3)).astype(dtype)
    for sign, slack in ((-1, 0), (-1, 1e-7), (-1, 1e-4), (1, 0)):
        b = (sign * a + slack * rng.normal(size=a.shape)).astype(dtype)
        turn = rot.rotation_between(a, b)
        assert turn.dtype == dtype
        unit = b / np.linalg.norm(b, axis=-1, keepdims=True)
        got = (turn @ (a / np.linalg.norm(a, axis=-1, keepdims=True))[..., None])[..., 0]
        np.testing.assert_allclose(got, unit, atol=2e-3 if dtype == np.float32 else 1e-6)
        np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2), np.broadcast_to(np.eye(3), turn.shape), atol=1e-5)


def test_project_to_so3_is_nearest_and_no_reflection(rng):
    m = rng.normal(size=(100, 3, 3))
    r = rot.project_to_so3(m)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-12)
    distance = np.linalg.norm(r - m, axis=(1, 2))
    for _ in range(20):
        other = Rotation.from_rotvec(rng.normal(0, 0.3, (100, 3))).as_matrix() @ r
        assert (np.linalg.norm(other - m, axis=(1, 2)) >= distance - 1e-12).all()


def test_hat_and_vee(rng):
    a, b = rng.normal(size=(2, 5, 3))
    np.testing.assert_allclose((rot.hat(a) @ b[..., None])[..., 0], np.cross(a, b), atol=1e-14)
    np.testing.assert_allclose(rot.vee(rot.hat(a)), a)


SPECIAL = [
    *([0.0, 0.0, 0.0], [1e-20, 0, 0], [1e-9, -1e-9, 0]),
    *([math.pi, 0, 0], [0, math.pi, 0], [0.3, -1.2, 0.5], [0.49, 0.1, 0]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_equals_numpy_with_finite_gradients_everywhere(dtype):
    torch = pytest.importorskip("torch", reason="the torch half")
    v = np.array(SPECIAL, dtype=dtype)
    kind = getattr(torch, dtype)

    def through(function, x):
        t = torch.tensor(x, dtype=kind, requires_grad=True)
        out = function(t)
        assert out.dtype == kind
        plain = function(np.asarray(x))
        np.testing.assert_allclose(out.detach(), plain, atol=2e-6 if dtype == "float32" else 1e-12)
        assert plain.dtype == dtype
        (grad,) = torch.autograd.grad(out.sum() + out.square().sum(), t)
        assert torch.isfinite(grad).all(), function
        return grad

    matrices, quaternions = rot.axis_angle_to_matrix(v), rot.axis_angle_to_quaternion(v)
    for function in (rot.axis_angle_to_matrix, rot.axis_angle_to_quaternion, rot.left_jacobian_so3, rot.hat):
        through(function, v)
    for function in (rot.matrix_to_quaternion, rot.matrix_to_axis_angle, rot.project_to_so3, rot.vee):
        through(function, matrices)
    for function in (rot.quaternion_to_axis_angle, rot.quaternion_to_matrix, rot.quaternion_conjugate):
        through(function, quaternions)
    for layout in LAYOUTS:
        through(partial(rot.matrix_to_rotation_6d, layout=layout), matrices)
        through(partial(rot.rotation_6d_to_matrix, layout=layout), rot.matrix_to_rotation_6d(matrices, layout))
    through(lambda x: rot.geodesic_angle(x, x[:1]), matrices)  # the first is the identity: angles 0 … π
    through(lambda x: rot.slerp(x, x, 0.4), quaternions)
    through(lambda x: rot.rotation_between(x, -x), v[3:])
    through(lambda x: rot.rotation_between(x, 2 * x), v[3:])


@pytest.mark.parametrize("vector", SPECIAL)
def test_gradients_are_right_not_only_finite(vector):
    torch = pytest.importorskip("torch", reason="the torch half")
    v = torch.tensor(vector, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rot.axis_angle_to_matrix, v)
    assert torch.autograd.gradcheck(rot.axis_angle_to_quaternion, v)
    if np.linalg.norm(vector) < 3:  # at π the vector jumps to the other side
        assert torch.autograd.gradcheck(lambda x: rot.quaternion_to_axis_angle(rot.axis_angle_to_quaternion(x)), v)
        assert torch.autograd.gradcheck(lambda x: rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(x)), v)
    m = rot.axis_angle_to_matrix(v).detach().requires_grad_()
    assert torch.autograd.gradcheck(rot.project_to_so3, m)
    stretched = (m @ torch.diag(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64))).detach().requires_grad_()
    assert torch.autograd.gradcheck(rot.project_to_so3, stretched)


def test_float32_keeps_its_digits():
    """Small angles in float32 against float64: where naive formulas lose half the digits."""
    rng = np.random.default_rng(2)
    for scale in (1e-6, 1e-4, 1e-2, 0.3, 0.7, 2.0):
        v = rng.normal(0, scale, (500, 3))
        for function in (rot.axis_angle_to_matrix, rot.left_jacobian_so3, rot.axis_angle_to_quaternion):
            exact = function(v.astype(np.float32).astype(np.float64))
            assert np.abs(function(v.astype(np.float32)) - exact).max() < 6e-7
        matrix = rot.axis_angle_to_matrix(v.astype(np.float32))
        assert angle_between(rot.axis_angle_to_matrix(rot.matrix_to_axis_angle(matrix)), matrix).max() < 2e-6


def test_shapes_and_errors():
    assert rot.axis_angle_to_matrix(np.zeros((0, 3))).shape == (0, 3, 3)
    assert rot.matrix_to_quaternion(np.broadcast_to(np.eye(3), (2, 4, 3, 3))).shape == (2, 4, 4)
    assert rot.axis_angle_to_matrix([0, 0, 1]).dtype == np.float64
    with pytest.raises(InputError, match=r"axis_angle has shape \(72,\); expected \(..., 3\)"):
        rot.axis_angle_to_matrix(np.zeros(72))
    with pytest.raises(InputError, match="layout"):
        rot.rotation_6d_to_matrix(np.zeros(6), "rows")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="array of numbers"):
        rot.hat("abc")
