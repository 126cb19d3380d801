"""Who is who in one frame: followed people against everybody seen, jointly.

Deciding one by one lets the first take the body of the second, who then takes a third's; the assignment that is the
likeliest as a whole does not. A body belongs to one person only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from monocap.perception import appearance, people
from monocap.perception.blazepose import PoseResult
from monocap.perception.followed import Followed, box_of, closeness, coco_of, likeness
from monocap.types import Detections

Array = NDArray[Any]

# Among the bodies that a person can be, looks decide; more similar by as much must somebody be who stands farther off,
# or whom the person's own region did not show.
_NEARER, _STAY, _ANY = 0.1, 0.15, 0.01
_SAME_BOX = 0.75  # intersection over union of landmarks' boxes


@dataclass
class Body:
    """Somebody seen in a frame: by following (``result``), by the detector (``detection``, its row), or by both."""

    coco: Array  # (17,3)
    looks: Array
    result: PoseResult | None = None
    detection: int | None = None


def bodies_of(
    results: Sequence[PoseResult | None], found: Detections | None, describe: Callable[[Array], Array]
) -> tuple[list[Body], list[int | None]]:
    """Everybody seen, each once, and which of them each region showed; ``describe`` tells looks by COCO keypoints."""
    bodies: list[Body] = []
    own: list[int | None] = []
    for result in results:
        own.append(None)
        if result is None:
            continue
        coco = coco_of(result.keypoints.points2d)
        same = next((i for i, body in enumerate(bodies) if people.same_person(body.coco, coco)), None)
        if same is None:
            bodies.append(Body(coco, describe(coco), result))
        elif result.peak > (bodies[same].result or result).peak:
            bodies[same] = Body(coco, describe(coco), result)
        own[-1] = len(bodies) - 1 if same is None else same
    for row, coco in enumerate(() if found is None else found.keypoints):
        same = [body for body in bodies if body.result is not None and people.same_person(body.coco, coco)]
        if not same:
            bodies.append(Body(coco, describe(coco), detection=row))
        elif all(body.detection is None for body in same):
            nearest = min(same, key=lambda body: float(np.linalg.norm(body.coco[:, :2] - coco[:, :2])))
            nearest.detection = row
    return bodies, own


def share_out(persons: Sequence[Followed], bodies: list[Body], own: list[int | None]) -> list[int | None]:
    """Which body each person is, or None: no body is two people's, and together they fit best."""
    fits = np.zeros((len(persons), len(bodies)))
    for i, person in enumerate(persons):
        for j, body in enumerate(bodies):
            if own[i] == j or likeness(person, body.coco, body.looks) > 0:
                fits[i, j] = appearance.similarity(person.looks, body.looks) + _NEARER * closeness(person, body.coco)
                fits[i, j] += _STAY * (own[i] == j) + _ANY
    chosen: list[int | None] = [None] * len(persons)
    for i, j in zip(*linear_sum_assignment(fits, maximize=True), strict=True):
        if fits[i, j] > 0:
            chosen[i] = int(j)
    return chosen


def unshared(
    persons: Sequence[Followed], results: Sequence[PoseResult | None], own: Sequence[int | None]
) -> list[PoseResult | None]:
    """``results`` with nobody seen twice: of people who got the same body, the one who had it before keeps it."""
    kept: list[PoseResult | None] = [None] * len(persons)
    first = sorted(range(len(persons)), key=lambda i: (own[i] is None, persons[i].lost, -persons[i].seen))
    for i in first:
        result = results[i]
        others = [coco_of(other.keypoints.points2d) for other in kept if other is not None]
        if result is not None:
            coco = coco_of(result.keypoints.points2d)
            kept[i] = None if any(people.same_person(coco, other) for other in others) else result
    return kept


def same_body(first: PoseResult, second: PoseResult) -> bool:
    """Whether two looks show one person: most keypoints agree, or the landmarks fill the same box.

    For somebody new: people known to be two may well fill the same box for a moment.
    """
    one, other = first.keypoints.points2d, second.keypoints.points2d
    if people.same_person(coco_of(one), coco_of(other)):
        return True
    return people.overlap(box_of(one), box_of(other)) > _SAME_BOX
