"""What lens took a picture, and how it was held: from EXIF, from straight lines, or the usual lens; with confidence.

Each source says ln f with a standard deviation, and perhaps the tilt; `combine` weighs them against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monocap.errors import InputError
from monocap.geometry.cameras import default_focal
from monocap.media.exif import Lens
from monocap.perception.line_segments import line_segments
from monocap.perception.vanishing import vanishing
from monocap.types import Array

TYPICAL = "typical lens"
"""Source of a guess about a picture that tells nothing."""

TYPICAL_SIGMA = 0.35
"""Standard deviation of ln f over lenses of unknown pictures: two thirds lie between 24 and 48 mm equivalent."""

_TELLING = 0.9  # of the deviation before: lines that narrow it less say nothing of the lens
_ACCORD = 3.0  # standard deviations by which two sources may differ before the less sure one is left out


@dataclass(frozen=True)
class CameraGuess:
    """``focal`` px of the picture at hand, ``log_sigma``: standard deviation of ln f; ``source``: a line for the user.

    ``pitch`` rad: how far the camera looks above the horizon; ``roll`` rad: how far it is turned clockwise, so that the
    world leans to the left in the picture; ``tilt_sigma`` rad, of both; None where nothing tells of them.
    """

    focal: float
    log_sigma: float
    pitch: float | None
    roll: float | None
    tilt_sigma: float | None
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focal) and self.focal > 0 and self.log_sigma > 0):
            raise InputError(f"focal {self.focal} px, deviation of ln f {self.log_sigma}; expected both above 0")

    @property
    def up(self) -> Array | None:
        """(3,) the world's up in the camera frame, or None where the tilt is unknown."""
        return None if self.pitch is None or self.roll is None else up_of(self.pitch, self.roll)

    def scaled(self, factor: float) -> CameraGuess:
        """The same camera for the picture made larger by ``factor``."""
        return replace(self, focal=self.focal * factor)


def up_of(pitch: float, roll: float) -> Array:
    """(3,) the world's up in the frame (x right, y down, z forward) of a camera tilted so, radians."""
    return np.array([-math.sin(roll) * math.cos(pitch), -math.cos(roll) * math.cos(pitch), math.sin(pitch)])


def tilt_of(up: Array) -> tuple[float, float]:
    """``pitch`` and ``roll`` in radians of a camera that sees the world's up (3,) there; the inverse of `up_of`."""
    x, y, z = (float(v) for v in np.asarray(up, float) / np.linalg.norm(up))
    return math.asin(max(-1.0, min(1.0, z))), math.atan2(-x, -y)


def typical(width: int, height: int) -> CameraGuess:
    """The usual lens for a picture of which nothing is known."""
    return CameraGuess(default_focal(width, height), TYPICAL_SIGMA, None, None, None, TYPICAL)


def combine(guesses: Sequence[CameraGuess]) -> CameraGuess:
    """One guess of several about the same picture: means weighed by certainty, in ln f and in the tilt.

    Sources that contradict the surest one by more than three deviations are left out, and the rest is trusted less.
    Raises InputError for an empty list.
    """
    if not guesses:
        raise InputError("no guess about the camera; expected at least one")
    surest = min(guesses, key=lambda guess: guess.log_sigma)
    near = [g for g in guesses if _apart(g, surest) <= _ACCORD]
    weights = np.array([g.log_sigma**-2 for g in near])
    logs = np.array([math.log(g.focal) for g in near])
    mean = float(weights @ logs / weights.sum())
    strain = float(weights @ (logs - mean) ** 2) / max(len(near) - 1, 1)  # above 1: they say more than they know
    contradicted = len(near) < len(guesses)
    sigma = weights.sum() ** -0.5 * max(1.0, math.sqrt(strain)) * (1.5 if contradicted else 1.0)
    tilted = [g for g in guesses if g.up is not None and g.tilt_sigma is not None]
    pitch = roll = tilt_sigma = None
    if tilted:
        trust = np.array([(g.tilt_sigma or 1.0) ** -2 for g in tilted])
        pitch, roll = tilt_of(trust @ np.stack([np.asarray(g.up) for g in tilted]))
        tilt_sigma = float(trust.sum() ** -0.5)
    share = weights / weights.sum()
    named = [g.source for g, part in zip(near, share, strict=True) if part >= 0.2 or g is surest]
    return CameraGuess(math.exp(mean), float(sigma), pitch, roll, tilt_sigma, " and ".join(dict.fromkeys(named)))


def _apart(guess: CameraGuess, other: CameraGuess) -> float:
    return abs(math.log(guess.focal / other.focal)) / math.hypot(guess.log_sigma, other.log_sigma)


def from_lens(lens: Lens, scale: float = 1.0) -> CameraGuess:
    """What EXIF tells; ``scale``: pixels of the picture at hand per pixel of the stored one."""
    return CameraGuess(lens.focal * scale, lens.log_sigma, None, None, None, lens.words)


def guess_camera(
    image: Array,
    exif: Lens | None = None,
    stored_width: int | None = None,
    *,
    others: Sequence[CameraGuess] = (),
    ignore: Array | None = None,
    threads: int | None = None,
) -> CameraGuess:
    """The camera of a picture (H,W,3) uint8 RGB, its principal point taken for the middle.

    ``exif``: what the file says of its lens, for a picture whose longer side is ``stored_width`` px there (None: as
    large as ``image``); ``others``: more guesses for this picture; ``ignore`` (K,4) boxes px of people, whose outlines
    are not counted as lines. What is known before narrows what the lines may mean, so the tilt is better with EXIF.
    """
    height, width = image.shape[:2]
    longer = max(width, height)
    guesses = [typical(width, height), *others]
    if exif is not None:
        guesses.append(from_lens(exif, longer / stored_width if stored_width else 1.0))
    before = combine(guesses)
    lines = line_segments(image, ignore, threads)
    seen = vanishing(lines, width, height, math.log(before.focal / longer), before.log_sigma)
    if seen is None:
        return before
    told = seen.log_sigma < _TELLING * before.log_sigma
    source = f"vanishing lines ({int((seen.way >= 0).sum())} lines)"
    if told and len(guesses) > 1:
        source = f"{before.source} and {source}"
    mine = CameraGuess(before.focal, 1.0, seen.pitch, seen.roll, seen.tilt_sigma, source)
    tilt = combine([mine, *(replace(guess, focal=before.focal) for guess in others)])
    return CameraGuess(
        seen.focal * longer if told else before.focal,
        min(seen.log_sigma, before.log_sigma),
        tilt.pitch,
        tilt.roll,
        tilt.tilt_sigma,
        source if told else before.source,
    )
