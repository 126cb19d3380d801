"""Acclaim skeletons (.asf) and motions (.amc), the form in which the CMU database is published.

A bone's motion is given in the bone's own axis frame C: its rotation relative to its parent is C·M·C⁻¹ with
M = Rz·Ry·Rx of its degrees of freedom, and it turns about its start, which is the end of its parent
(direction × length, in world axes at rest). Here every bone becomes a joint at its start, of the same name.
Lengths are in inches divided by the ``length`` unit (0.45 at CMU). Source: Lander, *Working with Motion
Capture File Formats*, Game Developer (January 1998); mocap.cs.cmu.edu FAQ.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from monocap.data.mocap.clip import MocapClip, check_size, numbers, read_lines
from monocap.errors import InputError
from monocap.types import Array

INCH = 0.0254
FPS = 120.0  # the files do not say; CMU captured at 120 Hz


@dataclass(frozen=True)
class _Bone:
    vector: Array  # (3,) from start to end at rest, in file units
    axis: Array  # (3,3) C
    freedom: tuple[str, ...]  # of rx ry rz tx ty tz l


@dataclass(frozen=True)
class AsfSkeleton:
    """An .asf file: bones by name in tree order, parents by name, order of the root's channels, metres per unit."""

    name: str
    bones: dict[str, _Bone]
    parents: dict[str, str]
    root_order: tuple[str, ...]
    metres_per_unit: float
    degrees: bool


def read_asf(path: str | os.PathLike[str]) -> AsfSkeleton:
    """Read an .asf skeleton. Raises InputError with file, line and remedy."""
    where, lines = str(path), read_lines(path)
    section, root_order, unit, degrees = "", ("tx", "ty", "tz", "rx", "ry", "rz"), 1.0, True
    bones: dict[str, _Bone] = {}
    parents: dict[str, str] = {}
    block: dict[str, list[str]] | None = None
    for number, line in enumerate(lines, start=1):
        tokens = line.split("#")[0].split()
        if not tokens:
            continue
        if tokens[0].startswith(":"):
            section = tokens[0][1:]
        elif section == "units":
            if tokens[0] == "length":
                unit = numbers(tokens[1:], where, number, 1)[0]
            degrees = tokens[1] == "deg" if tokens[0] == "angle" and len(tokens) > 1 else degrees
        elif section == "root" and tokens[0] == "order":
            root_order = tuple(token.lower() for token in tokens[1:])
        elif section == "bonedata":
            if tokens[0] == "begin":
                block = {}
            elif tokens[0] == "end" and block is not None:
                name, bone = _bone(where, number, block, degrees)
                bones[name], block = bone, None
                check_size(where, 1, len(bones))
            elif block is not None:
                block[tokens[0]] = tokens[1:]
        elif section == "hierarchy" and tokens[0] not in ("begin", "end"):
            for child in tokens[1:]:
                if child not in bones or child in parents or (tokens[0] != "root" and tokens[0] not in bones):
                    raise InputError(f"{where}, line {number}: bone {child!r} is unknown or has a parent already")
                parents[child] = tokens[0]
    if not bones or set(parents) != set(bones):
        raise InputError(f"{where}, line {len(lines)}: no complete :bonedata and :hierarchy; get the file again")
    if unit <= 0:
        raise InputError(f"{where}: length unit {unit}; expected a positive number")
    order = _tree_order(where, parents)
    return AsfSkeleton(
        Path(path).stem, {name: bones[name] for name in order}, parents, root_order, INCH / unit, degrees
    )


def _bone(where: str, line: int, block: dict[str, list[str]], degrees: bool) -> tuple[str, _Bone]:
    for key in ("name", "direction", "length", "axis"):
        if not block.get(key):
            raise InputError(
                f"{where}, line {line}: bone {block.get('name', ['?'])[0]} has no {key}; get the file again"
            )
    direction = np.array(numbers(block["direction"], where, line, 3))
    length = numbers(block["length"], where, line, 1)[0]
    # Angles about x, y, z written in that order, x applied first.
    axis = Rotation.from_euler("xyz", numbers(block["axis"][:3], where, line, 3), degrees=degrees).as_matrix()
    return block["name"][0], _Bone(direction * length, axis, tuple(token.lower() for token in block.get("dof", ())))


def _tree_order(where: str, parents: dict[str, str]) -> list[str]:
    order: list[str] = []
    known = {"root"}
    while len(order) < len(parents):
        ready = [name for name, parent in parents.items() if parent in known and name not in known]
        if not ready:
            raise InputError(f"{where}: the hierarchy has a loop; get the file again")
        order += ready
        known.update(ready)
    return order


def read_amc(
    path: str | os.PathLike[str], skeleton: AsfSkeleton | str | os.PathLike[str], fps: float = FPS
) -> MocapClip:
    """Read an .amc motion with its skeleton (or the .asf's path).

    Raises InputError with file, line and remedy: unknown bone, wrong number of values, a bone missing in a frame,
    numbers that are not finite, no frames.
    """
    asf = skeleton if isinstance(skeleton, AsfSkeleton) else read_asf(skeleton)
    where, lines = str(path), read_lines(path)
    wanted = {
        "root": len(asf.root_order),
        **{name: len(bone.freedom) for name, bone in asf.bones.items() if bone.freedom},
    }
    start = {name: sum(list(wanted.values())[:i]) for i, name in enumerate(wanted)}
    width = sum(wanted.values())
    starts = [i for i, line in enumerate(lines) if line.strip().isdigit()]
    if not starts:
        raise InputError(
            f"{where}, line {len(lines)}: no frames; expected lines with a frame number. Get the file again"
        )
    check_size(where, len(starts), len(asf.bones) + 1)
    degrees = not any(line.strip().upper() == ":RADIANS" for line in lines[: starts[0]])
    values = np.empty((len(starts), width))
    for frame, (begin, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        seen = 0
        for number in range(begin + 1, end):
            tokens = lines[number].split()
            if not tokens:
                continue
            if tokens[0] not in wanted:
                raise InputError(
                    f"{where}, line {number + 1}: bone {tokens[0][:40]!r} does not move in {asf.name}.asf; give the"
                    " skeleton that the take was made with"
                )
            at = start[tokens[0]]
            values[frame, at : at + wanted[tokens[0]]] = numbers(tokens[1:], where, number + 1, wanted[tokens[0]])
            seen += 1
        if seen != len(wanted):
            raise InputError(
                f"{where}, line {end}: frame {lines[begin].strip()} has {seen} of {len(wanted)} bones; the file is cut"
                " off or damaged, get it again"
            )
    names = ("root", *asf.bones)
    parents = (-1, *(names.index(asf.parents[name]) for name in asf.bones))
    offsets = np.zeros((len(names), 3))
    local = np.broadcast_to(np.eye(3), (len(starts), len(names), 3, 3)).copy()
    root = values[:, : len(asf.root_order)]
    local[:, 0] = _rotation(root, asf.root_order, degrees)
    translation = np.stack([root[:, asf.root_order.index(axis)] for axis in ("tx", "ty", "tz")], axis=1)
    for index, (name, bone) in enumerate(asf.bones.items(), start=1):
        parent = asf.parents[name]
        offsets[index] = 0.0 if parent == "root" else asf.bones[parent].vector
        if bone.freedom:
            part = values[:, start[name] : start[name] + wanted[name]]
            local[:, index] = bone.axis @ _rotation(part, bone.freedom, degrees) @ bone.axis.T
    clip = MocapClip(Path(path).stem, "asf_amc", names, parents, offsets, local, translation, fps)
    return clip.scaled(asf.metres_per_unit)


def _rotation(values: Array, freedom: tuple[str, ...], degrees: bool) -> Array:
    """(T,3,3): the first listed angle is applied first, about fixed axes."""
    turning = [(i, name[1]) for i, name in enumerate(freedom) if name in ("rx", "ry", "rz")]
    if not turning:
        return np.broadcast_to(np.eye(3), (len(values), 3, 3))
    order = "".join(axis for _, axis in turning)
    angles = values[:, [i for i, _ in turning]]
    return Rotation.from_euler(order, angles, degrees=degrees).as_matrix().reshape(-1, 3, 3)
