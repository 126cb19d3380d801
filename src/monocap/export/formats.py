"""One call for every format: which there are, what each can hold, how its files are called."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.export.amass import write_amass
from monocap.export.bvh import write_bvh
from monocap.export.glb import write_glb
from monocap.export.jsonl import write_jsonl
from monocap.export.obj import write_obj
from monocap.export.obj_sequence import obj_every, posed_world, write_obj_sequence
from monocap.export.person import present
from monocap.export.skin import skin_texture
from monocap.export.vrma import write_vrma
from monocap.types import Motion

SUFFIX = {"glb": ".glb", "bvh": ".bvh", "vrma": ".vrma", "amass": ".amass.npz", "obj": ".obj", "json": ".jsonl"}
PER_PERSON = ("bvh", "vrma", "amass")
BODILESS = ("amass", "json")
"""Formats that need no body model."""
RESAMPLED = ("glb", "bvh", "vrma", "amass")
"""Formats that can be had at another frame rate."""


def export_motion(
    motion: Motion,
    body: BodyModel | None,
    to: str,
    path: str | os.PathLike[str],
    *,
    person: int | None = None,
    fps: float | None = None,
    every: int | None = None,
    numbered: bool = False,
    skin: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write a motion in the format ``to`` (a key of `SUFFIX`); returns the files, or folders, written.

    ``person`` is a track id; without it everybody who is seen is written. Formats for one person get a file each:
    ``path`` itself if there is one person and it is not to be ``numbered``, else STEM_NN. OBJ of several frames are
    folders ``obj_NN`` in the folder ``path`` (less ``.obj``), each ``every``-th frame; of a photo, one file with skin.
    ``skin``, a name or file as in `skin_texture`, is painted on GLB and on that OBJ.

    Raises InputError for an unknown format, person or skin, what a format cannot hold, or a motion that does not fit
    the body.
    """
    path = Path(path)
    _check(motion, body, to, fps, every)
    people = chosen_people(motion, person)
    if to == "json":
        write_jsonl(path, motion, people)
        return [path]
    if to in PER_PERSON:
        targets = _targets(motion, people, path, numbered)
        for p, target in targets:
            _write_person(to, target, motion, body, p, fps)
        return [target for _, target in targets]
    assert body is not None  # checked
    if to == "glb":
        write_glb(path, motion, body, texture=skin_texture(body, skin), people=people, fps=fps)
        return [path]
    if motion.frames == 1:
        write_obj_photo(path, motion, body, people, skin)
        return [path]
    folder = path.with_suffix("") if path.suffix == ".obj" else path
    folders = [folder / f"obj_{int(motion.track_id[p]):02d}" for p in people]
    step, _, _ = obj_every(motion, body, people, every)
    for p, one in zip(people, folders, strict=True):
        write_obj_sequence(one, motion, body, p, every=step, progress=progress)
    return folders


def _write_person(to: str, path: Path, motion: Motion, body: BodyModel | None, p: int, fps: float | None) -> None:
    if to == "amass":
        write_amass(path, motion, p, fps=fps)
    elif body is not None:
        {"bvh": write_bvh, "vrma": write_vrma}[to](path, motion, body, p, fps=fps)


def write_obj_photo(
    path: Path, motion: Motion, body: BodyModel, people: Sequence[int], skin: str | None = None
) -> None:
    """The people of a photo as one textured OBJ, world frame; without people an empty one."""
    posed = [posed_world(motion, body, p, 0) for p in people]
    vertices = np.stack(posed) if posed else np.zeros((0, len(body.v_template), 3))
    names = [f"person_{int(motion.track_id[p]):02d}" for p in people]
    texture = skin_texture(body, skin)
    write_obj(path, vertices, body.faces, body.uv, body.uv_faces, names=names, texture=texture, frame="world")


def chosen_people(motion: Motion, track_id: int | None = None) -> list[int]:
    """Indices of everybody who is seen, or of the one of this track id. Raises InputError, listing the ids."""
    people = present(motion)
    if track_id is None:
        return people
    ids = [int(motion.track_id[p]) for p in people]
    if track_id not in ids:
        there = ", ".join(map(str, ids)) if ids else "nobody"
        raise InputError(f"there is no person {track_id} in this motion; it has {there}")
    return [people[ids.index(track_id)]]


def _check(motion: Motion, body: BodyModel | None, to: str, fps: float | None, every: int | None) -> None:
    if to == "fbx":
        raise InputError("FBX is not written; GLB opens in Blender, Unity and Unreal, BVH in most other programs")
    if to not in SUFFIX:
        raise InputError(f"there is no format {to!r}; expected one of {', '.join(SUFFIX)}")
    if fps is not None and to not in RESAMPLED:
        raise InputError(f"{to} holds the motion's own frames; a frame rate is for {', '.join(RESAMPLED)}")
    if every is not None and to != "obj":
        raise InputError(f"every {every}: only OBJ sequences leave out frames; for {to} choose a frame rate")
    if body is None and to not in BODILESS:
        raise InputError(f"{to} needs the body that the motion was made with ({motion.body_model})")


def _targets(motion: Motion, people: Sequence[int], path: Path, numbered: bool) -> list[tuple[int, Path]]:
    """(person, file) for formats that hold one person."""
    if len(people) == 1 and not numbered:
        return [(people[0], path)]
    suffix = SUFFIX["amass"] if path.name.endswith(SUFFIX["amass"]) else path.suffix
    stem = path.name.removesuffix(suffix)
    return [(p, path.with_name(f"{stem}_{int(motion.track_id[p]):02d}{suffix}")) for p in people]
