"""Cached features of the light encoder (`monocap.train.feature_cache`) as what the light gender network learns from.

A cache does not say how people look, but from what they were drawn: they are drawn again, and compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from monocap import skeletons
from monocap.bodies import load_body
from monocap.data.synthetic import OUTSIDE, SKELETON, VISIBLE
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.nets.gender_light import MAPS, read
from monocap.perception import gender
from monocap.synth.people import random_person
from monocap.train.feature_cache import ABOUT, Truth
from monocap.train.gender_crops import LOOKS, clear_target, shape_axis
from monocap.types import Array

_ATTEMPTS = 8  # of the sampler
_BATCH = 128


@dataclass(frozen=True, eq=False)
class GenderVectors:
    """N crops as `monocap.nets.gender_light.read` sees them: ``vector`` (N,F) float16; ``look``, ``axis``, ``number``
    as in `GenderCrops`."""

    vector: Array
    look: Array
    axis: Array
    number: Array

    @property
    def target(self) -> Array:
        """(N,) as of `GenderCrops`."""
        return clear_target(self.look, self.axis)

    def take(self, index: Array) -> GenderVectors:
        """Some of them."""
        return GenderVectors(*(getattr(self, f.name)[index] for f in fields(self)))


def read_vectors(folder: Path) -> GenderVectors:
    """All crops of a folder that ``monocap train features`` wrote. Raises InputError where it is none."""
    chunks = sorted(folder.glob("chunk-*/truth.npz"))
    if not chunks or not (folder / ABOUT).is_file():
        raise InputError(f"{folder}: no features here; monocap train features writes them")
    seed = int(json.loads((folder / ABOUT).read_text())["seed"])
    parts = [_chunk(path.parent, seed) for path in chunks]
    return GenderVectors(*(np.concatenate([getattr(one, f.name) for one in parts]) for f in fields(GenderVectors)))


def _chunk(folder: Path, seed: int) -> GenderVectors:
    truth = Truth(**read_npz(folder / "truth.npz"))
    look, axis = _looks(truth, seed, folder)
    points = torch.from_numpy(_told(truth))
    maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in MAPS}
    found = []
    for start in range(0, len(points), _BATCH):
        part = slice(start, start + _BATCH)
        seen = {name: torch.from_numpy(np.asarray(values[part], np.float32)) for name, values in maps.items()}
        found.append(read(seen, points[part]).numpy().astype(np.float16))
    return GenderVectors(np.concatenate(found), look, axis, truth.number)


def _looks(truth: Truth, seed: int, folder: Path) -> tuple[Array, Array]:
    """Number in `LOOKS` and `shape_axis` of everybody: who the sampler drew for that number, found by their shape."""
    body = load_body("open")
    known: dict[tuple[int, int], tuple[int, float]] = {}
    for number, person, betas in zip(truth.number.tolist(), truth.person.tolist(), truth.betas, strict=True):
        if (number, person) in known:
            continue
        for attempt in range(_ATTEMPTS):
            stream = np.random.SeedSequence([seed, number, attempt, 0, person])  # as `monocap.synth.sampler` says
            drawn = random_person(np.random.default_rng(stream), body)
            if np.abs(drawn.betas[: len(betas)] - betas).max() < 1e-4:
                known[number, person] = LOOKS.index(drawn.look), float(shape_axis(body, drawn.betas))
                break
        else:
            raise InputError(
                f"{folder}: person {person} of sample {number} is not whom the sampler draws; render again"
            )
    found = [known[key] for key in zip(truth.number.tolist(), truth.person.tolist(), strict=True)]
    return np.array([one[0] for one in found], np.int8), np.array([one[1] for one in found], np.float32)


def _told(truth: Truth) -> Array:
    """(N,17,3) float32 COCO's points across the crop as a detector might say them, zero where they are not seen."""
    names = skeletons.get(SKELETON).joint_names
    chosen = [names.index(name) for name in skeletons.get(gender.SKELETON).joint_names]
    points, state = truth.points()[:, chosen], truth.state[:, chosen]
    rng = np.random.default_rng([7, int(truth.number[0])])
    reach = np.clip(np.ptp(points, axis=1).max(axis=1), 0, 2)[:, None, None]
    points = points + 0.012 * reach * rng.standard_normal(points.shape) * rng.gamma(2.0, 0.5, (len(points), 1, 1))
    sure = np.where(state == VISIBLE, rng.uniform(0.85, 1.0, state.shape), rng.uniform(0.25, 0.9, state.shape))
    sure[state == OUTSIDE] = 0.0
    told = np.concatenate([points, sure[..., None]], axis=-1)
    return np.where(sure[..., None] > gender.SEEN, told, 0.0).astype(np.float32)
