"""Hands: 21 points of each, in the picture and in metres, in regions that hang on the body's wrists.

The network is MediaPipe's hand landmark model (Zhang et al. 2020), see the manifest. No palm is searched for: where a
hand is, the body's wrist and elbow tell. A first look is aimed by them, a second by the hand's own points, so small
hands too are seen as large as the picture has them; after that a hand is followed from frame to frame. Which hand it is
tells the wrist that it hangs on. Where the network takes it for the other one, it confuses palm and back, or looks at
the other hand: a closer look follows, and what still contradicts is taken for the same outline seen from behind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monocap.assets.sessions import session
from monocap.media.crops import check_image, invert, transform_points, warp
from monocap.perception.roi import Roi, upright
from monocap.skeletons import get
from monocap.types import HAND_POINTS

Array = NDArray[Any]

INPUT = 224  # pixels
_BODY = get("blazepose33")
SIDES = ("left", "right")
Care = Literal["brief", "usual", "thorough"]
_WRIST, _INDEX, _MIDDLE, _RING = 0, 5, 9, 13  # the root, and knuckles
_PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # MediaPipe's region is drawn around these
_MARGIN, _AHEAD = 2.0, 0.1  # its side over theirs, and how far it is moved to the fingertips
# Over the distance from wrist to middle knuckle: forearm, shoulders, side of the first region, and where its middle is.
_FOREARM, _SHOULDERS, _FIRST, _CENTER = 0.36, 0.24, 3.4, 1.0
_SEEN = 0.5  # presence from which there is a hand
_HOPE = 0.1  # presence in the first look from which there is a second
_OWN = 0.5  # handedness from which the network agrees with the wrist
_NEAR = 0.5  # of that distance: a root nearer to the body's wrist needs no second opinion
_CLOSER = 0.8  # side of the region of a second opinion over that of the first
_FAR = 1.3  # of that distance: a root farther from the body's wrist is somebody else's hand
_APART = 0.6  # of it: a look whose points are farther from another's saw something else
_TILTED = 0.9, 0.3  # side of the region of looks at a tilt, over the usual one, and rad
_SAME = 0.6  # of it: two hands whose points are nearer are one hand seen twice
_UNSURE = 0.15  # confidence of the body's wrist below which no hand is looked for
_OFTEN, _RETRY = 6, 3  # a hand that was not found is looked for again in so many frames, then in every third
_OUTSIDE = 0.3  # confidence of points beyond the picture's edge, which nobody sees, over that of the others
_LEGIBLE = 18.0  # px likewise: palm and back of smaller hands look alike from near too
_SMALLEST = 8.0  # px from wrist to middle knuckle; less shows no fingers
_HASTE = 0.3  # of its region's side, or rad, per frame: a hand that moves faster is looked at in every frame


@dataclass(frozen=True)
class HandResult:
    """``points`` (21,6): picture pixels, confidence, and metres along the picture's axes about their mean; wrist first,
    then thumb, index, middle, ring and little finger from knuckle to tip. ``score`` 0–1; ``right`` 0–1: how much the
    network takes it for a right hand. ``roi`` is where it was looked for, ``next_roi`` where it is."""

    points: Array
    score: float
    right: float
    roi: Roi
    next_roi: Roi

    def own(self, side: str) -> float:
        """0–1: how much the network takes it for the hand of that ``side``."""
        return self.right if side == "right" else 1.0 - self.right

    def from_behind(self) -> HandResult:
        """The same outline as the other hand's: without perspective, what is in front and behind changes places."""
        return replace(self, points=self.points * np.array([1, 1, 1, 1, 1, -1], np.float32), right=1.0 - self.right)


class HandNetwork:
    """The landmark network for one hand in one region."""

    def __init__(self, threads: int | None = None) -> None:
        self._session = session("hand_landmarks", threads)

    def estimate(self, image_rgb: Array, roi: Roi, mirrored: bool = False) -> HandResult:
        """The hand in ``roi`` of ``image_rgb`` (H,W,3) uint8; points come anyway, see ``score``. ``mirrored``: the
        network sees it in a mirror, what it says is turned back."""
        image = check_image(image_rgb)
        matrix = roi.matrix(INPUT)
        crop = warp(image, matrix, INPUT, INPUT)
        crop = crop[:, ::-1] if mirrored else crop
        values = self._session.run(None, {"image": (crop.astype(np.float32) / 255)[None]})
        landmarks, presence, right, world = (np.array(value, float) for value in values)
        landmarks, world = landmarks.reshape(HAND_POINTS, 3), world.reshape(HAND_POINTS, 3)
        if mirrored:
            landmarks[:, 0], world[:, 0], right = INPUT - landmarks[:, 0], -world[:, 0], 1.0 - right
        points2d = transform_points(invert(matrix), landmarks[:, :2] - 0.5)
        c, s = np.cos(roi.rotation), np.sin(roi.rotation)
        metres = world @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        score = float(presence.item())
        sure = score * np.where(_inside(image, points2d), 1.0, _OUTSIDE)
        points = np.column_stack([points2d, sure, metres - metres.mean(axis=0)])
        return HandResult(points.astype(np.float32), score, float(right.item()), roi, region_of(points2d))


def region_of(points: Array) -> Roi:
    """Where a hand with ``points`` (21,≥2) px is, fingers up, as the network saw hands in training."""
    points = np.asarray(points, float)[:, :2]
    knuckles = 0.5 * points[_MIDDLE] + 0.25 * (points[_INDEX] + points[_RING])
    turn = upright(knuckles - points[_WRIST])
    c, s = np.cos(turn), np.sin(turn)
    back = np.array([[c, -s], [s, c]])  # columns: the region's axes in the picture
    own = points[list(_PALM)] @ back
    low, high = own.min(axis=0), own.max(axis=0)
    side = float((high - low).max())
    middle = (low + high) / 2 - [0.0, _AHEAD * side * _MARGIN / 2]
    return Roi(back @ middle, max(_MARGIN * side, 1.0), turn)


@dataclass(frozen=True)
class _Aim:
    """What the body tells of one hand: ``wrist`` (2,) px, ``size`` px from wrist to middle knuckle, ``roi``, and the
    ``other`` hand's wrist if it is known."""

    wrist: Array
    size: float
    roi: Roi
    other: Array | None


def aim(body: Array, side: str) -> _Aim | None:
    """Where the body's keypoints (33,3) px say that a hand is; None where they do not know its wrist."""
    names = [f"{side}_{name}" for name in ("elbow", "wrist", "index", "pinky", "shoulder")]
    names += [f"{'left' if side == 'right' else 'right'}_{name}" for name in ("shoulder", "wrist")]
    elbow, wrist, index, pinky, shoulder, beside, other = (np.array(body[_BODY.index(n)], float) for n in names)
    if wrist[2] < _UNSURE:
        return None
    middle = (2 * index + pinky)[:2] / 3
    forearm, hand = wrist[:2] - elbow[:2], middle - wrist[:2]
    across = float(np.linalg.norm((shoulder - beside)[:2]))
    size = max(float(np.linalg.norm(hand)), _FOREARM * float(np.linalg.norm(forearm)), _SHOULDERS * across)
    if size < _SMALLEST:
        return None
    length = float(np.linalg.norm(hand))
    ahead = hand / length if length > 0.4 * size else forearm / max(float(np.linalg.norm(forearm)), 1e-6)
    region = Roi(wrist[:2] + _CENTER * size * ahead, _FIRST * size, upright(ahead))
    return _Aim(wrist[:2], size, region, other[:2] if other[2] >= _UNSURE else None)


@dataclass(frozen=True)
class _Found:
    """One hand in one frame. ``near``: side of the region to look at over the usual one; ``behind``: the network
    insists on the other hand, more looks are in vain."""

    result: HandResult
    aim: _Aim
    near: float = 1.0
    behind: bool = False

    def sure(self, side: str) -> bool:
        """Nothing speaks against its being the hand of that ``side``."""
        agrees = self.result.own(side) >= _OWN and _off(self.result, self.aim) < _NEAR
        return agrees and _fits(self.result, self.aim)

    def quality(self, side: str) -> tuple[bool, float]:
        return self.result.own(side) >= _OWN, self.result.score - _off(self.result, self.aim)


@dataclass(frozen=True)
class _Last:
    """Where a hand was: the body's wrist then, the region to look at, and as in `_Found`; how fast the region moved, in
    its sides or radians per frame, and how many frames ago that was."""

    wrist: Array
    roi: Roi
    near: float
    behind: bool
    pace: float = 0.0
    age: int = 1


class HandFollower:
    """Both hands of one person through a video; for a photo, a new one per person. A "thorough" one looks twice for a
    hand, and at what it found in a mirror and at a tilt, too; others, who see it again soon, are content with a first
    look where that is good, and "brief" ones do not hurry after fast hands (`hasty`)."""

    def __init__(self, network: HandNetwork, care: Care = "thorough") -> None:
        self._network, self._care = network, care
        self._last: dict[str, _Last] = {}
        self._away = {"left": 0, "right": 0}  # frames since it was not found

    def step(self, image_rgb: Array, body: Array, sides: Collection[str] = SIDES) -> Array:
        """Both hands (2,21,6), left first, in the next frame, where the body's keypoints are ``body`` (33,3).

        Points as in `HandResult`; all zero where a hand is not seen, or not of the ``sides`` to look at.
        """
        found: dict[str, _Found] = {}
        self._last = {side: replace(last, age=last.age + (side not in sides)) for side, last in self._last.items()}
        for side in sides:
            aimed = aim(body, side)
            waits = self._away[side] > _OFTEN and self._away[side] % _RETRY > 0
            if aimed is None or waits or not _inside(image_rgb, aimed.roi.center):
                continue
            one = self._followed(image_rgb, side, aimed) or self._searched(image_rgb, side, aimed)
            if one is not None:
                found[side] = one
        if len(found) == 2:
            _keep_apart(found)
        out = np.zeros((2, HAND_POINTS, 6), np.float32)
        for side in sides:
            if side in found:
                one = found[side]
                out[SIDES.index(side)] = one.result.points
                roi, last = one.result.next_roi.scaled(one.near), self._last.get(side)
                pace = 0.0 if last is None else _way(last.roi, roi) / last.age
                self._last[side] = _Last(one.aim.wrist, roi, one.near, one.behind, pace)
                self._away[side] = 0
            else:
                self._last.pop(side, None)
                self._away[side] += 1
        return out

    def hasty(self, body: Array) -> tuple[str, ...]:
        """The sides whose hands moved too fast, or whose wrists in the next frame's ``body`` (33,3) do, for that frame
        to be left out; with "brief" care none."""
        out = []
        for side, last in self._last.items() if self._care != "brief" else ():
            aimed = aim(body, side)
            moved = 0.0 if aimed is None else float(np.linalg.norm(aimed.wrist - last.wrist)) / last.roi.size
            if max(last.pace, moved / last.age) > _HASTE:
                out.append(side)
        return tuple(out)

    def state(self) -> Array:
        """(2,11): per side the wrist px, centre, side and rotation of the region; how near the look is, 0 where there
        is no hand; whether it is taken from behind; its pace and age; and for how many frames there was none."""
        out = np.zeros((2, 11))
        for k, side in enumerate(SIDES):
            out[k, 10] = self._away[side]
            if side in self._last:
                last, roi = self._last[side], self._last[side].roi
                out[k, :6] = [*last.wrist, *roi.center, roi.size, roi.rotation]
                out[k, 6:10] = last.near, last.behind, last.pace, last.age
        return out

    def restore(self, state: Array) -> None:
        """Go on from a `state`."""
        rows = dict(zip(SIDES, np.asarray(state, float), strict=True))
        self._last = {
            side: _Last(row[:2].copy(), Roi(row[2:4], row[4], row[5]), row[6], bool(row[7]), row[8], int(row[9]))
            for side, row in rows.items()
            if row[6]
        }
        self._away = {side: int(row[10]) for side, row in rows.items()}

    def _followed(self, image: Array, side: str, aimed: _Aim) -> _Found | None:
        """The hand where it was in the last frame, if it is there."""
        last = self._last.get(side)
        if last is None:
            return None
        moved = Roi(last.roi.center + aimed.wrist - last.wrist, last.roi.size, last.roi.rotation)
        look = _Found(self._network.estimate(image, moved), aimed, last.near)
        if not _fits(look.result, aimed):
            return None
        doubtful = look.result.own(side) < _OWN and not last.behind and aimed.size > _LEGIBLE
        return _best([look, self._closer(image, look)] if doubtful else [look], side)

    def _searched(self, image: Array, side: str, aimed: _Aim) -> _Found | None:
        """The hand where the body says that it is: in two regions at first, later in one of them at a time."""
        regions = aimed.roi, aimed.roi.scaled(_CLOSER)
        in_passing = self._care != "thorough"
        away = self._away[side]
        one_of_them = (away if in_passing else away + 1) % 2
        for region in regions if away == 0 and not in_passing else (regions[one_of_them],):
            first = _Found(self._network.estimate(image, region), aimed)
            if first.result.score < _HOPE:
                continue
            if in_passing and first.sure(side):
                return first
            look = _Found(self._network.estimate(image, first.result.next_roi), aimed)
            look = look if _fits(look.result, aimed) else first
            if _fits(look.result, aimed):
                enough = look.sure(side) or aimed.size < _LEGIBLE
                best = _best([look] if enough else [look, self._closer(image, look)], side)
                return best if in_passing else self._again(image, self._mirrored(image, best, side), side)
        return None

    def _again(self, image: Array, found: _Found, side: str) -> _Found:
        """The mean with two looks at a tilt that see the same."""
        region, points = found.result.next_roi.scaled(found.near * _TILTED[0]), [2 * found.result.points]
        for turn in () if found.behind else (_TILTED[1], -_TILTED[1]):
            other = self._network.estimate(image, replace(region, rotation=region.rotation + turn))
            if other.own(side) >= _OWN and _alike(other, found):
                points.append(other.points)
        mean = np.sum(points, axis=0) / (len(points) + 1)
        return replace(found, result=replace(found.result, points=mean, next_roi=region_of(mean)))

    def _mirrored(self, image: Array, found: _Found, side: str) -> _Found:
        """What was found, and the same hand in a mirror: the mean where both looks agree, and otherwise the one that
        takes it for ``side``'s hand."""
        other = self._network.estimate(image, found.result.next_roi.scaled(found.near), mirrored=True)
        own = other.own(side) >= _OWN
        if not _fits(other, found.aim) or (not own and not found.behind):
            return found
        if own and found.behind:
            return replace(found, result=other, behind=False)
        other = other if own else other.from_behind()
        if not _alike(other, found):
            return found
        points, score = (found.result.points + other.points) / 2, (found.result.score + other.score) / 2
        right = (found.result.right + other.right) / 2
        return replace(found, result=HandResult(points, score, right, found.result.roi, region_of(points)))

    def _closer(self, image: Array, look: _Found) -> _Found:
        """A second opinion."""
        return _Found(self._network.estimate(image, look.result.next_roi.scaled(_CLOSER)), look.aim, _CLOSER)


def _best(looks: list[_Found], side: str) -> _Found:
    """The look at ``side``'s hand to believe among those that fit, at least one."""
    best = max((look for look in looks if _fits(look.result, look.aim)), key=lambda look: look.quality(side))
    agrees = best.result.own(side) >= _OWN
    return best if agrees else replace(best, result=best.result.from_behind(), behind=True)


def _keep_apart(found: dict[str, _Found]) -> None:
    """One hand is not two: of two results on the same points the one stays that the network takes for its side's, or
    that is nearer to its wrist."""
    left, right = found["left"], found["right"]
    apart = float(np.linalg.norm(left.result.points[:, :2] - right.result.points[:, :2], axis=1).mean())
    if apart < _SAME * max(left.aim.size, right.aim.size):
        del found[min(found, key=lambda side: (not found[side].behind, -_off(found[side].result, found[side].aim)))]


def _alike(look: HandResult, found: _Found) -> bool:
    """A look sees a hand, on the points where one was found."""
    apart = float(np.linalg.norm((look.points - found.result.points)[:, :2], axis=1).mean())
    return look.score >= _SEEN and apart < _APART * found.aim.size


def _inside(image: Array, points: Array) -> NDArray[np.bool_]:
    """Whether ``points`` (…,2) px are in the picture."""
    return np.asarray(((points > -0.5) & (points < np.array(image.shape[1::-1]) - 0.5)).all(axis=-1))


def _way(before: Roi, after: Roi) -> float:
    """How far a region moved: sides that its centre went, and radians that it turned."""
    turn = (after.rotation - before.rotation + np.pi) % (2 * np.pi) - np.pi
    return float(np.linalg.norm(after.center - before.center)) / before.size + abs(turn)


def _off(result: HandResult, aimed: _Aim) -> float:
    """How far the hand's root is from the body's wrist, over the hand's size."""
    return float(np.linalg.norm(result.points[_WRIST, :2] - aimed.wrist)) / aimed.size


def _fits(result: HandResult, aimed: _Aim) -> bool:
    """There is a hand, it hangs on this wrist and on no other, and its size is a hand's."""
    points = result.points[:, :2]
    size = float(np.linalg.norm(points[_MIDDLE] - points[_WRIST]))
    off = _off(result, aimed)
    if aimed.other is not None and np.linalg.norm(points[_WRIST] - aimed.other) < off * aimed.size:
        return False
    return result.score >= _SEEN and off < _FAR and size < 2.2 * aimed.size
