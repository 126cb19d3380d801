"""Freeze synth-v1: the poses it is made of, then the fingerprints of its pictures. Done once for each version.

    python tools/freeze_synth.py --corpus FOLDER -o FOLDER_FOR_THE_PICTURES [--workers 2]

``FOLDER`` is what ``monocap data corpus`` wrote; poses are drawn by their weight from its test split, whose performers
no shipped network has seen. Writes ``synth-v1-poses.npz`` and ``synth-v1.npz`` into src/monocap/synth/data. Afterwards
``monocap synth benchmark -o FOLDER`` makes and verifies the same pictures anywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap.data.pose_corpus import read_pose_corpus
from monocap.files import write_npz
from monocap.synth import benchmark
from monocap.synth.shards import write_shards

POSES = 2000
_SEED = 20261120


def write_poses(corpus: Path, out: Path) -> None:
    """A pose corpus of one shard with so many poses of the test split, half precision (5·10⁻⁴ rad)."""
    poses = read_pose_corpus(corpus).part("test")
    rng = np.random.default_rng(_SEED)
    weight = poses.weight.astype(np.float64)
    chosen = np.sort(rng.choice(len(poses), POSES, replace=False, p=weight / weight.sum()))
    write_npz(
        out,
        {
            "body_pose": poses.body_pose[chosen].astype(np.float16),
            "subject": poses.subject[chosen],
            "clip": poses.clip[chosen],
            "split": poses.split[chosen],
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Freeze synth-v1.")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.corpus is not None:
        write_poses(given.corpus, benchmark.poses_file())
    given.out.mkdir(parents=True, exist_ok=True)
    write_shards(benchmark.plan(), given.out, given.workers, lambda a, b: print(f"\r{a} of {b}", end="", flush=True))
    benchmark.freeze(given.out, benchmark.prints_file())
    print(f"\n{benchmark.prints_file()}: {benchmark.prints_file().stat().st_size} bytes")


if __name__ == "__main__":
    main()
