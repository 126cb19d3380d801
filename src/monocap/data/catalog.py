"""Which data set lies in a folder or file, and its reader: one door to all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from monocap.data import (
    agora,
    amass,
    bedlam,
    coco,
    ehf,
    emdb,
    folder,
    human36m,
    lsp,
    mpi_inf_3dhp,
    mpii,
    posetrack,
    real3d,
    spin,
    synthetic,
    threedpw,
)
from monocap.data.dataset import Collection
from monocap.data.sample import DatasetInfo
from monocap.errors import InputError
from monocap.files import npz_shapes


@dataclass(frozen=True)
class Kind:
    """A data set's name, its facts, what tells that a path is one, and its reader (first argument the path)."""

    name: str
    info: DatasetInfo | None
    tells: Callable[[Path], bool]
    read: Callable[..., Collection]
    looks_like: str


def _has(*patterns: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(next(path.glob(pattern), None) is not None for pattern in patterns)


def _named(path: Path, suffix: str, *parts: str) -> bool:
    return path.is_file() and path.suffix == suffix and any(part in path.name for part in parts)


def _npz_with(*keys: str) -> Callable[[Path], bool]:
    def tells(path: Path) -> bool:
        files = [path] if path.is_file() else islice(path.rglob("*.npz"), 5)
        for file in files:
            if file.suffix != ".npz":
                return False
            try:
                if set(keys) <= set(npz_shapes(file)):
                    return True
            except InputError:
                continue
        return False

    return tells


KINDS: tuple[Kind, ...] = (
    Kind("real3d_dev", real3d.INFO, _has("annotations.json"), real3d.read_real3d, "annotations.json of real3d_dev"),
    Kind("3dpw", threedpw.INFO, _has("sequenceFiles"), threedpw.read_3dpw, "sequenceFiles/*/*.pkl"),
    Kind("emdb", emdb.INFO, _has("P*/*/*_data.pkl", "*/P*_data.pkl"), emdb.read_emdb, "P*/SEQUENCE/*_data.pkl"),
    Kind("ehf", ehf.INFO, _has("*_align.ply"), ehf.read_ehf, "*_align.ply"),
    Kind(
        "mpi-inf-3dhp-test",
        mpi_inf_3dhp.TEST,
        _has("TS*/annot_data.mat"),
        mpi_inf_3dhp.read_3dhp_test,
        "TS*/annot_data.mat",
    ),
    Kind(
        "mpi-inf-3dhp",
        mpi_inf_3dhp.INFO,
        _has("S*/Seq*/annot.mat"),
        mpi_inf_3dhp.read_3dhp_train,
        "S*/Seq*/annot.mat",
    ),
    Kind(
        "human3.6m",
        human36m.INFO,
        _has("S*/MyPoseFeatures/D3_Positions_mono", "S*/Poses_D3_Positions_mono"),
        human36m.read_h36m,
        "S*/MyPoseFeatures/D3_Positions_mono/*.cdf",
    ),
    Kind(
        "human3.6m-json",
        human36m.INFO,
        _has("annotations/Human36M_subject*_data.json", "Human36M_subject*_data.json"),
        human36m.read_h36m_json,
        "annotations/Human36M_subject*_{data,camera,joint_3d}.json",
    ),
    Kind("lsp", lsp.INFO, _has("joints.mat"), lsp.read_lsp, "joints.mat"),
    Kind(
        "mpii",
        mpii.INFO,
        lambda p: (
            _named(p, ".mat", "mpii_human_pose")
            or (p.parent.name in ("annot", "mpii") and p.name in ("train.json", "valid.json", "trainval.json"))
        ),
        mpii.read_mpii,
        "mpii_human_pose_v1_u12_1.mat, annot/train.json",
    ),
    Kind(
        "coco",
        coco.INFO,
        lambda p: _named(p, ".json", "person_keypoints_", "coco_wholebody_"),
        coco.read_coco,
        "person_keypoints_*.json, coco_wholebody_*.json",
    ),
    Kind(
        "posetrack",
        posetrack.INFO,
        lambda p: (
            _named(p, ".json", "_mpii_", "_bonn_")
            or _has("*_mpii_*.json", "*_bonn_*.json", "annotations/*/*_mpii_*.json")(p)
        ),
        posetrack.read_posetrack,
        "annotations/val/*_mpii_test.json",
    ),
    Kind(
        "agora",
        agora.INFO,
        lambda p: _named(p, ".pkl", "withjv") or _has("*withjv*.pkl", "*/*withjv*.pkl")(p),
        agora.read_agora,
        "*_withjv.pkl",
    ),
    Kind("bedlam", bedlam.INFO, _npz_with("imgname", "pose_cam", "trans_cam"), bedlam.read_bedlam, "SCENE.npz"),
    Kind("spin-npz", spin.INFO, _npz_with("imgname", "center", "scale"), spin.read_spin, "an npz of SPIN's kind"),
    Kind("amass", amass.INFO, _npz_with("poses", "trans", "betas"), amass.read_amass, "SUBSET/SUBJECT/*.npz"),
    Kind(
        "synth",
        synthetic.INFO,
        synthetic.is_synthetic,
        synthetic.read_synthetic,
        "index.json and synth-*.tar of monocap synth render",
    ),
    Kind("folder", None, lambda p: p.is_dir() or p.suffix == ".json", folder.read_folder, f"{folder.FILE} or pictures"),
)


def names() -> tuple[str, ...]:
    """Names that `open_dataset` accepts."""
    return tuple(kind.name for kind in KINDS)


def recognise(path: str | os.PathLike[str]) -> Kind:
    """What a folder or file is, by its layout. Raises InputError, listing what is looked for, if it is unknown."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    for kind in KINDS:
        if kind.tells(path):
            return kind
    known = "; ".join(f"{kind.name}: {kind.looks_like}" for kind in KINDS)
    raise InputError(f"{path}: no known data set. Looked for {known}")


def open_dataset(path: str | os.PathLike[str], kind: str | None = None, **options: Any) -> Collection:
    """The data set at ``path``, recognised by its layout unless ``kind`` names it; ``options`` go to its reader.

    Raises InputError if it is not recognised or not as its makers distribute it.
    """
    if kind is None:
        return recognise(path).read(path, **options)
    found = next((k for k in KINDS if k.name == kind), None)
    if found is None:
        raise InputError(f"no data set {kind!r}; there are {', '.join(names())}")
    if not Path(path).exists():
        raise InputError(f"{path}: no such file or folder")
    return found.read(path, **options)
