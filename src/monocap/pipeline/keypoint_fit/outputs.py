"""What a fit leaves on disk: motions and their formats, the published layout, latents, overlays, the report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.export import export_motion
from monocap.export.formats import PER_PERSON, SUFFIX
from monocap.export.official_pickle import official_vertices, write_mesh, write_official
from monocap.files import write_npz
from monocap.media.pictures import write_image
from monocap.media.readers import Media
from monocap.pipeline.clock import Progress, StageClock
from monocap.pipeline.keypoint_fit.fitting import Fit
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.keypoint_fit.state import packed
from monocap.pipeline.outputs import overlay_frame, versions, write_overlay_video
from monocap.priors.vposer import VPoserPrior
from monocap.types import BodyParams, Motion

FORMATS = ("npz", *SUFFIX, "pkl", "meshes")
USUAL = {"picture": ("npz", "glb", "obj"), "video": ("npz", "glb", "bvh")}
LATENT_SCHEMA = "monocap.latents/1"


def check_formats(formats: Sequence[str] | None, video: bool) -> tuple[str, ...]:
    """The formats to write, the usual ones for None. Raises InputError for an unknown one."""
    for name in formats or ():
        if name not in FORMATS:
            raise InputError(f"--formats: there is no {name!r}; expected some of {', '.join(FORMATS)}")
    if formats is not None and not formats:
        raise InputError(f"--formats is empty; expected some of {', '.join(FORMATS)}")
    return USUAL["video" if video else "picture"] if formats is None else tuple(dict.fromkeys(formats))


def file_names(names: Sequence[str]) -> list[str]:
    """Names of pictures as file names, no two alike even where capitals do not count."""
    taken: set[str] = set()
    out = []
    for name in names:
        plain = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:150] or "picture"
        chosen, count = plain, 1
        while chosen.casefold() in taken:
            count += 1
            chosen = f"{plain}_{count}"
        taken.add(chosen.casefold())
        out.append(chosen)
    return out


def write_format(
    name: str, folder: Path, stem: str, fit: Fit, frame_names: Sequence[str], progress: Progress, clock: StageClock
) -> list[Path]:
    """One format of a picture (``stem``), or of a video (``stem`` "motion"); a file for each person where it holds one.

    ``frame_names`` call the frames in the published layout (pkl, meshes).
    """

    def told(done: int, total: int) -> None:
        progress(f"write {name}", done, total)

    with clock.stage("export"):
        if name == "npz":
            path = folder / f"{stem}.npz"
            fit.motion.save(path)
            return [path]
        if name in ("pkl", "meshes"):
            return _write_published(name, folder, fit, frame_names)
        video = fit.motion.frames > 1
        base = {"glb": "avatar.glb", "obj": ""}.get(name) if video else None
        path = folder / (f"{stem}{SUFFIX[name]}" if base is None else base)
        return export_motion(fit.motion, fit.body, name, path, numbered=name in PER_PERSON, progress=told)


def _write_published(name: str, folder: Path, fit: Fit, frame_names: Sequence[str]) -> list[Path]:
    """``results/IMAGE/NNN.pkl`` or ``meshes/IMAGE/NNN.obj``, NNN the person; people without a fit are left out."""
    written: list[Path] = []
    for person in fit.people:
        fitted = person.fitted
        codes = fitted.latent
        if codes is None and name == "pkl":
            codes, _ = VPoserPrior.load().encode(np.asarray(fitted.params.body_pose, np.float64))
        for row, frame in enumerate(person.frames):
            if not fitted.found[row]:
                continue
            params = BodyParams(**{key: np.asarray(value)[row] for key, value in fitted.params.asdict().items()})
            image, number = frame_names[int(frame)], f"{person.track.track_id:03d}"
            if name == "meshes":
                path = folder / "meshes" / image / f"{number}.obj"
                write_mesh(path, official_vertices(fit.body, params), np.asarray(fit.body.faces))
            else:
                path = folder / "results" / image / f"{number}.pkl"
                pca = fitted.left_hand_pca, fitted.right_hand_pca
                hands = tuple(None if hand is None else np.asarray(hand)[row] for hand in pca)
                assert codes is not None
                write_official(path, params, fit.camera, np.asarray(codes)[row], (hands[0], hands[1]))
            written.append(path)
    return written


def write_latents(path: Path, fit: Fit) -> Path:
    """What the recipe really solved for, per person NN: ``NN.latent``, ``NN.left_hand_pca``, energies per term, traces
    (see `fit_state.packed`), and ``NN.frame`` (n,): the frames that the rows belong to."""
    arrays: dict[str, Any] = {"schema": np.array(LATENT_SCHEMA)}
    for person in fit.people:
        prefix = f"{person.track.track_id:02d}."
        arrays |= {prefix + key: value for key, value in packed(person.fitted).items()}
        arrays[prefix + "frame"] = np.asarray(person.frames)
    write_npz(path, arrays)
    return path


def write_overlay(
    folder: Path, stem: str, motion: Motion, fit: Fit, media: Media, clock: StageClock, progress: Progress
) -> Path:
    """``STEM.overlay.png`` of a picture, ``overlay.mp4`` of a video."""
    if media.kind == "video":
        path = folder / "overlay.mp4"
        write_overlay_video(path, media, motion, fit.body, clock, progress)
        return path
    path = folder / f"{stem}.overlay.png"
    with clock.stage("render"):
        picture = overlay_frame(next(iter(media)).image, motion, fit.body, 0)
    with clock.stage("encode"):
        write_image(path, picture)
    return path


def told_of(fit: Fit) -> dict[str, Any]:
    """One picture's or video's entry in the report: each person's energies by term, misfit, iterations."""
    people = []
    for person in fit.people:
        fitted = person.fitted
        rows = np.flatnonzero(fitted.found)
        entry: dict[str, Any] = {"track_id": person.track.track_id, "frames_fitted": len(rows)}
        if len(rows):
            energies = {name: float(np.median(np.asarray(value)[rows])) for name, value in fitted.energies.items()}
            entry |= {
                "energy": _rounded(float(np.median(np.asarray(fitted.energy)[rows]))),
                "energies": {name: _rounded(value) for name, value in energies.items()},
                "residual_px": _rounded(float(np.median(np.asarray(fitted.residual_px)[rows]))),
                "iterations": int(np.asarray(fitted.iterations)[rows].sum()),
                "converged": float(np.asarray(fitted.converged)[rows].mean().round(4)),
                "camera_translation": np.round(np.median(fitted.params.transl[rows], axis=0), 4).tolist(),
            }
        people.append(entry)
    return {"name": fit.name, "image_size": [fit.camera.width, fit.camera.height], "people": people}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Ready for JSON: files by name only."""

    def named(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}

    return {**named(settings), "evidence": named(settings["evidence"])}


def report_of(
    source: str,
    kind: str,
    video: bool,
    settings: FitSettings,
    entries: Sequence[dict[str, Any]],
    warnings: Sequence[str],
    clock: StageClock,
    frames: int,
) -> dict[str, Any]:
    """Counts, energies per term (medians over a video's frames), timings per stage, warnings and versions of a fit."""
    return {
        "schema": "monocap.fit/1",
        "input": source,
        "kind": kind,
        "video": video,
        "frames": frames,
        "people": sum(len(entry["people"]) for entry in entries),
        "recipe": settings.recipe,
        "faithful": settings.faithful,
        "settings": _plain(asdict(settings)),
        "fits": list(entries),
        "seconds": {name: round(value, 4) for name, value in clock.wall.items()},
        "cpu_seconds": {name: round(value, 4) for name, value in clock.cpu.items()},
        "warnings": list(warnings),
        "versions": versions(),
    }
