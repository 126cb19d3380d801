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
from monocap.export import skin_texture, write_glb, write_obj
from monocap.files import replacing
from monocap.media.pictures import write_image
from monocap.media.readers import Media
from monocap.media.writers import VideoWriter
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.render import Mesh, overlay, person_colour
from monocap.types import Motion

# What each kind of input can be written as; what is written when the user does not say.
FORMATS = {"image": ("npz", "glb", "obj"), "video": ("npz", "glb")}
VERSIONS_OF = ("monocap", "numpy", "scipy", "numba", "onnxruntime", "opencv-python-headless", "av", "pygltflib")


def check_formats(formats: Sequence[str] | None, media: Media) -> tuple[str, ...]:
    """The formats to write for ``media`` without repeats; all that its kind has for None.

    Raises InputError, listing what there is, for one that its kind does not have.
    """
    known = FORMATS[media.kind]
    for name in formats or ():
        if name not in known:
            kind = {"image": "a photo", "video": "a video"}[media.kind]
            raise InputError(f"{media.path}: {kind} is not written as {name!r}; expected some of {', '.join(known)}")
    return known if formats is None else tuple(dict.fromkeys(formats))


def meshes_at(motion: Motion, body: BodyModel, frame: int) -> list[Mesh]:
    """The posed bodies of everybody who is seen in one frame, camera frame."""
    meshes = []
    for person in np.flatnonzero(motion.valid[:, frame]):
        one = {
            name: value if name == "betas" else value[frame]
            for name, value in motion.params(int(person)).asdict().items()
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
) -> list[Path]:
    """``motion.npz``, ``avatar.glb``, ``overlay.mp4`` in ``out``; returns what was written."""
    written = _write_motion(motion, body, formats, out / "motion.npz", out / "avatar.glb", clock)
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
) -> list[Path]:
    """``STEM.npz``, ``STEM.glb``, ``STEM.obj``, ``STEM.overlay.png`` in ``out``; returns what was written."""
    written = _write_motion(motion, body, formats, out / f"{stem}.npz", out / f"{stem}.glb", clock)
    if "obj" in formats:
        with clock.stage("export"):
            written.append(out / f"{stem}.obj")
            posed = [mesh.vertices for mesh in meshes_at(motion, body, 0)]
            vertices = np.stack(posed) if posed else np.zeros((0, len(body.v_template), 3))
            write_obj(written[-1], vertices, body.faces, body.uv, body.uv_faces, texture=skin_texture(body))
    if with_overlay:
        with clock.stage("render"):
            picture = overlay_frame(next(iter(media)).image, motion, body, 0)
        with clock.stage("encode"):
            written.append(out / f"{stem}.overlay.png")
            write_image(written[-1], picture)
    return written


def _write_motion(
    motion: Motion, body: BodyModel, formats: Sequence[str], npz: Path, glb: Path, clock: StageClock
) -> list[Path]:
    """What photos and videos have in common; returns what was written."""
    written = []
    with clock.stage("export"):
        if "npz" in formats:
            motion.save(npz)
            written.append(npz)
        if "glb" in formats:
            write_glb(glb, motion, body)
            written.append(glb)
    return written


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
