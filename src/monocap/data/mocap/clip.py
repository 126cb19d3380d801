"""`MocapClip`: one take of a captured person in memory, whatever file it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from monocap.errors import InputError
from monocap.geometry import kinematics, rotations
from monocap.types import Array

MAX_FRAMES = 200_000  # half an hour at 120 Hz; the longest published take is a tenth of that
MAX_JOINTS = 400
MAX_BYTES = 512 << 20


@dataclass(frozen=True)
class MocapClip:
    """A tree of J joints moving over T frames, in the axes of its file (which way is up is the rig's matter).

    ``joint_names`` (J,), ``parents`` (J,) with -1 first; ``offsets`` (J,3) m from the parent at rest, in the parent's
    rest frame; ``rotations`` (T,J,3,3) of each joint in its parent's frame; ``translation`` (T,3) m, where the root
    is; ``fps`` per second; ``format`` is bvh, asf_amc, expmap or deepmimic.
    """

    name: str
    format: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    rotations: Array
    translation: Array
    fps: float
    placed: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        joints, frames = len(self.joint_names), len(self.translation)
        kinematics.tree_levels(self.parents)
        shapes = (np.shape(self.offsets), np.shape(self.rotations), np.shape(self.translation))
        if shapes != ((joints, 3), (frames, joints, 3, 3), (frames, 3)) or frames == 0:
            raise InputError(f"clip {self.name}: {joints} joints and {frames} frames do not fit arrays {shapes}")

    @property
    def frames(self) -> int:
        """T."""
        return len(self.translation)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.fps

    def index(self, joint: str) -> int:
        """Index of a joint by name. Raises InputError, listing the names."""
        if joint not in self.joint_names:
            raise InputError(f"clip {self.name} has no joint {joint!r}; it has {', '.join(self.joint_names)}")
        return self.joint_names.index(joint)

    def scaled(self, factor: float) -> MocapClip:
        """The same clip with every length times ``factor`` (unit conversion)."""
        placed = {joint: place * factor for joint, place in self.placed.items()}
        return replace(self, offsets=self.offsets * factor, translation=self.translation * factor, placed=placed)

    def resampled(self, fps: float) -> MocapClip:
        """At another frame rate: shortest-path interpolation of every rotation, linear of the translation.

        Frames are taken as they are where they fall together (120 or 60 Hz to 30).
        """
        if not fps > 0:
            raise InputError(f"fps is {fps}; expected a positive number")
        count = max(1, int(np.floor((self.frames - 1) * fps / self.fps + 1e-3)) + 1)
        at = np.minimum(np.arange(count) * self.fps / fps, self.frames - 1.0)
        before = np.minimum(np.floor(at + 1e-3).astype(int), self.frames - 1)
        share = np.clip(at - before, 0.0, 1.0)
        share[share < 5e-3] = 0.0
        after = np.minimum(before + 1, self.frames - 1)
        chosen, moved = self.rotations[before], self.translation[before]
        if share.any():
            turn = rotations.matrix_to_axis_angle(np.swapaxes(chosen, -1, -2) @ self.rotations[after])
            chosen = chosen @ rotations.axis_angle_to_matrix(turn * share[:, None, None])
            moved = moved + share[:, None] * (self.translation[after] - moved)
        placed = {joint: place[before] for joint, place in self.placed.items()}
        return replace(self, rotations=chosen, translation=moved, fps=float(fps), placed=placed)

    def posed(self) -> tuple[Array, Array]:
        """World rotations (T,J,3,3) and joint positions (T,J,3) m, in the axes of the file."""
        rest = np.zeros((len(self.parents), 3))
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                rest[joint] = rest[parent] + self.offsets[joint]
        world, joints = kinematics.forward_kinematics(self.rotations, rest, self.parents)
        return world, joints + self.translation[:, None]


def check_size(where: str, frames: int, joints: int) -> None:
    """Refuse a declared size before anything is allocated for it. Raises InputError naming ``where``."""
    if frames < 1:
        raise InputError(f"{where}: {frames} frames declared; expected at least one. Export the take again")
    if joints < 1 or joints > MAX_JOINTS:
        raise InputError(f"{where}: {joints} joints; expected 1 to {MAX_JOINTS}")
    if frames > MAX_FRAMES or frames * joints * 72 > MAX_BYTES:
        raise InputError(
            f"{where}: {frames} frames of {joints} joints declared ({frames * joints * 72 / 1e9:.1f} GB); at most"
            f" {MAX_FRAMES} frames and {MAX_BYTES / 1e9:.1f} GB are read. Cut the take into shorter ones"
        )


def numbers(tokens: list[str], where: str, line: int, expected: int) -> list[float]:
    """``expected`` finite numbers of a line. Raises InputError with file, line and remedy."""
    if len(tokens) != expected:
        raise InputError(
            f"{where}, line {line}: {len(tokens)} numbers, expected {expected}; the file is cut off or damaged, get it"
            " again"
        )
    try:
        values = [float(token) for token in tokens]
    except ValueError:
        bad = next(token for token in tokens if not _is_number(token))
        raise InputError(f"{where}, line {line}: {bad[:40]!r} is no number; get the file again") from None
    if not np.isfinite(values).all():
        raise InputError(
            f"{where}, line {line}: NaN or infinity; fill the gap in the capture software and export again"
        )
    return values


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def read_lines(path: str | os.PathLike[str], limit: int = 256 << 20) -> list[str]:
    """Lines of a text file of at most ``limit`` bytes. Raises InputError if it is absent, larger, or no text."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    size = file.stat().st_size
    if size > limit:
        raise InputError(f"{file}: {size / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB are read. Is it a motion file?")
    data = file.read_bytes()
    if b"\0" in data[:4096]:
        raise InputError(f"{file}: not a text file; expected BVH, ASF/AMC or comma-separated numbers")
    return data.decode("utf-8", errors="replace").splitlines()
