"""A person's motion as BVH, the plainest animation file: bones in centimetres, angles in degrees.

Choices, where the format leaves them open: y up, the world's origin on the ground; root OFFSET zero, its position
channels absolute; every joint turns ``Zrotation Xrotation Yrotation`` (R = Rz·Rx·Ry). X is in the middle, where angles
of ±90° are ambiguous, because hanging arms need 90° about z, and people who turn round need it about y. Names are
SMPL-X's. Jaw and eyes are left out: they move nothing below them. Source: Meredith and Maddock, *Motion Capture File
Formats Explained* (2001).
"""

from __future__ import annotations

import os
from typing import TextIO

import numpy as np

from monocap.export.person import PersonClip, SkinnedBody, even_times, person_clip
from monocap.files import replacing
from monocap.geometry.rotations import quaternion_to_matrix
from monocap.types import Array, Motion

ORDER = "ZXY"
LEFT_OUT = ("jaw", "left_eye", "right_eye")
_CM = 100.0
_BLOCK = 2048  # frames turned to text at once


def write_bvh(
    path: str | os.PathLike[str], motion: Motion, body: SkinnedBody, person: int = 0, *, fps: float | None = None
) -> None:
    """Write one person of a motion as BVH: bones of their shape, as many frames as the motion.

    ``fps`` resamples; by default the motion's own frames are written if they are evenly spaced, else it is resampled at
    its average rate, since BVH knows one frame time only. Where the person is not seen, the motion's bridge is written,
    or their first or last pose is held.

    Raises InputError as `person_clip` and `even_times` do.
    """
    clip = person_clip(motion, person, body)
    times, rate = even_times(motion, fps)
    clip = clip if np.array_equal(times, clip.times) else clip.at(times)
    kept = [j for j, name in enumerate(clip.joint_names) if name not in LEFT_OUT]
    angles = np.degrees(euler_zxy(quaternion_to_matrix(clip.local[:, kept])))
    with replacing(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.write("HIERARCHY\n")
        order = _write_joint(file, clip, kept, _tips(clip, body, motion.betas[person]), 0, 0)
        file.write(f"MOTION\nFrames: {len(times)}\nFrame Time: {1 / rate:.15g}\n")
        columns = [kept.index(j) for j in order]
        rows = np.concatenate([clip.pelvis * _CM, angles[:, columns].reshape(len(times), -1)], axis=1)
        for start in range(0, len(rows), _BLOCK):
            np.savetxt(file, rows[start : start + _BLOCK], fmt="%.4f")


def euler_zxy(matrices: Array) -> Array:
    """Angles (K,J,3), radians, about z, x, y with R = Rz·Rx·Ry of (K,J,3,3), as continuous over K as they can be.

    Of the two triples that make one rotation, and all their turns by 2π, the nearest to the moment before is taken;
    where x is ±90° and only z ± y is fixed, y stays.
    """
    m = np.asarray(matrices, np.float64)
    x = np.arcsin(np.clip(m[..., 2, 1], -1.0, 1.0))
    z = np.arctan2(-m[..., 0, 1], m[..., 1, 1])
    y = np.arctan2(-m[..., 2, 0], m[..., 2, 2])
    locked = np.hypot(m[..., 0, 1], m[..., 1, 1]) < 1e-6
    once = np.stack([z, x, y], axis=-1)
    both = np.stack([once, np.stack([z + np.pi, np.pi - x, y + np.pi], axis=-1)])
    out = np.empty_like(once)
    before = np.zeros(once.shape[1:])
    for k in range(len(once)):
        near = both[:, k] - 2 * np.pi * np.round((both[:, k] - before) / (2 * np.pi))
        second = np.abs(near[1] - before).sum(axis=-1) < np.abs(near[0] - before).sum(axis=-1)
        out[k] = before = np.where(second[:, None], near[1], near[0])
        if locked[k].any():
            before = out[k] = _locked(m[k], before, out[k - 1] if k else np.zeros_like(before), locked[k])
    return out


def _locked(m: Array, angles: Array, previous: Array, locked: Array) -> Array:
    """Angles (J,3) where x = ±90°: y as before, z what then remains."""
    sign, y = np.sign(m[:, 2, 1]), previous[:, 2]
    total = np.arctan2(m[:, 1, 0], m[:, 0, 0])  # z + sign·y
    z = total - sign * y
    z -= 2 * np.pi * np.round((z - previous[:, 0]) / (2 * np.pi))
    x = sign * np.pi / 2
    x = x - 2 * np.pi * np.round((x - previous[:, 1]) / (2 * np.pi))
    return np.where(locked[:, None], np.stack([z, x, y], axis=-1), angles)


def _tips(clip: PersonClip, body: SkinnedBody, betas: Array) -> dict[int, Array]:
    """Offset (3,) metres of the end of every joint that has no child: as far as the skin it moves reaches."""
    shapedirs = np.asarray(body.shapedirs)[..., : len(betas)]
    rest = np.asarray(body.v_template, np.float64) + shapedirs @ np.asarray(betas, np.float64)
    owner = np.asarray(body.lbs_weights).argmax(axis=1)
    for j, name in enumerate(clip.joint_names):
        if name in LEFT_OUT:
            owner = np.where(owner == j, clip.parents[j], owner)
    tips = {}
    for j in range(len(clip.parents)):
        bone = clip.offsets[j]
        length = float(np.linalg.norm(bone))
        along = bone / length if length > 1e-6 else np.array([0.0, 1.0, 0.0])
        reach = (rest[owner == j] - clip.rest_joints[j]) @ along
        tips[j] = along * max(float(reach.max()) if len(reach) else 0.5 * length, 0.01)
    return tips


def _write_joint(
    file: TextIO, clip: PersonClip, kept: list[int], tips: dict[int, Array], j: int, depth: int
) -> list[int]:
    """Write a joint and all below it; returns them in the file's order."""
    pad = "\t" * depth
    offset = clip.offsets[j] * _CM
    turns = " ".join(f"{axis}rotation" for axis in ORDER)
    root = clip.parents[j] < 0
    file.write(f"{pad}{'ROOT' if root else 'JOINT'} {clip.joint_names[j]}\n{pad}{{\n")
    file.write(f"{pad}\tOFFSET {offset[0]:.5f} {offset[1]:.5f} {offset[2]:.5f}\n")
    file.write(f"{pad}\tCHANNELS {'6 Xposition Yposition Zposition' if root else '3'} {turns}\n")
    children = [c for c in kept if clip.parents[c] == j]
    order = [j]
    for child in children:
        order += _write_joint(file, clip, kept, tips, child, depth + 1)
    if not children:
        x, y, z = tips[j] * _CM
        file.write(f"{pad}\tEnd Site\n{pad}\t{{\n{pad}\t\tOFFSET {x:.5f} {y:.5f} {z:.5f}\n{pad}\t}}\n")
    file.write(f"{pad}}}\n")
    return order
