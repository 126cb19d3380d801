"""Errors against the numbers of the official evaluation codes."""

import json

import numpy as np
import pytest

from monocap import metrics
from monocap.errors import InputError


@pytest.fixture
def reference(shared):
    return json.loads(shared("reference/reference_values.json").read_text())


def test_pa_mpjpe_is_spin_and_hmr2(reference):
    values = reference["pa_mpjpe"]
    got = metrics.pa_mpjpe(np.array(values["S1"]), np.array(values["S2"]))
    np.testing.assert_allclose(got, values["SPIN per-sample (same unit)"], atol=1e-7)
    np.testing.assert_allclose(got, values["HMR2"], atol=1e-7)


def test_acceleration_is_vibe(reference):
    values = reference["accel"]
    estimate, truth = np.array(values["pred"]), np.array(values["gt"])
    np.testing.assert_allclose(metrics.accel(estimate), values["compute_accel(pred)"], atol=1e-7)
    np.testing.assert_allclose(metrics.accel_error(estimate, truth), values["compute_error_accel"], atol=1e-7)
    seen = metrics.accel_error(estimate, truth, np.array(values["vis"], dtype=bool))
    np.testing.assert_allclose(seen, values["error_accel_vis"], atol=1e-7)


def test_pa_mpjpe_ignores_similarities_and_never_mirrors(rng):
    from scipy.spatial.transform import Rotation

    truth = rng.normal(size=(3, 14, 3))
    moved = 0.4 * truth @ Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix().T + np.array([1.0, -2.0, 5.0])
    assert metrics.pa_mpjpe(moved, truth).max() < 1e-12
    assert metrics.pa_mpjpe(truth * [-1, 1, 1], truth).min() > 0.05
    assert (metrics.pa_mpjpe(truth + rng.normal(0, 0.1, truth.shape), truth) > 0.01).all()


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
    near = metrics.pck(one, truth)
    np.testing.assert_allclose(near, 16 / 17)


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


def test_unequal_sets_are_refused():
    with pytest.raises(InputError, match="17 joints, truth 14"):
        metrics.mpjpe(np.zeros((17, 3)), np.zeros((14, 3)))
    with pytest.raises(InputError, match="at least 3 frames"):
        metrics.accel(np.zeros((2, 14, 3)))
