"""The One-Euro filter: causal, smooth at rest, prompt in motion, at home on rotations."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.motion.one_euro import OneEuro, OneEuroRotation


def run(filtered: OneEuro, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.stack([filtered(value, float(time)) for value, time in zip(values, times, strict=True)])


@pytest.mark.parametrize("kind", [OneEuro, OneEuroRotation])
def test_at_rest_it_calms_and_in_motion_it_follows(kind: type[OneEuro], rng: np.random.Generator) -> None:
    times = np.arange(120) / 30.0
    noise = 0.02 * rng.normal(size=(120, 3))
    calm = run(kind(0.5, 0.0), noise, times)
    assert calm[40:].std() < 0.45 * noise[40:].std()
    moving = np.clip(times[:, None] - 1.0, 0.0, 1.0) * np.array([2.0, 0.0, 0.0])
    slow, prompt = run(kind(0.5, 0.0), moving, times), run(kind(0.5, 2.0), moving, times)
    assert np.abs(prompt - moving).max() < 0.5 * np.abs(slow - moving).max()


@pytest.mark.parametrize("kind", [OneEuro, OneEuroRotation])
def test_the_future_does_not_matter_and_a_constant_stays(kind: type[OneEuro], rng: np.random.Generator) -> None:
    times = np.cumsum(rng.uniform(0.01, 0.06, 40))
    values = np.cumsum(0.1 * rng.normal(size=(40, 5, 3)), axis=0)
    whole, part = run(kind(), values, times), run(kind(), values[:20], times[:20])
    np.testing.assert_array_equal(whole[:20], part)
    still = np.broadcast_to(values[:1], values.shape)
    np.testing.assert_allclose(run(kind(), still, times), still, atol=1e-9)


def test_it_is_the_published_filter() -> None:
    """Against the paper's equations, written out for one number."""
    times, values = np.array([0.0, 0.03, 0.07, 0.1]), np.array([0.0, 1.0, 1.5, 0.5])
    smooth, speed, raw = 0.0, 0.0, 0.0

    def share(cutoff: float, passed: float) -> float:
        tau = 1.0 / (2.0 * np.pi * cutoff)
        return 1.0 / (1.0 + tau / passed)

    found = OneEuro(1.2, 0.4, 1.0)
    assert found(np.array([0.0]), 0.0) == 0.0
    for before, time, value in zip(times[:-1], times[1:], values[1:], strict=True):
        passed = time - before
        speed += share(1.0, passed) * ((value - raw) / passed - speed)
        raw = value
        smooth += share(1.2 + 0.4 * abs(speed), passed) * (value - smooth)
        np.testing.assert_allclose(found(np.array([value]), time), smooth, rtol=1e-12)


def test_a_turn_through_pi_is_followed() -> None:
    times = np.arange(60) / 30.0
    angle = np.linspace(2.5, 4.0, 60)  # passes π, where axis-angle jumps
    turns = np.asarray(rotations.matrix_to_axis_angle(rotations.axis_angle_to_matrix(angle[:, None] * [0.0, 1.0, 0.0])))
    out = run(OneEuroRotation(5.0, 0.5), turns, times)
    matrices = np.asarray(rotations.axis_angle_to_matrix(out))
    steps = np.asarray(rotations.geodesic_angle(matrices[1:], matrices[:-1]))
    assert steps.max() < 0.06


def test_wrong_use_is_refused_and_repeated_frames_change_nothing() -> None:
    with pytest.raises(InputError, match="least_cutoff"):
        OneEuro(0.0)
    filtered = OneEuro()
    first = filtered(np.zeros(3), 1.0)
    np.testing.assert_array_equal(filtered(np.ones(3), 1.0), first)
    with pytest.raises(InputError, match="reset"):
        filtered(np.zeros(4), 2.0)
    filtered.reset()
    np.testing.assert_array_equal(filtered(np.full(4, 3.0), 2.0), 3.0)
