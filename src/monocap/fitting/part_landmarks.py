"""Where the hand and face networks' points lie on the body: beside its joints and landmarks, by a few millimetres.

Measured on renderings of the open body with known truth, 90 hands and 80 faces: ``python tools/measure_parts.py --seed
100 --count 90 --calibrate``. Offsets in metres in the rest frame of the bone that a point rides on; the left hand's, of
which the right one is the mirror image; both halves of the face together.
"""

from __future__ import annotations

import numpy as np

from monocap.types import Array

_HAND: dict[str, tuple[float, float, float]] = {
    "wrist": (0.0034, 0.0006, -0.0013),
    "thumb1": (0.0002, -0.0110, 0.0034),
    "thumb2": (0.0013, -0.0041, 0.0021),
    "thumb3": (-0.0003, -0.0014, -0.0053),
    "thumb_tip": (-0.0046, 0.0003, -0.0070),
    "index1": (-0.0036, -0.0043, -0.0040),
    "index2": (0.0030, -0.0021, -0.0010),
    "index3": (0.0023, -0.0015, -0.0008),
    "index_tip": (-0.0053, -0.0011, -0.0011),
    "middle1": (-0.0029, -0.0067, -0.0002),
    "middle2": (0.0024, -0.0022, 0.0003),
    "middle3": (0.0003, -0.0023, 0.0008),
    "middle_tip": (-0.0056, -0.0029, 0.0013),
    "ring1": (-0.0020, -0.0080, -0.0005),
    "ring2": (0.0027, -0.0029, -0.0005),
    "ring3": (0.0023, -0.0019, 0.0007),
    "ring_tip": (-0.0054, -0.0024, 0.0015),
    "pinky1": (-0.0032, -0.0056, 0.0018),
    "pinky2": (0.0015, -0.0027, -0.0006),
    "pinky3": (0.0025, -0.0011, -0.0001),
    "pinky_tip": (-0.0034, -0.0004, 0.0025),
}
_FACE: dict[str, tuple[float, float, float]] = {  # of the middle, and of the left half
    "brow4": (0.0024, 0.0060, 0.0024),
    "brow3": (0.0066, 0.0042, 0.0003),
    "brow2": (0.0093, 0.0031, -0.0026),
    "brow1": (0.0093, 0.0027, -0.0043),
    "brow0": (0.0075, 0.0049, -0.0043),
    "nose_bridge0": (0.0000, -0.0016, 0.0015),
    "nose_bridge1": (0.0000, -0.0011, 0.0046),
    "nose_bridge2": (0.0000, -0.0018, 0.0053),
    "nose_bridge3": (0.0000, -0.0001, 0.0025),
    "nose_base": (0.0000, 0.0001, -0.0009),
    "nostril0": (0.0010, -0.0008, -0.0004),
    "nostril1": (0.0029, -0.0014, -0.0010),
    "eye_inner": (-0.0001, 0.0003, 0.0008),
    "lid1": (0.0020, -0.0001, -0.0008),
    "lid0": (0.0010, -0.0009, -0.0014),
    "eye_outer": (-0.0008, -0.0002, -0.0003),
    "lid3": (-0.0001, -0.0005, -0.0008),
    "lid2": (0.0006, -0.0005, -0.0001),
    "lip_top": (0.0000, 0.0003, -0.0003),
    "lip1": (0.0011, 0.0006, -0.0003),
    "lip0": (0.0015, 0.0001, -0.0009),
    "mouth": (0.0008, -0.0019, -0.0027),
    "lip2": (0.0005, -0.0003, -0.0003),
    "lip3": (0.0004, 0.0002, 0.0001),
    "lip_bottom": (0.0000, 0.0002, 0.0002),
    "inner_lip_top": (0.0000, -0.0005, -0.0010),
    "inner_lip0": (-0.0018, 0.0002, -0.0007),
    "inner_mouth": (0.0009, -0.0025, -0.0032),
    "inner_lip1": (-0.0016, 0.0017, -0.0002),
    "inner_lip_bottom": (0.0000, 0.0017, -0.0004),
}
_MIRROR = np.array([-1.0, 1.0, 1.0])


def offset_of(name: str) -> Array:
    """(3,) m: how far the network's point lies from the body's point ``name`` (left_index1, right_lid0, chin …)."""
    bare = name.removeprefix("left_").removeprefix("right_")
    given = _HAND.get(bare, _FACE.get(bare, (0.0, 0.0, 0.0)))
    return np.array(given) * (_MIRROR if name.startswith("right_") else 1.0)
