"""Tiles of attention: bright where a token looks, dark elsewhere, whatever the crop's shape."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.render.attention import attention_sheet


def test_a_tile_is_bright_where_its_token_looks(rng):
    crop = rng.integers(60, 200, (256, 192, 3), dtype=np.uint8)
    attention = np.zeros((3, 16, 16), np.float32)
    places = [(2, 3), (12, 4), (7, 13)]
    for k, (y, x) in enumerate(places):
        attention[k, y, x] = 0.01 * (k + 1)
    sheet = attention_sheet(crop, attention, ["a", "b", "c"], columns=2, side=160)
    assert sheet.shape == (320, 320, 3)
    assert sheet.dtype == np.uint8
    for k, (y, x) in enumerate(places):
        tile = sheet[160 * (k // 2) :, 160 * (k % 2) :][:140, :160].astype(float)
        orange = tile[..., 0] - tile[..., 2]
        row, column = np.unravel_index(orange.argmax(), orange.shape)
        assert abs(row - 10 * (y + 0.5)) < 8
        assert abs(column - 10 * (x + 0.5)) < 8
    assert not sheet[160:, 160:].any()


def test_looking_everywhere_is_dim_and_looking_somewhere_bright():
    crop = np.full((64, 64, 3), 128, np.uint8)
    attention = np.stack([np.full((8, 8), 1 / 64), np.eye(8) / 8, np.zeros((8, 8))])
    sheet = attention_sheet(crop, attention, ["", "", ""], side=64).astype(int)
    everywhere, diagonal, nowhere = (
        sheet[:, k * 64 : k * 64 + 64, 0] - sheet[:, k * 64 : k * 64 + 64, 2] for k in range(3)
    )
    assert 0 < everywhere.max() < diagonal.max() / 2
    assert np.ptp(everywhere) == 0
    assert not nowhere.any()


def test_joints_are_marked_even_far_outside():
    crop = np.full((64, 64, 3), 90, np.uint8)
    plain = attention_sheet(crop, np.ones((2, 4, 4)), ["a", "b"], side=100)
    marked = attention_sheet(crop, np.ones((2, 4, 4)), ["a", "b"], np.array([[0.0, -0.5], [1e9, -3.0]]), side=100)
    changed = np.argwhere((plain != marked).any(-1))
    assert np.abs(changed - [25, 50]).max() <= 4


def test_what_does_not_fit_is_told():
    crop = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=r"expected \(h, w, 3\) uint8"):
        attention_sheet(crop.astype(float), np.ones((1, 4, 4)), ["a"])
    with pytest.raises(InputError, match="for 2 names"):
        attention_sheet(crop, np.ones((1, 4, 4)), ["a", "b"])
    with pytest.raises(InputError, match="negative or not finite"):
        attention_sheet(crop, -np.ones((1, 4, 4)), ["a"])
    with pytest.raises(InputError, match="points of shape"):
        attention_sheet(crop, np.ones((1, 4, 4)), ["a"], np.zeros((2, 2)))
