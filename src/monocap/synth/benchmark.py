"""synth-v1: 1,000 frozen pictures of held-out performers, skins, fabrics and backgrounds that everyone can make again.

Shipped are not the pictures but what they come from and how to know them: the poses (``synth-v1-poses.npz``, drawn from
the performers that no shipped network has seen), a seed, and for every sample a fingerprint (``synth-v1.npz``):

- SHA-256 of the parameters and of the picture, cut to 64 bits: equal on the machine where it was frozen;
- eight weighted sums of the parameters, and the mean colours of 4 × 4 fields of the picture: other processors round
  differently, which moves a few pixels and no sum by more than `SUMS` or `COLOURS`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monocap.data.synthetic import SynthSample
from monocap.errors import InputError
from monocap.files import read_npz, write_npz
from monocap.synth.sampler import SynthSettings
from monocap.synth.shards import ShardPlan, read
from monocap.types import Array

NAME = "synth-v1"
COUNT = 1000
SEED = 1
SUMS = 2e-3  # rad and metres, of sums over all numbers of a sample with weights of at most 1
COLOURS = 3.0  # grey levels of 255, the largest of 48 means
_KEYS = ("number", "people", "parameters", "picture", "sums", "colours")


def poses_file() -> Path:
    """The shipped poses, a pose corpus of one shard."""
    return Path(str(resources.files("monocap.synth") / "data" / f"{NAME}-poses.npz"))


def prints_file() -> Path:
    """The shipped fingerprints."""
    return Path(str(resources.files("monocap.synth") / "data" / f"{NAME}.npz"))


def plan(count: int | None = None) -> ShardPlan:
    """What synth-v1 is; of ``count`` only the first so many. Raises InputError for more than there are."""
    if count is not None and not 1 <= count <= COUNT:
        raise InputError(f"--count is {count}; {NAME} has 1 to {COUNT} pictures")
    settings = SynthSettings(seed=SEED, split="test", corpus=poses_file())
    return ShardPlan(settings, count or COUNT, name=NAME)


@dataclass(frozen=True)
class Checked:
    """Of ``total`` samples: how many are ``identical``, or ``alike`` but for rounding, which are ``wrong``, how many
    have no fingerprint (``unknown``)."""

    total: int
    identical: int
    alike: int
    wrong: tuple[int, ...]
    unknown: int = 0

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "benchmark": NAME,
            "identical": self.identical,
            "alike": self.alike,
            "wrong": list(self.wrong),
            "unknown": self.unknown,
        }

    def lines(self) -> list[str]:
        """In words."""
        told = [f"{NAME}: {self.identical} of {self.total} identical, {self.alike} alike but for rounding"]
        if self.unknown:
            told.append(f"{self.unknown} have no fingerprint in this version")
        if self.wrong:
            listed = ", ".join(map(str, self.wrong[:8]))
            told.append(f"{len(self.wrong)} differ ({listed}{', …' if len(self.wrong) > 8 else ''})")
        return told


def fingerprints(folder: Path) -> dict[str, Array]:
    """Arrays of the fingerprints of all samples in a folder of shards, in order."""
    rows = [fingerprint(sample) for sample in read(folder)]
    return {key: np.array([row[key] for row in rows]) for key in _KEYS}


def fingerprint(sample: SynthSample) -> dict[str, Any]:
    """What one sample is known by."""
    vector = np.concatenate([np.asarray(value, np.float32).ravel() for value in sample.params.asdict().values()])
    fields = cv2.resize(sample.image, (4, 4), interpolation=cv2.INTER_AREA)
    return {
        "number": sample.number,
        "people": sample.people,
        "parameters": _short(vector.tobytes()),
        "picture": _short(np.ascontiguousarray(sample.image).tobytes()),
        "sums": (_weights(len(vector)) @ vector.astype(np.float64)).astype(np.float32),
        "colours": fields.astype(np.uint8),
    }


def freeze(folder: Path, out: Path) -> None:
    """Write the fingerprints of a folder of shards: only done once, for a new version of the benchmark."""
    write_npz(out, fingerprints(folder))


def verify(folder: Path) -> Checked:
    """Compare a folder of shards with what was frozen. Raises InputError for shards that are damaged or missing."""
    told = read_npz(prints_file(), _KEYS, max_bytes=1 << 24)
    at = {int(number): i for i, number in enumerate(told["number"])}
    found = fingerprints(folder)
    identical = alike = unknown = 0
    wrong = []
    for i, number in enumerate(found["number"]):
        k = at.get(int(number))
        if k is None:
            unknown += 1
        elif found["parameters"][i] == told["parameters"][k] and found["picture"][i] == told["picture"][k]:
            identical += 1
        elif (
            np.abs(found["sums"][i] - told["sums"][k]).max() <= SUMS
            and np.abs(found["colours"][i].astype(float) - told["colours"][k]).max() <= COLOURS
        ):
            alike += 1
        else:
            wrong.append(int(number))
    return Checked(len(found["number"]), identical, alike, tuple(wrong), unknown)


def _short(content: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(content).digest()[:8], "little"))


@cache
def _weights(count: int) -> Array:
    """(8,count) of −1 to 1, the same everywhere: from the bits of SHA-256, no generator of any library."""
    bits = b"".join(hashlib.sha256(f"{NAME} {i}".encode()).digest() for i in range(-(-8 * count // 32)))
    return (np.frombuffer(bits, np.uint8)[: 8 * count].reshape(8, count).astype(np.float64) - 127.5) / 127.5
