"""Time, ground and world: against VIBE's numbers, and by hand."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from monocap import metrics
from monocap.errors import InputError


def test_acceleration_is_vibe(shared):
    values = json.loads(shared("reference/reference_values.json").read_text())["accel"]
    estimate, truth = np.array(values["pred"]), np.array(values["gt"])
    np.testing.assert_allclose(metrics.accel(estimate), values["compute_accel(pred)"], atol=1e-7)
    np.testing.assert_allclose(metrics.accel_error(estimate, truth), values["compute_error_accel"], atol=1e-7)
    seen = metrics.accel_error(estimate, truth, np.array(values["vis"], dtype=bool))
    np.testing.assert_allclose(seen, values["error_accel_vis"], atol=1e-7)


def test_derivatives_of_polynomials():
    t = np.arange(40) / 20.0  # 20 frames per second
    fall = np.zeros((40, 3, 3))
    fall[:, :, 1] = (0.5 * 9.81 * t**2)[:, None]
    np.testing.assert_allclose(metrics.accel(fall, fps=20), 9.81, atol=1e-9)
    np.testing.assert_allclose(metrics.accel(fall), 9.81 / 400, atol=1e-12)
    np.testing.assert_allclose(metrics.jitter(fall, fps=20), 0, atol=1e-8)
    cubic = np.zeros((40, 3, 3))
    cubic[:, :, 0] = (2 * t**3)[:, None]
    np.testing.assert_allclose(metrics.jitter(cubic, fps=20), 12.0, atol=1e-7)
    np.testing.assert_allclose(metrics.accel_error(cubic + fall, cubic, fps=20), 9.81, atol=1e-8)


def test_feet():
    feet = np.zeros((5, 2, 3))
    feet[:, 0, 0] = [0, 0, 0, 0.1, 0.2]  # stands, then walks on
    contact = metrics.foot_contact(feet, fps=30)
    assert contact.tolist() == [[True, True], [True, True], [False, True], [False, True]]
    estimate = feet.copy()
    estimate[:, 0, 2] = [0, 0.03, 0.06, 0.06, 0.06]
    assert metrics.foot_skate(estimate, contact) == pytest.approx(0.06 / 6)
    assert metrics.foot_skate(estimate, contact, fps=30) == pytest.approx(0.3)
    assert np.isnan(metrics.foot_skate(estimate, contact & False))
    sunk = np.full((3, 2, 3), 0.2)
    sunk[1, 0, 1] = -0.05
    np.testing.assert_allclose(metrics.floor_penetration(sunk), [0, 0.05, 0])


def path(rng, frames=230):
    steps = np.cumsum(rng.normal([0.03, 0, 0], 0.02, (frames, 1, 3)), axis=0)
    return steps + rng.normal(0, 0.3, (1, 24, 3)) + rng.normal(0, 0.02, (frames, 24, 3))


def test_world_errors_ignore_the_frame_of_reference(rng):
    truth = path(rng)
    turned = truth @ Rotation.from_rotvec([0.1, 2.0, -0.4]).as_matrix().T + [3.0, -1, 2]
    for function in (metrics.wa_mpjpe, metrics.w_mpjpe):
        assert function(turned, truth).shape == (230,)
        assert function(turned, truth).max() < 1e-9
    assert metrics.rte(turned[:, 0], truth[:, 0]).max() < 1e-9
    assert metrics.w_mpjpe(1.3 * turned, truth).max() < 1e-9
    assert metrics.w_mpjpe(1.3 * turned, truth, with_scale=False).mean() > 0.1


def test_drift_shows_in_w_and_less_in_wa(rng):
    truth = path(rng, 100)
    drift = truth.copy()
    drift[..., 2] += 0.01 * np.arange(100)[:, None]
    wa, w = metrics.wa_mpjpe(drift, truth).mean(), metrics.w_mpjpe(drift, truth).mean()
    assert w > 2 * wa > 0
    assert w == pytest.approx(0.5, abs=0.1)  # about half of the 1 m at its end
    assert metrics.w_mpjpe(drift, truth)[:2].max() < 0.01


def test_segments_are_aligned_apart(rng):
    truth = path(rng, 200)
    estimate = truth.copy()
    estimate[100:] += [5.0, 0, 0]
    assert metrics.wa_mpjpe(estimate, truth).max() < 1e-9
    assert metrics.wa_mpjpe(estimate, truth, segment=200).mean() > 0.5
    assert len(metrics.wa_mpjpe(truth[:101], truth[:101])) == 101  # a single last frame joins the segment before


def test_rte_by_hand():
    truth = np.zeros((11, 3))
    truth[:, 0] = np.arange(11)
    estimate = 1.1 * truth  # 10 % too long: ±0.5 m at the ends after the best rigid alignment
    np.testing.assert_allclose(metrics.rte(estimate, truth), np.abs(truth[:, 0] - 5) / 100, atol=1e-12)
    with pytest.raises(InputError, match="moves"):
        metrics.rte(0 * truth, 0 * truth)


def test_too_short_is_refused():
    with pytest.raises(InputError, match="at least 3 frames"):
        metrics.accel(np.zeros((2, 14, 3)))
    with pytest.raises(InputError, match="at least 4 frames"):
        metrics.jitter(np.zeros((3, 14, 3)))
    with pytest.raises(InputError, match="at least 2"):
        metrics.wa_mpjpe(np.zeros((1, 14, 3)), np.zeros((1, 14, 3)))
    with pytest.raises(InputError, match="fps"):
        metrics.accel(np.zeros((4, 14, 3)), fps=0)
