"""A pose corpus of nobody: few latent numbers turned into 63, so that there is something to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monocap.files import write_npz


def write_corpus(folder: Path, count: int = 600) -> Path:
    rng = np.random.default_rng(4)
    mixing = rng.normal(0, 0.12, (6, 63))
    for split, size in (("train", count), ("val", 150), ("test", 200), ("extreme", 200)):
        pose = rng.normal(0, 1.5 if split == "extreme" else 1, (size, 6)) @ mixing + 0.02 * rng.normal(size=(size, 63))
        arrays = {
            "body_pose": pose.astype(np.float32),
            "weight": rng.uniform(0.5, 2, size).astype(np.float32),
            "subject": np.full(size, f"{split} person"),
            "clip": np.array([f"{split}_{i // 50:02d}" for i in range(size)]),
            "split": np.full(size, split),
            "kind": np.full(size, "captured"),
        }
        write_npz(folder / f"{split}-00.npz", arrays)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))
