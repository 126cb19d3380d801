"""What a capture leaves on disk: motion, avatar, overlay, report. Every file appears whole or not at all."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.export import export_motion
from monocap.export.formats import PER_PERSON, SUFFIX
from monocap.files import replacing
from monocap.media.pictures import write_image
from monocap.media.readers import Media
from monocap.media.writers import VideoWriter
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.render import Mesh, overlay, person_colour
from monocap.types import Motion
from monocap.view import write_page

# What each kind of input can be written as, and what is written when the user does not say.
FORMATS = dict.fromkeys(("image", "video"), ("npz", *SUFFIX, "html"))
USUAL = {"image": ("npz", "glb", "obj"), "video": ("npz", "glb", "bvh")}
VERSIONS_OF = ("monocap", "numpy", "scipy", "numba", "onnxruntime", "opencv-python-headless", "av", "pygltflib")


def check_formats(formats: Sequence[str] | None, media: Media) -> tuple[str, ...]:
    """The formats to write for ``media`` without repeats; the usual ones of its kind for None.

    Raises InputError, listing what there is, for one that its kind does not have.
    """
    known = FORMATS[media.kind]
    for name in formats or ():
        if name not in known:
            kind = {"image": "a photo", "video": "a video"}[media.kind]
            raise InputError(f"{media.path}: {kind} is not written as {name!r}; expected some of {', '.join(known)}")
    return USUAL[media.kind] if formats is None else tuple(dict.fromkeys(formats))


def meshes_at(motion: Motion, body: BodyModel, frame: int) -> list[Mesh]:
    """The posed bodies of everybody who is seen in one frame, camera frame."""
    meshes = []
    for person in np.flatnonzero(motion.valid[:, frame]):
        one = {
            name: value if name == "betas" else value[frame]
            for name, value in body.own(motion.params(int(person)).asdict()).items()
        }
        vertices = body(**one).vertices
        meshes.append(Mesh(vertices, body.faces, person_colour(int(motion.track_id[person]))))
    return meshes


def overlay_frame(image: NDArray[np.uint8], motion: Motion, body: BodyModel, frame: int) -> NDArray[np.uint8]:
    """The picture with the bodies of one frame drawn over it."""
    meshes = meshes_at(motion, body, frame)
    height, width = image.shape[:2]  # very large sources are drawn smaller than they are
    return overlay(image, meshes, motion.camera(frame).resized(width, height)) if meshes else image


def write_overlay_video(
    path: Path, media: Media, motion: Motion, body: BodyModel, clock: StageClock, progress: Progress = silent
) -> None:
    """The video once more with the bodies drawn over it, at the source's own frame times."""
    frames = iter(media)
    with VideoWriter(path, motion.fps, (media.width, media.height)) as writer:
        for done in range(motion.frames):
            with clock.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with clock.stage("render"):
                picture = overlay_frame(frame.image, motion, body, done)
            with clock.stage("encode"):
                writer.write(picture, frame.time)
            progress("overlay", done + 1, motion.frames)


def write_video_outputs(
    out: Path,
    media: Media,
    motion: Motion,
    body: BodyModel,
    formats: Sequence[str],
    with_overlay: bool,
    clock: StageClock,
    progress: Progress = silent,
    skin: str | None = None,
) -> list[Path]:
    """Write ``motion.npz``, ``avatar.glb``, ``motion_NN.bvh`` … and ``overlay.mp4``; returns what was written.

    OBJ sequences are folders ``obj_NN``, and returned as such. ``skin`` as in `export.skin_texture`.
    """
    written: list[Path] = []
    for name in formats:
        base = {"glb": "avatar.glb", "obj": "", "html": "view.html"}.get(name, f"motion{SUFFIX.get(name, '.npz')}")
        written += _write_format(name, out / base, media, motion, body, skin, clock, progress)
    if with_overlay:
        written.append(out / "overlay.mp4")
        write_overlay_video(written[-1], media, motion, body, clock, progress)
    return written


def write_photo_outputs(
    out: Path,
    stem: str,
    media: Media,
    motion: Motion,
    body: BodyModel,
    formats: Sequence[str],
    with_overlay: bool,
    clock: StageClock,
    skin: str | None = None,
) -> list[Path]:
    """Write ``STEM.npz``, ``STEM.glb``, ``STEM.obj`` … and ``STEM.overlay.png``; returns what was written."""
    written: list[Path] = []
    for name in formats:
        path = out / f"{stem}{SUFFIX.get(name, f'.{name}')}"
        written += _write_format(name, path, media, motion, body, skin, clock)
    if with_overlay:
        with clock.stage("render"):
            picture = overlay_frame(next(iter(media)).image, motion, body, 0)
        with clock.stage("encode"):
            written.append(out / f"{stem}.overlay.png")
            write_image(written[-1], picture)
    return written


def _write_format(
    name: str,
    path: Path,
    media: Media,
    motion: Motion,
    body: BodyModel,
    skin: str | None,
    clock: StageClock,
    progress: Progress = silent,
) -> list[Path]:
    """One format; a file for each person where it holds but one."""

    def told(done: int, total: int) -> None:
        progress(f"write {name}", done, total)

    with clock.stage("export"):
        if name == "npz":
            motion.save(path)
            return [path]
        if name == "html":
            return write_page(path, motion, body, media, title=media.path.name, skin=skin, progress=told)
        return export_motion(motion, body, name, path, numbered=name in PER_PERSON, skin=skin, progress=told)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """A JSON report, indented."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def report_of(
    media: Media, motion: Motion, settings: dict[str, Any], warnings: Sequence[str], clock: StageClock, body: BodyModel
) -> dict[str, Any]:
    """Counts, timings per stage, warnings and versions of one capture."""
    return {
        "schema": "monocap.report/1",
        "input": media.path.name,
        "kind": media.kind,
        "frames": motion.frames,
        "people": motion.people,
        "frames_with_person": [int(v) for v in motion.valid.sum(axis=1)],
        "fps": motion.fps,
        "image_size": [int(v) for v in motion.image_size],
        "focal_px": float(motion.K[0, 0, 0]),
        "body": body.name,
        "settings": settings,
        "seconds": {name: round(value, 4) for name, value in clock.wall.items()},
        "cpu_seconds": {name: round(value, 4) for name, value in clock.cpu.items()},
        "warnings": list(warnings),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, monocap and what it stands on."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
