"""The subject of a video: found once, then followed from frame to frame, and found again when lost.

Each frame is looked at where the last one's alignment points say (`Roi`), which is cheap and steady. The detector
looks at the whole picture only now and then, when the landmarks become doubtful, and while somebody else is near:
then position and looks decide who is who. This class follows one person; several people are several `Subject`
states against one list of detections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.perception import appearance, people
from monocap.perception.blazepose import SKELETON, BlazePose, PoseResult
from monocap.perception.people import PeopleDetector
from monocap.perception.roi import Roi, from_detection
from monocap.perception.sides import keep_sides
from monocap.skeletons import mapping
from monocap.types import Detections, Frame, Keypoints

Array = NDArray[Any]

_MIN_SCORE = 0.5  # the network's own "there is a person"
_MIN_PEAK = 0.3  # mean heatmap peak; people give 0.5–0.95, an empty room up to 0.2
_SURE_PEAK = 0.5  # believed although the detector sees nobody there
_JUMP = 0.35  # of the region's side: people do not move so far between two frames
_SAME_LOOKS = (0.5, 0.85, 60)  # similarity asked of somebody found again: at once, at most, after so many frames
_REACH = (0.3, 0.06)  # of the region's side: how far a lost person may be at once, and how much farther per frame
_OTHER_LOOKS = 0.2  # this much more similar, somebody else is the subject and we drifted
_HERE = 0.4  # so much less similar somebody may look who stands where the subject just was
_TRIAL = 15  # frames in which a person found again must go on looking like the subject
_LENIENT = 0.08  # so much less similar it may look meanwhile
_COAST = 12  # frames after a loss in which all turns are tried
_NEAR = 1.0  # of the region's side: others nearer than this are watched in every frame
_STEADY = 0.02  # of the region's side: smaller changes of the region are jitter


@dataclass(frozen=True)
class Subject:
    """What is known of a followed person: where to look next, where it was, and what it looks like."""

    roi: Roi
    points: Array  # (33,3) pixels, confidence
    velocity: Array  # (2,) pixels per frame
    looks: Array  # see `appearance.describe`
    lost: int = 0  # frames since it was last seen
    gap: int = 0  # how long it had been lost when it was found again
    trial: int = 0  # frames in which it must still prove to be the same person
    votes: int = 1  # see `keep_sides`


class PersonTracker:
    """Follows one person through the frames of a video.

    ``detect_every``: the detector runs at least every so many frames; ``forget_after``: a subject lost for so many
    frames is given up and another person may become the subject (None: never); ``want_mask``: whole-picture masks.

    Raises InputError for counts below 1.
    """

    def __init__(
        self,
        detector: PeopleDetector,
        blazepose: BlazePose,
        detect_every: int = 30,
        forget_after: int | None = None,
        want_mask: bool = False,
    ) -> None:
        if detect_every < 1 or (forget_after is not None and forget_after < 1):
            raise InputError(f"detect_every {detect_every} and forget_after {forget_after} must be 1 or more")
        self._detector = detector
        self._blazepose = blazepose
        self._detect_every = detect_every
        self._forget_after = forget_after
        self._want_mask = want_mask
        self._since_detection = 0
        self._others_near = False
        self.subject: Subject | None = None

    def step(self, frame: Frame | Array) -> Keypoints | None:
        """Keypoints of the subject in the next frame, (H,W,3) uint8 RGB; None if it is not to be seen."""
        image = frame.image if isinstance(frame, Frame) else frame
        if self.subject is not None and self._forget_after is not None and self.subject.lost >= self._forget_after:
            self.subject = None
        subject = self.subject
        if subject is None:
            return self._start(image)
        result = None
        if subject.lost == 0:
            result = self._estimate(image, subject.roi)
            if result is not None and not _continues(subject, result):
                result = None
        self._since_detection += 1
        if result is None or self._others_near or self._since_detection >= self._detect_every:
            result = self._look_around(image, subject, result)
        if result is None:
            self.subject = replace(subject, lost=subject.lost + 1)
            return None
        followed = _follow(subject, result, image, learn=not self._others_near)
        if followed is None:
            self.subject = replace(subject, lost=max(subject.gap, 1), gap=0, trial=0)
            return None
        self.subject, keypoints = followed
        return keypoints

    def _start(self, image: Array) -> Keypoints | None:
        """Look for somebody to follow: the most prominent person in whom the landmark network believes too."""
        found = self._detect(image)
        height, width = image.shape[:2]
        while (best := people.subject(found, width, height)) is not None:
            result = self._settle(image, found, best)
            if result is not None:
                coco = to_coco(result.keypoints)
                roi = result.next_roi
                looks = appearance.describe(image, coco)
                self.subject = Subject(roi, result.keypoints.points2d, np.zeros(2), looks)
                self._note_others(found, coco, roi)
                return result.keypoints
            rest = np.arange(len(found.scores)) != best
            found = Detections(found.boxes[rest], found.scores[rest], found.keypoints[rest])
        return None

    def _look_around(self, image: Array, subject: Subject, followed: PoseResult | None) -> PoseResult | None:
        """Who of all people in the picture is the subject? ``followed`` is what following the region gave."""
        found = self._detect(image)
        likes = [self._likeness(image, subject, keypoints) for keypoints in found.keypoints]
        best = int(np.argmax(likes)) if likes else None
        if followed is None:
            result = None
            if best is not None and likes[best] > 0:
                result = self._settle(image, found, best)
                if result is not None and self._likeness(image, subject, to_coco(result.keypoints)) <= 0:
                    result = None
            if result is None and subject.lost < _COAST:
                result = self._coast(image, subject)
                if result is not None and any(
                    people.same_person(to_coco(result.keypoints), k) for k in found.keypoints
                ):
                    result = None  # that one was just judged to be somebody else
        else:
            result = followed
            coco = to_coco(followed.keypoints)
            own = next((i for i, k in enumerate(found.keypoints) if people.same_person(coco, k)), None)
            if best is not None and best != own:
                # somebody else fits better: did the region drift to another person?
                mine = appearance.similarity(subject.looks, appearance.describe(image, coco))
                theirs = appearance.similarity(subject.looks, appearance.describe(image, found.keypoints[best]))
                if likes[best] > 0 and theirs > mine + _OTHER_LOOKS:
                    result = self._settle(image, found, best) or followed
            elif own is None and followed.peak < _SURE_PEAK:
                result = None
        if result is not None:
            self._note_others(found, to_coco(result.keypoints), result.next_roi)
        return result

    def _coast(self, image: Array, subject: Subject) -> PoseResult | None:
        """Just lost, and the detector sees nobody who fits: somersaults and falls outrun the region's turning.

        Looks where the subject would be by now, turned all ways; only a sharp answer counts.
        """
        center = subject.roi.center + subject.velocity * (subject.lost + 1)
        ahead = replace(subject.roi, center=center)
        tries = [self._estimate(image, ahead.turned(angle)) for angle in (0, np.pi / 2, np.pi, -np.pi / 2)]
        sharp = [look for look in tries if look is not None and look.peak > _SURE_PEAK]
        near = [look for look in sharp if self._likeness(image, subject, to_coco(look.keypoints)) > 0]
        return max(near, key=lambda look: look.peak, default=None)

    def _likeness(self, image: Array, subject: Subject, coco: Array) -> float:
        """How well a detected person fits the subject; 0 or less: not the same person."""
        looks = appearance.similarity(subject.looks, appearance.describe(image, coco))
        frames = subject.lost + 1
        moved = _centre(coco) - _centre(_coco(subject.points)) - subject.velocity * min(frames, 3)
        distance = float(np.linalg.norm(moved)) / subject.roi.size
        reach = _REACH[0] + _REACH[1] * frames
        if distance >= reach:
            return looks - _SAME_LOOKS[1]
        here = _HERE * max(0.0, 1 - distance / reach) * max(0.0, 1 - frames / _COAST)
        return looks - _needed(frames) + here  # just seen here: looks matter less, light and view may change

    def _settle(self, image: Array, found: Detections, index: int) -> PoseResult | None:
        """Landmarks of a detected person: a first look, and a second one where the first says."""
        first = self._estimate(image, from_detection(found.boxes[index], found.keypoints[index]))
        if first is None:
            return None
        second = self._estimate(image, first.next_roi)
        best = second if second is not None and second.peak >= first.peak else first
        low, high = found.boxes[index, :2], found.boxes[index, 2:]
        inside = ((to_coco(best.keypoints)[:, :2] > low) & (to_coco(best.keypoints)[:, :2] < high)).all(1)
        return best if inside.mean() > 0.4 else None

    def _estimate(self, image: Array, roi: Roi) -> PoseResult | None:
        result = self._blazepose.estimate(image, roi, self._want_mask)
        return result if result.keypoints.score >= _MIN_SCORE and result.peak >= _MIN_PEAK else None

    def _detect(self, image: Array) -> Detections:
        self._since_detection = 0
        return self._detector.detect(image)

    def _note_others(self, found: Detections, coco: Array, roi: Roi) -> None:
        others = [k for k in found.keypoints if not people.same_person(coco, k)]
        self._others_near = any(np.linalg.norm(_centre(k) - _centre(coco)) < _NEAR * roi.size for k in others)


def to_coco(keypoints: Keypoints) -> Array:
    """(17,3) COCO keypoints of BlazePose ones: all of COCO's are among them."""
    return _coco(keypoints.points2d)


def _coco(points: Array) -> Array:
    source, target = mapping(SKELETON, "coco17")
    coco = np.zeros((17, 3))
    coco[target] = points[source]
    return coco


def _centre(coco: Array) -> Array:
    weights = np.maximum(coco[:, 2], 1e-3)
    return weights @ coco[:, :2] / weights.sum()


def _continues(subject: Subject, result: PoseResult) -> bool:
    moved = np.linalg.norm(_centre(to_coco(result.keypoints)) - _centre(_coco(subject.points)))
    return bool(moved < _JUMP * subject.roi.size and 0.4 < result.next_roi.size / subject.roi.size < 2.5)


def _needed(frames: int) -> float:
    """How similar somebody must look to be the subject that was lost so many frames ago."""
    soon, late, when = _SAME_LOOKS
    return soon + (late - soon) * min(frames / when, 1)


def _follow(subject: Subject, result: PoseResult, image: Array, learn: bool) -> tuple[Subject, Keypoints] | None:
    """State and keypoints after a frame in which the subject was seen; ``learn``: its looks may be learnt.

    None if somebody found again turns out, seen better, to look too different.
    """
    coco = to_coco(result.keypoints)
    looks = appearance.describe(image, coco)
    if subject.lost:  # found again just now: nothing of the last frame is a guide
        return replace(
            subject,
            roi=result.next_roi,
            points=result.keypoints.points2d,
            velocity=np.zeros(2),
            lost=0,
            gap=subject.lost,
            trial=_TRIAL if subject.lost > _COAST else 0,
        ), result.keypoints
    if subject.trial:
        if appearance.similarity(subject.looks, looks) < _needed(subject.gap) - _LENIENT:
            return None
        learn = False
    keypoints, votes = keep_sides(result.keypoints, subject.points, subject.votes)
    moved = _centre(coco) - _centre(_coco(subject.points))
    return replace(
        subject,
        roi=steady(subject.roi, result.next_roi),
        points=keypoints.points2d,
        velocity=0.5 * subject.velocity + 0.5 * moved,
        looks=0.95 * subject.looks + 0.05 * looks if learn else subject.looks,
        trial=max(subject.trial - 1, 0),
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
