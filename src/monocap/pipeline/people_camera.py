"""The camera as people tell it: from tracks as detected to `fitting.camera`, and a guess under another lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting import FitOptions, Fitter
from monocap.fitting.camera.recipe import CameraFit, fit_camera
from monocap.geometry import rotations
from monocap.geometry.cameras import look_rotation
from monocap.perception import Lifter
from monocap.perception.cleaning import clean
from monocap.perception.field_of_view import CameraGuess
from monocap.types import Array, BodyGuess, Camera, Track


def camera_by_people(
    body: BodyModel,
    options: FitOptions,
    lifter: Lifter,
    tracks: Sequence[Track],
    times: NDArray[np.float64],
    camera: Camera,
    guess: CameraGuess,
) -> CameraFit | None:
    """What ``tracks`` (T frames at ``times`` s) as detected say of ``camera``, which is that of ``guess``; both in the
    tracks' pixels. None where nobody is seen."""
    usable = []
    for track in tracks:
        cleaned = clean(track, times) if len(times) > 1 else None
        own = track if cleaned is None else replace(cleaned.track, valid=track.valid & ~cleaned.blinks)
        found = np.asarray(own.valid, bool)
        if not found.any():
            continue
        lifted = np.zeros(own.points3d.shape)
        lifted[found] = lifter.lift(own.points2d[found], camera, own.points3d[found])
        usable.append(replace(own, points3d=lifted))
    return fit_camera(Fitter(body, camera, options), usable, times, guess) if usable else None


def guess_under(guess: BodyGuess, before: Camera, after: Camera) -> BodyGuess:
    """What a regression network said of a body (…) under one camera, as it says it under another lens: the same place
    in the picture, as far away as the lens is longer, turned with the ray on which it stands."""
    pelvis = np.asarray(guess.pelvis, np.float64)
    said = np.any(pelvis != 0, axis=-1)
    z = np.where(said, np.maximum(pelvis[..., 2], 1e-6), 1.0)
    offset = pelvis[..., :2] / z[..., None]
    scale = np.array([before.fx / after.fx, before.fy / after.fy])
    middle = np.array([before.cx - after.cx, before.cy - after.cy]) / [after.fx, after.fy]
    moved = offset * scale + middle
    farther = z * after.fx / before.fx
    turn = _look(moved) @ np.swapaxes(_look(offset), -1, -2)
    root = rotations.matrix_to_axis_angle(turn @ rotations.axis_angle_to_matrix(np.asarray(guess.pose)[..., :3]))
    place = np.concatenate([moved * farther[..., None], farther[..., None]], axis=-1)
    pose = np.concatenate([root, np.asarray(guess.pose)[..., 3:]], axis=-1)
    keep = said[..., None]
    return BodyGuess(np.where(keep, pose, guess.pose), guess.betas, np.where(keep, place, pelvis))


def _look(offset: Array) -> Array:
    ray = np.concatenate([offset, np.ones((*offset.shape[:-1], 1))], axis=-1)
    return np.asarray(look_rotation(ray / np.linalg.norm(ray, axis=-1, keepdims=True)))
