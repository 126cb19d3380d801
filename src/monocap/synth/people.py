"""Who is in a synthetic picture: sex, age, build, face, hands and gaze, by chance; all but the body's pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from monocap.bodies import BodyModel
from monocap.bodies.shapes import named_shape
from monocap.types import Array

Look = Literal["female", "male", "neutral", "child"]

_LOOKS: tuple[Look, ...] = ("female", "male", "neutral", "child")
_SHARE = (0.42, 0.42, 0.06, 0.10)
# Deviation of betas about the mean of a sex: the first component is mostly stature and sex, of which half is given.
_WITHIN = np.array([0.75, 0.9, 0.9, *([0.85] * 13)])
_CHILD_WITHIN = 0.45
_LIMIT = 2.8  # standard deviations from the mean of that sex
# Standard deviation, rad, of the leading components of hand poses (98 % of their variance): tools/open_body/hands.py.
_HAND = np.array([0.94, 0.544, 0.395, 0.323, 0.245, 0.232, 0.212, 0.196, 0.178, 0.15, 0.144, 0.121])
_MIRROR = np.tile([1.0, -1.0, -1.0], 15)


@dataclass(frozen=True, eq=False)
class Person:
    """``look`` chooses shape and clothes; ``betas`` (16,), ``expression`` (10,); ``jaw_pose``, ``left_eye_pose``,
    ``right_eye_pose`` (3,), hand poses (45,) radians, absolute, as SMPL-X; float32."""

    look: Look
    betas: Array
    expression: Array
    jaw_pose: Array
    left_eye_pose: Array
    right_eye_pose: Array
    left_hand_pose: Array
    right_hand_pose: Array

    def parameters(self) -> dict[str, Array]:
        """All of it by the names that a body takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "look"}


def random_person(rng: np.random.Generator, body: BodyModel) -> Person:
    """One person of the open body.

    Adults are drawn about the mean of their sex; children lie between an adult and the named child of nine years.
    Faces are at rest in a third of all people; eyes look where they will, together; hands are relaxed, flat, fists or
    anything that hands do, the two alike at times.
    """
    look = _LOOKS[rng.choice(len(_LOOKS), p=_SHARE)]
    noise = rng.standard_normal(16)
    if look == "child":
        share = rng.uniform(0.45, 1.1)
        betas = share * named_shape(body, "child") + _CHILD_WITHIN * np.clip(noise, -_LIMIT, _LIMIT)
    else:
        betas = named_shape(body, look) + _WITHIN * np.clip(noise, -_LIMIT, _LIMIT)
    strength = rng.choice([0.25, 0.8, 1.5], p=[0.35, 0.5, 0.15])
    expression = np.clip(strength * rng.standard_normal(10), -2.5, 2.5)
    jaw = np.zeros(3)
    if rng.random() < 0.4:
        jaw[0] = min(rng.exponential(0.10), 0.45)
    gaze = np.clip(rng.standard_normal(2) * [0.12, 0.22], -0.5, 0.5)
    eyes = np.array([gaze[0], gaze[1], 0.0])
    left = _hand(rng, body, "left_hand_pose")
    right = left * _MIRROR if rng.random() < 0.3 else _hand(rng, body, "right_hand_pose")
    return Person(look, *(part.astype(np.float32) for part in (betas, expression, jaw, eyes, eyes, left, right)))


def _hand(rng: np.random.Generator, body: BodyModel, name: str) -> Array:
    """(45,) a hand: the mean one and its components, weaker where it hangs relaxed."""
    mean, components = body.hand_data[name]
    strength = rng.choice([0.35, 1.0], p=[0.45, 0.55])
    coefficients = np.clip(rng.standard_normal(len(_HAND)), -2.2, 2.2) * _HAND * strength
    return np.asarray(mean, np.float64) + coefficients @ np.asarray(components[: len(_HAND)], np.float64)
