"""ARKit's face weights as the expressions that VRM avatars have.

VRM has a dozen presets; ARKit's 52 names beside them are what many avatars call their own expressions ("perfect sync").
The sums are a choice: what a viewer would call the face, none of them beyond 1.
"""

from __future__ import annotations

import numpy as np

from monocap.export.person import between
from monocap.types import ARKIT, Array, Motion


def face_weights(motion: Motion, person: int, times: Array) -> Array:
    """(K,52) ARKit's weights of one person at ``times`` (K,) s, 0–1, linear between frames; zero without any."""
    if motion.arkit is None:
        return np.zeros((len(times), len(ARKIT)))
    own = np.clip(np.nan_to_num(np.asarray(motion.arkit[person], np.float64)), 0.0, 1.0)
    below, above, share = between(np.asarray(motion.time, np.float64), np.asarray(times, np.float64))
    return own[below] + share[:, None] * (own[above] - own[below])


def vrm_presets(weights: Array) -> dict[str, Array]:
    """VRM 1.0's preset expressions (K,) 0–1 from ARKit's weights (K,52) by `types.ARKIT`."""
    weights = np.asarray(weights, np.float64)
    at = {name: weights[:, k] for k, name in enumerate(ARKIT)}

    def both(name: str) -> Array:
        return 0.5 * (at[f"{name}Left"] + at[f"{name}Right"])

    ou, oh = at["mouthPucker"], at["mouthFunnel"]
    found = {
        "blinkLeft": at["eyeBlinkLeft"],
        "blinkRight": at["eyeBlinkRight"],
        "aa": 1.5 * (at["jawOpen"] - at["mouthClose"]) - ou - oh,
        "ou": ou,
        "oh": oh,
        "ee": both("mouthStretch"),
        "happy": both("mouthSmile"),
        "angry": both("browDown") - both("mouthSmile"),
        "sad": both("mouthFrown"),
        "surprised": np.minimum(both("browOuterUp"), both("eyeWide") * 2.0),
    }
    return {name: np.clip(values, 0.0, 1.0) for name, values in found.items()}
