"""Whom VNect looks at in a video: the square of the last frame's joints, one per person, and a detector for the rest.

While a person is followed nothing but the network looks at them. The detector looks at the whole picture in the first
frames, every second, when somebody is lost (every second frame, so that they are found again soon) and after a cut.
Squares are smoothed from frame to frame as VNect's are (momentum 0.75 of the size; the place follows at once, for
people walk faster than that).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from monocap.errors import InputError
from monocap.perception import appearance, people
from monocap.perception.cuts import is_cut, thumbnail
from monocap.perception.people import PeopleDetector
from monocap.perception.roi import Roi, upright
from monocap.perception.vnect import ROOT, SEEN, SKELETON, Look, VNect, square_of
from monocap.skeletons import get
from monocap.types import Array, Camera

MOMENTUM = 0.75  # of a square's size, per frame
_LIMBS = SKELETON.indices(name for name in SKELETON.joint_names if not name.endswith(("hand", "toe", "top")))
_BELIEVED = 0.22  # mean height of the peaks of `_LIMBS` from which a look is of a person
_SHARE = 0.4  # of `_LIMBS` that must be seen
_LOST_EVERY, _NOBODY_EVERY, _FULL_EVERY = 2, 2, 8  # frames from look to look of the detector
_EXPECTED = 150  # frames in which somebody lost is looked for
_JUMP = 1.2  # of the square's side, how far a lost person is expected at most, and as far again per 30 frames
_SAME = 0.12  # of a person's extent: joints nearer than this on the mean are one person's
_UNSEEN = 2  # detector's regular looks without anybody there, after which a doubtful person is none
_SURE = 0.5  # mean peak from which a person is believed although the detector sees nobody
_LIKE = 0.75  # similarity of looks between frames of one person (colours); strangers have 0.3 to 0.7
_COCO = get("coco17")
_TORSO = _COCO.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))


@dataclass(frozen=True)
class Tracked:
    """A person: the ``square`` to look at next, the last joints (21,3) px, px, confidence; frames since they were seen
    (``lost``), detector's looks that saw nobody there (``unseen``), colours (4,216) where the detector saw them."""

    id: int
    square: Roi
    points2d: Array
    lost: int = 0
    unseen: int = 0
    looks: Array = field(default_factory=lambda: np.zeros(appearance.SHAPE, np.float32))


class VNectTracker:
    """Follows at most ``limit`` people of a video by ids that stay; ``detect_every`` frames the detector looks anyway.

    ``turn``: squares stand as the torso does. Raises InputError for counts below 1.
    """

    def __init__(
        self, network: VNect, detector: PeopleDetector, limit: int = 1, detect_every: int = 30, turn: bool = True
    ) -> None:
        if min(limit, detect_every) < 1:
            raise InputError(f"limit {limit}, detect_every {detect_every}; expected 1 or more")
        self.network, self.detector = network, detector
        self._limit, self._every, self._turn = limit, detect_every, turn
        self.people: list[Tracked] = []
        self._next, self._since_look, self._since_full = 0, detect_every, _FULL_EVERY
        self._thumbnail: Array | None = None

    def step(self, image: Array, camera: Camera) -> dict[int, Look]:
        """Looks by id at everybody seen in the next frame (H,W,3) uint8 RGB."""
        small = thumbnail(image)
        cut = self._thumbnail is not None and is_cut(self._thumbnail, small)
        self._thumbnail = small
        self._since_look, self._since_full = self._since_look + 1, self._since_full + 1
        here = [person for person in self.people if not person.lost and not cut]
        looks = dict(zip((p.id for p in here), self.network.look(image, [p.square for p in here], camera), strict=True))
        looks = {identity: look for identity, look in looks.items() if believable(look)}
        looks = self._one_each(looks)
        self.people = [self._went_on(person, looks.get(person.id), camera) for person in self.people]
        if self._due(cut):
            looks |= self._find(image, camera, looks)
        self.people = [person for person in self.people if person.lost <= _EXPECTED]
        return looks

    def _due(self, cut: bool) -> bool:
        if cut or self._since_look >= self._every:
            return True
        if not any(not person.lost for person in self.people) and self._since_look >= _NOBODY_EVERY:
            return True
        if any(person.lost == 1 for person in self.people):
            return True
        return any(person.lost for person in self.people) and self._since_look >= _LOST_EVERY

    def _went_on(self, person: Tracked, look: Look | None, camera: Camera) -> Tracked:
        if look is None:
            return replace(person, lost=person.lost + 1)
        square = square_of(look.points2d, self.network.crop, camera, self._turn)
        size = MOMENTUM * person.square.size + (1 - MOMENTUM) * square.size
        return replace(person, square=replace(square, size=size), points2d=look.points2d, lost=0)

    def _one_each(self, looks: dict[int, Look]) -> dict[int, Look]:
        """Of two that are on the same body the one followed for longer."""
        kept: dict[int, Look] = {}
        for identity in sorted(looks):
            if not any(_same(looks[identity], other) for other in kept.values()):
                kept[identity] = looks[identity]
        return kept

    def _find(self, image: Array, camera: Camera, looks: dict[int, Look]) -> dict[int, Look]:
        """Looks at those whom the detector sees and who were lost, or are new."""
        everybody_lost = not looks
        full = everybody_lost and self._since_full >= _FULL_EVERY
        found = self.detector.detect(image, quick=not full)
        regular = self._since_look >= self._every
        self._since_look = 0
        self._since_full = 0 if full else self._since_full
        owner = {row: identity for identity, look in looks.items() for row in _rows_of(look, found.boxes)}
        self._confirm(looks, owner, regular)
        for row, identity in owner.items():
            seen = appearance.describe(image, found.keypoints[row])
            index = next(i for i, person in enumerate(self.people) if person.id == identity)
            self.people[index] = replace(self.people[index], looks=seen)
        new: dict[int, Look] = {}
        shown = people.prominence(found.boxes, found.scores, camera.width, camera.height)
        for row in sorted((row for row in range(len(found.boxes)) if row not in owner), key=lambda row: -shown[row]):
            colours = appearance.describe(image, found.keypoints[row])
            person = self._who(found.boxes[row], colours, new)
            if person is None and len([p for p in self.people if not p.lost]) >= self._limit:
                continue
            look = first_look(self.network, image, camera, found.boxes[row], found.keypoints[row], self._turn)
            if look is None or any(_same(look, other) for other in [*looks.values(), *new.values()]):
                continue
            square = square_of(look.points2d, self.network.crop, camera, self._turn)
            if person is None:
                person = Tracked(self._next, square, look.points2d)
                self._next += 1
                self.people.append(person)
            self.people = [
                replace(p, square=square, points2d=look.points2d, lost=0, unseen=0, looks=colours)
                if p.id == person.id
                else p
                for p in self.people
            ]
            new[person.id] = look
        return new

    def _confirm(self, looks: dict[int, Look], owner: dict[int, int], regular: bool) -> None:
        """Whom the detector keeps not seeing, and the network hardly, is nobody."""
        seen = set(owner.values())
        for i, person in enumerate(self.people):
            if person.id not in looks:
                continue
            if person.id in seen:
                self.people[i] = replace(person, unseen=0)
            elif regular:
                person = replace(person, unseen=person.unseen + 1)
                doubtful = looks[person.id].points2d[_LIMBS, 2].mean() < _SURE
                if doubtful and person.unseen >= _UNSEEN:
                    person = replace(person, lost=1)
                    del looks[person.id]
                self.people[i] = person

    def _who(self, box: Array, colours: Array, taken: dict[int, Look]) -> Tracked | None:
        """Who of those lost is in a box (4,), if anybody: near enough to where they were, and like them."""
        best, least = None, np.inf
        for person in self.people:
            if not person.lost or person.id in taken:
                continue
            away = float(np.linalg.norm((box[:2] + box[2:]) / 2 - person.square.center)) / person.square.size
            like = appearance.similarity(person.looks, colours) if person.looks.any() else 0.5
            alone = self._limit == 1
            if away > _JUMP * (1 + person.lost / 30) and like < _LIKE and not alone:
                continue
            if away - like < least:
                best, least = person, away - like
        return best


def first_look(network: VNect, image: Array, camera: Camera, box: Array, coco: Array, turn: bool = True) -> Look | None:
    """Two looks at somebody detected: from the detector's box (4,) and keypoints (17,3), then at what that saw.

    None if there is nobody after all.
    """
    center, size = network.crop.square(np.asarray(box, np.float64))
    torso = coco[_TORSO[:2], :2].mean(axis=0) - coco[_TORSO[2:], :2].mean(axis=0)
    tells = turn and bool((coco[_TORSO, 2] > SEEN).all()) and float(np.hypot(*torso)) > 0.1 * size
    look = network.look(image, [Roi(center, max(size, 1.0), upright(torso) if tells else 0.0)], camera)[0]
    if not believable(look):
        return None
    look = network.look(image, [square_of(look.points2d, network.crop, camera, turn)], camera)[0]
    return look if believable(look) else None


def believable(look: Look) -> bool:
    """Whether a look is of a person: enough joints with high enough peaks."""
    peaks = look.points2d[_LIMBS, 2]
    return bool(peaks.mean() >= _BELIEVED and (peaks > SEEN).mean() >= _SHARE)


def _same(one: Look, other: Look) -> bool:
    both = (one.points2d[:, 2] > SEEN) & (other.points2d[:, 2] > SEEN)
    if both.sum() < 3:
        return False
    extent = max(float(np.ptp(look.points2d[both, :2], axis=0).max()) for look in (one, other))
    apart = np.linalg.norm(one.points2d[both, :2] - other.points2d[both, :2], axis=1)
    return bool(np.median(apart) < _SAME * max(extent, 1.0))


def _rows_of(look: Look, boxes: Array) -> list[int]:
    """The boxes (N,4) that are of the person looked at: those that overlap most with their joints' box."""
    seen = look.points2d[look.points2d[:, 2] > SEEN, :2]
    own = np.concatenate([seen.min(axis=0), seen.max(axis=0)])
    shares = [people.overlap(own, box) for box in np.asarray(boxes, np.float64)]
    inside = [
        bool((box[:2] <= look.points2d[ROOT, :2]).all() and (look.points2d[ROOT, :2] <= box[2:]).all()) for box in boxes
    ]
    return [row for row, share in enumerate(shares) if share > 0.45 or (share > 0.25 and inside[row])]
