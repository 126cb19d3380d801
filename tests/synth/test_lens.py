"""The lens on pictures whose change is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from monocap.errors import InputError
from monocap.render import Shot
from monocap.render.textures import LINEAR
from monocap.synth.lens import Film, develop
from monocap.types import Array


def shot(light: Array, coverage: Array | None = None, motion: Array | None = None) -> Shot:
    """A shot of given linear light (H,W,3); its backdrop is the same light."""
    light = np.ascontiguousarray(light, np.float32)
    shape = light.shape[:2]
    nobody = np.full(shape, -1, np.int16)
    return Shot(
        image=np.round(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8),
        depth=np.full(shape, np.inf, np.float32),
        normal=np.zeros((*shape, 3), np.float32),
        person=nobody,
        part=nobody,
        surface=nobody,
        radiance=light,
        behind=light.copy(),
        coverage=np.zeros(shape, np.float32) if coverage is None else coverage,
        motion=motion,
    )


def grey(value: float, side: int = 64) -> Array:
    return np.full((side, side, 3), value, np.float32)


def noisy(rng: np.random.Generator) -> Array:
    return rng.uniform(0, 1, (48, 56, 3)).astype(np.float32)


def test_no_film_is_the_rendered_picture(rng: np.random.Generator) -> None:
    made = shot(noisy(rng))
    out = develop(made, Film.none(), rng)
    np.testing.assert_array_equal(out, made.image)
    assert out is not made.image


def test_same_generator_same_picture(rng: np.random.Generator) -> None:
    made = shot(noisy(rng))
    for seed in range(5):
        pictures = []
        for _ in range(2):
            chance = np.random.default_rng(seed)
            pictures.append(develop(made, Film.random(chance), chance))
        np.testing.assert_array_equal(*pictures)
        assert pictures[0].shape == made.image.shape
        assert pictures[0].dtype == np.uint8


def test_random_films_are_valid_and_differ(rng: np.random.Generator) -> None:
    films = [Film.random(rng) for _ in range(500)]
    assert len({film.exposure for film in films}) == 500
    assert any(film.jpeg == 0 for film in films)
    assert min(film.jpeg for film in films if film.jpeg) >= 1
    assert set(films[0].describe()) == set(Film.__dataclass_fields__)


def test_one_stop_is_twice_the_light(rng: np.random.Generator) -> None:
    out = develop(shot(grey(0.2)), Film(exposure=1.0), rng)
    assert abs(LINEAR[out[30, 30]].mean() - 0.4) < 0.01


def test_automatic_exposure_brings_dark_and_bright_together(rng: np.random.Generator) -> None:
    dark, bright = (develop(shot(grey(v)), Film(auto=1.0), rng)[5, 5, 0] for v in (0.03, 0.7))
    assert abs(int(dark) - int(bright)) <= 8
    assert 90 < dark < 160


def test_noise_grows_with_light(rng: np.random.Generator) -> None:
    film = Film(photons=0.05, readout=0.004)
    spread = [LINEAR[develop(shot(grey(v, 128)), film, rng)].std() for v in (0.02, 0.2, 0.6)]
    assert spread[0] < 0.6 * spread[1] < 0.6 * spread[2]
    assert abs(spread[1] - np.hypot(0.004, 0.05 * np.sqrt(0.2))) < 0.002


def test_focus_is_on_the_surfaces(rng: np.random.Generator) -> None:
    light = noisy(rng)
    coverage = np.zeros(light.shape[:2], np.float32)
    coverage[10:30, 10:30] = 1
    sharp, soft = (develop(shot(light, coverage), Film(defocus=d, exposure=0.01), rng) for d in (0.0, 0.06))
    np.testing.assert_array_equal(sharp[10:30, 10:30], soft[10:30, 10:30])
    assert soft[:, 35:].std() < 0.5 * sharp[:, 35:].std()


def test_movement_smears_along_itself(rng: np.random.Generator) -> None:
    light, coverage = grey(0.0, 96), np.zeros((96, 96), np.float32)
    light[40:56, 40:56], coverage[40:56, 40:56] = 1.0, 1.0
    motion = np.zeros((96, 96, 2), np.float32)
    motion[coverage > 0] = (6.0, 0.0)
    made = replace(shot(light, coverage, motion), behind=grey(0.0, 96))
    out = develop(made, Film(motion=1.0), rng)
    rows, columns = np.nonzero(out[..., 0] > 5)
    assert (rows.min(), rows.max()) == (40, 55)
    assert columns.min() in (37, 38, 39)
    assert columns.max() in (56, 57, 58)
    still = develop(made, Film(motion=0.0, exposure=0.01), rng)
    assert np.nonzero(still[..., 0] > 5)[1].min() == 40


@pytest.mark.parametrize(
    "film", [Film(blur=1.5), Film(scale=0.5), Film(shake=(5.0, -3.0)), Film(jpeg=60), Film(sharpen=1.0)]
)
def test_nothing_moves(film: Film, rng: np.random.Generator) -> None:
    light = grey(0.02, 65)
    cv2.circle(light, (40, 25), 6, (0.8, 0.8, 0.8), -1)
    out = LINEAR[develop(shot(light), film, rng)].mean(-1) - 0.02
    out[out < 0.02] = 0
    y, x = np.mgrid[:65, :65]
    assert abs((out * x).sum() / out.sum() - 40) < 0.3
    assert abs((out * y).sum() / out.sum() - 25) < 0.3


def test_corners_get_less_light_and_warm_is_red(rng: np.random.Generator) -> None:
    out = LINEAR[develop(shot(grey(0.4)), Film(vignette=0.5), rng)][..., 1]
    assert abs(out[0, 0] - 0.2) < 0.01
    assert abs(out[32, 32] - 0.4) < 0.01
    warm = develop(shot(grey(0.4)), Film(warmth=0.5), rng)[5, 5].astype(int)
    assert warm[0] > warm[1] > warm[2]


def test_jpeg_quality_is_paid_in_errors(rng: np.random.Generator) -> None:
    made = shot(noisy(rng))
    errors = []
    for quality in (95, 60, 10):
        plain, packed = develop(made, Film(exposure=0.01), rng), develop(made, Film(exposure=0.01, jpeg=quality), rng)
        errors.append(np.abs(plain.astype(int) - packed).mean())
    assert 0 < errors[0] < errors[1] < errors[2]


def test_a_shot_that_was_read_back_is_developed_too(rng: np.random.Generator) -> None:
    made = replace(shot(noisy(rng)), radiance=None, behind=None, coverage=None)
    out = develop(made, Film(exposure=0.01, defocus=0.05, motion=1.0), rng)
    assert np.abs(out.astype(int) - made.image).mean() < 3


@pytest.mark.parametrize(
    "wrong", [{"jpeg": 200}, {"scale": 0.0}, {"vignette": -1}, {"blur": float("nan")}, {"shake": (1,)}]
)
def test_bad_strengths_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"film: {next(iter(wrong))}"):
        Film(**wrong)  # type: ignore[arg-type]
