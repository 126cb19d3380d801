"""People in a still picture: many regions are tried, the one with the sharpest heatmaps wins.

A video forgives a bad frame; a photograph has one chance, and people in photographs sit, bend and stand on their
hands. The network expects an upright torso, so the region is also turned, resized and taken again from its own
landmarks. Its score, presence and visibility choose badly between regions; the mean heatmap peak chooses well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.media.crops import check_image, transform_points
from monocap.perception import people
from monocap.perception.association import same_body
from monocap.perception.blazepose import BlazePose, PoseResult, Variant
from monocap.perception.followed import box_of
from monocap.perception.people import PeopleDetector
from monocap.perception.roi import from_box, from_detection, from_shoulders
from monocap.types import Detections, Keypoints

Array = NDArray[Any]
Preset = Literal["fast", "accurate"]

_VARIANTS: dict[str, Variant] = {"fast": "lite", "accurate": "heavy"}
_MIN_SCORE = 0.5
_MIN_PEAK = 0.35
_CROWD = 30  # people at most
_MANY, _SMALL = 4, 100  # from so many people on, and up to so many pixels, a few looks must do
_LARGE = 768  # pixels; pictures of more may show people too small for the usual look
_APART, _SURE_TURNED = 0.3, 0.25  # overlap and score of people seen only when the picture is turned
_JITTER = ((0.0, 0.0, 0.0, 1.0), (0.03, 0.01, 0.12, 1.04), (-0.03, 0.01, -0.12, 0.97), (0.01, -0.03, 0.06, 0.94))
_JITTER += ((-0.01, 0.03, -0.06, 1.08),)  # shift x, y (of the side), turn (rad), scale


def find_people_keypoints(
    image_rgb: Array,
    preset: Preset = "accurate",
    *,
    most: int | None = None,
    detector: PeopleDetector | None = None,
    blazepose: BlazePose | None = None,
    jittered: int | None = None,
    want_mask: bool = False,
    threads: int | None = None,
) -> list[Keypoints]:
    """Keypoints of the people in a picture (H,W,3) uint8 RGB, the one that it is of first; at most ``most``.

    ``preset``: "fast" uses the lite network, "accurate" the heavy one; both search. ``jittered`` crops (1–5) of the
    best region are averaged, by default 1 fast and 5 accurate. Models made before may be passed in.

    Raises InputError for a picture that is none, another preset, or another number of people or crops.
    """
    image = check_image(image_rgb)
    if preset not in _VARIANTS:
        raise InputError(f"preset {preset!r}; expected one of {', '.join(_VARIANTS)}")
    jittered = (1 if preset == "fast" else len(_JITTER)) if jittered is None else jittered
    if not 1 <= jittered <= len(_JITTER):
        raise InputError(f"jittered is {jittered}; expected 1 to {len(_JITTER)} crops")
    if most is not None and most < 1:
        raise InputError(f"most is {most}; expected at least 1 person")
    detector = detector or PeopleDetector(threads)
    blazepose = blazepose or BlazePose(_VARIANTS[preset], threads)
    limit = min(most or _CROWD, _CROWD)
    kept: list[tuple[float, PoseResult]] = []
    for quarters in (0, 2, 1, 3):  # the detector knows few people who hang upside down: turn the picture for it
        upright = [box_of(result.keypoints.points2d) for _, result in kept]
        if len(kept) < limit:
            found = _detect_turned(image, detector, quarters, thorough=not upright)
            _add(image, found, blazepose, kept, limit, upright)
    if not kept and max(image.shape[:2]) > _LARGE:
        _add(image, detector.detect_small(image), blazepose, kept, limit, [])
    kept.sort(key=lambda one: -one[0])
    return [average(image, result, blazepose, jittered, want_mask).keypoints for _, result in kept]


def _add(
    image: Array,
    found: Detections,
    blazepose: BlazePose,
    kept: list[tuple[float, PoseResult]],
    limit: int,
    upright: list[Array],
) -> None:
    """Look closely at those detected who are not ``kept`` yet, and keep them with their prominence if they are people.

    ``upright``: boxes of who was kept before the picture was turned; they rarely are somebody else, too.
    """
    height, width = image.shape[:2]
    found = people.by_prominence(found, width, height)
    prominence = people.prominence(found.boxes, found.scores, width, height)
    for i, box in enumerate(found.boxes):
        if len(kept) == limit:
            break
        again = found.scores[i] < _SURE_TURNED or any(people.overlap(box, other) > _APART for other in upright)
        if upright and again:
            continue
        briefly = float((box[2:] - box[:2]).max()) < _SMALL or len(kept) >= _MANY
        result = search(image, box, found.keypoints[i], blazepose, briefly)
        if result is not None and not any(same_body(result, other) for _, other in kept):
            kept.append((float(prominence[i]), result))


def find_person_keypoints(image_rgb: Array, preset: Preset = "accurate", **options: Any) -> Keypoints | None:
    """Keypoints of the person that a picture is of; None if there is nobody. Options: see `find_people_keypoints`."""
    found = find_people_keypoints(image_rgb, preset, most=1, **options)
    return found[0] if found else None


def _detect_turned(image: Array, detector: PeopleDetector, quarters: int, thorough: bool) -> Detections:
    """People found in the picture after so many quarter turns anticlockwise, in pixels of the upright picture."""
    if quarters == 0:
        return detector.detect(image, thorough)
    found = detector.detect(np.ascontiguousarray(np.rot90(image, quarters)), thorough)
    angle = quarters * np.pi / 2
    c, s = round(np.cos(angle)), round(np.sin(angle))
    linear = np.array([[c, -s], [s, c]])
    middle_turned = (np.array(image.shape[1::-1] if quarters % 2 == 0 else image.shape[:2]) - 1) / 2
    middle = (np.array(image.shape[1::-1]) - 1) / 2
    back = np.column_stack([linear, middle - linear @ middle_turned])
    points = np.dstack([transform_points(back, found.keypoints[:, :, :2]), found.keypoints[:, :, 2]])
    corners = np.stack([transform_points(back, found.boxes[:, i : i + 2]) for i in (0, 2)])
    return Detections(np.hstack([corners.min(0), corners.max(0)]), found.scores, points)


def search(
    image_rgb: Array, box: Array, keypoints: Array, blazepose: BlazePose, briefly: bool = False
) -> PoseResult | None:
    """The best of up to 17 looks at one detected person (``box`` (4,), ``keypoints`` (17,3) COCO), by heatmap peak.

    ``briefly`` takes five looks at most, all of them upright or as the detector says. None if the landmark network
    does not believe in anybody there.
    """
    first, plain = from_detection(box, keypoints), from_box(box)
    turns = (0,) if briefly else (0, np.pi / 2, np.pi, -np.pi / 2)
    starts = [first.turned(angle) for angle in turns] + [plain.turned(angle) for angle in turns]
    cut_off = from_shoulders(keypoints)
    starts += [] if cut_off is None else [cut_off]
    looks = [blazepose.estimate(image_rgb, roi) for roi in starts]
    looks += [blazepose.estimate(image_rgb, look.next_roi) for look in _best(looks, box, 1 if briefly else 3)]
    for scale in () if briefly else (0.85, 1.15):
        looks += [blazepose.estimate(image_rgb, look.roi.scaled(scale)) for look in _best(looks, box, 1)]
    # twice more from its own landmarks: the search ends where looking again changes nothing
    for _ in range(1 if briefly else 3):
        looks += [blazepose.estimate(image_rgb, look.next_roi) for look in _best(looks, box, 1)]
    best = _best(looks, box, 1)
    return best[0] if best and best[0].peak >= _MIN_PEAK else None


def average(
    image_rgb: Array, result: PoseResult, blazepose: BlazePose, crops: int = 5, want_mask: bool = False
) -> PoseResult:
    """``result`` averaged over slightly shifted, turned and scaled crops of its region (1–5); if there are several,
    each is also looked at in a mirror."""
    looks: list[PoseResult] = []
    for x, y, turn, scale in _JITTER[:crops]:
        roi = result.roi.shifted(x, y).turned(turn).scaled(scale)
        for mirrored in (False, True) if crops > 1 else (False,):
            look = blazepose.estimate(image_rgb, roi, want_mask and not looks, mirrored)
            # a crop in which the network sees another pose would spoil the mean
            if not looks or look.peak > 0.9 * result.peak:
                looks.append(look)
    first = looks[0].keypoints
    points2d = np.mean([look.keypoints.points2d for look in looks], axis=0)
    points3d = np.mean([look.keypoints.points3d for look in looks], axis=0)
    return replace(result, keypoints=replace(first, points2d=points2d, points3d=points3d))


def _best(looks: list[PoseResult], box: Array, count: int) -> list[PoseResult]:
    """The sharpest looks that show the person in ``box`` and not a neighbour."""
    return sorted((look for look in looks if _shows(look, box)), key=lambda look: -look.peak)[:count]


def _shows(look: PoseResult, box: Array) -> bool:
    points = look.keypoints.points2d
    sure = points[:, 2] > 0.3
    if look.keypoints.score < _MIN_SCORE or sure.sum() < 5:
        return False
    margin = 0.15 * (box[2:] - box[:2]).max()
    inside = ((points[sure, :2] > box[:2] - margin) & (points[sure, :2] < box[2:] + margin)).all(1)
    return bool(inside.mean() > 0.7)
