"""Cameras guessed: EXIF, lines of rooms with known cameras, what is combined, and that chaos says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from monocap.errors import InputError
from monocap.geometry.cameras import default_focal
from monocap.media.exif import Lens, lens_of
from monocap.perception import field_of_view
from monocap.perception.field_of_view import CameraGuess, combine, guess_camera, tilt_of, typical, up_of
from monocap.perception.line_segments import line_segments
from monocap.perception.vanishing import vanishing
from monocap.types import Array

WIDTH, HEIGHT = 640, 480


def frame(pitch: float, roll: float, yaw: float) -> Array:
    """(3,3) rows: up and two level directions of a room in the camera."""
    up = up_of(pitch, roll)
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    ahead /= np.linalg.norm(ahead)
    side = np.cross(up, ahead)
    c, s = math.cos(yaw), math.sin(yaw)
    return np.stack([up, c * ahead + s * side, c * side - s * ahead])


def room_lines(focal: float, axes: Array, rng: np.random.Generator, noise: float = 0.5, count: int = 60) -> Array:
    """(N,4) px: segments along the room's directions, seen by a pinhole, with ``noise`` px at their ends."""
    lines = []
    while len(lines) < count:
        start = rng.uniform([-3, -2, 2], [3, 2, 8])
        end = start + rng.uniform(0.6, 2.0) * axes[len(lines) % 3]
        if min(start[2], end[2]) < 0.5:
            continue
        flat = np.array([p[:2] / p[2] * focal + [(WIDTH - 1) / 2, (HEIGHT - 1) / 2] for p in (start, end)])
        if (flat < 0).any() or (flat > [WIDTH, HEIGHT]).any() or np.linalg.norm(flat[1] - flat[0]) < 25:
            continue
        lines.append((flat + rng.normal(0, noise, (2, 2))).ravel())
    return np.array(lines)


@pytest.mark.parametrize(
    ("focal", "pitch", "roll", "yaw"),
    [(500.0, -12, 2, 30), (800.0, 8, -3, 50), (430.0, -25, 0, 20), (1100.0, 5, 4, 40)],
)
def test_lines_of_a_room_tell_lens_and_tilt(focal: float, pitch: float, roll: float, yaw: float, rng) -> None:
    axes = frame(*np.radians([pitch, roll, yaw]))
    found = vanishing(room_lines(focal, axes, rng), WIDTH, HEIGHT, math.log(0.9), 0.35)
    assert found is not None
    off = math.log(found.focal * WIDTH / focal)
    assert abs(off) < 0.08
    assert abs(off) < 3 * found.log_sigma
    assert found.log_sigma < 0.12
    assert math.degrees(found.pitch) == pytest.approx(pitch, abs=1.5)
    assert math.degrees(found.roll) == pytest.approx(roll, abs=0.7)
    assert (found.way >= 0).mean() > 0.9


def test_half_of_the_lines_may_be_anything(rng) -> None:
    axes = frame(*np.radians([-10.0, 1.0, 35.0]))
    noise = rng.uniform([0, 0, 0, 0], [WIDTH, HEIGHT, WIDTH, HEIGHT], (50, 4))
    found = vanishing(np.concatenate([room_lines(600.0, axes, rng), noise]), WIDTH, HEIGHT, math.log(0.9), 0.35)
    assert found is not None
    assert abs(math.log(found.focal * WIDTH / 600)) < 0.1
    assert found.way[:60].min(initial=5) >= -1
    assert (found.way[:60] >= 0).mean() > 0.85


def test_a_wall_seen_straight_on_says_little_of_the_lens(rng) -> None:
    """Upright and level lines parallel to the picture meet nowhere, whatever the focal length."""
    x, y = rng.uniform(60, 560, 20), rng.uniform(60, 400, 20)
    upright = np.column_stack([x, y, x, y + 60])
    level = np.column_stack([x, y, x + 60, y])
    found = vanishing(np.concatenate([upright, level]), WIDTH, HEIGHT, math.log(0.9), 0.35)
    assert found is not None
    assert found.log_sigma > 0.2
    assert abs(math.degrees(found.roll)) < 1


def test_lines_of_any_direction_say_nothing(rng) -> None:
    told = 0
    for _ in range(5):
        start, turn = rng.uniform([50, 50], [590, 430], (40, 2)), rng.uniform(0, np.pi, 40)
        chaos = np.column_stack([start, start + 40 * np.column_stack([np.cos(turn), np.sin(turn)])])
        found = vanishing(chaos, WIDTH, HEIGHT, math.log(0.9), 0.35)
        told += found is not None and found.log_sigma < 0.25
    assert told == 0
    assert vanishing(np.zeros((0, 4)), WIDTH, HEIGHT, math.log(0.9), 0.35) is None


def drawn_room(focal: float, axes: Array) -> Array:
    """(480,640,3) uint8: a tiled floor, walls and ceiling, ray by ray."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(x - (WIDTH - 1) / 2) / focal, (y - (HEIGHT - 1) / 2) / focal, np.ones((HEIGHT, WIDTH))], axis=-1)
    room = rays @ axes.T  # up, and the two level directions
    low, high = np.array([-1.5, -4.0, -3.0]), np.array([1.3, 5.0, 3.5])
    with np.errstate(divide="ignore"):
        far = np.where(room > 0, high / room, low / room)
    wall = far.argmin(axis=-1)
    at = room * far.min(axis=-1)[..., None]
    tiles = np.floor(at / 0.7).sum(axis=-1) % 2  # of the two directions along the wall; across it, constant
    shade = 90 + 40 * wall + 50 * tiles
    return np.repeat(shade[..., None], 3, axis=-1).astype(np.uint8)


def test_a_picture_of_a_room_tells_its_camera() -> None:
    axes = frame(*np.radians([-14.0, 2.0, 33.0]))
    image = drawn_room(520.0, axes)
    segments = line_segments(image, threads=1)
    assert len(segments) > 20
    guess = guess_camera(image, threads=1)
    assert abs(math.log(guess.focal / 520)) < 0.12
    assert guess.log_sigma < 0.25
    assert "vanishing lines" in guess.source
    assert guess.pitch is not None
    assert guess.roll is not None
    assert math.degrees(guess.pitch) == pytest.approx(-14, abs=2)
    assert math.degrees(guess.roll) == pytest.approx(2, abs=1)
    sure = guess_camera(image, Lens(520.0 * 2, 0.04, "EXIF, 29 mm equivalent"), stored_width=2 * WIDTH, threads=1)
    assert abs(math.log(sure.focal / 520)) < 0.05
    assert sure.log_sigma <= 0.04
    assert "EXIF" in sure.source


def test_people_can_be_left_out_of_the_lines() -> None:
    image = drawn_room(520.0, frame(*np.radians([-14.0, 2.0, 33.0])))
    box = np.array([[200.0, 100.0, 440.0, 400.0]])
    middle = line_segments(image, box, threads=1).reshape(-1, 2, 2).mean(axis=1)
    assert not ((middle >= box[0, :2]) & (middle <= box[0, 2:])).all(axis=1).any()
    assert len(middle) < len(line_segments(image, threads=1))


def test_a_blank_picture_gives_the_usual_lens() -> None:
    guess = guess_camera(np.full((300, 400, 3), 128, np.uint8), threads=1)
    assert guess.focal == pytest.approx(default_focal(400, 300))
    assert guess.source == field_of_view.TYPICAL
    assert guess.pitch is None


def guess(focal: float, sigma: float, **more) -> CameraGuess:
    return CameraGuess(focal, sigma, more.get("pitch"), more.get("roll"), more.get("tilt"), more.get("source", "x"))


def test_guesses_are_weighed_by_certainty() -> None:
    both = combine([guess(1000, 0.1), guess(1200, 0.2)])
    assert math.log(both.focal) == pytest.approx(0.8 * math.log(1000) + 0.2 * math.log(1200))
    assert both.log_sigma == pytest.approx((0.1**-2 + 0.2**-2) ** -0.5)
    assert combine([guess(1000, 0.1)]).log_sigma == pytest.approx(0.1)
    against = combine([guess(1000, 0.05, source="sure"), guess(2000, 0.1, source="wrong")])
    assert against.focal == pytest.approx(1000)
    assert against.log_sigma > 0.05
    assert against.source == "sure"
    strained = combine([guess(1000, 0.1), guess(1350, 0.1)])
    assert strained.log_sigma > 0.1 / math.sqrt(2)
    tilted = combine([guess(1000, 0.1), guess(1000, 0.5, pitch=0.2, roll=-0.1, tilt=0.02)])
    assert tilted.pitch == pytest.approx(0.2)
    assert tilted.roll == pytest.approx(-0.1)
    assert tilted.tilt_sigma == pytest.approx(0.02)
    with pytest.raises(InputError, match="at least one"):
        combine([])
    with pytest.raises(InputError, match="above 0"):
        guess(-1, 0.1)


def test_tilt_and_up_are_inverse(rng) -> None:
    for pitch, roll in rng.uniform(-1.2, 1.2, (20, 2)):
        assert tilt_of(3.0 * up_of(pitch, roll)) == pytest.approx((pitch, roll))
    assert up_of(0.0, 0.0) == pytest.approx([0, -1, 0])  # y is down
    assert up_of(0.3, 0.0)[2] > 0, "looking up, the sky comes nearer to straight ahead"
    assert up_of(0.0, 0.3)[0] < 0, "the camera turned clockwise, the world leans to the left"


def exif(size: tuple[int, int], **tags: float) -> Lens | None:
    names = {"equivalent": 0xA405, "mm": 0x920A, "density": 0xA20E, "width": 0xA002, "height": 0xA003, "zoom": 0xA404}
    image = Image.new("RGB", size)
    image.getexif().get_ifd(0x8769).update({names[name]: value for name, value in tags.items()})
    return lens_of(image)


def test_exif_of_whole_shrunk_and_cropped_pictures() -> None:
    whole = exif((4000, 3000), equivalent=26, width=4000, height=3000)
    assert whole is not None
    assert whole.focal == pytest.approx(26 / 43.2666 * 5000, rel=1e-4)
    assert whole.sure
    small = exif((400, 300), equivalent=26, width=4000, height=3000)
    assert small is not None
    assert small.focal == pytest.approx(whole.focal / 10)
    assert small.sure
    turned = exif((3000, 4000), equivalent=26, width=4000, height=3000)
    assert turned is not None
    assert turned.focal == pytest.approx(whole.focal)
    # one side is whole: the picture was cropped and not made smaller
    cut = exif((2000, 3000), equivalent=26, width=4000, height=3000)
    assert cut is not None
    assert cut.cropped
    assert cut.focal == pytest.approx(whole.focal)
    assert cut.sure
    # cropped, and perhaps made smaller by up to two: every size between is possible
    unsure = exif((1000, 1500), equivalent=26, width=4000, height=3000)
    assert unsure is not None
    assert whole.focal / 2 < unsure.focal < whole.focal
    assert unsure.log_sigma > 0.15
    assert not unsure.sure
    zoomed = exif((4000, 3000), equivalent=52, width=4000, height=3000, zoom=2.0)
    assert zoomed is not None
    assert zoomed.log_sigma > 0.2
    assert exif((4000, 3000), mm=4.2) is None
    assert exif((400, 300), equivalent=60000) is None


def test_the_usual_lens() -> None:
    assert typical(1280, 720).focal == pytest.approx(1152)
    assert typical(720, 1280).focal == pytest.approx(1152)
