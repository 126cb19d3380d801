"""What a regression network says of everybody whose keypoints were found, picture by picture."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.motion.filters import smooth_rotations, smooth_vectors
from monocap.perception.regressor import body_square
from monocap.pipeline.regress.networks import Family, open_regressor
from monocap.types import Array, BodyGuess, Camera, Keypoints

# The torso leans by so much, rad, before the crop is turned upright.
UPRIGHT_FROM = np.radians(45)
# s: a Gaussian over time of what is said of a video, since every frame is asked alone; depth is the most unsure
_CALM, _CALM_PLACE = 0.05, 0.1


class Guesser:
    """Asks one network; betas that are of another body's shapes than ``body``'s are left out.

    Raises as `open_regressor`.
    """

    def __init__(self, family: Family, weights: str | os.PathLike[str] | None, body: BodyModel) -> None:
        self.regressor = open_regressor(family, weights)
        own = {"open": body.name == "open", "smpl": body.kind.name in ("smpl", "smplh") and body.name != "open"}
        self._keep_betas = own[self.regressor.manner.shape]

    def step(
        self, image: NDArray[np.uint8], seen: Mapping[int, Keypoints], camera: Camera, twice: bool = False
    ) -> dict[int, BodyGuess]:
        """What is said of each in ``seen``, without batch shape; ``twice``: with a second look in a mirror."""
        squares = [body_square(one.points2d, self.regressor.crop, camera, UPRIGHT_FROM) for one in seen.values()]
        ask = self.regressor.estimate_twice if twice else self.regressor.estimate
        guess = ask(image, squares, camera)
        betas = guess.betas if self._keep_betas else np.zeros_like(guess.betas)
        return {
            identity: BodyGuess(guess.pose[row], betas[row], guess.pelvis[row]) for row, identity in enumerate(seen)
        }


def calm_guess(guess: BodyGuess, valid: Array, times: Array, smooth: float) -> BodyGuess:
    """A guess (T,…) smoothed over ``times`` (T,) s where ``valid`` (T,); ``smooth`` 1 is the usual strength, 0 off."""
    found = np.flatnonzero(valid)
    if smooth == 0 or len(found) < 3:
        return guess
    pose, pelvis = np.array(guess.pose, np.float64), np.array(guess.pelvis, np.float64)
    turned = smooth_rotations(pose[found].reshape(len(found), -1, 3), times[found], _CALM * smooth)
    pose[found] = turned.reshape(len(found), -1)
    pelvis[found] = smooth_vectors(pelvis[found], times[found], _CALM_PLACE * smooth)
    return BodyGuess(pose, guess.betas, pelvis)
