"""Backdrops agree with the camera that they stand before, repeat themselves, and name files that are no pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap.errors import InputError, MediaError
from monocap.synth import backgrounds, backgrounds_tiles, props
from monocap.synth.backgrounds_places import FAMILIES
from monocap.types import Camera

SIDE = 96


def camera(focal: float = 110.0, width: int = SIDE, height: int = SIDE) -> Camera:
    return Camera(focal, focal, width / 2 - 0.5, height / 2 - 0.5, width, height)


def tilted(angle: float) -> np.ndarray:
    """Up for a camera that looks down by ``angle``."""
    return np.array([0.0, -np.cos(angle), -np.sin(angle)])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("shape", [(96, 96), (120, 64), (40, 130)])
def test_backdrop_has_the_cameras_size_and_repeats(split: str, shape: tuple[int, int]) -> None:
    view = camera(110.0, *shape)
    for number in range(6):
        one = backgrounds.backdrop(np.random.default_rng(number), view, tilted(0.1), 1.4, split)
        two = backgrounds.backdrop(np.random.default_rng(number), view, tilted(0.1), 1.4, split)
        assert one.image.shape == (shape[1], shape[0], 3)
        assert one.image.dtype == np.uint8
        np.testing.assert_array_equal(one.image, two.image)
        assert one.name == two.name
        assert one.name in FAMILIES[split]
        assert one.image.std() > 2
        lights = backgrounds.room_lights(np.random.default_rng(1), one, tilted(0.1))
        assert lights.lamps
        for lamp in lights.lamps:
            assert np.linalg.norm(lamp.towards) == pytest.approx(1.0, abs=1e-6)


def test_floor_is_below_the_horizon_and_its_plane_is_right() -> None:
    for number in range(12):
        angle = 0.15
        up, view = tilted(angle), camera()
        found = backgrounds.backdrop(np.random.default_rng(number), view, up, 1.5)
        assert found.floor is not None
        n, d = np.array(found.floor[:3]), found.floor[3]
        foot = -1.5 * up + np.array([0.0, 0.0, 3.0]) - np.dot([0, 0, 3.0], up) * up
        assert n @ foot + d == pytest.approx(0.0, abs=1e-9)
        horizon = view.cy - view.fy * np.tan(angle)
        rows = np.flatnonzero((found.floor_mask > 0.5).any(axis=1))
        assert len(rows)
        assert rows.min() > horizon - 1
    assert backgrounds.backdrop(np.random.default_rng(0), camera(), tilted(0.1), None).floor is None


def test_looking_straight_down_and_up_is_no_trouble() -> None:
    for up in ([0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]):
        for number in range(6):
            found = backgrounds.backdrop(np.random.default_rng(number), camera(), np.array(up), 1.5)
            assert found.image.shape == (SIDE, SIDE, 3)


def test_kinds_of_places_and_things_are_split() -> None:
    assert not set(FAMILIES["train"]) & set(FAMILIES["test"])
    assert not np.array_equal(backgrounds_tiles.stack("train")[0], backgrounds_tiles.stack("test")[0])
    with pytest.raises(InputError, match="nowhere"):
        backgrounds.backdrop(np.random.default_rng(0), camera(), tilted(0), 1.0, "nowhere")


def test_a_users_pictures_are_used(tmp_path: Path) -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[..., 2] = 200  # red: OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    found = backgrounds.backdrop(np.random.default_rng(0), camera(), tilted(0), 1.5, folder=tmp_path)
    assert found.name == "red.png"
    assert (found.image == [200, 0, 0]).all()
    lights = backgrounds.room_lights(np.random.default_rng(0), found, tilted(0))
    assert lights.sky[0] > lights.sky[2]


def test_hostile_folders_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="absent"):
        backgrounds.backdrop(rng, camera(), tilted(0), 1.5, folder=tmp_path / "absent")
    with pytest.raises(InputError, match="holds no pictures"):
        backgrounds.backdrop(rng, camera(), tilted(0), 1.5, folder=tmp_path)
    room = tmp_path / "mixed"
    room.mkdir()
    cv2.imwrite(str(room / "a.png"), np.zeros((20, 20, 3), np.uint8))
    (room / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"notes\.txt"):
        backgrounds.backdrop(rng, camera(), tilted(0), 1.5, folder=room)
    broken = tmp_path / "broken"
    broken.mkdir()
    good = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))[1].tobytes()
    (broken / "half.png").write_bytes(good[: len(good) // 2])
    with pytest.raises(MediaError, match=r"half\.png"):
        backgrounds.backdrop(rng, camera(), tilted(0), 1.5, folder=broken)


@pytest.mark.parametrize("split", ["train", "test"])
def test_props_stand_on_the_floor_clear_of_people(split: str) -> None:
    up = tilted(0.2)
    foot = -1.4 * up + 4.0 * np.array([0.0, np.sin(0.2) * -1, np.cos(0.2)])
    person = foot + np.array([[-0.3, -1.7, -0.3], [0.3, 0.0, 0.3]])
    found = 0
    for number in range(30):
        rng = np.random.default_rng(number)
        for thing in props.props(rng, props.Extent(person[None], up, 1.4), split):
            found += 1
            points = np.asarray(thing.vertices)
            height = points @ up + 1.4
            assert -0.01 < height.min() < 0.06
            assert thing.person == -1
            assert np.isfinite(points).all()
            assert points[:, 2].min() > 0.05
            assert thing.faces.max() < len(points)
            aside = points - person.mean(axis=0)
            aside -= (aside @ up)[:, None] * up
            assert np.linalg.norm(aside, axis=1).min() > 0.02
    assert found > 20
    assert props.props(np.random.default_rng(0), props.Extent(person[None], up, None), split) == ()
    assert props.props(np.random.default_rng(0), props.Extent(np.zeros((0, 2, 3)), up, 1.4), split) == ()
