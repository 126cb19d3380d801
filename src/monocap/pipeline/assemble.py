"""Estimates of people → `Motion`: full-length arrays, names, cameras, everybody on one ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.geometry.twist import share_forearm_twist
from monocap.motion import settle
from monocap.types import ARKIT, FACE_POINTS, HAND_POINTS, Array, BodyEstimate, Camera, Motion, Track

_HAND = 45


def assemble(
    body: BodyModel,
    camera: Camera,
    fps: float,
    frame_index: NDArray[np.int64],
    times: Array,
    people: Sequence[tuple[Track, BodyEstimate]],
    hold_feet: bool = True,
) -> Motion:
    """One `Motion` of P people over T frames (`frame_index`, `times` (T,) s); P = 0 is a valid, empty motion.

    The camera stands still; the ground and where feet rest on it are found here, and feet are held there unless
    ``hold_feet`` is False (`motion.settle`). Elbow and wrist share the turn of a palm: no joint moves by that, but the
    skin of the forearm, which would collapse at the wrist.
    """
    frames = len(frame_index)
    names = skeletons.get(people[0][0].skeleton if people else "blazepose33").joint_names
    betas = body.shapedirs.shape[2]
    joints = len(body.joint_names)

    def stack(values: list[Array], *shape: int) -> Array:
        return np.stack(values).astype(np.float64) if values else np.zeros((0, *shape))

    def optional(name: str, size: int) -> Array:
        """Zeros for people whose estimate does not tell."""
        given = [getattr(e.params, name) for e in estimates]
        return stack([np.zeros((frames, size)) if value is None else value for value in given], frames, size)

    def detected(name: str, *shape: int) -> Array | None:
        """What was seen of hands or face, zeros for people in whom nobody looked for them; None if in nobody."""
        given = [None if track.parts is None else getattr(track.parts, name) for track, _ in people]
        if all(value is None for value in given):
            return None
        return stack([np.zeros((frames, *shape)) if value is None else value for value in given], frames, *shape)

    hands = detected("hands", 2, HAND_POINTS, 6)
    settled = settle(body, camera, np.asarray(times, np.float64), people, hold_feet)
    estimates = settled.estimates
    posed = stack([e.joints for e in estimates], frames, joints, 3)
    valid = np.stack([e.valid for e in estimates]) if people else np.zeros((0, frames), dtype=bool)
    return Motion(
        fps=fps,
        frame_index=np.asarray(frame_index, dtype=np.int64),
        time=np.asarray(times, dtype=np.float64),
        image_size=np.array([camera.width, camera.height], dtype=np.int64),
        track_id=np.array([track.track_id for track, _ in people], dtype=np.int64),
        valid=valid,
        confidence=stack([e.confidence for e in estimates], frames),
        K=np.broadcast_to(camera.K, (frames, 3, 3)).copy(),
        T_world_camera=np.broadcast_to(settled.ground.T_world_camera, (frames, 4, 4)).copy(),
        betas=stack([e.params.betas for e in estimates], betas),
        global_orient=stack([e.params.global_orient for e in estimates], frames, 3),
        body_pose=stack(
            [share_forearm_twist(e.params.body_pose, body.rest_joints(e.params.betas)) for e in estimates], frames, 63
        ),
        jaw_pose=optional("jaw_pose", 3),
        left_eye_pose=optional("left_eye_pose", 3),
        right_eye_pose=optional("right_eye_pose", 3),
        left_hand_pose=optional("left_hand_pose", _HAND),
        right_hand_pose=optional("right_hand_pose", _HAND),
        expression=optional("expression", body.exprdirs.shape[2]),
        transl=stack([e.params.transl for e in estimates], frames, 3),
        joints=posed,
        keypoints2d=stack([track.points2d for track, _ in people], frames, len(names), 3),
        joint_names=np.array(body.joint_names),
        keypoint_names=np.array(names),
        body_model=body.name,
        foot_contact=settled.foot_contact,
        hand_keypoints2d=None if hands is None else hands[..., :3],
        face_keypoints2d=detected("face", FACE_POINTS, 3),
        arkit=detected("shapes", len(ARKIT)),
    )
