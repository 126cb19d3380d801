"""Contact sheets of retargeted motion: frames in rows, the posed body beside the original's stick figure."""

from __future__ import annotations

import cv2
import numpy as np

from monocap.bodies import BodyModel
from monocap.data.mocap.clip import MocapClip
from monocap.data.mocap.retarget import Retargeted, in_our_axes
from monocap.data.mocap.rigs import Rig, recognise
from monocap.render import render_view
from monocap.types import Array

CELL = (150, 200)  # width, height, pixels


def contact_sheet(
    clip: MocapClip, motion: Retargeted, body: BodyModel, columns: int = 6, rig: Rig | None = None
) -> Array:
    """Picture (H,W,3) uint8 RGB: ``columns`` frames spread over the clip, above the original's joints and bones, below
    the body that plays them; both from the front, right of the picture = left of the person."""
    rig = rig or recognise(clip)
    _, joints = in_our_axes(clip.resampled(motion.fps), rig)
    frames = np.linspace(0, motion.frames - 1, columns).round().astype(int)
    above = [_sticks(joints[frame], clip.parents) for frame in frames]
    below = [pose_cell(body, motion.body_pose[frame], motion.global_orient[frame]) for frame in frames]
    return np.concatenate([np.concatenate(above, axis=1), np.concatenate(below, axis=1)])


def pose_cell(body: BodyModel, pose: Array, orient: Array) -> Array:
    """One posed body, centred, as tall as the cell allows."""
    out = body(body_pose=np.asarray(pose, np.float64), global_orient=np.asarray(orient, np.float64))
    vertices = np.asarray(out.vertices)
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return render_view(vertices - centre, body.faces, eye=(0, 0.15, 4.2), target=(0, 0, 0), size=CELL, ground=False)


def _sticks(joints: Array, parents: tuple[int, ...]) -> Array:
    """Bones of one frame (J,3), seen from the front like `pose_cell`."""
    cell = np.full((CELL[1], CELL[0], 3), 250, np.uint8)
    middle = (joints.min(axis=0) + joints.max(axis=0)) / 2
    focal = CELL[1] / 2 / np.tan(np.deg2rad(16))
    shifted = joints - middle
    depth = 4.2 - shifted[:, 2]
    points = np.stack(
        [CELL[0] / 2 + focal * shifted[:, 0] / depth, CELL[1] / 2 - focal * shifted[:, 1] / depth], axis=1
    )
    for joint, parent in enumerate(parents):
        if parent >= 0:
            a, b = (tuple(int(v) for v in points[i].round()) for i in (parent, joint))
            cv2.line(cell, a, b, (40, 60, 120), 1, cv2.LINE_AA)
    return cell
