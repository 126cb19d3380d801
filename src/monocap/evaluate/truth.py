"""From a data set to the truth of a protocol: bad samples are named and counted, the rest is brought into order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.bodies.read import read_arrays
from monocap.data import Dataset, Problem, Sample, check
from monocap.data.meshes import read_vertices
from monocap.errors import InputError
from monocap.evaluate.poses import Poses, in_order
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.evaluate.regressors import regress, require_family
from monocap.evaluate.scoring import Scene
from monocap.geometry import transforms
from monocap.types import Array

BODY_JOINTS = {"smpl": "smpl24", "smplh": "smplh52", "smplx": "smplx55", "open": "smplx55"}


@dataclass(frozen=True)
class Truth:
    """What a protocol compares with: ``samples`` (N), their ``poses`` and ``scene``; ``problems`` of those left out,
    ``deselected`` by the protocol (other subjects or cameras), ``positions`` (N,) in the data set, and ``notes``."""

    samples: list[Sample]
    poses: Poses
    scene: Scene
    positions: Array
    seen: int
    problems: list[Problem] = field(default_factory=list)
    deselected: int = 0
    notes: list[str] = field(default_factory=list)

    def take(self, mask: Array) -> Truth:
        """The samples where ``mask`` (N,) is True."""
        kept = [sample for sample, keep in zip(self.samples, mask, strict=True) if keep]
        return replace(
            self,
            samples=kept,
            poses=self.poses.take(mask),
            scene=self.scene.take(mask),
            positions=self.positions[mask],
        )


class TrueBodies:
    """Official body files in a folder, found by kind and gender in their names (``SMPL_FEMALE.npz``, …)."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; expected one with SMPL_NEUTRAL.npz, SMPL_FEMALE.npz, …")

    @lru_cache(maxsize=8)  # noqa: B019 - lives as long as one evaluation
    def load(self, kind: str, gender: str) -> BodyModel:
        """The body. Raises InputError, saying what to pass, if it is not there."""
        return load_body("open" if kind == "open" else self._find(kind, gender))

    def _find(self, kind: str, gender: str) -> Path:
        if self.folder is None:
            raise InputError(f"this needs the {gender} {kind.upper()} body; pass --bodies FOLDER with its files")
        for path in sorted(p for p in self.folder.rglob("*") if p.suffix in (".npz", ".pkl")):
            words = path.stem.lower().replace("-", "_").split("_")
            if words[0] == kind and (gender in words or gender[0] in words[1:]):
                return path
        raise InputError(
            f"{self.folder}: no {kind.upper()}_{gender.upper()}.npz or .pkl; expected the official file by that name"
        )

    def joint_regressor(self, kind: str) -> Array | None:
        """(J,V) of the neutral body of a kind, or None where there is no folder of bodies."""
        if self.folder is None:
            return None
        return read_arrays(self._find(kind, "neutral"))["J_regressor"].astype(np.float64)


@dataclass(frozen=True)
class _Case:
    joints: Array
    visible: Array
    root: Array | None
    vertices: Array | None = None
    origin: Array | None = None


def gather(
    protocol: EvaluationProtocol,
    dataset: Dataset,
    *,
    pictures: bool,
    strict: bool = False,
    bodies: TrueBodies | None = None,
    regressor: Array | None = None,
    limit: int | None = None,
) -> Truth:
    """Read a data set for a protocol.

    ``pictures``: whether samples need a readable picture. ``strict`` raises InputError at the first bad sample;
    otherwise it is named in ``problems`` and left out. ``regressor`` (17,V) where the protocol regresses joints from
    true meshes of ``bodies``. ``limit``: at most so many samples, evenly over the data set.

    Raises InputError if nothing is left.
    """
    bodies = bodies or TrueBodies(None)
    problems: list[Problem] = []
    notes: Counter[str] = Counter()
    samples: list[Sample] = []
    cases: list[_Case] = []
    positions: list[int] = []
    deselected = 0

    def note(found: list[Problem]) -> None:
        if strict:
            raise InputError("; ".join(problem.message for problem in found))
        problems.extend(found)

    for name, why in dataset.unreadable:
        note([Problem(name, "unreadable", f"{name}: {why}")])
    chosen = range(len(dataset)) if limit is None else _spread(len(dataset), limit)
    for number in chosen:
        try:
            sample = dataset[number]
        except InputError as error:
            note([Problem(f"{dataset.name}[{number}]", "unreadable", str(error))])
            continue
        if not _selected(protocol, sample, notes):
            deselected += 1
            continue
        found = check(sample if pictures else replace(sample, image=None), decode=pictures)
        if pictures and sample.image is None:
            found.append(Problem(sample.name, "missing-picture", f"{sample.name}: has no picture"))
        if found:
            note(found)
            continue
        try:
            case, said = _case(protocol, sample, bodies, regressor)
        except _AbsentError as error:
            note([Problem(sample.name, "no-truth", f"{sample.name}: {error}")])
            continue
        notes.update(said)
        if found := _incomplete(protocol, sample, case):
            note(found)
            continue
        samples.append(sample)
        cases.append(case)
        positions.append(number)
    if not samples:
        first = f" The first: {problems[0].message}" if problems else ""
        raise InputError(
            f"{dataset.name}: no sample is left for {protocol.name} ({len(problems)} problems, {deselected} not of its "
            f"subjects or cameras).{first}"
        )
    return Truth(
        samples=samples,
        poses=_stack(cases),
        scene=_scene(protocol, samples),
        positions=np.array(positions),
        seen=len(chosen),
        problems=problems,
        deselected=deselected,
        notes=[text if count == len(chosen) else f"{text} ({count} samples)" for text, count in notes.items()],
    )


class _AbsentError(Exception):
    """A sample has no truth of the kind that the protocol compares."""


def _selected(protocol: EvaluationProtocol, sample: Sample, notes: Counter[str]) -> bool:
    subjects, cameras = protocol.select.subjects, protocol.select.cameras
    if not sample.in_protocol:
        return False
    if subjects and sample.subject not in subjects:
        return False
    if cameras:
        if "camera" not in sample.notes:
            notes["the samples do not tell their camera; that only the protocol's are here was not checked"] += 1
            return True
        return str(sample.notes["camera"]) in cameras
    return True


def _case(
    protocol: EvaluationProtocol, sample: Sample, bodies: TrueBodies, regressor: Array | None
) -> tuple[_Case, list[str]]:
    if protocol.points == "keypoints":
        points = sample.joints2d
        if points is None:
            raise _AbsentError("no 2D keypoints")
        seen = points[:, 2] > 0
        joints, visible, root, said = in_order(protocol, points[:, :2], seen, skeleton=sample.skeleton2d)
        return _Case(joints, visible, root), said
    if protocol.points == "vertices" and sample.scan is not None:
        return _from_scan(protocol, sample, bodies)
    if sample.params is not None and (protocol.points == "vertices" or protocol.body == "smpl" or protocol.regressor):
        return _from_params(protocol, sample, bodies, regressor)
    if protocol.points == "vertices" or protocol.regressor:
        raise _AbsentError("no body parameters; the protocol's truth is a mesh")
    if sample.joints3d is None:
        raise _AbsentError("no 3D joints")
    if protocol.frame == "world":
        if sample.frame_of_reference != "world":
            raise _AbsentError("joints are not in the world")
        points = sample.joints3d
    else:
        points = sample.camera_joints()
    if protocol.joints_note and protocol.joints_note in sample.notes:
        points = np.asarray(sample.notes[protocol.joints_note], np.float64)
    valid = np.ones(len(points), bool) if sample.joints3d_valid is None else np.asarray(sample.joints3d_valid, bool)
    joints, visible, root, said = in_order(protocol, points, valid, skeleton=sample.skeleton3d)
    return _Case(joints, visible, root), said


def _from_params(
    protocol: EvaluationProtocol, sample: Sample, bodies: TrueBodies, regressor: Array | None
) -> tuple[_Case, list[str]]:
    """Truth from annotated body parameters, posed here: in the camera unless the protocol is about the world."""
    assert sample.params is not None
    assert sample.body is not None
    said = []
    gender = sample.gender
    if protocol.neutral_truth and gender != "neutral":
        said.append(f"annotated betas of the {gender} body were put into the neutral one, as the protocol does")
        gender = "neutral"
    body = bodies.load(sample.body, gender)
    place = _place(protocol, sample)
    parameters = {name: np.asarray(value, np.float64) for name, value in sample.params.asdict().items()}
    parameters["betas"] = parameters["betas"][..., : body.num_betas]
    needs_mesh = protocol.points == "vertices" or "mve" in protocol.metrics or bool(protocol.regressor)
    vertices = place(body(**parameters).vertices) if needs_mesh else None
    if protocol.regressor:
        if regressor is None or vertices is None:
            raise InputError(f"protocol {protocol.name} regresses joints from meshes; pass --regressor FILE")
        family = require_family(regressor, body.v_template, protocol.regressor)
        points, skeleton = regress(regressor, vertices, family), "h36m17"
    else:
        points, skeleton = place(body.joints_only(**parameters)), BODY_JOINTS[sample.body]
    joints, visible, root, more = in_order(protocol, points, np.ones(len(points), bool), skeleton=skeleton)
    assert root is not None
    origin = {"root": root, "pelvis": points[0], "none": np.zeros(3)}[protocol.align_vertices]
    if vertices is not None and protocol.align_vertices == "none":
        vertices = body(**{**parameters, "transl": np.zeros(3)}).vertices
    mesh = None if vertices is None else vertices.astype(np.float32)  # 0.1 µm is enough, and half the memory
    return _Case(joints, visible, root, mesh, origin), said + more


def _from_scan(protocol: EvaluationProtocol, sample: Sample, bodies: TrueBodies) -> tuple[_Case, list[str]]:
    """Truth that is a mesh in a file; its pelvis needs the joint regressor of an official body file."""
    assert sample.scan is not None
    vertices = read_vertices(sample.scan)
    if sample.T_camera_world is not None:
        vertices = transforms.apply(sample.T_camera_world, vertices)
    regressor = bodies.joint_regressor(protocol.body)
    joints, visible = np.full((len(protocol.joints), 3), np.nan), np.zeros(len(protocol.joints), dtype=bool)
    if regressor is None:
        said = [f"no {protocol.body.upper()} file in --bodies: the pelvis is unknown, so MVE is not given"]
        return _Case(joints, visible, joints[0], vertices.astype(np.float32), joints[0]), said
    if regressor.shape[1] != len(vertices):
        raise _AbsentError(f"mesh of {len(vertices)} vertices; the body in --bodies has {regressor.shape[1]}")
    posed = regressor @ vertices
    joints, visible, root, said = in_order(
        protocol, posed, np.ones(len(posed), bool), skeleton=BODY_JOINTS[protocol.body]
    )
    return _Case(joints, visible, root, vertices.astype(np.float32), root), said


def _place(protocol: EvaluationProtocol, sample: Sample) -> Callable[[Array], Array]:
    """How posed points get into the protocol's frame of reference."""
    if protocol.frame == sample.params_frame:
        return lambda points: points
    if sample.T_camera_world is None:
        raise _AbsentError(f"parameters are in the {sample.params_frame}, and the camera's place is unknown")
    matrix = np.asarray(sample.T_camera_world, np.float64)
    if protocol.frame == "world":
        matrix = np.linalg.inv(matrix)
    return lambda points: points @ matrix[:3, :3].T + matrix[:3, 3]


def _incomplete(protocol: EvaluationProtocol, sample: Sample, case: _Case) -> list[Problem]:
    if protocol.points == "vertices":
        return []
    if not case.visible.any():
        return [Problem(sample.name, "no-truth", f"{sample.name}: none of the protocol's joints is annotated")]
    if case.root is not None and not np.isfinite(case.root).all():
        return [Problem(sample.name, "no-root", f"{sample.name}: {', '.join(protocol.root)} not annotated, no origin")]
    return []


def _stack(cases: list[_Case]) -> Poses:
    def all_of(name: str) -> Any:
        values = [getattr(case, name) for case in cases]
        if any(value is None for value in values):
            return None
        if len({np.shape(value) for value in values}) > 1:
            raise InputError("the truth mixes bodies with different meshes; evaluate them apart")
        return np.stack(values)

    return Poses(*(all_of(name) for name in ("joints", "visible", "root", "vertices", "origin")))


def _scene(protocol: EvaluationProtocol, samples: list[Sample]) -> Scene:
    nothing = np.full(4, np.nan)
    boxes = np.stack([nothing if sample.box is None else sample.box for sample in samples])
    heads = np.stack([np.asarray(sample.notes.get("head_box", nothing), np.float64) for sample in samples])
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    areas = [float(sample.notes.get("area") or size) for sample, size in zip(samples, whole, strict=True)]
    frames = [sample.frame for sample in samples]
    fps = float(samples[0].notes.get("fps") or protocol.fps)
    return Scene(np.array([_motion_of(s) for s in samples]), np.array(frames), boxes, heads, np.array(areas), fps)


def _motion_of(sample: Sample) -> str:
    """One person in one take of one camera: frames of it follow each other, and err alike."""
    subject = "" if sample.subject in sample.sequence.split("/") else sample.subject
    known = [str(sample.notes[key]) for key in ("action", "take", "camera") if sample.notes.get(key) is not None]
    return "/".join(part for part in (sample.sequence, subject, *known) if part) or sample.info.name


def _spread(count: int, limit: int) -> range | list[int]:
    if limit < 1:
        raise InputError(f"limit is {limit}; expected 1 or more samples")
    return range(count) if count <= limit else [int(i) for i in np.linspace(0, count - 1, limit).round()]
