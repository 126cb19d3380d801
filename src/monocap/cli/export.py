"""``monocap export``."""

from __future__ import annotations

import sys
from pathlib import Path

from monocap.bodies import BodyModel, load_body
from monocap.cli.display import ProgressDisplay
from monocap.errors import AssetError, InputError
from monocap.export import obj_every
from monocap.export.formats import BODILESS, PER_PERSON, chosen_people, export_motion
from monocap.types import Motion


def run(
    path: Path, to: str, out: Path, person: int | None, fps: float | None, every: int | None, body: str | None
) -> int:
    """Write a motion in another format; what was written is told on standard error. Returns the exit status."""
    motion = Motion.load(path)
    people = chosen_people(motion, person)
    if not people and to in PER_PERSON:
        raise InputError(f"{path}: nobody is seen in this motion, so there is no {to} to write")
    model = None if to in BODILESS else body_of(motion, body)
    if to == "obj" and model is not None and motion.frames > 1 and people:
        step, files, size = obj_every(motion, model, people, every)
        which = "" if step == 1 else f", one frame in {step} (--every chooses)"
        print(f"note: {files} OBJ files, about {size / 1e6:.0f} MB{which}", file=sys.stderr)
    with ProgressDisplay() as display:
        written = export_motion(
            motion, model, to, out, person=person, fps=fps, every=every, progress=lambda a, b: display("frames", a, b)
        )
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
