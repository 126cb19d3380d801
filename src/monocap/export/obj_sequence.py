"""Moving people as folders of OBJ files, one mesh a frame: for tools that know no skeletons (simulation, baking)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.export.obj import write_obj
from monocap.geometry import transforms
from monocap.types import Array, Motion

MAX_BYTES = 2_000_000_000
"""What a sequence may take unless ``every`` is given."""
_KEPT_FREE = 500_000_000
_LINE = {"v": 30, "vn": 25, "f": 36}  # bytes of a line, measured on the open body


def posed_world(motion: Motion, body: BodyModel, person: int, frame: int) -> Array:
    """Skinned vertices (V,3) of one person in one frame, world frame, metres."""
    given = body.own(motion.params(person).asdict())
    one = {name: value if name == "betas" else value[frame] for name, value in given.items()}
    return transforms.apply(np.asarray(motion.T_world_camera[frame], np.float64), body(**one).vertices)


def obj_every(motion: Motion, body: BodyModel, people: list[int], every: int | None = None) -> tuple[int, int, int]:
    """Every which frame is written, how many files, about how many bytes.

    By default the smallest step that stays under `MAX_BYTES`. Raises InputError for a step below 1.
    """
    if every is not None and every < 1:
        raise InputError(f"every {every}: expected 1 (each frame) or more")
    size = (_LINE["v"] + _LINE["vn"]) * len(body.v_template) + _LINE["f"] * len(body.faces)
    step = every or max(1, -(-size * int(np.asarray(motion.valid)[people].sum()) // MAX_BYTES))
    files = int(np.asarray(motion.valid)[people, ::step].sum())
    return step, files, files * size


def write_obj_sequence(
    folder: str | os.PathLike[str],
    motion: Motion,
    body: BodyModel,
    person: int = 0,
    *,
    every: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write one person as ``FOLDER/frame_000000.obj`` …, numbered by source frame, world frame, y up, metres.

    Each ``every``-th frame of the motion in which the person is seen; without ``every`` as many as fit in `MAX_BYTES`
    (see `obj_every`). Plain meshes without texture, all with the same vertex order. The folder appears when it is
    complete; one that is there must hold nothing but such frames and is replaced.

    Raises InputError if the disk has not so much room, or the folder holds something else.
    """
    folder = Path(folder)
    step, files, size = obj_every(motion, body, [person], every)
    if folder.exists() and not (
        folder.is_dir() and all(p.suffix == ".obj" and p.stem.startswith("frame_") for p in folder.iterdir())
    ):
        raise InputError(f"{folder}: exists and holds other things than OBJ frames; choose another place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder.parent).free < size + _KEPT_FREE:
        raise InputError(
            f"{folder}: {files} OBJ files need about {size / 1e6:.0f} MB, more than the disk has; write fewer"
        )
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    written = []
    try:
        partial.mkdir()
        for t in range(0, motion.frames, step):
            if motion.valid[person, t]:
                name = f"frame_{int(motion.frame_index[t]):06d}.obj"
                label = f"person_{int(motion.track_id[person]):02d}"
                vertices = posed_world(motion, body, person, t)
                write_obj(partial / name, vertices, body.faces, names=[label], frame="world")
                written.append(folder / name)
                progress(len(written), files)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written
