"""Joint errors against the numbers of the official evaluation codes, by hand, and what they must not see."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from monocap import metrics
from monocap.errors import InputError
from monocap.skeletons import get


@pytest.fixture
def reference(shared):
    return json.loads(shared("reference/reference_values.json").read_text())


def test_pa_mpjpe_is_spin_and_hmr2(reference):
    values = reference["pa_mpjpe"]
    got = metrics.pa_mpjpe(np.array(values["S1"]), np.array(values["S2"]))
    np.testing.assert_allclose(got, values["SPIN per-sample (same unit)"], atol=1e-7)
    np.testing.assert_allclose(got, values["HMR2"], atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.1, 10),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_pa_mpjpe_ignores_similarities_and_mpjpe_does_not(seed, scale, turn, shift):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(3, 14, 3))
    estimate = truth + rng.normal(0, 0.1, truth.shape)
    moved = scale * estimate @ Rotation.from_rotvec(turn).as_matrix().T + np.array(shift)
    np.testing.assert_allclose(metrics.pa_mpjpe(moved, truth), metrics.pa_mpjpe(estimate, truth), atol=1e-9)
    if abs(scale - 1) > 0.2 or np.linalg.norm(turn) % (2 * np.pi) > 0.5:
        assert (np.abs(metrics.mpjpe(moved, truth, root=0) - metrics.mpjpe(estimate, truth, root=0)) > 1e-3).any()
    # N-MPJPE ignores scale and place only
    resized = scale * estimate + np.array(shift)
    np.testing.assert_allclose(metrics.n_mpjpe(resized, truth), metrics.n_mpjpe(estimate, truth), atol=1e-9)


def test_pa_mpjpe_never_mirrors(rng):
    truth = rng.normal(size=(3, 14, 3))
    assert metrics.pa_mpjpe(truth * [-1, 1, 1], truth).min() > 0.05


def test_wrong_order_swapped_sides_and_millimetres_show(rng):
    skeleton = get("smpl24")
    rest = rng.normal(0, 0.3, (5, 24, 3))
    right = rest + rng.normal(0, 0.01, rest.shape)
    assert metrics.mpjpe(right, rest, root=0).max() < 0.05
    for wrong in (right[:, list(skeleton.flip)], right[:, rng.permutation(24)], 1000 * right):
        assert metrics.mpjpe(wrong, rest, root=0).min() > 0.1
    assert metrics.pa_mpjpe(1000 * right, rest).max() < 0.03  # hence the unit check of predictions
    assert metrics.pa_mpjpe(right[:, list(skeleton.flip)], rest).min() > 0.1


def test_mpjpe_roots(rng):
    truth = rng.normal(size=(2, 5, 17, 3))
    shift = np.array([0.3, 0.0, 0.4])
    np.testing.assert_allclose(metrics.mpjpe(truth + shift, truth), 0.5)
    assert metrics.mpjpe(truth + shift, truth, root=0).max() < 1e-12
    one = truth.copy()
    one[..., 1, 0] += 0.2  # one hip moves the middle of the hips by half of it
    hips = metrics.mpjpe(one, truth, root=(1, 4))
    np.testing.assert_allclose(hips, (16 * 0.1 + 0.1) / 17)
    assert hips.shape == (2, 5)
    np.testing.assert_allclose(metrics.pck(one, truth), 16 / 17)


def test_by_hand():
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    estimate = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    assert metrics.mpjpe(estimate, truth, root=0) == pytest.approx(2 / 3)
    assert metrics.n_mpjpe(estimate, truth) == pytest.approx(0, abs=1e-12)
    far = np.zeros((1, 4, 3))
    far[0, :, 0] = [0.0, 0.074, 0.149, 0.151]
    zero = np.zeros_like(far)
    assert metrics.pck(far, zero) == pytest.approx(0.75)
    # thresholds 0, 5, …, 150 mm: counted by hand, strictly nearer: 30, 16, 1 and 0 of the 31
    assert metrics.auc(far, zero) == pytest.approx((30 + 16 + 1) / (4 * 31))


def test_unseen_joints_do_not_count_even_if_nan(rng):
    truth = rng.normal(size=(4, 14, 3))
    estimate = truth + rng.normal(0, 0.1, truth.shape)
    visible = np.ones((4, 14), bool)
    visible[:, 3:6] = False
    holes = truth.copy()
    holes[:, 3:6] = np.nan
    keep = [i for i in range(14) if not 3 <= i < 6]
    for function, options in ((metrics.mpjpe, {"root": 0}), (metrics.pa_mpjpe, {}), (metrics.n_mpjpe, {"root": 0})):
        want = function(estimate[:, keep], truth[:, keep], **options)
        np.testing.assert_allclose(function(estimate, holes, visible=visible, **options), want, atol=1e-12)
    visible[1] = False
    got = metrics.pa_mpjpe(estimate, holes, visible=visible)
    assert np.isnan(got[1])
    assert np.isfinite(got[[0, 2, 3]]).all()


def test_nan_is_never_an_error_of_zero(rng):
    truth = rng.normal(size=(2, 14, 3))
    holes = truth.copy()
    holes[1, 5] = np.nan
    for got in (metrics.mpjpe(holes, truth), metrics.mpjpe(holes, truth, root=5), metrics.mve(holes, truth)):
        assert np.isnan(got[1])
    assert np.isfinite(metrics.mpjpe(holes, truth)[0])


def test_torch_gives_the_same_and_gradients(rng):
    torch = pytest.importorskip("torch", reason="metrics on tensors")
    a, b = rng.normal(size=(4, 14, 3)), rng.normal(size=(4, 14, 3))
    x = torch.tensor(a, requires_grad=True)
    value = metrics.pa_mpjpe(x, torch.tensor(b))
    np.testing.assert_allclose(value.detach(), metrics.pa_mpjpe(a, b), atol=1e-12)
    value.sum().backward()
    direction = rng.normal(size=a.shape)
    h = 1e-6
    want = (metrics.pa_mpjpe(a + h * direction, b) - metrics.pa_mpjpe(a - h * direction, b)).sum() / (2 * h)
    assert (x.grad.numpy() * direction).sum() == pytest.approx(want, rel=1e-6)
    visible = torch.tensor([[True] * 10 + [False] * 4] * 4)
    np.testing.assert_allclose(
        metrics.mpjpe(x.detach(), torch.tensor(b), root=0, visible=visible),
        metrics.mpjpe(a[:, :10], b[:, :10], root=0),
        atol=1e-12,
    )


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="17 joints, truth 14"):
        metrics.mpjpe(np.zeros((17, 3)), np.zeros((14, 3)))
    with pytest.raises(InputError, match="root is 20"):
        metrics.mpjpe(np.zeros((14, 3)), np.zeros((14, 3)), root=20)
    with pytest.raises(InputError, match="one per joint"):
        metrics.mpjpe(np.zeros((14, 3)), np.zeros((14, 3)), visible=np.ones(3, bool))
    with pytest.raises(InputError, match="threshold"):
        metrics.pck(np.zeros((14, 3)), np.zeros((14, 3)), threshold=0)
    with pytest.raises(InputError, match="needs root"):
        metrics.joint_distances(np.zeros((14, 3)), np.zeros((14, 3)), "root")
