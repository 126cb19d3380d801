"""One followed person: where it is, what it looks like, and how both change as frames come in.

`likeness` says how well somebody seen in a frame fits a followed person; `went_on` makes the next state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.perception import appearance
from monocap.perception.blazepose import SKELETON, PoseResult
from monocap.perception.roi import Roi
from monocap.perception.sides import keep_sides
from monocap.skeletons import get, mapping
from monocap.types import Keypoints

Array = NDArray[Any]

COAST = 12  # frames after a loss in which somebody is still looked for where the movement leads
_JUMP = 0.35  # of the region's side: people do not move so far between two frames
_SAME_LOOKS = (0.5, 0.92, 60)  # similarity asked of somebody found again: at once, at most, after so many frames
_ELSEWHERE = 0.85  # at least that similar somebody must look who appears out of reach
_REACH = (0.3, 0.06)  # of the region's side: how far a lost person may be at once, and how much farther per frame
_HERE = 0.4  # so much less similar somebody may look who stands where the person just was
_TRIAL = 15  # frames in which a person found again must go on looking like the one that was lost
_LENIENT = 0.08  # so much less similar it may look meanwhile
_SLOWING, _TURNING = 0.9, 0.2  # what is left of a lost person's speed a frame later; share of the speed that is new
_LEARN, _STRANGE = 0.06, 0.5  # share of new looks learnt per frame; similarity from which they are hardly learnt
_STEADY = 0.02  # of the region's side: smaller changes of the region are jitter
_CONFIRMED = 4  # frames in which somebody must be seen
_SHARP = 0.6  # mean heatmap peak that confirms a person whom the detector saw only once
_CLEAR = 0.3  # confidence of landmarks that make the box


@dataclass(frozen=True)
class Followed:
    """What is known of a followed person."""

    id: int
    roi: Roi
    points: Array  # (33,3) pixels, confidence
    velocity: Array  # (2,) pixels per frame
    looks: Array  # see `appearance.describe`
    sharp: float  # running mean of the heatmap peak
    seen: int = 1  # frames
    agreed: int = 1  # times the detector saw it, too
    lost: int = 0  # frames since it was last seen
    gap: int = 0  # how long it had been lost when it was found again
    trial: int = 0  # frames in which it must still prove to be the same person
    votes: int = 1  # see `keep_sides`
    adrift: bool = False  # lost at a camera cut: where it was says nothing

    @property
    def confirmed(self) -> bool:
        """A person, and not a coat on a hook that looked like one for a moment."""
        return self.seen >= _CONFIRMED and (self.agreed >= 2 or self.sharp > _SHARP)

    @property
    def coco(self) -> Array:
        """(17,3) where it was last seen."""
        return coco_of(self.points)

    @property
    def box(self) -> Array:
        """(4,) pixels around its clear landmarks."""
        return box_of(self.points)


def begin(identity: int, result: PoseResult, image: Array) -> Followed:
    """A person seen for the first time."""
    points = result.keypoints.points2d
    looks = appearance.describe(image, coco_of(points))
    return Followed(identity, result.next_roi, points, np.zeros(2), looks, result.peak)


def likeness(person: Followed, coco: Array, looks: Array) -> float:
    """How well somebody seen at ``coco`` (17,3), who looks like ``looks``, fits; 0 or less: somebody else."""
    similar = appearance.similarity(person.looks, looks)
    frames = person.lost + 1
    near = closeness(person, coco)
    if near <= 0:
        return similar - max(needed(frames), _ELSEWHERE)
    here = _HERE * near * max(0.0, 1 - frames / COAST)
    return similar - needed(frames) + here  # just seen here: looks matter less, light and view may change


def drift(person: Followed) -> Array:
    """(2,) pixels it should have moved since it was last seen, ever slower."""
    return person.velocity * (1 - _SLOWING ** (person.lost + 1)) / (1 - _SLOWING)


def closeness(person: Followed, coco: Array) -> float:
    """1 where the person should be by now, less the farther off, 0 out of reach."""
    frames = person.lost + 1
    moved = centre(coco) - centre(person.coco) - drift(person)
    distance = float(np.linalg.norm(moved)) / person.roi.size
    return 0.0 if person.adrift else max(0.0, 1 - distance / (_REACH[0] + _REACH[1] * frames))


def continues(person: Followed, result: PoseResult) -> bool:
    """Whether what the region shows can be the person one frame later."""
    moved = np.linalg.norm(centre(coco_of(result.keypoints.points2d)) - centre(person.coco))
    return bool(moved < _JUMP * person.roi.size and 0.4 < result.next_roi.size / person.roi.size < 2.5)


def needed(frames: int) -> float:
    """How similar somebody must look to be the person who was lost so many frames ago."""
    soon, late, when = _SAME_LOOKS
    return soon + (late - soon) * min(frames / when, 1)


def missed(person: Followed) -> Followed:
    """State after a frame in which the person was not seen."""
    return replace(person, lost=person.lost + 1)


def cut_away(person: Followed) -> Followed:
    """State after a camera cut."""
    return replace(person, velocity=np.zeros(2), adrift=True)


def went_on(
    person: Followed, result: PoseResult, image: Array, learn: bool, agreed: bool
) -> tuple[Followed, Keypoints] | None:
    """State and keypoints after a frame in which the person was seen.

    ``learn``: its looks may be learnt (nobody else is in the way). ``agreed``: the detector saw it as well.
    None if somebody found again turns out, seen better, to look too different.
    """
    coco = coco_of(result.keypoints.points2d)
    looks = appearance.describe(image, coco)
    person = replace(
        person,
        seen=person.seen + 1,
        agreed=person.agreed + agreed,
        sharp=person.sharp + (result.peak - person.sharp) / min(person.seen + 1, 30),
    )
    if person.lost:  # found again just now: nothing of the last frame is a guide
        return replace(
            person,
            roi=result.next_roi,
            points=result.keypoints.points2d,
            velocity=np.zeros(2),
            lost=0,
            gap=person.lost,
            trial=_TRIAL if person.lost > COAST or person.adrift else 0,
            adrift=False,
        ), result.keypoints
    if person.trial:
        if appearance.similarity(person.looks, looks) < needed(person.gap) - _LENIENT:
            return None
        learn = False
    keypoints, votes = keep_sides(result.keypoints, person.points, person.votes)
    moved = centre(coco) - centre(person.coco)
    # what suddenly looks otherwise may be somebody else: it is learnt slowly
    rate = _LEARN * float(np.clip((appearance.similarity(person.looks, looks) - _STRANGE) / (1 - _STRANGE), 0.05, 1.0))
    return replace(
        person,
        roi=steady(person.roi, result.next_roi),
        points=keypoints.points2d,
        velocity=(1 - _TURNING) * person.velocity + _TURNING * moved,
        looks=((1 - rate) * person.looks + rate * looks).astype(np.float32) if learn else person.looks,
        trial=max(person.trial - 1, 0),
        votes=votes,
    ), keypoints


def steady(old: Roi, new: Roi) -> Roi:
    """``new``, less its jitter: changes below two hundredths of the side are taken half, clear moves whole."""
    turn = (new.rotation - old.rotation + np.pi) % (2 * np.pi) - np.pi
    change = max(float(np.linalg.norm(new.center - old.center)) / old.size, abs(new.size / old.size - 1), abs(turn) / 2)
    gain = float(np.clip(change / _STEADY, 0.5, 1.0))
    return Roi(
        old.center + gain * (new.center - old.center),
        old.size * (new.size / old.size) ** gain,
        old.rotation + gain * turn,
    )


def coco_of(points: Array) -> Array:
    """(17,3) COCO keypoints of BlazePose ones (33,3): all of COCO's are among them."""
    source, target = mapping(SKELETON, "coco17")
    coco = np.zeros((17, 3))
    coco[target] = points[source]
    return coco


def centre(coco: Array) -> Array:
    """(2,) mean of keypoints (N,3), weighted by their confidence."""
    weights = np.maximum(coco[:, 2], 1e-3)
    return weights @ coco[:, :2] / weights.sum()


def box_of(points: Array) -> Array:
    """(…,4) boxes around the clear ones of landmarks (…,N,3); around all of them where none is clear."""
    clear = points[..., 2] > _CLEAR
    clear |= ~clear.any(-1, keepdims=True)
    low = np.where(clear[..., None], points[..., :2], np.inf).min(-2)
    high = np.where(clear[..., None], points[..., :2], -np.inf).max(-2)
    return np.concatenate([low, high], -1)


_PLAIN = tuple(f.name for f in fields(Followed) if f.name not in ("roi",))


def pack(people: Sequence[Followed]) -> dict[str, Array]:
    """People as arrays with one row each; `unpack` gives the same people back, bit for bit."""
    shapes = {"points": (len(get(SKELETON)), 3), "velocity": (2,), "looks": appearance.SHAPE}
    kinds = {"points": np.float32, "looks": np.float32, "velocity": np.float64, "sharp": np.float64, "adrift": np.bool_}
    arrays = {}
    for name in _PLAIN:
        values = [getattr(person, name) for person in people]
        arrays[name] = np.array(values, kinds.get(name, np.int64)).reshape(len(people), *shapes.get(name, ()))
    arrays["roi"] = np.array([[*p.roi.center, p.roi.size, p.roi.rotation] for p in people], float).reshape(-1, 4)
    return arrays


def unpack(arrays: Mapping[str, Array]) -> list[Followed]:
    """The people of `pack`. Raises InputError if something is missing or of the wrong shape."""
    empty = pack(())
    for name, like in empty.items():
        got = arrays.get(name)
        if got is None or got.dtype != like.dtype or got.shape[1:] != like.shape[1:] or len(got) != len(arrays["id"]):
            came = "nothing" if got is None else f"{got.dtype} {got.shape}"
            raise InputError(f"tracker state {name!r}: expected {like.dtype} (n, {like.shape[1:]}), came {came}")
    people = []
    for i, row in enumerate(np.asarray(arrays["roi"])):
        values = {name: np.asarray(arrays[name])[i] for name in _PLAIN}
        plain = {name: value.item() if value.ndim == 0 else value.copy() for name, value in values.items()}
        people.append(Followed(roi=Roi(row[:2].copy(), float(row[2]), float(row[3])), **plain))
    return people
