"""Hands and faces of everybody who is followed through a video, or of the people of a photo."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.perception.face import FaceFollower, FaceNetwork
from monocap.perception.hands import SIDES, Care, HandFollower, HandNetwork
from monocap.types import ARKIT, FACE_POINTS, HAND_POINTS, Array, Keypoints, Parts

_CARE: tuple[Care, ...] = get_args(Care)
_HANDS, _FACE = 22, 6  # numbers that a follower of hands, and of a face, has in its state


class PartsFinder:
    """Looks at ``hands``, ``face`` or both of each person, by the id that the caller knows them by.

    ``threads`` of one network; a second one does not halve the time of networks this small, but doubles the CPU's.
    """

    def __init__(self, hands: bool = True, face: bool = True, threads: int | None = 1) -> None:
        self._hands = HandNetwork(threads) if hands else None
        self._face = FaceNetwork(threads) if face else None
        self.forget()

    def forget(self, every: int = 1, care: Care = "thorough") -> None:
        """Everybody is new: for the next source. Hands are looked at in every ``every``-th frame, faces in those half
        way between, newcomers at once; what is not looked at is not seen, see `bridged`. Hands that move fast are
        looked at in every frame, unless with "brief" ``care``; see `HandFollower`."""
        self._known: dict[int, tuple[HandFollower | None, FaceFollower | None]] = {}
        self._frame, self.every = 0, every
        self._care: Care = care

    def step(self, image_rgb: Array, seen: Mapping[int, Keypoints]) -> dict[int, Parts]:
        """The parts of everybody ``seen`` in the next frame (H,W,3) uint8; what is not looked for is zero."""
        before = self._known
        self._known = {identity: before.get(identity) or self._new() for identity in seen}
        turn = self._frame % self.every
        self._frame += 1
        found = {}
        for identity, keypoints in seen.items():
            hands, face = self._known[identity]
            parts, new = no_parts(), identity not in before
            if hands is not None:
                points = keypoints.points2d
                sides = SIDES if new or turn == 0 else hands.hasty(points)
                parts.hands[:] = hands.step(image_rgb, points, sides)
            if face is not None and (new or turn == self.every // 2):
                parts.face[:], parts.shapes[:] = face.step(image_rgb, keypoints.points2d)
            found[identity] = parts
        return found

    def state(self) -> dict[str, Array]:
        """Where everybody's parts are, as plain arrays; see `restore`."""
        rows = np.zeros((len(self._known), _HANDS + _FACE))
        for row, (hands, face) in zip(rows, self._known.values(), strict=True):
            row[:_HANDS] = 0 if hands is None else hands.state().reshape(-1)
            row[_HANDS:] = 0 if face is None else face.state()
        ids = np.array(list(self._known), np.int64)
        return {"ids": ids, "regions": rows, "clock": np.array([self._frame, self.every, _CARE.index(self._care)])}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a `state`. Raises InputError if it is none."""
        ids, rows, clock = state.get("ids"), state.get("regions"), state.get("clock")
        if (
            ids is None or rows is None or clock is None or clock.shape != (3,)
            or not 0 <= clock[2] < len(_CARE) or rows.shape != (len(ids), _HANDS + _FACE)
        ):  # fmt: skip
            raise InputError("parts: expected a clock, ids, and a row of regions for each; is it a `state()`?")
        self.forget(int(clock[1]), _CARE[int(clock[2])])
        self._frame = int(clock[0])
        for identity, row in zip(ids, rows, strict=True):
            hands, face = self._new()
            if hands is not None:
                hands.restore(row[:_HANDS].reshape(2, -1))
            if face is not None:
                face.restore(row[_HANDS:])
            self._known[int(identity)] = hands, face

    def _new(self) -> tuple[HandFollower | None, FaceFollower | None]:
        return (
            None if self._hands is None else HandFollower(self._hands, self._care),
            None if self._face is None else FaceFollower(self._face),
        )


def bridged(parts: Parts, valid: NDArray[np.bool_], every: int) -> Parts:
    """The parts (T,…) of somebody who was found where ``valid`` (T,), with gaps of fewer than ``every`` frames between
    two looks filled: on the straight line between both, with half the confidence of the weaker one."""
    hands, face, shapes = (np.array(values) for values in (parts.hands, parts.face, parts.shapes))
    for values in (hands[:, 0], hands[:, 1], face):
        seen = np.flatnonzero(values[..., 2].max(axis=1) > 0)
        for before, after in itertools.pairwise(seen):
            if not 1 < after - before <= every:
                continue
            for t in (t for t in range(before + 1, after) if valid[t]):
                share = (t - before) / (after - before)
                values[t] = (1 - share) * values[before] + share * values[after]
                values[t, :, 2] = 0.5 * np.minimum(values[before, :, 2], values[after, :, 2])
                if values is face:
                    shapes[t] = (1 - share) * shapes[before] + share * shapes[after]
    return Parts(hands, face, shapes)


def no_parts(*lead: int) -> Parts:
    """Parts that nobody has seen, with leading shape ``lead``."""
    return Parts(
        np.zeros((*lead, 2, HAND_POINTS, 6), np.float32),
        np.zeros((*lead, FACE_POINTS, 3), np.float32),
        np.zeros((*lead, len(ARKIT)), np.float32),
    )
