"""``monocap train prior statistics``: joint limits, Gaussian and mixture from a corpus of poses; needs no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from monocap.data.mocap.corpus import corpus_limits
from monocap.data.pose_corpus import PoseCorpus, read_pose_corpus
from monocap.files import replacing, write_npz
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits

CAPTURED = ("captured", "mirrored")  # recombined poses would tell that limbs know nothing of each other
MIXTURE_POSES = 20_000
SAMPLES = 1000


def train_statistics(data: str | os.PathLike[str], out: str | os.PathLike[str], seed: int = 1) -> dict[str, Any]:
    """Write pose_limits, pose_gaussian, pose_mixture (.npz) and statistics.json to ``out``; return what was measured.

    Raises InputError if ``data`` is no corpus that ``monocap data corpus`` wrote.
    """
    corpus = read_pose_corpus(data)
    train = corpus.part("train")
    train = train.take(np.isin(train.kind, CAPTURED))
    poses, weights = train.body_pose.astype(np.float64), train.weight.astype(np.float64)
    rng = np.random.default_rng(seed)
    limits = corpus_limits(poses, weights)
    gaussian = PoseGaussian.fit(poses, weights)
    chosen = rng.permutation(len(poses))[:MIXTURE_POSES]
    mixture = PoseMixture.fit(poses[chosen], weights[chosen], seed=seed)
    report = {
        "poses": len(poses),
        "seed": seed,
        "held_out": {
            name: _judge(corpus, name, limits, gaussian, mixture) for name in corpus.splits if name != "train"
        },
        "samples_beyond_limits_percent": {
            "gaussian": _beyond(limits, gaussian.sample(SAMPLES, rng)),
            "mixture": _beyond(limits, mixture.sample(SAMPLES, rng)[:, :63]),
        },
    }
    folder = Path(out)
    write_npz(folder / "pose_limits.npz", {"support": limits.support.astype(np.float32)})
    write_npz(folder / "pose_gaussian.npz", {"mean": gaussian.mean, "covariance": gaussian.covariance})
    write_npz(
        folder / "pose_mixture.npz",
        {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances},
    )
    with replacing(folder / "statistics.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _judge(
    corpus: PoseCorpus, split: str, limits: PoseLimits, gaussian: PoseGaussian, mixture: PoseMixture
) -> dict[str, Any]:
    poses = corpus.part(split).body_pose.astype(np.float64)
    return {
        "poses": len(poses),
        "beyond_limits_percent": _beyond(limits, poses),
        "gaussian_nats": round(float(gaussian.log_probability(poses).mean()), 2),
        "mixture_nats": round(float(mixture.log_probability(poses).mean()), 2),
    }


def _beyond(limits: PoseLimits, poses: np.ndarray) -> dict[str, float]:
    """Per cent of joints, and of poses with any such joint, that are beyond the limits."""
    beyond = limits.excess(poses) > 0
    return {
        "joints": round(100 * float(beyond.mean()), 3),
        "poses": round(100 * float(beyond.any(axis=1).mean()), 2),
    }
