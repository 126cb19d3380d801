"""What the keypoint network really said of rendered people (tools/render_keypoints.py), as training data of the lifter.

Two uses: the frames themselves, and their errors, which are put on simulated people in similar poses, so that a few
ten thousand renderings teach how the network errs on far more poses.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.files import read_npz
from monocap.perception.lifter import HIPS, SKELETON, USED, in_front
from monocap.types import Array

_KEYS = ("points2d", "points3d", "truth", "camera", "score", "peak", "clip", "fps", "split", "variant")
_MIN_SCORE, _MIN_PEAK = 0.5, 0.3  # below, capture takes the person for lost
_CANDIDATES = 192


@dataclass(frozen=True)
class Sight:
    """N people as the lifter sees them, and the truth; z along the ray through the seen mid-hips.

    ``flat`` (N,33,2) landmarks on the plane at the mid-hips, metres; ``confidence`` (N,33); ``guess`` (N,33,3) metres
    from the mid-hips: the keypoint network's own idea, of those with ``guessed`` (N,); ``points`` (N,33,3) true.
    """

    flat: Array
    confidence: Array
    guess: Array
    guessed: NDArray[np.bool_]
    points: Array

    def take(self, index: Array | slice) -> Sight:
        """Some of the people."""
        return Sight(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def mirrored(self, which: NDArray[np.bool_]) -> Sight:
        """Those marked ``which`` (N,) seen in a mirror."""
        flip = np.array(SKELETON.flip)
        out = {}
        for name in ("flat", "guess", "points", "confidence"):
            value = getattr(self, name)
            turned = value[:, flip]
            if value.ndim == 3:
                turned = turned * np.array([-1.0, 1.0, 1.0])[: value.shape[2]]
            out[name] = np.where(which.reshape(-1, *[1] * (value.ndim - 1)), turned, value)
        return replace(self, **out)

    def rolled(self, angle: Array) -> Sight:
        """Turned about the line of sight by ``angle`` (N,) rad."""
        c, s = np.cos(angle), np.sin(angle)
        turn = np.zeros((len(angle), 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = c
        turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -s, s, 1.0
        back = np.swapaxes(turn, 1, 2)
        return replace(self, flat=self.flat @ back[:, :2, :2], guess=self.guess @ back, points=self.points @ back)


def join(parts: list[Sight]) -> Sight:
    """People one after the other."""
    return Sight(*(np.concatenate([getattr(part, name) for part in parts]) for name in Sight.__dataclass_fields__))


@dataclass(frozen=True)
class SeenKeypoints:
    """Frames as seen: ``sight`` of N at ``distance`` (N,) m; ``clip`` (N,) which frames belong together; ``fps`` (N,),
    0 for stills; ``held`` (N,): performers who are not trained on."""

    sight: Sight
    distance: Array
    clip: Array
    fps: Array
    held: NDArray[np.bool_]

    @classmethod
    def read(cls, folder: str | os.PathLike[str], variant: str | None = None) -> SeenKeypoints:
        """All shards of a folder, people whom capture would call lost left out.

        Raises InputError if there are none, or one is not of tools/render_keypoints.py.
        """
        paths = sorted(Path(folder).glob("seen-*.npz"))
        if not paths:
            raise InputError(f"{folder}: no seen-*.npz; expected a folder that tools/render_keypoints.py wrote")
        parts: dict[str, list[Array]] = {key: [] for key in _KEYS}
        for number, path in enumerate(paths):
            arrays = read_npz(path)
            missing = [key for key in _KEYS if key not in arrays]
            if missing:
                raise InputError(f"{path}: lacks {', '.join(missing)}; expected a file of tools/render_keypoints.py")
            for key in _KEYS:
                parts[key].append(arrays[key] + 100_000 * number if key == "clip" else arrays[key])
        all_of = {key: np.concatenate(values) for key, values in parts.items()}
        good = (all_of["score"] >= _MIN_SCORE) & (all_of["peak"] >= _MIN_PEAK)
        if variant is not None:
            good &= all_of["variant"] == variant
        got = {key: value[good] for key, value in all_of.items()}
        sight, distance = _sight(*(got[key].astype(np.float64) for key in ("points2d", "points3d", "truth", "camera")))
        return cls(sight, distance, got["clip"], got["fps"], got["split"] == "test")

    def part(self, held: bool) -> SeenKeypoints:
        """Those held out, or the others."""
        keep = self.held == held
        return SeenKeypoints(
            self.sight.take(keep), self.distance[keep], self.clip[keep], self.fps[keep], self.held[keep]
        )

    def draw(self, rng: np.random.Generator, count: int) -> Sight:
        """``count`` of them, half seen in a mirror, each a little otherwise every time."""
        sight = self.sight.take(rng.integers(0, len(self.clip), count)).mirrored(rng.random(count) < 0.5)
        guess = sight.guess * rng.uniform(0.9, 1.1, (count, 1, 1)) + 0.015 * rng.normal(size=sight.guess.shape)
        confidence = np.clip(sight.confidence + 0.05 * rng.normal(size=sight.confidence.shape), 0.0, 1.0)
        flat = sight.flat + 0.01 * rng.normal(size=sight.flat.shape)
        return replace(sight, flat=flat, confidence=confidence, guess=guess)


class SeenErrors:
    """Errors of the keypoint network by pose: drawn for people of known pose."""

    def __init__(self, seen: SeenKeypoints) -> None:
        sight = seen.sight
        distance = seen.distance[:, None, None]
        self._flat = sight.flat - sight.points[..., :2] / (sight.points[..., 2:] + distance) * distance
        self._guess = sight.guess - sight.points
        self._confidence = sight.confidence
        self._form = _form(sight.points)

    def put_on(self, rng: np.random.Generator, points: Array, flat: Array) -> tuple[Array, Array, Array]:
        """Landmarks as seen (n,33,2), confidence (n,33) and guess (n,33,3) of people with true ``points`` (n,33,3)
        and true ``flat`` (n,33,2): the errors of somebody in a similar pose, by chance larger or smaller."""
        some = rng.integers(0, len(self._form), _CANDIDATES)
        wanted, form = _form(points), self._form[some]
        distance = (form**2).sum(axis=1) - 2 * wanted @ form.T
        near = np.argpartition(distance, 3, axis=1)[:, :3]
        index = some[near[np.arange(len(points)), rng.integers(0, 3, len(points))]]
        size = rng.uniform(0.5, 1.2, (len(points), 1, 1))
        return (
            flat + size * self._flat[index],
            self._confidence[index],
            points + rng.uniform(0.7, 1.2, (len(points), 1, 1)) * self._guess[index],
        )


def _form(points: Array) -> Array:
    used = points[:, USED]
    size = np.sqrt((used**2).sum(axis=-1).mean(axis=1))
    return (used / size[:, None, None]).reshape(len(points), -1).astype(np.float32)


def _sight(points2d: Array, points3d: Array, truth: Array, camera: Array) -> tuple[Sight, Array]:
    focal, centre = camera[:, :1, None], camera[:, None, 1:]
    flat, turn = in_front((points2d[..., :2] - centre) / focal)
    middle = truth[:, HIPS].mean(axis=1, keepdims=True)
    points = (turn[:, None] @ (truth - middle)[..., None])[..., 0]
    depth = (turn @ middle[:, 0, :, None])[:, 2]  # (N,1)
    flat = flat * depth[:, None]
    flat = flat - flat[:, HIPS].mean(axis=1, keepdims=True)
    guess = points3d - points3d[:, HIPS].mean(axis=1, keepdims=True)
    return Sight(flat, np.clip(points2d[..., 2], 0, 1), guess, np.ones(len(flat), bool), points), depth[:, 0]
