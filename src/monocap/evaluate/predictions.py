"""Predictions from a file: an ``.npz`` of documented keys, matched with a data set's samples by name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monocap.errors import InputError
from monocap.evaluate.poses import Poses, finite, in_order
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.evaluate.regressors import regress, require_family
from monocap.evaluate.truth import TrueBodies, Truth
from monocap.files import read_npz
from monocap.types import Array

KEYS = ("sample", "joints", "joint_names", "vertices", "label")


@dataclass(frozen=True)
class Estimate:
    """One row of a report: ``label``, ``poses`` of all N samples of the truth, ``found`` (N,) bool, and ``notes``."""

    label: str
    poses: Poses
    found: Array
    notes: list[str]


def read_predictions(
    path: str | os.PathLike[str],
    protocol: EvaluationProtocol,
    truth: Truth,
    bodies: TrueBodies | None = None,
    regressor: Array | None = None,
) -> Estimate:
    """Predictions for a protocol, in the order of ``truth``.

    Keys of the ``.npz``: ``sample`` (M,) text, names as in the report's list of samples (may be absent if there is
    exactly one prediction per sample of the data set, in its order); ``joints`` (M,J,3) metres in the protocol's order,
    or with ``joint_names`` (J,) text; (M,J,2) pixels in 2D; ``vertices`` (M,V,3) metres; ``label`` text. Where a
    protocol regresses joints, ``joints`` may be absent if ``vertices`` and a regressor are given.

    Raises InputError for wrong keys, shapes, counts, NaN in every row, or names that no sample has.
    """
    path = Path(path)
    arrays = read_npz(path)
    unknown = sorted(set(arrays) - set(KEYS))
    if unknown:
        raise InputError(f"{path}: unknown keys {', '.join(unknown)}; expected some of {', '.join(KEYS)}")
    points, valid, names, notes = _points(path, arrays, protocol, bodies or TrueBodies(None), regressor)
    vertices = _vertices(path, arrays, protocol, len(points))
    rows = _rows(path, arrays, truth, len(points))
    joints, visible, root, more = in_order(protocol, points, valid, skeleton="" if names else "h36m17", names=names)
    if more:  # capture may be compared on fewer joints, a file that claims a protocol may not
        wanted = dict.fromkeys((*protocol.joints, *protocol.root))
        raise InputError(f"{path}: {more[0]}. Protocol {protocol.name} needs, with joint_names: {', '.join(wanted)}")
    chosen = np.maximum(rows, 0)
    found = rows >= 0
    usable: Array = visible.sum(axis=1) > 0 if vertices is None else finite(vertices.reshape(len(vertices), -1))
    broken = found & ~usable[chosen]
    if broken.any():
        notes.append(f"{int(broken.sum())} predictions are not numbers and count as missing")
    found &= ~broken
    if not found.any():
        raise InputError(f"{path}: no usable prediction for any of the {len(truth.samples)} samples")
    poses = Poses(joints, visible, root, vertices, _origin(protocol, points, names, root, vertices))
    label = str(arrays["label"]) if "label" in arrays else path.stem
    ours = poses.take(chosen)  # rows of missing samples are some other sample's: nothing of them may be seen
    return Estimate(label, replace(ours, visible=ours.visible & found[:, None]), found, notes)


def _points(
    path: Path, arrays: dict[str, Array], protocol: EvaluationProtocol, bodies: TrueBodies, regressor: Array | None
) -> tuple[Array, Array, tuple[str, ...], list[str]]:
    """Points (M,J,d), which are numbers, their names (empty: h36m17 from a regressor), and notes."""
    if "joints" not in arrays:
        if protocol.regressor and regressor is not None and "vertices" in arrays:
            template = bodies.load("smpl", "neutral").v_template
            points = regress(regressor, arrays["vertices"], require_family(regressor, template, protocol.regressor))
            return (
                points,
                finite(points),
                (),
                ["joints regressed from the predicted vertices"],
            )
        if protocol.points == "vertices" and "vertices" in arrays:
            pelvis, said = _pelvis(protocol, arrays["vertices"], bodies)
            return pelvis, finite(pelvis), protocol.joints, said
        raise InputError(f"{path}: lacks joints; it has {', '.join(arrays) or 'nothing'}")
    points = np.asarray(arrays["joints"])
    size = 2 if protocol.points == "keypoints" else 3
    names = tuple(str(name) for name in arrays["joint_names"]) if "joint_names" in arrays else protocol.joints
    if points.ndim != 3 or points.shape[2] != size or not np.issubdtype(points.dtype, np.floating):
        raise InputError(f"{path}: joints of shape {points.shape} {points.dtype}; expected (M, J, {size}) floats")
    if points.shape[1] != len(names):
        what = "joint_names" if "joint_names" in arrays else f"protocol {protocol.name}"
        raise InputError(f"{path}: {points.shape[1]} joints; {what} has {len(names)}: {', '.join(names)}")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: joint_names are not unique")
    return points.astype(np.float64), finite(points), names, []


def _pelvis(protocol: EvaluationProtocol, vertices: Array, bodies: TrueBodies) -> tuple[Array, list[str]]:
    """(M,1,3) the pelvis of predicted meshes, NaN where no body file tells how to get it."""
    regressor = bodies.joint_regressor(protocol.body)
    if regressor is None or np.shape(vertices)[-2] != regressor.shape[1]:
        return np.full((len(vertices), 1, 3), np.nan), ["the predictions' pelvis is unknown, so MVE is not given"]
    return np.einsum("v,mvc->mc", regressor[0], vertices)[:, None], []


def _vertices(path: Path, arrays: dict[str, Array], protocol: EvaluationProtocol, count: int) -> Array | None:
    if "vertices" not in arrays:
        if protocol.points == "vertices":
            raise InputError(f"{path}: lacks vertices; protocol {protocol.name} compares meshes")
        return None
    vertices = np.asarray(arrays["vertices"], np.float32)
    if vertices.ndim != 3 or vertices.shape[2] != 3 or len(vertices) != count:
        raise InputError(f"{path}: vertices of shape {vertices.shape}; expected ({count}, V, 3)")
    return vertices


def _rows(path: Path, arrays: dict[str, Array], truth: Truth, count: int) -> Array:
    """(N,) row of the file for every sample of the truth, -1 where there is none."""
    if "sample" not in arrays:
        if count != truth.seen:
            raise InputError(
                f"{path}: {count} predictions for {truth.seen} samples and no names; add the key sample (M,) with the "
                "samples' names"
            )
        return truth.positions
    names = [str(name) for name in arrays["sample"]]
    if len(names) != count or len(set(names)) != count:
        raise InputError(f"{path}: {len(names)} sample names ({len(set(names))} different) for {count} predictions")
    at = {name: i for i, name in enumerate(names)}
    rows = np.array([at.get(sample.name, -1) for sample in truth.samples])
    if (rows < 0).all():
        raise InputError(
            f"{path}: none of its sample names is in the data set; expected for example {truth.samples[0].name!r}, "
            f"found {names[0]!r}"
        )
    return rows


def _origin(
    protocol: EvaluationProtocol, points: Array, names: tuple[str, ...], root: Array | None, vertices: Array | None
) -> Array | None:
    """(M,3) what is subtracted from vertices: the root, the pelvis, or nothing."""
    if vertices is None or protocol.align_vertices == "none":
        return None if vertices is None else np.zeros((len(vertices), 3))
    if protocol.align_vertices == "pelvis":
        if not names:
            return points[:, 0]
        for name in ("root", "pelvis"):
            if name in names:
                return points[:, names.index(name)]
    return root
