"""``monocap evaluate prior``: what the pose priors can express, what they make up, and what they tell apart.

Four questions, all on performers that no prior has learned from:

- *reconstruction*: held-out poses through VPoser's 32 numbers, 32 principal components of the poses that it learned
  from, and the tokens;
- *samples*: how often poses that a prior makes up leave the joint limits;
- *codebook*: how many codes are in use;
- *separation*: the chance that a spoilt pose gets a worse score than a real one (area under the ROC curve).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.data.pose_corpus import PoseCorpus, read_pose_corpus
from monocap.errors import InputError
from monocap.pipeline.outputs import versions
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits
from monocap.priors.tokenizer import TokenizerPrior
from monocap.priors.vposer import POSE, VPoserPrior
from monocap.types import Array

SCHEMA = "monocap.prior-evaluation/1"
COMPONENTS = 32
SKIN_POINTS = 500
TURNED = 1.6  # over-rotated: every joint by this factor about its own axis
REPLACED = 0.25  # share of tokens replaced at random
Say = Callable[[str], None]


@dataclass(frozen=True)
class PriorEvaluationOptions:
    """``data``: a corpus folder (monocap data corpus) with splits train, test and, if it has one, extreme.

    ``vposer`` and ``tokenizer``: shipped weights, or files; limits, Gaussian and mixture are the shipped ones.
    ``samples``: how many are drawn; ``poses``: at most so many of a split are judged, drawn by the corpus's weights;
    ``sheet``: how many samples are rendered.
    """

    data: Path
    out: Path = Path("out/evaluate-prior")
    vposer: str = "vposer"
    tokenizer: str = "tokenizer"
    samples: int = 1000
    poses: int = 3000
    sheet: int = 64
    seed: int = 0

    @property
    def command(self) -> str:
        """The command that repeats this evaluation, with file names instead of whole paths."""
        words = ["monocap", "evaluate", "prior", "--data", self.data.name]
        for name in ("vposer", "tokenizer"):
            value = Path(getattr(self, name)).name
            words += [] if value == name else [f"--{name}", value]
        return shlex.join([*words, "--samples", str(self.samples), "--seed", str(self.seed)])


@dataclass(frozen=True)
class Priors:
    """Everything that is compared."""

    vposer: VPoserPrior
    tokenizer: TokenizerPrior
    limits: PoseLimits
    gaussian: PoseGaussian
    mixture: PoseMixture

    def energies(self) -> dict[str, Callable[[Array], Array]]:
        """Scores of poses (N,63) by name, larger for less likely ones."""
        return {
            "L2": lambda pose: np.sum(pose**2, axis=-1),
            "limits": lambda pose: self.limits.excess(pose).sum(axis=-1),
            "Gaussian": self.gaussian.energy,
            "GMM": self.mixture.energy,
            "VPoser": self.vposer.energy,
            "tokenizer": self.tokenizer.energy,
        }


@dataclass(frozen=True)
class PriorEvaluation:
    """The ``report`` (JSON-ready), per-pose errors in metres by split and model, samples (n,63) by model, and how often
    each code was used (K,)."""

    report: dict[str, Any]
    errors: dict[str, dict[str, Array]]
    samples: dict[str, Array]
    code_counts: Array


def evaluate_prior(options: PriorEvaluationOptions, say: Say | None = None) -> PriorEvaluation:
    """Answer the four questions. Raises InputError for data or weights that cannot be used."""
    for name in ("samples", "poses"):
        if getattr(options, name) < 10:
            raise InputError(f"{name} is {getattr(options, name)}; expected 10 or more")
    say = say or (lambda text: None)
    rng = np.random.default_rng(options.seed)
    corpus = read_pose_corpus(options.data)
    # the principal components learn from what VPoser learned from
    learned = _drawn(corpus, "train", 20_000, ("captured", "mirrored", "recombined"))
    held = [name for name in ("test", "extreme") if name == "test" or name in corpus.splits]
    splits = {name: _drawn(corpus, name, options.poses) for name in held}
    say(f"corpus: {', '.join(f'{len(pose)} {name}' for name, pose in splits.items())} poses, none of them learned from")
    priors = Priors(
        VPoserPrior.load(options.vposer),
        TokenizerPrior.load(options.tokenizer),
        PoseLimits.load(),
        PoseGaussian.load(),
        PoseMixture.load(),
    )
    component = principal_components(learned, COMPONENTS)
    body = load_body("open")
    errors: dict[str, dict[str, Array]] = {}
    table: dict[str, Any] = {}
    for split, pose in splits.items():
        say(f"reconstruction: {split}")
        again = {
            "VPoser": priors.vposer.decode(priors.vposer.encode(pose)[0]),
            f"PCA {COMPONENTS}": component(pose),
            "tokenizer": priors.tokenizer.decode(priors.tokenizer.encode(pose)),
        }
        measured = {name: body_errors(body, pose, value, options.seed) for name, value in again.items()}
        errors[split] = {name: joints for name, (joints, _) in measured.items()}
        table[split] = {name: _summary(joints, skin) for name, (joints, skin) in measured.items()}
    counts = np.bincount(priors.tokenizer.encode(splits["test"]).reshape(-1), minlength=len(priors.tokenizer.codebook))
    say("samples")
    samples = draw_samples(priors, splits["test"], options.samples, rng)
    say("separation")
    report = {
        "schema": SCHEMA,
        "command": options.command,
        "poses": {"learned": len(learned), **{name: len(pose) for name, pose in splits.items()}},
        "reconstruction": table,
        "vposer_below_pca": {
            split: 1 - rows["VPoser"]["joint_mm"] / rows[f"PCA {COMPONENTS}"]["joint_mm"]
            for split, rows in table.items()
        },
        "codebook": _codebook(counts),
        "samples": {name: _violations(priors.limits, pose) for name, pose in samples.items()},
        "held_out_violations": _violations(priors.limits, splits["test"]),
        "separation": separation(priors, splits["test"], rng),
        "versions": versions(),
    }
    return PriorEvaluation(report, errors, samples, counts)


def principal_components(pose: Array, count: int) -> Callable[[Array], Array]:
    """Projection of poses (N,63) onto the mean and the first ``count`` principal components of ``pose`` (M,63)."""
    mean = pose.mean(axis=0)
    _, _, axes = np.linalg.svd(pose - mean, full_matrices=False)
    kept = axes[:count]
    return lambda other: mean + (other - mean) @ kept.T @ kept


def body_errors(body: BodyModel, pose: Array, other: Array, seed: int = 0) -> tuple[Array, Array]:
    """Mean distance of 21 joints (the root is fixed) and of points spread over the skin, (N,) metres each."""
    share = np.zeros(len(body.v_template))
    corners = body.v_template[body.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    np.add.at(share, body.faces.reshape(-1), np.repeat(area, 3))
    ids = np.random.default_rng(seed).choice(len(share), SKIN_POINTS, replace=False, p=share / share.sum())
    few, joints, skin = body.restricted(ids), [], []
    for start in range(0, len(pose), 512):
        a, b = (few(body_pose=x[start : start + 512].astype(np.float32)) for x in (pose, other))
        joints.append(np.linalg.norm(a.joints - b.joints, axis=-1)[:, 1:22].mean(axis=1))
        skin.append(np.linalg.norm(a.vertices - b.vertices, axis=-1).mean(axis=1))
    return np.concatenate(joints), np.concatenate(skin)


def draw_samples(priors: Priors, real: Array, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Made-up poses (count,63): drawn from the models, and decoded tokens of which a quarter were replaced."""
    tokens = priors.tokenizer.encode(real[rng.integers(len(real), size=count)])
    spoilt = rng.random(tokens.shape) < REPLACED
    tokens = np.where(spoilt, rng.integers(len(priors.tokenizer.codebook), size=tokens.shape), tokens)
    return {
        "Gaussian": priors.gaussian.sample(count, rng),
        "GMM": priors.mixture.sample(count, rng)[:, :63],
        "VPoser": priors.vposer.sample(count, rng),
        "tokenizer, a quarter of the tokens random": priors.tokenizer.decode(tokens),
    }


def separation(priors: Priors, real: Array, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Area under the ROC curve by spoiling and prior: 1 tells every real pose from every spoilt one, 0.5 none."""
    spoilt = {
        "limb-swapped": limb_swapped(real, rng),
        "over-rotated": TURNED * real,
        "random within limits": priors.limits.sample(len(real), rng),
    }
    table: dict[str, dict[str, float]] = {name: {} for name in spoilt}
    for prior, energy in priors.energies().items():
        truth = energy(real)
        for name, pose in spoilt.items():
            table[name][prior] = area_under_curve(truth, energy(pose))
    return table


def limb_swapped(pose: Array, rng: np.random.Generator) -> Array:
    """Poses (N,63) with an arm and a leg of other poses, mirrored from the other side: within what each joint does."""
    names = skeletons.get("smplx55").joint_names[1:22]
    joints = pose.reshape(-1, 21, 3).copy()
    for limb in (("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot")):
        other = joints[rng.permutation(len(joints))]
        left, right = ([names.index(f"{side}_{part}") for part in limb] for side in ("left", "right"))
        chosen = rng.random(len(joints)) < 0.5
        for mask, to, source in ((chosen, left, right), (~chosen, right, left)):
            mirrored = other[:, source] * np.array([1.0, -1.0, -1.0])
            joints[:, to] = np.where(mask[:, None, None], mirrored, joints[:, to])
    return joints.reshape(-1, 63)


def area_under_curve(real: Array, spoilt: Array) -> float:
    """Chance that a spoilt pose scores higher than a real one, ties counting half (Mann and Whitney 1947)."""
    ranks = rankdata(np.concatenate([spoilt, real]))
    n, m = len(spoilt), len(real)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def _drawn(corpus: PoseCorpus, split: str, most: int, kinds: tuple[str, ...] = ("captured",)) -> Array:
    """(N,63) float64 poses of a split, at most so many, drawn by the corpus's own weights, always the same ones."""
    part = corpus.part(split)
    part = part.take(np.isin(part.kind, kinds))
    pose, weight = part.body_pose.astype(np.float64), part.weight.astype(np.float64)
    if len(pose) < 2 * POSE or not (weight > 0).all():
        raise InputError(f"split {split!r}: {len(pose)} poses captured; expected {2 * POSE} or more, with weights")
    if len(pose) <= most:
        return pose
    chosen = np.random.default_rng(0).choice(len(pose), most, replace=False, p=weight / weight.sum())
    return pose[np.sort(chosen)]


def _summary(joints: Array, skin: Array) -> dict[str, float]:
    return {
        "joint_mm": 1000 * float(joints.mean()),
        "joint_mm_median": 1000 * float(np.median(joints)),
        "joint_mm_95": 1000 * float(np.quantile(joints, 0.95)),
        "skin_mm": 1000 * float(skin.mean()),
    }


def _violations(limits: PoseLimits, pose: Array) -> dict[str, float]:
    """Shares of joints, and of poses with any joint, beyond the limits."""
    beyond = limits.excess(pose) > 0
    return {"joints": float(beyond.mean()), "poses": float(beyond.any(axis=1).mean())}


def _codebook(counts: Array) -> dict[str, float]:
    share = counts / counts.sum()
    entropy = -float(np.sum(share[share > 0] * np.log(share[share > 0])))
    return {"codes": len(counts), "used": float((counts > 0).mean()), "perplexity": float(np.exp(entropy))}
