"""Motion of bodies in files, whichever body it is of: ours, AMASS's, and the same converted to another body.

A converted ``motion.npz`` is one again where the target has its parameters (SMPL-H, SMPL-X, the open body). SMPL has
69 angles and no fingers: its file has the same keys but those of hands and face, and the schema
``monocap.smpl-motion/1``. An AMASS file becomes an AMASS file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.bodies.kinds import KINDS
from monocap.errors import InputError
from monocap.files import npz_shapes, read_npz, write_npz
from monocap.fitting.conversion import Conversion, convert
from monocap.types import MOTION_SCHEMA, Array, Motion

SMPL_SCHEMA = "monocap.smpl-motion/1"
_WIDTHS = {72: 24, 156: 52, 165: 55}  # values of AMASS's poses by the body's joints
_AMASS_KINDS = {24: "smpl", 52: "smplh", 55: "smplx"}
_BY_PERSON = {f.name for f in fields(Motion)} & {
    *("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose"),
    *("left_hand_pose", "right_hand_pose", "expression", "transl", "joints"),
}


@dataclass(frozen=True)
class BodyMotion:
    """P people over T frames: ``parameters`` by name (P,T,·), betas (P,B); ``valid`` (P,T); ``joints``: how many the
    body has; ``body``: its name, or None where the file does not say; ``held``: all else that the file holds."""

    parameters: dict[str, Array]
    valid: NDArray[np.bool_]
    joints: int
    body: str | None
    held: dict[str, Array]
    schema: str


def read_body_motion(path: str | os.PathLike[str]) -> BodyMotion:
    """Read ``motion.npz``, what `write_converted` wrote, or an AMASS file (SMPL-H, SMPL-X; 72 values: SMPL).

    Raises InputError for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    shapes = npz_shapes(path)
    if "poses" in shapes and "trans" in shapes:
        return _amass(path)
    arrays = read_npz(path)
    schema = str(arrays.get("schema", "none"))
    if schema == MOTION_SCHEMA:
        Motion.load(path)  # checks every shape
    elif schema != SMPL_SCHEMA:
        raise InputError(f"{path}: schema {schema!r}; expected a motion.npz of monocap or an AMASS file")
    needed = ("betas", "global_orient", "body_pose", "transl", "valid", "joints", "body_model")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}")
    valid = arrays["valid"].astype(bool)
    given = {key: arrays[key] for key in (*_BY_PERSON, "betas") if key in arrays and key != "joints"}
    for key, value in given.items():
        if value.shape[: value.ndim - 1] != (valid.shape if key != "betas" else valid.shape[:1]):
            raise InputError(f"{path}: {key} has shape {value.shape}; expected people and frames {valid.shape}")
    joints = arrays["joints"].shape[2] if arrays["joints"].ndim == 4 else 0
    return BodyMotion(given, valid, joints, str(arrays["body_model"]), arrays, schema)


def _amass(path: Path) -> BodyMotion:
    held = read_npz(path, {"poses", "trans", "betas", "gender", "mocap_framerate", "mocap_frame_rate"})
    poses, trans = (np.asarray(held[key], dtype=np.float64) for key in ("poses", "trans"))
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or trans.shape != (len(poses), 3):
        raise InputError(f"{path}: poses {poses.shape}, trans {trans.shape}; expected (T, 72, 156 or 165) and (T, 3)")
    joints = _WIDTHS[poses.shape[1]]
    given: dict[str, Array] = {"transl": trans[None], "betas": np.ravel(held.get("betas", np.zeros(10)))[None]}
    first = 0
    for name, count in KINDS[joints].parts:
        given[name] = poses[None, :, first : first + 3 * count]
        first += 3 * count
    return BodyMotion(given, np.ones((1, len(poses)), dtype=bool), joints, None, held, "amass")


def convert_motion(motion: BodyMotion, source: BodyModel, target: BodyModel) -> tuple[BodyMotion, list[Conversion]]:
    """The motion on another body, and for every person how well that went.

    Frames in which somebody is not seen stay marked so, without numbers. Raises InputError if ``source`` is not the
    kind of body that the motion is of.
    """
    if len(source.parents) != motion.joints:
        raise InputError(
            f"the motion is of a body with {motion.joints} joints; {source.name!r} ({source.kind.title}) has "
            f"{len(source.parents)}; name the right one with --source"
        )
    people, frames = motion.valid.shape
    taken = {name for name, _ in source.kind.parts} | {"transl"}
    if source.num_expressions:
        taken.add("expression")
    results: list[Conversion] = []
    out: dict[str, Array] = {name: np.full((people, frames, 3 * n), np.nan) for name, n in target.kind.parts}
    out["transl"] = np.full((people, frames, 3), np.nan)
    out["joints"] = np.full((people, frames, len(target.parents), 3), np.nan)
    betas: list[Array] = []
    for person in range(people):
        seen = motion.valid[person] & np.isfinite(motion.parameters["transl"][person]).all(axis=-1)
        given = {key: value[person][seen] for key, value in motion.parameters.items() if key in taken}
        given["betas"] = motion.parameters["betas"][person][: source.num_betas]
        done = convert(source, target, given)
        results.append(done)
        betas.append(done.parameters["betas"])
        for name in out:
            if name != "joints":
                out[name][person, seen] = done.parameters[name]
        out["joints"][person, seen] = target.with_hands().joints_only(**done.parameters)
    out["betas"] = np.stack(betas) if betas else np.zeros((0, min(16, target.num_betas)))
    return replace(motion, parameters=out, joints=len(target.parents), body=target.name), results


def write_converted(path: str | os.PathLike[str], motion: BodyMotion, target: BodyModel) -> None:
    """Write what `convert_motion` returned; see the module for the format. Whole or not at all."""
    if motion.schema == "amass":
        _write_amass(path, motion)
        return
    people, frames = motion.valid.shape
    kept = {key: value for key, value in motion.held.items() if key not in _BY_PERSON | {"betas"}}
    arrays: dict[str, Array] = {
        **kept,
        **motion.parameters,
        "joint_names": np.array(target.joint_names),
        "body_model": np.array(target.name),
    }
    if motion.joints == 24:
        write_npz(path, _single(arrays) | {"schema": np.array(SMPL_SCHEMA)})
        return
    missing = {"jaw_pose": 3, "left_eye_pose": 3, "right_eye_pose": 3, "left_hand_pose": 45, "right_hand_pose": 45}
    for name, size in missing.items():
        arrays.setdefault(name, np.zeros((people, frames, size)))
    arrays["expression"] = np.zeros((people, frames, target.num_expressions))
    values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(Motion) if f.name in arrays}
    values |= {"schema": MOTION_SCHEMA, "body_model": target.name, "fps": float(arrays["fps"])}
    Motion(**values).save(path)


def _single(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {
        key: value.astype(np.float32) if value.dtype == np.float64 and key not in ("time", "fps") else value
        for key, value in arrays.items()
    }


def _write_amass(path: str | os.PathLike[str], motion: BodyMotion) -> None:
    poses = np.concatenate([motion.parameters[name][0] for name, _ in KINDS[motion.joints].parts], axis=-1)
    kept = {key: motion.held[key] for key in ("mocap_framerate", "mocap_frame_rate") if key in motion.held}
    body = np.array(_AMASS_KINDS[motion.joints])
    arrays = {"poses": poses, "trans": motion.parameters["transl"][0], "betas": motion.parameters["betas"][0]}
    write_npz(path, _single(arrays) | kept | {"gender": np.array("neutral"), "surface_model_type": body})
