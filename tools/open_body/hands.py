"""How do fingers move together? The relaxed hand, and principal components of hand poses within the ranges of joints.

SMPL-X files carry components of scanned hands. Ours come from anatomy: many hand poses are drawn with the ranges and
couplings that the literature gives, and their principal components taken. No data, no licence.

- Ranges of active movement, degrees: knuckles −20…90, middle joints 0…105, end joints 0…80, spread ±20 (±6 for the
  middle finger); thumb: saddle joint ±25 across and 0…45 away from the palm, knuckle −10…55, end joint −15…80
  (Constraint Study for a Hand Exoskeleton, Journal of Robotics 2013, 910961, tables 1 and 2, rounded).
- Couplings: end joint = 2/3 of the middle joint; no spread of a bent knuckle (Lin, Wu and Huang, Modeling the
  constraints of human hand motion, 2000); fingers bend together, neighbours most; knuckle against middle joint is the
  second movement (Santello, Flanders and Soechting, J. Neurosci. 18, 1998); the thumb turns its pad to the fingers as
  it leaves the palm.
- Means and deviations are a choice: the relaxed hand bends 30°, 40°, 27°, more towards the little finger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .proportions import FINGERS

Array = NDArray[np.float64]

SAMPLES, SEED = 20_000, 11
# Rest hand: palm down, left fingers along +x. Bending turns about -z, spreading about y.
BEND, SPREAD = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])
LONG = ("index", "middle", "ring", "pinky")
FAN = np.array([-1.0, -0.2, 0.5, 1.0])  # spreading: index forward, little finger backward
CASCADE = np.array([-6.0, -2.0, 3.0, 6.0])  # the relaxed hand closes towards the little finger
# The rest thumb points to (0.74, -0.24, 0.63); its pad faces (0.35, -0.5, -0.8), across the palm.
THUMB_BEND = np.array([0.46, 0.82, -0.34])  # turns the tip towards its pad
THUMB_ACROSS = np.array([0.0, 1.0, 0.0])  # towards the index finger, in the plane of the palm
THUMB_AWAY = np.array([0.65, 0.0, -0.76])  # out of that plane
THUMB_TWIST = np.array([0.74, -0.24, 0.63])  # the pad turns to the fingers


def _correlated(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Unit normal numbers: knuckles (n,4), middle joints (n,4), and thumb (n,4), as they go together."""
    near = 0.8 ** np.abs(np.arange(4)[:, None] - np.arange(4))  # neighbouring fingers
    long = np.kron(np.array([[1.0, 0.45], [0.45, 1.0]]), near)
    whole = np.eye(12)
    whole[:8, :8] = long
    whole[8:, 8:] = [[1, 0.2, 0.2, 0.1], [0.2, 1, 0.1, 0.1], [0.2, 0.1, 1, 0.5], [0.1, 0.1, 0.5, 1]]
    with_fingers = np.array([0.3, 0.2, 0.35, 0.35])  # across, away, knuckle, end joint
    whole[8:, :8], whole[:8, 8:] = with_fingers[:, None] * 0.8, with_fingers * 0.8
    drawn = rng.normal(size=(SAMPLES, 12)) @ np.linalg.cholesky(whole).T
    return drawn[:, :4], drawn[:, 4:8], drawn[:, 8:]


def _turn(*steps: tuple[Array, Array]) -> Array:
    """(n,3) axis-angle of turns about axes (3,) by degrees (n,), the last applied first."""
    whole = Rotation.identity()
    for axis, degrees in steps:
        whole = whole * Rotation.from_rotvec(np.radians(degrees)[:, None] * axis / np.linalg.norm(axis))
    return whole.as_rotvec()


def poses() -> Array:
    """(n,45) random left hands, axis-angle in radians, in SMPL-X's order of joints."""
    rng = np.random.default_rng(SEED)
    knuckle, middle, thumb = _correlated(rng)
    knuckle = np.clip(30.0 + CASCADE + 22.0 * knuckle, -20.0, 90.0)
    middle = np.clip(40.0 + CASCADE + 24.0 * middle, 0.0, 105.0)
    end = np.clip(middle * 2.0 / 3.0 + rng.normal(0.0, 5.0, middle.shape), 0.0, 80.0)
    spread = FAN * rng.normal(3.0, 7.0, (SAMPLES, 1)) + rng.normal(0.0, 2.0, (SAMPLES, 4))
    spread *= np.clip(1.0 - knuckle / 80.0, 0.0, 1.0)
    spread = np.clip(spread, [-20, -6, -20, -20], [20, 6, 20, 20])
    across = np.clip(6.0 + 10.0 * thumb[:, 0], -25.0, 25.0)
    away = np.clip(14.0 + 12.0 * thumb[:, 1], 0.0, 45.0)
    thumb_knuckle = np.clip(12.0 + 13.0 * thumb[:, 2], -10.0, 55.0)
    thumb_end = np.clip(18.0 + 20.0 * thumb[:, 3], -15.0, 80.0)
    out = np.zeros((SAMPLES, 15, 3))
    order = list(FINGERS)
    for i, finger in enumerate(LONG):
        first = 3 * order.index(finger)
        out[:, first] = _turn((SPREAD, spread[:, i]), (BEND, knuckle[:, i]))
        out[:, first + 1] = _turn((BEND, middle[:, i]))
        out[:, first + 2] = _turn((BEND, end[:, i]))
    first = 3 * order.index("thumb")
    out[:, first] = _turn((THUMB_ACROSS, across), (THUMB_AWAY, away), (THUMB_TWIST, 0.6 * away))
    out[:, first + 1] = _turn((THUMB_BEND, thumb_knuckle))
    out[:, first + 2] = _turn((THUMB_BEND, thumb_end))
    return out.reshape(SAMPLES, 45)


def mirrored(rows: Array) -> Array:
    """Poses (…,45) of the other hand."""
    return (rows.reshape(-1, 15, 3) * np.array([1.0, -1.0, -1.0])).reshape(rows.shape)


def components() -> tuple[Array, Array, Array]:
    """The mean left hand (45,), orthonormal components (45,45), the most important first, and the variance (45,) of
    each in square radians. The last ones are what no hand does."""
    hands = poses()
    mean = hands.mean(0)
    values, vectors = np.linalg.eigh(np.cov(hands.T))
    values, rows = values[::-1], vectors.T[::-1]
    used = values > 1e-9 * values[0]
    # Householder's QR keeps the used rows, but for their signs, and completes them to a basis
    found = np.linalg.qr(np.concatenate([rows[used], np.eye(45)]).T)[0].T
    closing = np.where(np.isin(np.arange(45) % 3, 2), -1.0, 0.5)  # bending is negative about z
    found = found * np.where(found @ closing < 0, -1.0, 1.0)[:, None]
    return mean, found, np.where(used, np.maximum(values, 0.0), 0.0)


def arrays() -> dict[str, NDArray]:
    """The four keys of an SMPL-X file, float32: mean hands (45,) and components (45,45)."""
    mean, rows, _ = components()
    return {
        "hands_meanl": mean.astype(np.float32),
        "hands_meanr": mirrored(mean).astype(np.float32),
        "hands_componentsl": rows.astype(np.float32),
        "hands_componentsr": mirrored(rows).astype(np.float32),
    }
