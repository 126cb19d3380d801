"""The rigs of published archives as data (rigs.toml): which source joints drive which joint of SMPL-X.

Keys of a rig: ``formats``, and ``recognise``: joints by which a clip is known to have this rig. ``units``: metres per
unit of the file, the one that makes legs of human length (ASF says its own). ``left, up, forward``: axes of the
file along which the person's left, up and front lie at rest. ``joints``: source joints whose mean orientation is
that of the SMPL-X joint (repeat a name to weigh it); right sides are those of the left by renaming, unless listed.
``places``: ``world`` if positions that the file gives for joints other than the root are in the world. ``feet``:
``flat`` (at rest the soles lie flat) or ``direction`` (ankle to toe points as SMPL-X's). ``frames``: rotation vector
(degrees) of a source joint's own frame at rest, where the rest pose has frames of its own (right sides mirrored).
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.data.mocap.clip import MocapClip
from monocap.errors import InputError
from monocap.types import Array

BODY22 = skeletons.get("smplx55").joint_names[:22]
LEG = 0.85  # m, hip to ankle of an adult; tells inches from metres
_RENAMES = (("CC_Base_L_", "CC_Base_R_"), ("Left", "Right"))


@dataclass(frozen=True)
class Rig:
    """One rig; see the module."""

    name: str
    formats: tuple[str, ...]
    recognise: tuple[str, ...]
    joints: dict[str, tuple[str, ...]]
    units: tuple[float, ...] = (1.0,)
    left: str = "+x"
    up: str = "+y"
    forward: str = "+z"
    places: str = "parent"
    feet: str = "flat"
    frames: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def axes(self) -> Array:
        """(3,3) rotation from the file's axes to x left, y up, z forward. Raises InputError if it is none."""
        rows = np.zeros((3, 3))
        for row, axis in enumerate((self.left, self.up, self.forward)):
            rows[row, "xyz".index(axis[1])] = {"+": 1.0, "-": -1.0}[axis[0]]
        if not np.isclose(np.linalg.det(rows), 1.0):
            raise InputError(f"rig {self.name}: axes {self.left} {self.up} {self.forward} are not right-handed")
        return rows


@functools.cache
def rigs() -> dict[str, Rig]:
    """All known rigs by name."""
    table = tomllib.loads(Path(__file__).with_name("rigs.toml").read_text(encoding="utf-8"))
    found = {}
    for name, entry in table.items():
        joints = {target: tuple(source) for target, source in entry.pop("joints").items()}
        for target in [target for target in joints if target.startswith("left_")]:
            joints.setdefault("right_" + target[5:], tuple(_other_side(source) for source in joints[target]))
        frames = {joint: tuple(vector) for joint, vector in entry.pop("frames", {}).items()}
        for joint, (x, y, z) in list(frames.items()):
            frames.setdefault(_other_side(joint), (x, -y, -z))
        missing = set(BODY22) - set(joints)
        if missing:
            raise InputError(f"rig {name}: no source joint for {', '.join(sorted(missing))}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        found[name] = Rig(name=name, joints=joints, frames=frames, **values)
    return found


def _other_side(name: str) -> str:
    for left, right in _RENAMES:
        if name.startswith(left):
            return right + name[len(left) :]
    return "r" + name[1:] if name.startswith("l") else name


def recognise(clip: MocapClip) -> Rig:
    """The rig of a clip. Raises InputError, naming the joints, if none of the known ones fits."""
    names = set(clip.joint_names)
    for rig in rigs().values():
        if clip.format in rig.formats and names.issuperset(rig.recognise):
            return rig
    raise InputError(
        f"clip {clip.name}: its joints ({', '.join(clip.joint_names[:12])}, …) are those of no known rig"
        f" ({', '.join(rigs())}); describe it in a table like data/mocap/rigs.toml"
    )


def in_metres(clip: MocapClip, rig: Rig) -> MocapClip:
    """The clip scaled by the one of the rig's units that brings its legs nearest to an adult's.

    For clips read with ``metres_per_unit=1``.
    """
    legs = leg_length(clip, rig)
    unit = min(rig.units, key=lambda unit: abs(np.log(max(legs * unit, 1e-9) / LEG)))
    return clip.scaled(unit)


def leg_length(clip: MocapClip, rig: Rig) -> float:
    """Thigh and shin (mean of both sides), in the clip's unit."""
    total = 0.0
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            total += float(np.linalg.norm(rest_vector(clip, rig, f"{side}_{upper}", f"{side}_{lower}")))
    return total / 2


def rest_vector(clip: MocapClip, rig: Rig, start: str, end: str) -> Array:
    """(3,) from the source joint of one SMPL-X joint to that of another below it, in the first one's frame at rest."""
    first, last = clip.index(rig.joints[start][-1]), clip.index(rig.joints[end][-1])
    vector, joint = np.zeros(3), last
    while joint != first:
        if joint < 0:
            raise InputError(f"rig {rig.name}: {rig.joints[end][-1]} does not hang from {rig.joints[start][-1]}")
        vector = vector + clip.offsets[joint]
        joint = clip.parents[joint]
    return vector
