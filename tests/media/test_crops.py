"""Crops: points and pixels take the same way there and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monocap.errors import InputError
from monocap.media import crops

ANGLES = st.floats(-7, 7)
SIZES = st.floats(4, 3000)
PLACES = st.floats(-500, 2000)


@given(PLACES, PLACES, SIZES, ANGLES, st.integers(8, 512), PLACES, PLACES)
def test_points_return(cx: float, cy: float, size: float, angle: float, out: int, x: float, y: float) -> None:
    matrix = crops.square_matrix(np.array([cx, cy]), size, angle, out)
    point = np.array([[x, y], [cx, cy]])
    there = crops.transform_points(matrix, point)
    np.testing.assert_allclose(there[1], (out - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(crops.transform_points(crops.invert(matrix), there), point, atol=1e-5)
    assert crops.scale_of(matrix) == pytest.approx(out / size)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 600), st.integers(1, 600))
def test_letterbox_touches_two_edges_and_is_centred(w: int, h: int, out_w: int, out_h: int) -> None:
    matrix = crops.letterbox_matrix(w, h, out_w, out_h)
    low, high = crops.transform_points(matrix, np.array([[-0.5, -0.5], [w - 0.5, h - 0.5]]))
    assert (low >= -0.5 - 1e-6).all()
    assert (high <= np.array([out_w, out_h]) - 0.5 + 1e-6).all()
    assert min((low + 0.5).min(), 1) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(low + 0.5, np.array([out_w, out_h]) - 0.5 - high, atol=1e-6)


def spot(width: int, height: int, x: float, y: float, radius: float = 6) -> np.ndarray:
    """A soft bright spot whose centre of mass is (x, y)."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    value = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.rint(value).astype(np.uint8)


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    weights = image.astype(float)
    rows, columns = np.indices(image.shape)
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("size", [40, 128, 200, 256, 333, 700, 1500])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, -2.5])
def test_pixels_land_where_points_do(size: float, angle: float) -> None:
    # from enlarging three times to shrinking twelve times, the latter through the averaging path
    place = np.array([401.3, 297.8])
    image = spot(800, 600, *place, radius=max(2.0, size / 30))
    matrix = crops.square_matrix(place + np.array([0.12, -0.07]) * size, size, angle, 128)
    crop = crops.warp(image, matrix, 128, 128)
    np.testing.assert_allclose(centre_of_mass(crop), crops.transform_points(matrix, place[None])[0], atol=0.15)


def test_identity_crop_is_the_picture(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    matrix = crops.square_matrix(np.array([31.5, 31.5]), 64, 0.0, 64)
    np.testing.assert_array_equal(crops.warp(image, matrix, 64, 64), image)
    quarter = crops.square_matrix(np.array([31.5, 31.5]), 64, np.pi / 2, 64)
    # turned clockwise by a quarter, the crop shows the picture turned back
    np.testing.assert_array_equal(crops.warp(image, quarter, 64, 64), np.rot90(image))


def test_shrinking_averages(rng: np.random.Generator) -> None:
    # noise of deviation 60 averaged over 10×10 pixels has deviation 6; picking pixels would keep 60
    image = np.clip(rng.normal(128, 60, (1000, 1000, 3)), 0, 255).astype(np.uint8)
    matrix = crops.letterbox_matrix(1000, 1000, 100, 100)
    assert crops.warp(image, matrix, 100, 100)[5:-5, 5:-5].std() < 9


def test_outside_is_border() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    matrix = crops.square_matrix(np.array([0.0, 0.0]), 100, 0.0, 100)
    crop = crops.warp(image, matrix, 100, 100, border=7)
    assert (crop[:45, :45] == 7).all()
    assert (crop[55:95, 55:95] == 200).all()
    assert (crops.warp(image, matrix, 100, 100, border=None) == 200).all()


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_mask_comes_back_where_it_was(angle: float) -> None:
    truth = cv2.circle(np.zeros((300, 400), np.float32), (190, 140), 60, (1.0,), -1)
    matrix = crops.square_matrix(np.array([200.0, 150.0]), 220, angle, 256)
    back = crops.unwarp(crops.warp(truth, matrix, 256, 256), matrix, 400, 300)
    assert back.shape == truth.shape
    both, either = ((back > 0.5) & (truth > 0.5)).sum(), ((back > 0.5) | (truth > 0.5)).sum()
    assert both / either > 0.98


@pytest.mark.parametrize(("center", "size"), [((0, np.nan), 10), ((0, 0), 0), ((0, 0), -3), ((0, 0), np.inf)])
def test_impossible_regions(center: tuple[float, float], size: float) -> None:
    with pytest.raises(InputError, match="no such crop"):
        crops.square_matrix(np.array(center), size, 0.0, 256)


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match="cannot be inverted"):
        crops.invert(np.zeros((2, 3)))
    with pytest.raises(InputError, match="cannot fit"):
        crops.letterbox_matrix(0, 10, 5, 5)
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), "picture"):
        with pytest.raises(InputError, match="RGB picture"):
            crops.check_image(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty"):
        crops.check_image(np.zeros((0, 4, 3), np.uint8))
