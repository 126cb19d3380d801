"""``--gender auto`` where the keypoint file says nothing: pictures are looked at, if there are any."""

from __future__ import annotations

from dataclasses import replace

from monocap.data.keypoint_files import KeypointSet
from monocap.errors import MediaError
from monocap.media.pictures import read_picture
from monocap.perception.gender import GenderNetwork


def with_genders(found: KeypointSet, network: GenderNetwork) -> KeypointSet:
    """The set with what ``network`` says of everybody whom the file does not call anything, in pictures that are at
    hand (not the frames of a video file); neutral where it is not sure. One note tells how many were looked at."""
    pictures, looked, sure = [], 0, 0
    for one in found.pictures:
        if one.image is None or None not in one.gender:
            pictures.append(one)
            continue
        try:
            image = read_picture(one.image).image
        except MediaError:  # told when it is drawn on; the fit itself needs no picture
            pictures.append(one)
            continue
        said: list[str | None] = list(one.gender)
        for row, points in enumerate(one.points):
            if said[row] is None:
                said[row] = network.estimate(image, points, found.skeleton).said
                looked, sure = looked + 1, sure + (said[row] != "neutral")
        pictures.append(replace(one, gender=tuple(said)))
    note = (
        f"--gender auto: {looked} people looked at, {looked - sure} of them neutral, since unsure; see docs/gender.md"
    )
    return replace(found, pictures=tuple(pictures), notes=(*found.notes, *([note] if looked else [])))
