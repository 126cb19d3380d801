"""The One-Euro filter, for live motion: smooth where things are slow, prompt where they are fast; it sees no future.

Source: Casiez, Roussel and Vogel, "1€ Filter" (CHI 2012): a low-pass whose cutoff grows with the (low-passed) speed of
the raw signal, cutoff = least + gain · speed. Time is in seconds, so uneven frames are handled. Rotations are filtered
on their own manifold: the step is a fraction of the shortest turn, the speed is angular.
"""

from __future__ import annotations

import numpy as np

from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.types import Array


class OneEuro:
    """Filters values of any shape, one call per frame.

    ``least_cutoff`` Hz when still; ``gain`` Hz per unit of speed (per m/s for metres, per px/s for pixels);
    ``speed_cutoff`` Hz for the speed itself. Raises InputError for settings that are no frequencies.
    """

    def __init__(self, least_cutoff: float = 1.7, gain: float = 0.3, speed_cutoff: float = 1.0) -> None:
        if not (least_cutoff > 0 and gain >= 0 and speed_cutoff > 0):
            raise InputError(
                f"least_cutoff {least_cutoff}, gain {gain}, speed_cutoff {speed_cutoff}; expected Hz above 0, gain ≥ 0"
            )
        self.least_cutoff, self.gain, self.speed_cutoff = least_cutoff, gain, speed_cutoff
        self.reset()

    def reset(self) -> None:
        """Forget the past, as for a new person."""
        self._time: float | None = None
        self._raw = self._smooth = self._speed = np.zeros(0)

    def __call__(self, value: Array, time: float) -> Array:
        """The filtered value at ``time`` s. A frame at or before the last one's time changes nothing.

        Raises InputError if the shape changes without a `reset`.
        """
        value = self._checked(np.asarray(value, np.float64))
        if self._time is None:
            self._time, self._raw, self._smooth = time, value, value
            self._speed = np.zeros_like(self._difference(value, value))
            return self._result()
        if value.shape != self._raw.shape:
            raise InputError(f"value has shape {value.shape}, before {self._raw.shape}; call reset() for a new signal")
        passed = time - self._time
        if passed <= 0:
            return self._result()
        speed = self._difference(self._raw, value) / passed
        self._speed = self._speed + _share(self.speed_cutoff, passed) * (speed - self._speed)
        share = _share(self.least_cutoff + self.gain * self._pace(self._speed), passed)
        self._smooth = self._towards(self._smooth, value, share)
        self._time, self._raw = time, value
        return self._result()

    def _checked(self, value: Array) -> Array:
        return value

    def _result(self) -> Array:
        return self._smooth.copy()

    def _difference(self, start: Array, end: Array) -> Array:
        return end - start

    def _pace(self, speed: Array) -> Array:
        return np.abs(speed)

    def _towards(self, start: Array, end: Array, share: Array) -> Array:
        return start + share * (end - start)


class OneEuroRotation(OneEuro):
    """Filters rotations (…,3) rad, axis-angle; ``gain`` Hz per rad/s. Through half turns and sign changes alike."""

    def __init__(self, least_cutoff: float = 1.7, gain: float = 0.6, speed_cutoff: float = 1.0) -> None:
        super().__init__(least_cutoff, gain, speed_cutoff)

    def _checked(self, value: Array) -> Array:
        return np.asarray(rotations.axis_angle_to_quaternion(value))

    def _result(self) -> Array:
        return np.asarray(rotations.quaternion_to_axis_angle(self._smooth))

    def _difference(self, start: Array, end: Array) -> Array:
        back = rotations.quaternion_conjugate(start)
        return np.asarray(rotations.quaternion_to_axis_angle(rotations.quaternion_multiply(back, end)))

    def _pace(self, speed: Array) -> Array:
        return np.linalg.norm(speed, axis=-1)

    def _towards(self, start: Array, end: Array, share: Array) -> Array:
        return np.asarray(rotations.slerp(start, end, share))


def _share(cutoff: float | Array, passed: float) -> Array:
    """How far a first-order low-pass goes towards a new value after ``passed`` s."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * np.asarray(cutoff) * passed))
