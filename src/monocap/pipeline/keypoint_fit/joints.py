"""3D joints or markers → motion: the fit of `data.labelling`, written as a fit of keypoints is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import BodyModel
from monocap.data.labelling import Labels, label
from monocap.data.recordings import Recording, read_markers
from monocap.errors import InputError
from monocap.export import export_motion
from monocap.export.formats import PER_PERSON, SUFFIX
from monocap.geometry import rotations
from monocap.pipeline.assemble import assemble
from monocap.pipeline.clock import Progress, StageClock
from monocap.pipeline.keypoint_fit.fitting import KeypointFitter
from monocap.pipeline.keypoint_fit.outputs import check_formats, report_of
from monocap.pipeline.keypoint_fit.run import FitRequest
from monocap.pipeline.outputs import write_report
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Motion, Track

# Where there is no camera, one is put before the people: axes and place of the picture that previews show.
_SIDE, _FOV, _AWAY = 1000, 50.0, 1.6
_TO_Y_UP = {"z-up": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]), "y-up": np.eye(3)}
_NOT_FOR_3D = ("pkl", "meshes")


def fit_joints(
    recording: Recording,
    source: Path,
    folder: Path,
    request: FitRequest,
    progress: Progress,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fit one person's joints or markers in space into ``folder``; returns a summary.

    Frames whose residual is above the limit are kept and are not ``valid``. Raises InputError for options that joints
    in space do not have, or what cannot be fitted.
    """
    settings = request.settings
    if request.overlay or request.latents or request.plot is not None:
        raise InputError(f"{source}: joints in space have no picture, latents or plot; leave these options out")
    if settings.faithful or settings.interpenetration:
        raise InputError(f"{source}: joints in space are fitted by the fast recipe; leave --faithful and the like out")
    video = len(recording.points) > 1
    formats = check_formats(request.formats, video)
    wrong = [name for name in formats if name in _NOT_FOR_3D]
    if wrong:
        raise InputError(f"--formats {wrong[0]}: the published layout is of pictures; expected some of npz, glb, obj …")
    begun, clock = time.perf_counter(), StageClock()
    fitter = KeypointFitter(replace(settings, recipe="auto"), clock)
    body = fitter.body("neutral" if settings.gender == "auto" else settings.gender)
    markers = read_markers() if recording.what == "markers" else None
    with clock.stage("fit"):
        labels = label(
            recording,
            body,
            markers,
            height=settings.common.height,
            progress=lambda done, total: progress("fit", done, total),
        )
    motion = motion_of_labels(body, recording, labels, settings.fps or recording.fps)
    outputs: dict[str, dict[str, int]] = {}
    stem = "motion" if video else source.stem
    for name in formats:
        with clock.stage("export"):
            if name == "npz":
                paths = [folder / f"{stem}.npz"]
                motion.save(paths[0])
            else:
                base = {"glb": "avatar.glb", "obj": ""}.get(name) if video else None
                path = folder / (f"{stem}{SUFFIX[name]}" if base is None else base)
                paths = export_motion(motion, body, name, path, numbered=name in PER_PERSON)
        outputs[name] = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    usable = np.isfinite(labels.residual)
    entry = {
        "name": stem,
        "people": [
            {
                "track_id": 0,
                "frames_fitted": int(labels.accepted.sum()),
                f"residual_{labels.unit}": round(float(np.median(labels.residual[usable])), 3),
            }
        ],
    }
    warnings = list(request.notes)
    if not labels.accepted.all():
        count = int((~labels.accepted).sum())
        warnings.append(f"{count} of {len(labels.accepted)} frames fit badly or hold too few points; see 'valid'")
    kind = f"3D {recording.what} ({recording.skeleton or len(recording.names)})"
    told = report_of(source.name, kind, video, settings, [entry], warnings, clock, motion.frames)
    told |= {"outputs": outputs, "total_seconds": round(time.perf_counter() - begun, 3)}
    report = folder / "report.json"
    write_report(report, told)
    for warning in warnings:
        say(f"note: {warning}")
    say(f"wrote {sum(map(len, outputs.values()))} files and {report}")
    names = [str(folder / name) for files in outputs.values() for name in files]
    return {"input": source.name, "kind": kind, "video": video, "frames": motion.frames, "people": 1, "fits": [entry],
            "warnings": warnings, "outputs": [*names, str(report)]}  # fmt: skip


def motion_of_labels(body: BodyModel, recording: Recording, labels: Labels, fps: float) -> Motion:
    """The person in a camera's frame. Recordings with an upright world keep it, lifted so that the lowest joint of all
    frames stands on the ground; a camera of 50° is put before the person."""
    state = labels.state
    frames = state.frames
    root, transl = np.asarray(state.root, np.float64), np.asarray(state.transl, np.float64)
    pelvis = np.asarray(body.rest_joints(betas=state.betas), np.float64)[0]
    turn, T_world_camera = np.eye(3), None
    if recording.axes in _TO_Y_UP:
        upright = _TO_Y_UP[recording.axes]
        world = (transl + pelvis) @ upright.T
        camera_place = _before(world)
        flip = np.diag([1.0, -1.0, -1.0])  # y up to OpenCV's axes
        turn = flip @ upright
        transl = (world - camera_place) @ flip.T - pelvis
        root = turn @ root
        T_world_camera = np.eye(4)
        T_world_camera[:3, :3], T_world_camera[:3, 3] = flip.T, camera_place
    params = BodyParams(
        betas=np.asarray(state.betas, np.float64),
        global_orient=rotations.matrix_to_axis_angle(root),
        body_pose=np.asarray(state.body_pose, np.float64),
        transl=transl,
    )
    joints = np.asarray(body.joints_only(**params.asdict()), np.float64)
    valid = np.asarray(labels.accepted, bool)
    good = np.clip(1.0 - labels.residual / np.maximum(2.0 * labels.limit, 1e-9), 0.0, 1.0)
    estimate = BodyEstimate(params, joints, valid, np.where(valid, good, 0.0), np.zeros(frames))
    count = len(recording.names)
    skeleton = recording.skeleton or "smplx55"
    if not recording.skeleton:
        count = len(body.joint_names)
    track = Track(0, skeleton, np.zeros((frames, count, 3)), np.zeros((frames, count, 3)), valid, good)
    focal = _SIDE / 2 / math.tan(math.radians(_FOV) / 2)
    camera = Camera(focal, focal, (_SIDE - 1) / 2, (_SIDE - 1) / 2, _SIDE, _SIDE)
    motion = assemble(body, camera, fps, np.arange(frames), np.arange(frames) / fps, [(track, estimate)], False)
    if T_world_camera is not None:
        lowest = (joints[valid if valid.any() else slice(None)].reshape(-1, 3) @ T_world_camera[:3, :3].T)[:, 1].min()
        T_world_camera[1, 3] = -lowest
        motion = replace(motion, T_world_camera=np.broadcast_to(T_world_camera, (frames, 4, 4)).copy())
    return motion


def _before(places: Array) -> Array:
    """(3,) where a camera sees all of the way: before its middle, as far as it is wide and a body high."""
    low, high = places.min(axis=0), places.max(axis=0)
    away = (max(float((high - low)[:2].max()), 0.0) + 2.0) * _AWAY / 2 / math.tan(math.radians(_FOV) / 2)
    middle = (low + high) / 2
    return np.array([middle[0], middle[1], high[2] + away])
