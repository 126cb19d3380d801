"""A corpus of body poses as npz shards: what the pose priors learn from and are judged on."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monocap.errors import InputError
from monocap.files import read_npz
from monocap.types import Array

_KEYS = ("body_pose", "subject", "clip", "split", "weight", "kind")


@dataclass(frozen=True)
class PoseCorpus:
    """N poses: ``body_pose`` (N,63) float32 axis-angle radians of SMPL-X's 21 body joints; ``subject``, ``clip``,
    ``split`` and ``kind`` (captured, mirrored or recombined) (N,) text; ``weight`` (N,) how often a pose is to
    be drawn, against the others."""

    body_pose: Array
    subject: Array
    clip: Array
    split: Array
    weight: Array
    kind: Array

    def __len__(self) -> int:
        return len(self.body_pose)

    def take(self, index: Array) -> PoseCorpus:
        """Some of the poses, by index or mask (N,)."""
        return replace(self, **{key: getattr(self, key)[index] for key in _KEYS})

    def part(self, split: str) -> PoseCorpus:
        """The poses of one split. Raises InputError if there are none."""
        mask = self.split == split
        if not mask.any():
            raise InputError(f"the corpus has no split {split!r}; it has {', '.join(self.splits)}")
        return self.take(mask)

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return sorted({str(name) for name in self.split})


def read_pose_corpus(folder: str | os.PathLike[str]) -> PoseCorpus:
    """Read every ``.npz`` shard of a folder (or one file), in the order of their names.

    A shard has ``body_pose``, ``subject``, ``clip``, ``split`` and optionally ``weight`` (1) and ``kind`` (captured).
    Raises InputError, naming the shard, for missing keys, wrong shapes, or numbers that are not finite.
    """
    folder = Path(folder)
    shards = [folder] if folder.is_file() else sorted(folder.glob("*.npz"))
    if not shards:
        raise InputError(f"{folder}: no .npz shards; expected a folder that monocap data corpus wrote")
    parts = [_read_shard(path) for path in shards]
    return PoseCorpus(**{key: np.concatenate([part[key] for part in parts]) for key in _KEYS})


def _read_shard(path: Path) -> dict[str, Array]:
    arrays = read_npz(path, keys=_KEYS)
    missing = [key for key in _KEYS[:4] if key not in arrays]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; expected a shard that monocap data corpus wrote")
    count = len(arrays["body_pose"])
    arrays.setdefault("weight", np.ones(count, np.float32))
    arrays.setdefault("kind", np.full(count, "captured"))
    for key in _KEYS:
        wanted = (count, 63) if key == "body_pose" else (count,)
        if arrays[key].shape != wanted:
            raise InputError(f"{path}: {key} has shape {arrays[key].shape}; expected {wanted}")
    pose, weight = arrays["body_pose"], arrays["weight"]
    if not (np.isfinite(pose).all() and np.isfinite(weight).all() and (weight >= 0).all()):
        raise InputError(f"{path}: body_pose or weight holds numbers that are not finite, or negative weights")
    return arrays | {"body_pose": pose.astype(np.float32), "weight": weight.astype(np.float32)}
