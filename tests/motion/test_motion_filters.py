"""The zero-phase filter: no lag, no jumps of rotations, fair to uneven time stamps."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.motion.filters import smooth_rotations, smooth_vectors


def as_matrix(axis_angle: np.ndarray) -> np.ndarray:
    return np.asarray(rotations.axis_angle_to_matrix(axis_angle))


@pytest.fixture
def uneven(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.uniform(0.01, 0.08, 80))


def test_what_is_smooth_stays(uneven: np.ndarray) -> None:
    constant = np.broadcast_to(np.array([0.3, -1.0, 2.0]), (80, 3))
    np.testing.assert_allclose(smooth_vectors(constant, uneven, 0.1), constant, atol=1e-12)
    np.testing.assert_allclose(as_matrix(smooth_rotations(constant, uneven, 0.1)), as_matrix(constant), atol=1e-9)
    even = np.arange(80) / 30.0
    line = even[:, None] * np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(smooth_vectors(line, even, 0.1), line, atol=1e-9)
    np.testing.assert_allclose(smooth_rotations(line, even, 0.05)[:15], line[:15], atol=1e-3)


def test_no_lag(uneven: np.ndarray) -> None:
    """Running time backwards gives the same result backwards; ends stay where they are."""
    signal = np.sin(3 * uneven)[:, None] * np.ones(3)
    forward = smooth_vectors(signal, uneven, 0.1)
    backward = smooth_vectors(signal[::-1], uneven[-1] - uneven[::-1], 0.1)[::-1]
    np.testing.assert_allclose(forward, backward, atol=1e-12)
    np.testing.assert_allclose(forward[[0, -1]], signal[[0, -1]], atol=1e-12)


def test_noise_falls(rng: np.random.Generator) -> None:
    times = np.arange(300) / 30.0
    truth = np.stack([np.sin(times), 0.5 * np.cos(times), 2.8 + 0.3 * times], axis=-1)  # passes through half turns
    noisy = as_matrix(truth) @ as_matrix(0.1 * rng.normal(size=(300, 3)))
    smoothed = as_matrix(smooth_rotations(rotations.matrix_to_axis_angle(noisy), times, 0.06))
    before, after = (np.asarray(rotations.geodesic_angle(m, as_matrix(truth))).mean() for m in (noisy, smoothed))
    assert after < 0.55 * before


def test_rotations_do_not_care_for_their_chart_or_frame(rng: np.random.Generator) -> None:
    times = np.arange(60) / 30.0
    path = np.cumsum(0.1 * rng.normal(size=(60, 2, 3)), axis=0)
    smoothed = as_matrix(smooth_rotations(path, times, 0.08))
    length = np.linalg.norm(path, axis=-1, keepdims=True)
    other = path * (1.0 + 2.0 * np.pi / np.maximum(length, 1e-9) * (rng.random((60, 2, 1)) < 0.5))  # the same rotations
    np.testing.assert_allclose(as_matrix(smooth_rotations(other, times, 0.08)), smoothed, atol=1e-7)
    turn = as_matrix(np.array([2.0, -1.0, 0.4]))
    seen = rotations.matrix_to_axis_angle(turn @ as_matrix(path))
    np.testing.assert_allclose(as_matrix(smooth_rotations(seen, times, 0.08)), turn @ smoothed, atol=1e-7)


def test_a_burst_of_frames_does_not_outvote_the_rest() -> None:
    times = np.concatenate([np.arange(0.0, 1.0, 0.1), 1.0 + np.arange(50) * 1e-3, np.arange(1.1, 2.0, 0.1)])
    values = times[:, None] ** 2
    even = np.arange(0.0, 2.0, 0.1)
    expected = smooth_vectors(even[:, None] ** 2, even, 0.15)
    middle = smooth_vectors(values, times, 0.15)[10]
    assert abs(middle - expected[10]) < 0.02


def test_bad_times_are_refused() -> None:
    with pytest.raises(InputError, match="times"):
        smooth_vectors(np.zeros((4, 3)), np.arange(3.0), 0.1)
    with pytest.raises(InputError, match="backwards"):
        smooth_vectors(np.zeros((3, 3)), np.array([0.0, 2.0, 1.0]), 0.1)
    with pytest.raises(InputError, match="deviation"):
        smooth_vectors(np.zeros((3, 3)), np.arange(3.0), -1.0)


def test_short_signals_and_zero_deviation_are_unchanged(rng: np.random.Generator) -> None:
    for frames in (1, 2, 5):
        values, times = rng.normal(size=(frames, 3)), np.arange(float(frames))
        np.testing.assert_allclose(smooth_vectors(values, times, 0.0), values)
        if frames < 3:
            np.testing.assert_allclose(smooth_vectors(values, times, 5.0), values)
