"""The people of a video: found, then followed from frame to frame, and found again when lost.

Each frame is looked at where the last one's alignment points say (`Roi`), once per person, which is cheap and steady.
The detector looks at the whole picture only now and then, when somebody got lost, and while people touch: then position
and looks decide, for all of them together, who is who (`association`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.perception import appearance, people
from monocap.perception.association import Body, bodies_of, same_body, share_out, unshared
from monocap.perception.blazepose import BlazePose, PoseResult
from monocap.perception.cuts import is_cut, thumbnail
from monocap.perception.followed import (
    COAST,
    Followed,
    begin,
    box_of,
    coco_of,
    continues,
    cut_away,
    drift,
    likeness,
    missed,
    needed,
    pack,
    unpack,
    went_on,
)
from monocap.perception.people import PeopleDetector
from monocap.perception.roi import from_box, from_detection, from_shoulders
from monocap.types import Detections, Frame, Keypoints

Array = NDArray[Any]

_MIN_SCORE = 0.5  # the network's own "there is a person"
_MIN_PEAK = 0.3  # mean heatmap peak; people give 0.5–0.95, an empty room up to 0.2
_INSIDE = 0.4  # of the landmarks must lie in the detector's box
_NEW_PEAK = 0.4  # asked of somebody new
_SURE_PEAK = 0.5  # believed although the detector sees nobody there
_TOUCH = 0.1  # of the region's side: people nearer than this to each other's boxes are in each other's way
_FIRST_DOUBT = 3  # frames after which somebody new who gets lost is forgotten
_PROBATION = 20  # frames in which somebody new must be confirmed
_REPLACE = 1.5  # somebody new must be so much more prominent to take another's place where places are few
_REMEMBERED = 64  # lost people
_SOON, _LONG_LOST = 60, 150  # frames in which somebody lost is expected back any moment, and at all
# How often the detector looks, in frames
_WHILE_NOBODY, _WHILE_TOUCHING, _WHILE_EXPECTED, _WHILE_LOST, _FULL_WHILE_NOBODY = 2, 3, 4, 10, 8

How = Literal["quick", "full"]


class PeopleTracker:
    """Follows the people of a video, at most ``limit`` at a time, by ids that stay.

    ``detect_every``: the detector looks in full at least every so many frames, and quickly three times as often;
    ``forget_after``: people lost for so many frames are given up and would be somebody new (None: never);
    ``want_mask``: whole-picture masks.

    Raises InputError for counts below 1.
    """

    def __init__(
        self,
        detector: PeopleDetector,
        blazepose: BlazePose,
        detect_every: int = 30,
        forget_after: int | None = None,
        want_mask: bool = False,
        limit: int = 8,
    ) -> None:
        if min(detect_every, limit) < 1 or (forget_after is not None and forget_after < 1):
            raise InputError(
                f"detect_every {detect_every}, forget_after {forget_after}, limit {limit} must be 1 or more"
            )
        self._detector = detector
        self._blazepose = blazepose
        self._detect_every = detect_every
        self._forget_after = forget_after
        self._want_mask = want_mask
        self._limit = limit
        self._next_id = 0
        self._since_look = 0  # frames since the detector looked at all
        self._since_full = detect_every  # and since it looked in full
        self._thumbnail: Array | None = None
        self._confirmed: set[int] = set()
        self.people: list[Followed] = []

    @property
    def confirmed(self) -> frozenset[int]:
        """Ids of all who proved to be people, by being seen over several frames and in more than one way."""
        return frozenset(self._confirmed)

    def looks(self) -> dict[int, Array]:
        """What everybody who is remembered looks like, by id: see `appearance.describe`."""
        return {person.id: person.looks for person in self.people}

    def step(self, frame: Frame | Array) -> dict[int, Keypoints]:
        """Keypoints by id of everybody seen in the next frame, (H,W,3) uint8 RGB.

        Somebody new is among them at once, under an id that is never given again, and is in `confirmed` after a few
        frames, or else was no person and is seen no more.
        """
        image = frame.image if isinstance(frame, Frame) else frame
        small = thumbnail(image)
        cut = self._thumbnail is not None and is_cut(self._thumbnail, small)
        self._thumbnail = small
        self._since_look += 1
        self._since_full += 1
        if self._forget_after is not None:
            self.people = [person for person in self.people if person.lost < self._forget_after]
        results = [self._follow(image, person, cut) for person in self.people]
        if cut:
            self.people = [p if r is not None else cut_away(p) for p, r in zip(self.people, results, strict=True)]
        describe = partial(appearance.describe, image)
        bodies, own = bodies_of(results, None, describe)
        shared = sum(i is not None for i in own) > len(bodies)
        how = self._due(results, shared, cut)
        if how is None:
            keypoints = self._update(image, results, set())
        else:
            found = self._detect(image, how)
            bodies, own = bodies_of(results, found, describe)
            if how == "full":  # what is blurred and not seen by the detector either is nobody
                results = [r if i is None or _believed(bodies[i]) else None for r, i in zip(results, own, strict=True)]
                bodies, own = bodies_of(results, found, describe)
            results = self._settle_all(image, bodies, own, found)
            agreed = {id(body.result) for body in bodies if body.detection is not None}
            keypoints = self._update(image, results, agreed)
            keypoints |= self._begin_new(image, bodies, found, [r for r in results if r is not None])
        self._forget()
        followed = {person.id for person in self.people}
        return {identity: one for identity, one in keypoints.items() if identity in followed}

    def state(self) -> dict[str, Array]:
        """Everything that the next frames depend on, as plain arrays; see `restore`."""
        counts = np.array([self._next_id, self._since_look, self._since_full])
        nothing = np.zeros((0, 0, 0), np.float32)
        rest = {
            "counts": counts,
            "confirmed": np.array(sorted(self._confirmed), np.int64),
            "thumbnail": nothing if self._thumbnail is None else self._thumbnail,
        }
        return pack(self.people) | rest

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on where a tracker of the same options was when `state` was taken: the same results, bit for bit.

        Raises InputError if ``state`` is none.
        """
        missing = {"counts", "confirmed", "thumbnail"} - set(state)
        if missing or np.shape(state["counts"]) != (3,):
            raise InputError(
                f"tracker state without {', '.join(sorted(missing)) or 'three counts'}; is it a `state()`?"
            )
        self.people = unpack(state)
        self._next_id, self._since_look, self._since_full = (int(count) for count in state["counts"])
        self._confirmed = {int(i) for i in state["confirmed"]}
        self._thumbnail = np.array(state["thumbnail"]) if np.size(state["thumbnail"]) else None

    def _follow(self, image: Array, person: Followed, cut: bool) -> PoseResult | None:
        """What a person's region shows, if it can be that person."""
        if person.lost:
            return None
        result = self._estimate(image, person.roi)
        if result is None or not continues(person, result):
            return None
        if cut:  # the same place, but perhaps another's
            looks = appearance.describe(image, coco_of(result.keypoints.points2d))
            if appearance.similarity(person.looks, looks) < needed(10**6):
                return None
        return result

    def _due(self, results: list[PoseResult | None], shared: bool, cut: bool) -> How | None:
        """Whether the detector should look at this frame, and how hard."""
        here = [p for p, r in zip(self.people, results, strict=True) if r is not None]
        lost = [p for p, r in zip(self.people, results, strict=True) if r is None]
        if cut or self._since_full >= self._detect_every or any(p.lost == 0 for p in lost):
            return "full"
        if not here and self._since_full >= _FULL_WHILE_NOBODY:
            return "full"
        every = {
            1: shared,
            max(1, self._detect_every // 3): True,
            _WHILE_NOBODY: not here or any(p.lost <= COAST for p in lost),
            _WHILE_TOUCHING: bool(_crowded(here)) or any(p.id not in self._confirmed for p in here),
            _WHILE_EXPECTED: any(p.lost <= _SOON for p in lost),
            _WHILE_LOST: any(p.lost <= _LONG_LOST for p in lost),
        }
        return "quick" if any(case and self._since_look >= frames for frames, case in every.items()) else None

    def _settle_all(
        self, image: Array, bodies: list[Body], own: list[int | None], found: Detections
    ) -> list[PoseResult | None]:
        """What each person's landmarks are, now that everybody seen is known."""
        chosen = share_out(self.people, bodies, own)
        results: list[PoseResult | None] = []
        for person, index, mine in zip(self.people, chosen, own, strict=True):
            body = None if index is None else bodies[index]
            if body is not None and body.result is None:
                self._settle_person(image, person, found, body)
                if body.result is None and mine is not None and mine not in chosen:
                    body = bodies[mine]
            result = None if body is None else body.result
            if result is None and mine is None and person.lost < COAST and not person.adrift:
                result = self._coast(image, person, bodies)
            results.append(result)
        return unshared(self.people, results, own)

    def _settle_person(self, image: Array, person: Followed, found: Detections, body: Body) -> None:
        """Landmarks of a detected body, if it still is the person when seen better."""
        result = self._settle(image, found, body.detection or 0)
        if result is None:
            return
        coco = coco_of(result.keypoints.points2d)
        if likeness(person, coco, appearance.describe(image, coco)) > 0:
            body.result, body.coco = result, coco

    def _coast(self, image: Array, person: Followed, bodies: list[Body]) -> PoseResult | None:
        """Just lost, and the detector sees nobody who fits: somersaults and falls outrun the region's turning.

        Looks where the person would be by now, turned all ways; only a sharp answer counts, and nobody else's body.
        """
        ahead = person.roi.center + drift(person)
        if not ((ahead >= 0) & (ahead < image.shape[1::-1])).all():
            return None
        turns = (0, np.pi / 2, np.pi, -np.pi / 2)
        tries = [self._estimate(image, replace(person.roi, center=ahead).turned(angle)) for angle in turns]
        sharp = [look for look in tries if look is not None and look.peak > _SURE_PEAK]
        near = []
        for look in sharp:
            coco = coco_of(look.keypoints.points2d)
            if likeness(person, coco, appearance.describe(image, coco)) > 0:
                near.append(look)
        best = max(near, key=lambda look: look.peak, default=None)
        if best is None or any(people.same_person(coco_of(best.keypoints.points2d), body.coco) for body in bodies):
            return None
        return best

    def _update(self, image: Array, results: list[PoseResult | None], agreed: set[int]) -> dict[int, Keypoints]:
        """The people's next states, and the keypoints of those seen; ``agreed``: `id` of what the detector saw too."""
        keypoints: dict[int, Keypoints] = {}
        crowded = _crowded([p for p, r in zip(self.people, results, strict=True) if r is not None])
        for i, (person, result) in enumerate(zip(self.people, results, strict=True)):
            went = None
            if result is not None:
                went = went_on(person, result, image, person.id not in crowded, id(result) in agreed)
                if went is None:
                    person = replace(person, lost=max(person.gap, 1), gap=0, trial=0)
            if went is None:
                self.people[i] = person if result is not None else missed(person)
            else:
                self.people[i], keypoints[person.id] = went
                if self.people[i].confirmed:
                    self._confirmed.add(person.id)
        return keypoints

    def _begin_new(
        self, image: Array, bodies: list[Body], found: Detections, known: list[PoseResult]
    ) -> dict[int, Keypoints]:
        """Follow everybody whom the detector sees, in whom the landmark network believes, and who is nobody known."""
        keypoints: dict[int, Keypoints] = {}
        height, width = image.shape[:2]
        new = [body.detection for body in bodies if body.result is None and body.detection is not None]
        prominence = people.prominence(found.boxes, found.scores, width, height)
        for row in sorted(new, key=lambda row: -prominence[row]):
            result = self._settle(image, found, row)
            if result is None or result.peak < _NEW_PEAK or any(same_body(result, other) for other in known):
                continue
            if not self._make_room(result, width, height):
                continue
            person = begin(self._next_id, result, image)
            self._next_id += 1
            self.people.append(person)
            keypoints[person.id] = result.keypoints
            known = [*known, result]
        return keypoints

    def _make_room(self, result: PoseResult, width: int, height: int) -> bool:
        """Whether there is a place for somebody new; the least prominent leaves for somebody far more prominent."""
        here = [person for person in self.people if not person.lost]
        if len(here) < self._limit:
            return True
        points = np.stack([person.points for person in here] + [result.keypoints.points2d])
        limits = (width - 1, height - 1, width - 1, height - 1)
        shown = people.prominence(np.clip(box_of(points), 0, limits), points[..., 2].mean(-1), width, height)
        least = int(np.argmin(shown[:-1]))
        if shown[-1] < _REPLACE * shown[least]:
            return False
        self.people.remove(here[least])
        return True

    def _forget(self) -> None:
        """Drop who was no person after all, and whoever is lost for longest when too many are."""
        proved, new = self._confirmed, (_FIRST_DOUBT, _PROBATION)
        kept = [p for p in self.people if p.id in proved or (p.lost <= new[0] and p.seen < new[1])]
        longest = sorted((person.lost for person in kept), reverse=True)
        while len([person for person in kept if person.lost]) > _REMEMBERED:
            gone = longest.pop(0)
            kept = [person for person in kept if person.lost < gone]
        self.people = kept

    def _settle(self, image: Array, found: Detections, index: int) -> PoseResult | None:
        """Landmarks of a detected person: a first look, and a second one where the first says.

        The sharper counts, unless it slipped to somebody else near by.
        """
        box = found.boxes[index]
        regions = from_shoulders(found.keypoints[index]), from_detection(box, found.keypoints[index]), from_box(box)
        for region in regions:
            if region is None:
                continue
            first = self._estimate(image, region)
            looks = [first, None if first is None else self._estimate(image, first.next_roi)]
            inside = [look for look in looks if look is not None and _inside(look, box)]
            if inside:
                return max(inside, key=lambda look: look.peak)
        return None

    def _estimate(self, image: Array, roi: Any) -> PoseResult | None:
        result = self._blazepose.estimate(image, roi, self._want_mask)
        return result if result.keypoints.score >= _MIN_SCORE and result.peak >= _MIN_PEAK else None

    def _detect(self, image: Array, how: How) -> Detections:
        self._since_look = 0
        if how == "full":
            self._since_full = 0
        return self._detector.detect(image, quick=how == "quick")


def _crowded(persons: list[Followed]) -> set[int]:
    """Ids of people who are in each other's way: a region may slip from one to the other, and looks are mixed."""
    boxes = np.array([person.box for person in persons]).reshape(-1, 4)
    margin = _TOUCH * np.array([person.roi.size for person in persons])[:, None]
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    touching = ((low[:, None] < high[None]) & (low[None] < high[:, None])).all(-1)
    return {person.id for person, near in zip(persons, touching.sum(1) > 1, strict=True) if near}


def _believed(body: Body) -> bool:
    return body.detection is not None or (body.result is not None and body.result.peak >= _SURE_PEAK)


def _inside(look: PoseResult, box: Array) -> bool:
    points = coco_of(look.keypoints.points2d)[:, :2]
    return bool(((points > box[:2]) & (points < box[2:])).all(1).mean() > _INSIDE)
