"""Surfaces and pictures: by hand."""

import numpy as np
import pytest

from monocap import metrics
from monocap.errors import InputError
from monocap.metrics.image import COCO_SIGMAS


def test_mve_and_its_alignments(rng):
    truth = rng.normal(size=(2, 50, 3))
    shift = np.array([0.0, 0.3, 0.4])
    np.testing.assert_allclose(metrics.mve(truth + shift, truth), 0.5)
    np.testing.assert_allclose(metrics.mve(truth + shift, truth, truth[:, 0] + shift, truth[:, 0]), 0, atol=1e-12)
    assert metrics.pa_mve(2 * truth + shift, truth).max() < 1e-9
    assert metrics.pa_mve(truth * [-1, 1, 1], truth).min() > 0.1
    with pytest.raises(InputError, match="6890 vertices, truth 10475"):
        metrics.mve(np.zeros((6890, 3)), np.zeros((10475, 3)))
    with pytest.raises(InputError, match="only one of"):
        metrics.mve(truth, truth, truth[:, 0])


def test_pck_2d_absolute_and_relative():
    truth = np.zeros((2, 4, 2))
    estimate = truth.copy()
    estimate[:, :, 0] = [0, 4, 9, 30]
    np.testing.assert_allclose(metrics.pck_2d(estimate, truth, 5.0), 0.5)
    np.testing.assert_allclose(metrics.pck_2d(estimate, truth, 0.1, [100.0, 40.0]), [0.75, 0.5])
    visible = np.array([[True, True, False, False], [False] * 4])
    got = metrics.pck_2d(estimate, truth, 5.0, visible=visible)
    assert got[0] == 1.0
    assert np.isnan(got[1])
    np.testing.assert_allclose(metrics.pixel_error(estimate, truth), 43 / 4)
    with pytest.raises(InputError, match="not above 0"):
        metrics.pck_2d(estimate, truth, 0.1, [100.0, 0.0])


def test_sizes_of_people():
    assert metrics.head_size([0.0, 0.0, 30.0, 40.0]) == pytest.approx(30.0)
    assert metrics.box_size([10.0, 20.0, 40.0, 120.0]) == 100.0
    points = np.zeros((14, 2))
    points[9], points[2] = (3, 4), (0, 0)
    assert metrics.torso_size(points, 9, 2) == 5.0


def test_oks_is_one_for_the_truth_and_half_where_it_should_be(rng):
    truth = rng.uniform(0, 100, (17, 2))
    assert metrics.oks(truth, truth, 900.0) == 1.0
    sigma, area = COCO_SIGMAS[5], 900.0
    away = np.sqrt(2 * np.log(2) * area) * 2 * sigma  # where the gaussian of a shoulder is one half
    moved = truth.copy()
    moved[5, 0] += away
    assert metrics.oks(moved, truth, area) == pytest.approx((16 + 0.5) / 17)


def test_overlap():
    one, other = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    one[:5], other[3:8] = True, True
    assert metrics.mask_iou(one, other) == pytest.approx(2 / 8)
    assert metrics.mask_iou(one & False, other & False) == 1.0
    assert metrics.box_iou([0, 0, 10, 10], [5, 0, 15, 10]) == pytest.approx(1 / 3)
    np.testing.assert_allclose(metrics.box_iou(np.array([[0, 0, 1, 1], [0, 0, 4, 4]]), [2, 2, 4, 4]), [0, 0.25])
    with pytest.raises(InputError, match="same"):
        metrics.mask_iou(one, other[:5])
