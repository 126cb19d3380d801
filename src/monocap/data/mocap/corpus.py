"""One pose corpus out of a folder of captured motion: retargeted, cleaned, split by performer, balanced, widened.

Read it with `monocap.data.pose_corpus.read_pose_corpus`.

Written are npz shards ``SPLIT-NN.npz`` and ``corpus.json``. Arrays of a shard, N poses: ``body_pose`` (N,63) float32
radians, SMPL-X; ``weight`` (N,) float32, to be drawn by; ``kind`` (N,) captured, mirrored or recombined; ``subject``,
``clip``, ``split`` (N,) text. Splits: train, val and test hold different performers; extreme holds acrobats, and those
held-out poses that have no training pose near them. Only train is widened; all splits hold mirror images.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import BodyModel
from monocap.data.mocap.balance import balancing_weights, near_duplicates, nearest_distance, pose_features
from monocap.data.mocap.retarget import FPS, retarget
from monocap.data.mocap.takes import Take, find_takes, read_take
from monocap.data.mocap.widen import recombined
from monocap.errors import InputError
from monocap.files import replacing, write_npz
from monocap.priors import anatomical_prior
from monocap.priors.limits import PoseLimits, mirrored
from monocap.types import Array

SCHEMA = "monocap.poses/1"
SPLITS = ("train", "val", "test", "extreme")
SHARD = 50_000
ENOUGH = 100  # poses, of which limits can be told and limbs recombined
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CorpusOptions:
    """What goes in. Subjects are CMU's numbers, or folders where files carry none.

    Limits for a clip: mean ``direction`` (degrees) and ``position`` (cm) error of retargeting, and the share of frames
    that may be ``broken``: a joint jumps, or is ``impossible`` (rad beyond the anatomical ranges). ``duplicate``,
    ``leak`` and ``far`` are pose distances in degrees (see balance.py).
    """

    test: tuple[str, ...] = ("05", "07", "14", "16")
    val: tuple[str, ...] = ("06", "38")
    extreme: tuple[str, ...] = ("88", "90", "cmu_new3")
    all_origins: bool = False
    direction: float = 5.0
    position: float = 12.0
    broken: float = 0.5
    impossible: float = 0.5
    duplicate: float = 3.0
    leak: float = 5.0
    far: float = 25.0
    recombine: float = 1.0
    seed: int = 0


@dataclass
class _Pool:
    """Poses while they are collected."""

    pose: list[Array] = field(default_factory=list)
    subject: list[str] = field(default_factory=list)
    clip: list[str] = field(default_factory=list)
    archive: list[str] = field(default_factory=list)


def anatomical_limits() -> PoseLimits:
    """Limits that hold every pose inside the anatomical ranges of priors.anatomy, for telling broken captures."""
    prior = anatomical_prior()
    corners = np.random.default_rng(0).uniform(prior.lower.reshape(-1), prior.upper.reshape(-1), (20_000, 63))
    return PoseLimits.around(corners)


def clinical_limits() -> PoseLimits:
    """Limits around single-axis rotations to the ends of the anatomical ranges, as a goniometer measures them."""
    prior = anatomical_prior()
    poses = np.zeros((6, 21, 3))
    for axis in range(3):
        poses[axis, :, axis], poses[3 + axis, :, axis] = prior.lower[:, axis], prior.upper[:, axis]
    return PoseLimits.around(poses.reshape(6, 63))


def corpus_limits(poses: Array, weights: Array | None = None, margin: float = 0.2) -> PoseLimits:
    """Joint limits of a corpus (N,63), widened by ``margin`` rad and by what clinics measure."""
    return PoseLimits.fit(poses, weights, margin=margin).widened(clinical_limits())


def build_corpus(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    body: BodyModel,
    options: CorpusOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read every take below ``folder``, write the corpus to ``out``, return the report that corpus.json holds.

    Raises InputError if the folder holds no motion, or nothing of it is usable.
    """
    options = options or CorpusOptions()
    takes = find_takes(folder)
    pool, clips = _collect(takes, body, options, progress)
    if not pool.pose:
        reasons = Counter(clip["dropped"] for clip in clips)
        raise InputError(f"{folder}: no usable clip; {', '.join(f'{n} × {why}' for why, n in reasons.most_common(3))}")
    pose = np.concatenate(pool.pose).astype(np.float32)
    subject, clip = np.array(pool.subject), np.array(pool.clip)
    features = pose_features(pose)
    before = len(pose)
    keep = ~near_duplicates(features, np.deg2rad(options.duplicate))
    pose, subject, clip, features = pose[keep], subject[keep], clip[keep], features[keep]
    archive = np.array(pool.archive)[keep]
    split = np.array([_split(name, options) for name in subject])
    leaks = _leaks(features, split, subject, clip, options)
    keep = ~np.isin(clip, [name for name, _ in leaks])
    pose, subject, clip, features, split = pose[keep], subject[keep], clip[keep], features[keep], split[keep]
    archive = archive[keep]
    held = np.isin(split, ("val", "test"))
    far = np.zeros(len(pose), dtype=bool)
    far[held] = nearest_distance(features[held], features[split == "train"]) > np.deg2rad(options.far)
    split[far] = "extreme"

    rng = np.random.default_rng(options.seed)
    folder_out = Path(out)
    counts: dict[str, dict[str, int]] = {}
    for name in SPLITS:
        chosen = split == name
        if not chosen.any():
            continue
        counts[name] = _write_split(
            folder_out, name, pose[chosen], subject[chosen], clip[chosen], features[chosen], options, rng
        )
    report = {
        "schema": SCHEMA,
        "options": asdict(options),
        "fps": FPS,
        "takes": len(takes),
        "clips_kept": sum(1 for entry in clips if not entry["dropped"]),
        "clips_dropped": dict(Counter(entry["dropped"].split(":")[0] for entry in clips if entry["dropped"])),
        "minutes_read": round(sum(entry["seconds"] for entry in clips) / 60, 1),
        "minutes_kept": round(sum(entry["seconds"] for entry in clips if not entry["dropped"]) / 60, 1),
        "frames_kept": before,
        "near_duplicates": int(before - len(keep)),
        "leaked_clips": leaks,
        "poses_by_archive": dict(Counter(str(name) for name in archive)),
        "subjects": {name: sorted({str(s) for s in subject[split == name]}) for name in SPLITS},
        "splits": counts,
        "clips": clips,
    }
    with replacing(folder_out / "corpus.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _collect(
    takes: list[Take], body: BodyModel, options: CorpusOptions, progress: Progress | None
) -> tuple[_Pool, list[dict[str, Any]]]:
    """Good frames of all takes, and one entry per take of what was measured and why it was dropped."""
    pool, entries, possible = _Pool(), [], anatomical_limits()
    for number, take in enumerate(takes, start=1):
        entry: dict[str, Any] = {"clip": take.name, "subject": take.subject, "seconds": 0.0, "frames": 0, "dropped": ""}
        entries.append(entry)
        if progress is not None:
            progress(number, len(takes))
        if take.origin != "cmu" and not options.all_origins:
            entry["dropped"] = f"origin {take.origin}, not for shipped weights"
            continue
        try:
            clip = read_take(take)
            motion = retarget(clip, body)
        except InputError as error:
            entry["dropped"] = f"unreadable: {error}"
            continue
        errors = motion.error.summary
        steady = motion.steady
        human = (possible.excess(motion.body_pose) <= options.impossible).all(axis=1)
        good = steady & human
        entry |= {"seconds": round(clip.seconds, 2), "rig": motion.rig, "frames": int(good.sum())}
        entry |= {key: round(value, 3) for key, value in errors.items()}
        entry |= {"jumping": round(float(1 - steady.mean()), 4), "impossible": round(float(1 - human.mean()), 4)}
        if errors["direction_mean_deg"] > options.direction or errors["position_mean_cm"] > options.position:
            entry["dropped"] = "retargeting error above the limit"
        elif good.mean() < 1 - options.broken:
            entry["dropped"] = f"more than {options.broken:.0%} of its frames jump or are anatomically impossible"
        if entry["dropped"]:
            continue
        pool.pose.append(motion.body_pose[good])
        pool.subject += [take.subject] * int(good.sum())
        pool.clip += [take.name] * int(good.sum())
        pool.archive += [take.archive.split("/")[0]] * int(good.sum())
    return pool, entries


def _split(subject: str, options: CorpusOptions) -> str:
    for name in ("test", "val", "extreme"):
        if subject in getattr(options, name):
            return name
    return "train"


def _leaks(
    features: Array, split: Array, subject: Array, clip: Array, options: CorpusOptions
) -> list[tuple[str, float]]:
    """Clips without a named performer that look like a held-out performer's: name and share of poses that are near."""
    held = features[split != "train"]
    found = []
    for name in np.unique(clip[subject == ""]):
        near = nearest_distance(features[clip == name], held) < np.deg2rad(options.leak)
        if near.mean() > 0.05:
            found.append((str(name), round(float(near.mean()), 3)))
    return found


def _write_split(
    folder: Path,
    split: str,
    pose: Array,
    subject: Array,
    clip: Array,
    features: Array,
    options: CorpusOptions,
    rng: np.random.Generator,
) -> dict[str, int]:
    weight = balancing_weights(features)
    parts = [(pose, "captured", weight, subject, clip), (mirrored(pose), "mirrored", weight, subject, clip)]
    if split == "train" and options.recombine > 0 and len(pose) >= ENOUGH:
        both, weights = np.concatenate([pose, parts[1][0]]), np.concatenate([weight, weight])
        limits = corpus_limits(pose, weight)
        inside = limits.allows(both)
        made, owner = recombined(both[inside], weights[inside], int(options.recombine * len(both)), limits, rng)
        whose = np.flatnonzero(inside)[owner] % len(pose)
        parts.append((made, "recombined", np.ones(len(made)), subject[whose], clip[whose]))
    arrays = {
        "body_pose": np.concatenate([part[0] for part in parts]).astype(np.float32),
        "weight": np.concatenate([part[2] for part in parts]).astype(np.float32),
        "kind": np.concatenate([np.full(len(part[0]), part[1], dtype="U10") for part in parts]),
        "subject": np.concatenate([part[3] for part in parts]),
        "clip": np.concatenate([part[4] for part in parts]),
    }
    arrays["split"] = np.full(len(arrays["body_pose"]), split, dtype="U7")
    order = rng.permutation(len(arrays["body_pose"])) if split == "train" else np.arange(len(arrays["body_pose"]))
    for number, start in enumerate(range(0, len(order), SHARD)):
        chosen = order[start : start + SHARD]
        write_npz(folder / f"{split}-{number:02d}.npz", {key: value[chosen] for key, value in arrays.items()})
    return {part[1]: len(part[0]) for part in parts}
