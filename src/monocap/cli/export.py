"""``monocap export``."""

from __future__ import annotations

import sys
from pathlib import Path

from monocap.bodies import BodyModel, load_body
from monocap.cli.display import ProgressDisplay
from monocap.errors import AssetError, InputError
from monocap.export import obj_every
from monocap.export.formats import BODILESS, PER_PERSON, chosen_people, export_motion
from monocap.export.official_pickle import is_official, motion_of_official, read_official
from monocap.types import Motion


def run(
    path: Path,
    to: str,
    out: Path,
    person: int | None,
    fps: float | None,
    every: int | None,
    body: str | None,
    skin: str | None = None,
    vposer: Path | None = None,
) -> int:
    """Write a motion, or a result of SMPLify-X, in another format; what was written is told on standard error. Returns
    the exit status."""
    if is_official(path):
        model = load_body(body or "open")
        result = read_official(path, model, vposer)
        for note in result.notes:
            print(f"note: {note}", file=sys.stderr)
        motion = motion_of_official(result, model)
    else:
        if vposer is not None:
            raise InputError(f"--vposer {vposer}: only results of SMPLify-X hold codes; {path} is none")
        motion = Motion.load(path)
    if to == "npz":
        motion.save(out)
        print(f"wrote {out}", file=sys.stderr)
        return 0
    people = chosen_people(motion, person)
    if not people and to in PER_PERSON:
        raise InputError(f"{path}: nobody is seen in this motion, so there is no {to} to write")
    if skin is not None and not (to == "glb" or (to == "obj" and motion.frames == 1)):
        raise InputError(f"--skin {skin}: {to} has no texture here; glb has, and the obj of a photo")
    model = None if to in BODILESS else body_of(motion, body)
    if to == "obj" and model is not None and motion.frames > 1 and people:
        step, files, size = obj_every(motion, model, people, every)
        which = "" if step == 1 else f", one frame in {step} (--every chooses)"
        print(f"note: {files} OBJ files, about {size / 1e6:.0f} MB{which}", file=sys.stderr)
    with ProgressDisplay() as display:
        written = export_motion(
            motion, model, to, out, person=person, fps=fps, every=every, skin=skin,
            progress=lambda a, b: display("frames", a, b),
        )  # fmt: skip
        for one in written:
            display.say(f"wrote {one}")
    return 0


def body_of(motion: Motion, body: str | None) -> BodyModel:
    """The body that a motion was made with, or the one given by name or file.

    Raises InputError, naming --body, if it is not here. A motion may come from a stranger: it names bodies, not files.
    """
    try:
        if body is None and (Path(motion.body_model).name != motion.body_model or "." in motion.body_model):
            raise InputError("not a body's name")
        return load_body(body or motion.body_model)
    except (InputError, AssetError) as error:
        if body is not None:
            raise
        raise InputError(
            f"the motion was made with the body {motion.body_model!r}, which is not here; give its file with --body"
        ) from error
