"""What a camera does to a picture: focus, movement, exposure, noise, tone, sharpening, scale and JPEG.

The order is that of light through a camera. In linear light: the backdrop out of focus, movement during the exposure,
fall-off towards the corners, exposure and white balance, noise of photons and of reading out; then the tone curve,
sharpening, a smaller picture made large again, and JPEG. Nothing moves the pixels' geometry, so the truth still fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numba import njit

from monocap.errors import InputError
from monocap.render.scene import Shot
from monocap.render.textures import LINEAR, SRGB
from monocap.types import Array

MOTION_TAPS = 9
MAX_MOTION = 0.08  # of the picture's longer side: longer streaks would no longer fit the truth


@dataclass(frozen=True)
class Film:
    """Strengths of what a camera does; the defaults do nothing at all.

    ``exposure`` in stops; ``auto`` 0–1, how far the camera itself brings the picture's mean light to middle grey;
    ``warmth`` of the white balance, -1 (blue) to 1 (orange), and ``tint``, -1 (green) to 1 (magenta); ``contrast`` and
    ``saturation`` 1 = unchanged; ``shoulder`` 0–1, how softly bright parts saturate; ``vignette`` share of light lost
    in the corners; ``defocus`` of the backdrop, its blur's radius as a share of the picture's longer side; ``blur`` of
    the whole picture, standard deviation in pixels; ``shake`` (2,) movement of the camera during the exposure in
    pixels; ``motion`` factor on the scene's own velocities; ``photons`` and ``readout``: standard deviation of noise
    at white and at black, as a share of white; ``grain`` standard deviation in pixels that noise is smoothed by;
    ``sharpen`` amount of unsharp masking; ``scale`` 0–1 of the side that the picture is taken at before it is made
    large again; ``jpeg`` quality 1–100, 0 for none.
    """

    exposure: float = 0.0
    auto: float = 0.0
    warmth: float = 0.0
    tint: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    shoulder: float = 0.0
    vignette: float = 0.0
    defocus: float = 0.0
    blur: float = 0.0
    shake: tuple[float, float] = (0.0, 0.0)
    motion: float = 0.0
    photons: float = 0.0
    readout: float = 0.0
    grain: float = 0.0
    sharpen: float = 0.0
    scale: float = 1.0
    jpeg: int = 0

    def __post_init__(self) -> None:
        limits = {
            "exposure": (-6, 6), "auto": (0, 1), "warmth": (-1, 1), "tint": (-1, 1), "contrast": (0.1, 4),
            "saturation": (0, 4), "shoulder": (0, 1), "vignette": (0, 1), "defocus": (0, 0.2), "blur": (0, 50),
            "motion": (0, 100), "photons": (0, 1), "readout": (0, 1), "grain": (0, 10), "sharpen": (0, 5),
            "scale": (0.02, 1), "jpeg": (0, 100),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"film: {name} is {value}; expected {low} to {high}")
        if len(self.shake) != 2 or not np.isfinite(self.shake).all():
            raise InputError(f"film: shake is {self.shake}; expected two numbers, pixels")

    @classmethod
    def none(cls) -> Film:
        """A camera that does nothing."""
        return cls()

    @classmethod
    def random(cls, rng: np.random.Generator) -> Film:
        """Strengths as phones, video calls and better cameras have them, drawn by ``rng``."""
        dark = rng.random() ** 2  # poor light: noise, longer exposures, smoothing
        turn, length = rng.uniform(0, 2 * math.pi), rng.exponential(1.0) if rng.random() < 0.15 + 0.35 * dark else 0.0
        return cls(
            exposure=float(np.clip(rng.normal(0.1, 0.4), -1.5, 1.5)),
            auto=float(rng.uniform(0.3, 1.0)),
            warmth=float(np.clip(rng.normal(0.0, 0.28), -1, 1)),
            tint=float(np.clip(rng.normal(0.0, 0.12), -1, 1)),
            contrast=float(np.clip(rng.normal(1.08, 0.12), 0.75, 1.5)),
            saturation=float(np.clip(rng.normal(0.95, 0.16), 0.3, 1.5)) if rng.random() > 0.03 else 0.0,
            shoulder=float(rng.uniform(0.2, 0.9)),
            vignette=float(rng.uniform(0, 0.35)) if rng.random() < 0.5 else 0.0,
            defocus=float(rng.gamma(1.2, 0.006)) if rng.random() < 0.6 else 0.0,
            blur=float(rng.gamma(2.0, 0.2)),
            shake=(float(length * math.cos(turn)), float(length * math.sin(turn))),
            motion=float(rng.uniform(0.0, 1.0)),
            photons=float(0.006 + 0.05 * dark * rng.random()),
            readout=float(0.0015 + 0.012 * dark * rng.random()),
            grain=float(rng.uniform(0.0, 0.9)),
            sharpen=float(rng.uniform(0.0, 0.9)) if rng.random() < 0.7 else 0.0,
            scale=float(rng.uniform(0.4, 1.0)) if rng.random() < 0.25 else 1.0,
            jpeg=int(rng.integers(35, 97)) if rng.random() < 0.85 else 0,
        )

    def describe(self) -> dict[str, Any]:
        """The strengths by name, plain numbers, for a sample's label."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


_NOTHING = Film()
_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of red, green and blue in brightness
_MIDDLE = 0.18  # linear light of middle grey
_STEPS = 8192  # of the tone curve


def develop(shot: Shot, film: Film, rng: np.random.Generator) -> Array:
    """The picture (H,W,3) uint8 sRGB that a camera would have kept of ``shot``; deterministic for a given ``rng``.

    A shot without ``radiance`` (one that was read back) is developed from its 8-bit picture; without ``behind`` and
    ``coverage`` nothing is out of focus, without ``motion`` nothing but the camera moves.
    """
    if film == _NOTHING:
        return shot.image.copy()
    light = shot.radiance if shot.radiance is not None else np.asarray(cv2.LUT(shot.image, LINEAR))
    light = _movement(shot, _focus(shot, light, film), film)
    light = _blurred(light, film)
    height, width = light.shape[:2]
    gain = np.float32(_exposure(light, film)) * _balance(film)
    light = light * (gain * _fall_off(height, width, film.vignette) if film.vignette > 0 else gain)
    if film.photons > 0 or film.readout > 0:
        light = light + _noise(light, film, rng)
    picture = _tone(np.ascontiguousarray(light, np.float32), film)
    if film.sharpen > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
        picture = cv2.addWeighted(picture, 1 + film.sharpen, soft, -film.sharpen, 0)
    if film.scale < 1:
        size = max(2, round(width * film.scale)), max(2, round(height * film.scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if film.jpeg > 0:
        packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, film.jpeg])[1]
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert unpacked is not None
        picture = np.ascontiguousarray(unpacked[..., ::-1])
    return np.asarray(picture)


def _focus(shot: Shot, light: Array, film: Film) -> Array:
    """The backdrop behind the surfaces as a lens that is focused on them shows it: discs of confusion."""
    radius = film.defocus * max(light.shape[:2])
    if radius < 0.4 or shot.behind is None or shot.coverage is None:
        return light
    reach = math.ceil(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    soft = cv2.filter2D(shot.behind, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101)
    return light + (1 - shot.coverage[..., None]) * (soft - shot.behind)


def _movement(shot: Shot, light: Array, film: Film) -> Array:
    """What moves smears over what stands still behind it."""
    if shot.motion is None or film.motion <= 0 or shot.coverage is None:
        return light
    limit = MAX_MOTION * max(light.shape[:2])
    moved = shot.motion * np.float32(film.motion)
    length = np.sqrt((moved**2).sum(axis=-1))
    longest = float(length.max())
    if longest < 0.5:
        return light
    moved = moved * np.minimum(1, limit / np.maximum(length, 1e-6))[..., None].astype(np.float32)
    reach = math.ceil(min(longest, limit) / 2)
    tile = max(reach, 1)
    out = np.empty_like(light)
    _smear(light, shot.coverage, _spread(moved, tile), tile, out)
    return out


@njit(cache=True, nogil=True)
def _spread(moved: Array, tile: int) -> Array:
    """Longest movement in each tile and its eight neighbours, so that streaks leave the outline: (h,w,2)."""
    rows, columns = (moved.shape[0] + tile - 1) // tile, (moved.shape[1] + tile - 1) // tile
    most = np.zeros((rows, columns, 2), np.float32)
    for y in range(moved.shape[0]):
        for x in range(moved.shape[1]):
            a, b = moved[y, x, 0], moved[y, x, 1]
            best = most[y // tile, x // tile]
            if a * a + b * b > best[0] * best[0] + best[1] * best[1]:
                best[0], best[1] = a, b
    out = np.zeros_like(most)
    for y in range(rows):
        for x in range(columns):
            for v in range(max(y - 1, 0), min(y + 2, rows)):
                for u in range(max(x - 1, 0), min(x + 2, columns)):
                    a, b = most[v, u, 0], most[v, u, 1]
                    if a * a + b * b > out[y, x, 0] ** 2 + out[y, x, 1] ** 2:
                        out[y, x, 0], out[y, x, 1] = a, b
    return out


@njit(cache=True, nogil=True)
def _smear(light: Array, coverage: Array, tiles: Array, tile: int, out: Array) -> None:
    """Mean along the movement; a pixel without surfaces gives its own light for the time that nothing passes."""
    height, width = coverage.shape
    for y in range(height):
        for x in range(width):
            a, b = tiles[y // tile, x // tile, 0], tiles[y // tile, x // tile, 1]
            if a * a + b * b < 0.25:
                for c in range(3):
                    out[y, x, c] = light[y, x, c]
                continue
            red, green, blue, total = 0.0, 0.0, 0.0, 0.0
            for tap in range(MOTION_TAPS):
                share = (tap + 0.5) / MOTION_TAPS - 0.5
                u = min(max(int(x + share * a + 0.5), 0), width - 1)
                v = min(max(int(y + share * b + 0.5), 0), height - 1)
                weight = max(coverage[v, u], 0.02) if coverage[y, x] > 0.5 else 1.0
                red, green, blue = (
                    red + weight * light[v, u, 0],
                    green + weight * light[v, u, 1],
                    blue + weight * light[v, u, 2],
                )
                total += weight
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red / total, green / total, blue / total


def _blurred(light: Array, film: Film) -> Array:
    """Shake and softness of the whole picture."""
    length = math.hypot(*film.shake)
    if length > 0.3:
        limit = min(1.0, MAX_MOTION * max(light.shape[:2]) / length)
        dx, dy = film.shake[0] * limit / 2, film.shake[1] * limit / 2
        reach = math.ceil(max(abs(dx), abs(dy))) + 1
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        for t in np.linspace(-1, 1, 8 * reach + 1):  # bilinear dots along the way
            px, py = reach + t * dx, reach + t * dy
            ix, iy = int(px), int(py)
            fx, fy = px - ix, py - iy
            kernel[iy : iy + 2, ix : ix + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
        light = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return cv2.GaussianBlur(light, (0, 0), film.blur) if film.blur > 0.15 else light


def _exposure(light: Array, film: Film) -> float:
    """Factor on all light; the camera's own part of it is within four stops."""
    gain = 2.0**film.exposure
    if film.auto > 0:
        # the geometric mean, as meters weigh it: a window in a dark room does not turn the room black
        mean = float(np.exp(np.log(light[::4, ::4] @ _WEIGHTS + np.float32(0.004)).mean()))
        gain *= min(max(_MIDDLE / mean, 1 / 16), 16.0) ** film.auto
    return gain


def _balance(film: Film) -> Array:
    """(3,) gains of red, green, blue that keep the brightness of grey."""
    gains = np.array(
        [1 + 0.35 * film.warmth + 0.1 * film.tint, 1 - 0.2 * film.tint, 1 - 0.35 * film.warmth + 0.1 * film.tint]
    )
    return (gains / (gains @ _WEIGHTS)).astype(np.float32)


def _fall_off(height: int, width: int, strength: float) -> Array:
    """(H,W,1) share of light: 1 in the middle, 1 − strength in the corners."""
    y = ((np.arange(height) - (height - 1) / 2) ** 2)[:, None]
    x = ((np.arange(width) - (width - 1) / 2) ** 2)[None]
    return (1 - strength * (x + y) / (x.max() + y.max() + 1e-9))[..., None].astype(np.float32)


def _noise(light: Array, film: Film, rng: np.random.Generator) -> Array:
    """Its variance grows with the light that falls on a pixel."""
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    if film.grain > 0.25:  # as after demosaicing; the spread is kept
        noise = cv2.GaussianBlur(noise, (0, 0), film.grain)
        noise /= max(float(noise.std()), 1e-6)
    spread = np.sqrt(np.float32(film.readout**2) + np.float32(film.photons**2) * np.clip(light, 0, 2))
    return noise * spread


def _curve(film: Film) -> Array:
    """Tone (8192,) of linear light from 0 to 2, sRGB 0–255: exposure shoulder, sRGB, contrast about middle grey."""
    light = np.linspace(0, 2, _STEPS)
    # above a knee that falls from 1 to 0.5, light is bent so that the top of the range just saturates
    knee = 1 - 0.5 * film.shoulder
    over = np.maximum(light - knee, 0)
    room, reach = 1 - knee, 2 - knee
    bent = knee + room * (1 - (1 - over / reach) ** (reach / max(room, 1e-6))) if room > 0 else light
    tone = np.where(light > knee, bent, light) if room > 0 else light
    srgb = np.interp(np.clip(tone, 0, 1), np.arange(4096) / 4095, SRGB / 255)
    middle = 0.46
    low, high = (
        middle * (np.minimum(srgb, middle) / middle) ** film.contrast,
        (1 - middle) * (np.clip(1 - srgb, 0, 1 - middle) / (1 - middle)) ** film.contrast,
    )
    return np.where(srgb < middle, low, 1 - high) * 255


def _tone(light: Array, film: Film) -> Array:
    curve = (_curve(film) + 0.5).clip(0, 255).astype(np.uint8)
    if film.saturation != 1:
        grey = light @ _WEIGHTS
        light = grey[..., None] + np.float32(film.saturation) * (light - grey[..., None])
    return curve[np.clip(light * np.float32((_STEPS - 1) / 2) + np.float32(0.5), 0, _STEPS - 1).astype(np.uint16)]
