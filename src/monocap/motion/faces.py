"""Faces over time: eyes that are open are open, gaps come to rest, jitter goes, blinks stay.

The network that weighs ARKit's shapes takes some people's open eyes for half shut, all the time. Nobody's eyes are shut
most of the time: what a blink's weight falls below in a fifth of the frames is the person's own face.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monocap.fitting.expressive import presence
from monocap.motion.filters import smooth_vectors
from monocap.types import ARKIT, Array, BodyEstimate, Parts

_OPEN, _MOST, _FRAMES = 20.0, 0.6, 45  # percentile that is open, the most that is taken off, frames that it takes
_DEVIATION = 0.02  # s; a blink takes 0.1 to 0.4
_BLINKS = [ARKIT.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
_FIELDS = ("jaw_pose", "left_eye_pose", "right_eye_pose", "expression")


def calm_shapes(parts: Parts, times: Array) -> Parts:
    """The parts (T,…) at ``times`` (T,) s with face shapes that rest where no face is seen, and open eyes."""
    seen = np.asarray(parts.face)[..., 2].max(axis=1) > 0
    shapes = np.array(parts.shapes, np.float64)
    if seen.sum() >= _FRAMES:
        usual = np.minimum(np.percentile(shapes[seen][:, _BLINKS], _OPEN, axis=0), _MOST)
        shapes[:, _BLINKS] = np.clip((shapes[:, _BLINKS] - usual) / (1.0 - usual), 0.0, 1.0)
    there, nearest = presence(seen, np.asarray(times, np.float64))
    shapes = there[:, None] * shapes[nearest]
    return replace(parts, shapes=smooth_vectors(shapes, times, _DEVIATION))


def calm_face(estimate: BodyEstimate, times: Array, smooth: float = 1.0) -> BodyEstimate:
    """``estimate`` at ``times`` (T,) s with jaw, eyes and expression smoothed by 20 ms times ``smooth``."""
    given = {name: getattr(estimate.params, name) for name in _FIELDS}
    calm = {
        name: smooth_vectors(value, times, _DEVIATION * smooth) for name, value in given.items() if value is not None
    }
    return replace(estimate, params=replace(estimate.params, **calm))
