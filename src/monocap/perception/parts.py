"""Hands and faces of everybody who is followed through a video, or of the people of a photo."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monocap.errors import InputError
from monocap.perception.face import FaceFollower, FaceNetwork
from monocap.perception.hands import HandFollower, HandNetwork
from monocap.types import ARKIT, FACE_POINTS, HAND_POINTS, Array, Keypoints, Parts

_HANDS, _FACE = 16, 5  # numbers that a follower of hands, and of a face, has in its state


class PartsFinder:
    """Looks at ``hands``, ``face`` or both of each person, by the id that the caller knows them by.

    ``threads`` of one network; a second one does not halve the time of networks this small, but doubles the CPU's.
    """

    def __init__(self, hands: bool = True, face: bool = True, threads: int | None = 1) -> None:
        self._hands = HandNetwork(threads) if hands else None
        self._face = FaceNetwork(threads) if face else None
        self.forget()

    def forget(self) -> None:
        """Everybody is new: for the next source."""
        self._known: dict[int, tuple[HandFollower | None, FaceFollower | None]] = {}

    def step(self, image_rgb: Array, seen: Mapping[int, Keypoints]) -> dict[int, Parts]:
        """The parts of everybody ``seen`` in the next frame (H,W,3) uint8; what is not looked for is zero."""
        self._known = {identity: self._known.get(identity) or self._new() for identity in seen}
        found = {}
        for identity, keypoints in seen.items():
            hands, face = self._known[identity]
            parts = no_parts()
            if hands is not None:
                parts.hands[:] = hands.step(image_rgb, keypoints.points2d)
            if face is not None:
                parts.face[:], parts.shapes[:] = face.step(image_rgb, keypoints.points2d)
            found[identity] = parts
        return found

    def state(self) -> dict[str, Array]:
        """Where everybody's parts are, as plain arrays; see `restore`."""
        rows = np.zeros((len(self._known), _HANDS + _FACE))
        for row, (hands, face) in zip(rows, self._known.values(), strict=True):
            row[:_HANDS] = 0 if hands is None else hands.state().reshape(-1)
            row[_HANDS:] = 0 if face is None else face.state()
        return {"ids": np.array(list(self._known), np.int64), "regions": rows}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a `state`. Raises InputError if it is none."""
        ids, rows = state.get("ids"), state.get("regions")
        if ids is None or rows is None or rows.shape != (len(ids), _HANDS + _FACE):
            raise InputError("parts: expected ids, and a row of regions for each; is it a `state()`?")
        self.forget()
        for identity, row in zip(ids, rows, strict=True):
            hands, face = self._new()
            if hands is not None:
                hands.restore(row[:_HANDS].reshape(2, -1))
            if face is not None:
                face.restore(row[_HANDS:])
            self._known[int(identity)] = hands, face

    def _new(self) -> tuple[HandFollower | None, FaceFollower | None]:
        return (
            None if self._hands is None else HandFollower(self._hands),
            None if self._face is None else FaceFollower(self._face),
        )


def no_parts(*lead: int) -> Parts:
    """Parts that nobody has seen, with leading shape ``lead``."""
    return Parts(
        np.zeros((*lead, 2, HAND_POINTS, 6), np.float32),
        np.zeros((*lead, FACE_POINTS, 3), np.float32),
        np.zeros((*lead, len(ARKIT)), np.float32),
    )
