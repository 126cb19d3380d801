"""Synthetic people as features of a frozen encoder, computed once: what networks learn from on a laptop.

A folder of chunks, each of the people in a run of sample numbers, seen in ``views`` augmented crops: one ``.npy`` per
feature map (N,C,h,w) float16, and ``truth.npz``. A chunk is a function of settings and its number alone, appears only
when complete, and is kept when the command is repeated.

The truth of a crop is that of the whole picture turned about the camera's axis by the crop's rotation (and mirrored):
so a camera of the same focal length, with its principal point in the middle, projects the joints exactly.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from monocap.assets.manifest import locate
from monocap.assets.sessions import open_network
from monocap.data.augmentation import PUBLISHED, Change, draw
from monocap.data.crop_families import crop_family
from monocap.data.sample import Sample
from monocap.data.synthetic import OUTSIDE, SKELETON, VISIBLE
from monocap.data.training_view import training_view
from monocap.errors import InputError
from monocap.files import read_npz, replacing, write_npz
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.nets.backbones.light import LightEncoder, load_published, write_encoder
from monocap.perception.roi import upright
from monocap.skeletons import get
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.synth.streaming import each
from monocap.types import Array

PER_CHUNK = 500  # sample numbers
FAMILY = "light"
ABOUT, ENCODER = "cache.json", "encoder.onnx"
_SHORT = 0.08  # of the box: a torso seen from its end says nothing of its tilt
_SEED = 20  # of augmentation, beside the sampler's


@dataclass(frozen=True, eq=False)
class Truth:
    """Of N crops. ``global_orient`` (N,3), ``body_pose`` (N,63), ``betas`` (N,10); ``joints`` (N,127,3) m in the
    camera; ``state`` (N,127) as `SynthSample.visibility`, and `OUTSIDE` beyond the crop, hidden behind its cover;
    ``center`` (N,2) px of the square from the principal point, ``size`` (N,) px its side, ``focal`` (N,) px;
    ``number``, ``person``, ``view`` (N,). Networks see f, centre and side as CLIFF's do."""

    global_orient: Array
    body_pose: Array
    betas: Array
    joints: Array
    state: Array
    center: Array
    size: Array
    focal: Array
    number: Array
    person: Array
    view: Array

    def points(self) -> Array:
        """(N,127,2) joints in the crop, −1…1 across it."""
        depth = np.maximum(self.joints[..., 2:], 1e-3)
        flat = self.focal[:, None, None] * self.joints[..., :2] / depth
        return (flat - self.center[:, None]) * (2 / self.size[:, None, None])


@dataclass(frozen=True)
class CachePlan:
    """Crops of samples 0 … ``count`` of ``settings``, each person ``views`` times with ``augmentation``, turned so that
    the torso is upright before that: so the encoder has seen people, and so capture will cut them."""

    settings: SynthSettings
    count: int
    views: int = 2
    augmentation: str = "aligned"


def write_features(
    plan: CachePlan, out: Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Fill ``out`` with the chunks that are not there yet. Raises InputError if it holds those of other settings."""
    if plan.count < 1 or plan.views < 1 or plan.augmentation not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise InputError(
            f"{plan.count} pictures, {plan.views} views, {plan.augmentation!r}; expected 1 or more, and one of {known}"
        )
    about = {
        "seed": plan.settings.seed, "size": list(plan.settings.size), "people": list(plan.settings.people),
        "split": plan.settings.split, "quality": plan.settings.quality, "views": plan.views,
        "augmentation": plan.augmentation, "per_chunk": PER_CHUNK,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    if (out / ABOUT).exists():
        if json.loads((out / ABOUT).read_text()) != about:
            raise InputError(f"{out} holds features of other settings; choose another folder, or delete it")
    else:
        with replacing(out / ABOUT) as temporary:
            temporary.write_text(json.dumps(about))
    encoder = out / ENCODER
    if not encoder.exists():
        net = load_published(LightEncoder(), locate("blazepose_lite")).eval()
        with replacing(encoder) as temporary:
            write_encoder(net, temporary)
    starts = [n for n in range(0, plan.count, PER_CHUNK) if not _chunk(out, n).exists()]
    done = plan.count - sum(min(PER_CHUNK, plan.count - n) for n in starts)
    numbers = (n for start in starts for n in range(start, min(start + PER_CHUNK, plan.count)))
    make = functools.partial(_crops, encoder, plan.views, plan.augmentation)
    source = each(plan.settings, numbers, workers, make)
    for start in starts:
        found: list[tuple[dict[str, Array], dict[str, Array]]] = []
        for _ in range(start, min(start + PER_CHUNK, plan.count)):
            crops = next(source)
            if crops is not None:
                found.append(crops)
            done += 1
            if progress is not None:
                progress(done, plan.count)
        _write(out, start, found)


def read_features(folder: Path) -> tuple[dict[str, list[Array]], Truth]:
    """Feature maps by name, one memory-mapped array (n,C,h,w) per chunk, and the truth of all crops in that order.

    Raises InputError for a folder without chunks.
    """
    chunks = sorted(folder.glob("chunk-*/truth.npz"))
    if not chunks:
        raise InputError(f"{folder}: no features here; monocap train features writes them")
    truths = [read_npz(chunk) for chunk in chunks]
    truth = Truth(**{f.name: np.concatenate([one[f.name] for one in truths]) for f in fields(Truth)})
    names = sorted(path.stem for path in chunks[0].parent.glob("*.npy"))
    return {name: [np.load(chunk.parent / f"{name}.npy", mmap_mode="r") for chunk in chunks] for name in names}, truth


def _chunk(out: Path, start: int) -> Path:
    return out / f"chunk-{start:08d}"


def _write(out: Path, start: int, found: list[tuple[dict[str, Array], dict[str, Array]]]) -> None:
    if not found:
        return
    place = _chunk(out, start)
    temporary = out / f".monocap-tmp-{place.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name in found[0][0]:
        np.save(temporary / f"{name}.npy", np.concatenate([maps[name] for maps, _ in found]), allow_pickle=False)
    truth = {name: np.concatenate([one[name] for _, one in found]) for name in found[0][1]}
    write_npz(temporary / "truth.npz", truth, compress=False)
    temporary.rename(place)


# ---------------------------------------------------------------------- one picture, in a worker
@functools.cache
def _session(encoder: Path) -> onnxruntime.InferenceSession:
    return open_network(encoder, 1)


def _crops(
    encoder: Path, views: int, augmentation: str, sampler: Sampler, number: int
) -> tuple[dict[str, Array], dict[str, Array]] | None:
    sample = sampler.sample(number)
    crops, truths = [], []
    for person in sample.samples():
        if not person.in_protocol:
            continue
        for view in range(views):
            rng = np.random.default_rng([_SEED, sampler.settings.seed, number, int(person.subject), view])
            change = upright_first(person, draw(PUBLISHED[augmentation], rng))
            crop, truth = crop_and_truth(person, change)
            crops.append(crop)
            truths.append(truth | {"number": number, "person": int(person.subject), "view": view})
    if not crops:
        return None
    session = _session(encoder)
    image = crop_family(FAMILY)
    given = np.stack([image.normalise(crop) for crop in crops])
    names = [output.name for output in session.get_outputs()]
    maps: list[Array] = [np.asarray(m) for m in session.run(names, {session.get_inputs()[0].name: given})]
    kept = {name: value.astype(np.float16) for name, value in zip(names, maps, strict=True)}
    return kept, {name: _stacked([truth[name] for truth in truths]) for name in truths[0]}


def _stacked(values: list[Any]) -> Array:
    value = np.stack(values)
    return value.astype(np.float32) if value.dtype.kind == "f" else value


def upright_first(person: Sample, change: Change) -> Change:
    """``change``, its rotation after the one that makes the torso in the picture upright (where hips and shoulders do
    not lie upon each other)."""
    names = get(person.skeleton2d).joint_names
    if person.joints2d is None or person.box_size is None:
        return change
    hips, shoulders = (
        np.mean([person.joints2d[names.index(f"{side}_{part}"), :2] for side in ("left", "right")], axis=0)
        for part in ("hip", "shoulder")
    )
    torso = shoulders - hips
    if np.hypot(*torso) < _SHORT * float(np.max(person.box_size)):
        return change
    angle = upright(torso) * (-1 if change.flip else 1)
    return replace(change, rotation=change.rotation + angle)


def crop_and_truth(person: Sample, change: Change) -> tuple[Array, dict[str, Any]]:
    """The crop (256,256,3) uint8 of a person with known camera, and the fields of `Truth` of it (without numbers)."""
    seen = training_view(person, crop_family(FAMILY), change)
    params, joints, K = seen.params, seen.joints3d_camera, person.K
    if params is None or joints is None or K is None or seen.joints2d is None or seen.covered is None:
        raise InputError(f"{person.name}: needs parameters, joints and intrinsics")
    turn = axis_angle_to_matrix(np.array([0.0, 0.0, -change.rotation]))
    middle = np.array([seen.image_size[0] - 1 - K[0, 2] if change.flip else K[0, 2], K[1, 2]])
    state = np.asarray(person.notes["visibility"])
    if change.flip:
        state = state[list(_flip())]
    state = np.where(seen.joints2d[:, 2] > 0, state, OUTSIDE)
    state = np.where(seen.covered & (state == VISIBLE), VISIBLE - 1, state).astype(np.uint8)
    return seen.crop, {
        "global_orient": np.asarray(params.global_orient, np.float64),
        "body_pose": np.asarray(params.body_pose, np.float64)[:63],
        "betas": np.asarray(params.betas, np.float64)[:10],
        "joints": joints @ turn.T,
        "state": state,
        "center": (seen.center - middle) @ turn[:2, :2].T,
        "size": np.float64(seen.size),
        "focal": np.float64(K[0, 0]),
    }


@functools.cache
def _flip() -> tuple[int, ...]:
    return tuple(get(SKELETON).flip)
