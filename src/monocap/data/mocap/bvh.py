"""Biovision hierarchy files: HIERARCHY with OFFSET and CHANNELS, then MOTION, one line per frame.

Angles are degrees, applied in the order of the channels: ``Zrotation Xrotation Yrotation`` means R = Rz·Rx·Ry on
column vectors. Positions of the root are absolute. Source: Meredith and Maddock, *Motion Capture File Formats
Explained* (2001).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from monocap.data.mocap.clip import MocapClip, check_size, numbers, read_lines
from monocap.errors import InputError
from monocap.types import Array

_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


def read_bvh(path: str | os.PathLike[str], metres_per_unit: float = 0.01) -> MocapClip:
    """Read a BVH file; it does not say its unit: ``metres_per_unit`` (0.01: centimetres) does.

    Position channels of other joints than the root replace their offset in BVH; here such joints keep the mean
    over the take, since a body's bones do not stretch.

    Raises InputError with file, line and remedy if the file is truncated, has lines of a wrong length, numbers
    that are not finite, no frames, or declares more than can be meant.
    """
    where, lines = str(path), read_lines(path)
    joints, at = _hierarchy(where, lines)
    channels = [channel for _, _, _, chosen in joints for channel in chosen]
    frames, seconds, at = _motion_header(where, lines, at)
    check_size(where, frames, len(joints))
    values = np.empty((frames, len(channels)))
    filled = 0
    for number in range(at, len(lines)):
        tokens = lines[number].split()
        if not tokens:
            continue
        if filled == frames:
            raise InputError(f"{where}, line {number + 1}: more frames than the {frames} declared; correct 'Frames:'")
        values[filled] = numbers(tokens, where, number + 1, len(channels))
        filled += 1
    if filled < frames:
        raise InputError(
            f"{where}, line {len(lines)}: ends after {filled} of {frames} frames; the file is cut off, get it again"
        )
    offsets = np.array([offset for _, _, offset, _ in joints])
    local, translation = np.empty((frames, len(joints), 3, 3)), offsets[0][None].repeat(frames, axis=0)
    placed: dict[str, Array] = {}
    column = 0
    for index, (name, _, _, chosen) in enumerate(joints):
        part = values[:, column : column + len(chosen)]
        column += len(chosen)
        local[:, index] = _rotation(part, chosen)
        if set(_CHANNELS[:3]) <= set(chosen):
            position = part[:, [chosen.index(channel) for channel in _CHANNELS[:3]]]
            if index == 0:
                translation = position
            else:
                placed[name], offsets[index] = position, position.mean(axis=0)
    offsets[0] = 0.0
    names, parents = tuple(joint[0] for joint in joints), tuple(joint[1] for joint in joints)
    clip = MocapClip(Path(path).stem, "bvh", names, parents, offsets, local, translation, 1.0 / seconds, placed)
    return clip.scaled(metres_per_unit)


_Joint = tuple[str, int, list[float], list[str]]


def _hierarchy(where: str, lines: list[str]) -> tuple[list[_Joint], int]:
    """Joints in file order as (name, parent, offset, channels), and the index of the line after MOTION."""
    joints: list[_Joint] = []
    stack: list[int] = []  # open braces: index of the joint, or -1 inside an End Site
    pending = -2  # whose brace comes next
    if not lines or lines[0].split()[:1] != ["HIERARCHY"]:
        raise InputError(f"{where}, line 1: expected HIERARCHY; this is no BVH file")
    for number, line in enumerate(lines[1:], start=2):
        tokens = line.split()
        if not tokens:
            continue
        word = tokens[0]
        if word == "MOTION":
            if stack or not joints:
                raise InputError(f"{where}, line {number}: MOTION before the hierarchy is closed; get the file again")
            return joints, number
        if word in ("ROOT", "JOINT"):
            parent = next((j for j in reversed(stack) if j >= 0), -1)
            if len(tokens) < 2 or (parent < 0) != (word == "ROOT") or (word == "ROOT" and joints):
                raise InputError(
                    f"{where}, line {number}: {line.strip()[:60]!r} does not belong here; one ROOT, then JOINTs"
                )
            pending = len(joints)
            joints.append((" ".join(tokens[1:]), parent, [0.0, 0.0, 0.0], []))
            check_size(where, 1, len(joints))
        elif word == "End":
            pending = -1
        elif word == "{":
            stack.append(pending)
        elif word == "}":
            if not stack:
                raise InputError(f"{where}, line {number}: a brace closes that was never opened; get the file again")
            stack.pop()
        elif word == "OFFSET" and stack:
            offset = numbers(tokens[1:], where, number, 3)
            if stack[-1] >= 0:
                joints[stack[-1]][2][:] = offset
        elif word == "CHANNELS" and stack and stack[-1] >= 0:
            chosen = tokens[2:]
            if (
                tokens[1:2] != [str(len(chosen))]
                or len(set(chosen)) != len(chosen)
                or not set(chosen) <= set(_CHANNELS)
            ):
                raise InputError(
                    f"{where}, line {number}: {line.strip()[:80]!r}; expected CHANNELS, their number and so many of"
                    f" {', '.join(_CHANNELS)}"
                )
            joints[stack[-1]][3][:] = chosen
        else:
            raise InputError(f"{where}, line {number}: {line.strip()[:60]!r} is not understood in a hierarchy")
    raise InputError(f"{where}, line {len(lines)}: ends without MOTION; the file is cut off, get it again")


def _motion_header(where: str, lines: list[str], at: int) -> tuple[int, float, int]:
    """Frame count, seconds per frame, and the index of the first line of numbers."""
    found: dict[str, float] = {}
    for number in range(at, len(lines)):
        key, colon, value = lines[number].partition(":")
        if not key.strip():
            continue
        if not colon:
            break
        found[key.strip()] = numbers(value.split(), where, number + 1, 1)[0]
        if "Frames" in found and "Frame Time" in found:
            frames, seconds = found["Frames"], found["Frame Time"]
            if frames != int(frames) or not 1e-4 <= seconds <= 1.0:
                raise InputError(
                    f"{where}, line {number + 1}: {frames:g} frames of {seconds:g} s; expected a whole number of"
                    " frames of 0.0001 to 1 s. Correct the two lines after MOTION"
                )
            return int(frames), seconds, number + 1
    raise InputError(f"{where}, line {at + 1}: expected 'Frames: N' and 'Frame Time: SECONDS' after MOTION")


def _rotation(values: Array, channels: list[str]) -> Array:
    """(T,3,3) of one joint's channels (T,C) in their order."""
    turning = [(i, channel[0]) for i, channel in enumerate(channels) if channel.endswith("rotation")]
    if not turning:
        return np.broadcast_to(np.eye(3), (len(values), 3, 3))
    order = "".join(axis for _, axis in turning)
    return Rotation.from_euler(order, values[:, [i for i, _ in turning]], degrees=True).as_matrix().reshape(-1, 3, 3)
