"""The One-Euro filters of a live capture, as VNect sets them, in seconds, pixels of its crop, metres and radians.

The paper's numbers are for 30 frames per second and have no units. Here the gains are Hz per unit of speed: of the 2D
joints per pixel of a crop of 368, as there; of the 3D ones per *centimetre* per second, in which the published program
reads its location maps: with millimetres the filter would hardly filter, with metres it would hold true joints in
motion back by 7 cm (docs/vnect.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap.errors import InputError
from monocap.motion.one_euro import OneEuro, OneEuroRotation
from monocap.types import Array

CROP = 368.0  # px: side of the crop that the 2D gain is for


@dataclass(frozen=True)
class OneEuroSettings:
    """``least_cutoff`` Hz when still, ``gain`` Hz per unit of speed, ``speed_cutoff`` Hz for the speed."""

    least_cutoff: float
    gain: float
    speed_cutoff: float = 1.0

    def filter(self) -> OneEuro:
        return OneEuro(self.least_cutoff, self.gain, self.speed_cutoff)


@dataclass(frozen=True)
class LiveSettings:
    """``image``: of 2D joints, px of a crop of `CROP` per second; ``location``: of 3D joints about the root, m/s;
    ``place``: of the root's place, m/s; ``turns``: of the fitted joints' rotations, rad/s.

    VNect filters the fitted joints with 20 Hz and 0.4 per cm/s; joints turn at about a quarter of a metre from what
    they move, so that their rotations have a quarter of that gain.
    """

    image: OneEuroSettings = OneEuroSettings(1.7, 0.3)
    location: OneEuroSettings = OneEuroSettings(0.8, 40.0)
    place: OneEuroSettings = OneEuroSettings(20.0, 40.0)
    turns: OneEuroSettings = OneEuroSettings(20.0, 10.0)

    def slower(self, factor: float) -> LiveSettings:
        """All cutoffs lower by ``factor``: calmer and later. Raises InputError unless it is above 0."""
        if not factor > 0:
            raise InputError(f"smoothing by {factor}; expected a number above 0")
        parts = (self.image, self.location, self.place, self.turns)
        return LiveSettings(*(OneEuroSettings(p.least_cutoff / factor, p.gain / factor, p.speed_cutoff) for p in parts))


class SteadyPoints:
    """Filters points (J,k), one call per frame; those that are not seen stay where they were."""

    def __init__(self, settings: OneEuroSettings) -> None:
        self._settings, self._filter = settings, settings.filter()
        self._last: Array | None = None

    def reset(self) -> None:
        self._filter.reset()
        self._last = None

    def __call__(self, points: Array, seen: Array, time: float, unit: float = 1.0) -> Array:
        """(J,k) at ``time`` s; ``seen`` (J,) bool; ``unit`` of the settings in the points' own: a picture's pixels per
        pixel of the crop."""
        self._filter.gain = self._settings.gain / unit
        points = np.asarray(points, np.float64)
        if self._last is not None:
            points = np.where(np.asarray(seen, bool)[:, None], points, self._last)
        self._last = self._filter(points, time)
        return self._last


class SteadyPose:
    """Filters joint rotations (J,3) rad, axis-angle, and the root's place (3,) m."""

    def __init__(self, settings: LiveSettings) -> None:
        turns = settings.turns
        self._turns = OneEuroRotation(turns.least_cutoff, turns.gain, turns.speed_cutoff)
        self._place = settings.place.filter()

    def reset(self) -> None:
        self._turns.reset()
        self._place.reset()

    def __call__(self, pose: Array, place: Array, time: float) -> tuple[Array, Array]:
        return self._turns(pose, time), self._place(place, time)
