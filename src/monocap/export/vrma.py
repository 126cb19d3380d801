"""A person's motion as VRM animation (VRMC_vrm_animation 1.0), which plays on every VRM avatar.

The file holds a humanoid of its own: nodes named and placed as VRM's bones, standing in VRM's T-pose with the person's
bone lengths, feet on y = 0; rotations on all bones, translation on the hips only. A body's rest pose is a T-pose only
roughly, so its arms, fingers and legs are turned straight first, and the turns taken out of the rotations: joints then
still stand exactly where the motion has them. Receivers scale the hips' path by their own height.

Eyes are left out (the specification forbids animating them; it has lookAt instead). A face that was captured becomes
expressions, VRM's presets and ARKit's names as custom ones: each the x of a node's translation. The jaw then rests,
since expressions move it.
Source: https://github.com/vrm-c/vrm-specification, VRMC_vrm_animation-1.0.
"""

from __future__ import annotations

import os

import numpy as np

from monocap.export.faces import face_weights, vrm_presets
from monocap.export.gltf import Parts, animate, write_container
from monocap.export.person import PersonClip, SkinnedBody, even_times, person_clip, shown
from monocap.geometry.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_multiply,
    rotation_between,
)
from monocap.types import ARKIT, Array, Motion

EXTENSION = "VRMC_vrm_animation"
_TRUNK = {
    **{"pelvis": "hips", "spine1": "spine", "spine2": "chest", "spine3": "upperChest"},
    **{"neck": "neck", "head": "head", "jaw": "jaw"},
}
_LIMBS = {
    **{"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toes"},
    **{"collar": "Shoulder", "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand"},
    **{f"thumb{k}": f"Thumb{part}" for k, part in enumerate(("Metacarpal", "Proximal", "Distal"), start=1)},
    **{
        f"{ours}{k}": f"{theirs}{part}"
        for ours, theirs in (("index", "Index"), ("middle", "Middle"), ("ring", "Ring"), ("pinky", "Little"))
        for k, part in enumerate(("Proximal", "Intermediate", "Distal"), start=1)
    },
}
_FINGERS = ("index", "middle", "ring", "pinky", "thumb")
_SIDES = ("left", "right")
BONES = {**_TRUNK, **{f"{side}_{joint}": f"{side}{bone}" for side in _SIDES for joint, bone in _LIMBS.items()}}
"""SMPL-X joint → VRM 1.0 bone."""


def write_vrma(
    path: str | os.PathLike[str], motion: Motion, body: SkinnedBody, person: int = 0, *, fps: float | None = None
) -> None:
    """Write one person of a motion as a VRM animation in the world frame.

    Keys are the frames in which the person is there (as in the GLB), or ``fps`` a second. Raises InputError as
    `person_clip` does, or if no key falls on a moment that the person is there.
    """
    clip = person_clip(motion, person, body)
    if fps is not None:
        clip = clip.at(even_times(motion, fps)[0])
    keys = shown(clip)
    if not keys.any():
        keys[np.flatnonzero(clip.seen)[:1] if clip.seen.any() else 0] = True
    joints = [j for j, name in enumerate(clip.joint_names) if name in BONES]
    straight = t_pose(clip)
    offsets, local = straightened(clip, straight)
    hips_rest = np.array([0.0, _hips_height(clip, body, motion.betas[person], offsets), 0.0])

    parts = Parts()
    number = {j: i for i, j in enumerate(joints)}  # nodes come in this order
    for j in joints:
        children = [number[c] for c in joints if clip.parents[c] == j]
        place = hips_rest if j == 0 else offsets[j]
        parts.node(name=BONES[clip.joint_names[j]], translation=place.tolist(), children=children)
    rotations = {number[j]: local[keys][:, j][:, [1, 2, 3, 0]] for j in joints}
    faces, moved = {}, {}
    if motion.arkit is not None:
        weights = face_weights(motion, person, clip.times[keys])
        if "jaw" in clip.joint_names:
            rotations[number[clip.joint_names.index("jaw")]] = np.tile([0.0, 0.0, 0.0, 1.0], (len(weights), 1))
        for kind, values in (("preset", vrm_presets(weights)), ("custom", dict(zip(ARKIT, weights.T, strict=True)))):
            for name, value in values.items():
                node = parts.node(name=name, translation=[0.0, 0.0, 0.0])
                faces.setdefault(kind, {})[name] = {"node": node}
                moved[node] = value[:, None] * np.array([1.0, 0.0, 0.0])
    animate(parts, clip.times[keys], {0: clip.pelvis[keys], **moved}, rotations)
    bones = {BONES[clip.joint_names[j]]: {"node": number[j]} for j in joints}
    parts.gltf.extensionsUsed = [EXTENSION]
    extension = {"specVersion": "1.0", "humanoid": {"humanBones": bones}}
    parts.gltf.extensions = {EXTENSION: {**extension, "expressions": faces} if faces else extension}
    extras = {"body_model": motion.body_model, "fps": float(motion.fps), "track_id": clip.track_id}
    write_container(path, parts, [0, *moved], extras)


def t_pose(clip: PersonClip) -> Array:
    """Rotations (J,3,3) that turn each bone from the T-pose's direction to the body's rest direction.

    VRM's T-pose: arms and fingers along ±x, thumbs between x and z, legs from hip to ankle straight down; trunk and
    feet stay as the body has them.
    """
    at = {name: j for j, name in enumerate(clip.joint_names)}
    turns = np.tile(np.eye(3), (len(at), 1, 1))
    for side, out in (("left", 1.0), ("right", -1.0)):
        x, thumb, down = (out, 0.0, 0.0), (out, 0.0, 1.0), (0.0, -1.0, 0.0)
        aims = [("shoulder", "elbow", x), ("elbow", "wrist", x), ("wrist", "middle1", x), ("hip", "ankle", down)]
        for finger in _FINGERS:
            aims += [(f"{finger}{k}", f"{finger}{k + 1}", thumb if finger == "thumb" else x) for k in (1, 2)]
        for start, end, aim in aims:
            a, b = at.get(f"{side}_{start}"), at.get(f"{side}_{end}")
            if a is not None and b is not None:
                turns[a] = rotation_between(np.array(aim), clip.rest_joints[b] - clip.rest_joints[a])
        followers = [("knee", "hip"), *((f"{finger}3", f"{finger}2") for finger in _FINGERS)]
        for follower, leader in followers:
            a, b = at.get(f"{side}_{follower}"), at.get(f"{side}_{leader}")
            if a is not None and b is not None:
                turns[a] = turns[b]
    return turns


def straightened(clip: PersonClip, turns: Array) -> tuple[Array, Array]:
    """Offsets (J,3) and local quaternions (K,J,4) of the same motion for a skeleton that rests in the T-pose.

    With world rotations W of the body's joints, the new ones are W·C (C the ``turns``) and offsets Cₚᵀ·o, so that every
    joint stays where it was.
    """
    parents = np.maximum(clip.parents, 0)
    above = turns[parents]
    above[0] = np.eye(3)
    offsets = np.einsum("jba,jb->ja", above, clip.offsets)
    before = quaternion_conjugate(matrix_to_quaternion(above))
    local = quaternion_multiply(before, quaternion_multiply(clip.local, matrix_to_quaternion(turns)))
    return offsets, local


def _hips_height(clip: PersonClip, body: SkinnedBody, betas: Array, offsets: Array) -> float:
    """How high the pelvis is above the soles in the T-pose, metres."""
    shapedirs = np.asarray(body.shapedirs)[..., : len(betas)]
    rest = np.asarray(body.v_template, np.float64) + shapedirs @ np.asarray(betas, np.float64)
    heights = []
    for ankle in (clip.joint_names.index(f"{side}_ankle") for side in ("left", "right")):
        below = clip.rest_joints[ankle, 1] - rest[:, 1].min()
        j = ankle
        while j > 0:
            below -= offsets[j, 1]
            j = clip.parents[j]
        heights.append(below)
    return max(*heights, 0.01)
