"""What was seen in a video so far: one row per person and frame, in arrays that grow, kept apart from who is who.

A row takes 0.8 kB, or 2.7 kB with hands and face, so ten minutes of one person take 15 or 50 MB; a network's guess
takes 0.3 kB more. `state` and `restore` let a capture go on later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.skeletons import get
from monocap.types import ARKIT, FACE_POINTS, HAND_POINTS, BodyGuess, Keypoints, Parts

Array = NDArray[Any]

_START = 256  # rows


class Sightings:
    """Frames' times, and what was seen in them under which id, in the order of the frames.

    ``skeleton`` is the keypoints' one. ``times`` (T,) s; ``rows``: arrays with one row per sighting: frame, id, score,
    points2d (N,3), points3d (N,3), with ``parts`` hands, face and shapes as in `types.Parts`, and with ``guesses``
    pose, betas and pelvis as in `types.BodyGuess`. ``looks`` by id: the last description of each person.
    """

    def __init__(self, skeleton: str, parts: bool = False, guesses: bool = False) -> None:
        points = (len(get(skeleton)), 3)
        self.skeleton = skeleton
        self.looks: dict[int, Array] = {}
        self._times, self._frames = np.zeros(_START), 0
        self._count = 0
        self._rows: dict[str, Array] = {
            "frame": np.zeros(_START, np.int32),
            "id": np.zeros(_START, np.int32),
            "score": np.zeros(_START, np.float32),
            "points2d": np.zeros((_START, *points), np.float32),
            "points3d": np.zeros((_START, *points), np.float32),
        }
        if parts:
            self._rows |= {
                "hands": np.zeros((_START, 2, HAND_POINTS, 6), np.float32),
                "face": np.zeros((_START, FACE_POINTS, 3), np.float32),
                "shapes": np.zeros((_START, len(ARKIT)), np.float32),
            }
        if guesses:
            self._rows |= {
                "pose": np.zeros((_START, 66), np.float32),
                "betas": np.zeros((_START, 10), np.float32),
                "pelvis": np.zeros((_START, 3), np.float32),
            }

    @property
    def frames(self) -> int:
        """T, the number of frames so far."""
        return self._frames

    @property
    def times(self) -> Array:
        """(T,) seconds."""
        return self._times[: self._frames]

    @property
    def rows(self) -> dict[str, Array]:
        """Views of the rows that are filled."""
        return {name: values[: self._count] for name, values in self._rows.items()}

    def add(
        self,
        time: float,
        seen: Mapping[int, Keypoints],
        looks: Mapping[int, Array],
        parts: Mapping[int, Parts] | None = None,
        guesses: Mapping[int, BodyGuess] | None = None,
    ) -> None:
        """The next frame, at ``time`` s: everybody ``seen`` in it by id, what they look like, their ``parts``, and
        ``guesses`` at their bodies."""
        if self._frames == len(self._times):
            self._times = _longer(self._times)
        self._times[self._frames] = time
        for identity, keypoints in seen.items():
            if keypoints.skeleton != self.skeleton:
                raise InputError(f"keypoints of {keypoints.skeleton!r} came; these sightings are of {self.skeleton!r}")
            if self._count == len(self._rows["id"]):
                self._rows = {name: _longer(values) for name, values in self._rows.items()}
            row = {"frame": self._frames, "id": identity, "score": keypoints.score}
            row |= {"points2d": keypoints.points2d, "points3d": keypoints.points3d}
            if parts is not None and identity in parts:
                one = parts[identity]
                row |= {"hands": one.hands, "face": one.face, "shapes": one.shapes}
            if guesses is not None and identity in guesses:
                guess = guesses[identity]
                row |= {"pose": guess.pose, "betas": guess.betas, "pelvis": guess.pelvis}
            for name, value in row.items():
                self._rows[name][self._count] = value
            self._count += 1
            if identity in looks:
                self.looks[identity] = looks[identity]
        self._frames += 1

    def state(self) -> dict[str, Array]:
        """Everything as plain arrays; see `restore`."""
        looks = np.stack(list(self.looks.values())) if self.looks else np.zeros((0, 0, 0), np.float32)
        known = {"looks": looks, "looks_id": np.array(list(self.looks), np.int64), "times": self.times.copy()}
        return known | {name: values.copy() for name, values in self.rows.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Replace everything by a `state`. Raises InputError if it is none."""
        count = len(state.get("id", ()))
        for name, like in self._rows.items():
            came = state.get(name)
            if came is None or came.dtype != like.dtype or came.shape != (count, *like.shape[1:]):
                what = "nothing" if came is None else f"{came.dtype} {came.shape}"
                raise InputError(f"sightings {name!r}: expected {like.dtype} {(count, *like.shape[1:])}, came {what}")
        if not {"times", "looks", "looks_id"} <= set(state) or len(state["looks"]) != len(state["looks_id"]):
            raise InputError("sightings: expected times, and looks with an id each; is it a `state()`?")
        self._rows = {name: np.array(state[name]) for name in self._rows}
        self._times, self._frames, self._count = np.array(state["times"], float), len(state["times"]), count
        self.looks = {int(i): np.array(one) for i, one in zip(state["looks_id"], state["looks"], strict=True)}


def _longer(values: Array) -> Array:
    """Room for twice as much."""
    room = np.zeros((max(_START, 2 * len(values)), *values.shape[1:]), values.dtype)
    room[: len(values)] = values
    return room
