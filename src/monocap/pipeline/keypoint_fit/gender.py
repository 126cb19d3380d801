"""``--gender auto`` where the keypoint file says nothing: pictures are looked at, if there are any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from monocap.assets import manifest
from monocap.data.keypoint_files import KeypointSet
from monocap.errors import MediaError
from monocap.media.pictures import read_picture
from monocap.perception.gender import SHIPPED, GenderNetwork
from monocap.pipeline.keypoint_fit.settings import FitSettings


class GenderChoice:
    """What ``--gender auto`` adds to keypoint files; ``settings`` with another gender add nothing.

    Raises AssetError where ``gender_weights`` are no gender network.
    """

    def __init__(self, settings: FitSettings) -> None:
        self._auto, self._body = settings.gender == "auto", settings.common.body
        self._network: GenderNetwork | None = None
        if self._auto and settings.gender_weights is not None:
            self._network = GenderNetwork(settings.gender_weights)
        elif self._auto and SHIPPED in {asset.name for asset in manifest.listing()}:
            self._network = GenderNetwork()

    def completed(self, found: KeypointSet) -> KeypointSet:
        """The set with everybody's gender as far as it can be told, and a note of what could not."""
        unknown = sum(one is None for picture in found.pictures for one in picture.gender)
        if not self._auto or not unknown:
            return found
        people = f"{unknown} {'person' if unknown == 1 else 'people'}"
        if not Path(self._body).is_dir():
            told = f"the body {self._body!r} is the same for everybody; give --body the folder of the official files"
            return found.with_notes(f"--gender auto: {told}")
        if self._network is None:
            told = f"the keypoint file does not say it of {people}, who stay neutral; give --gender-weights FILE"
            return found.with_notes(f"--gender auto: {told} (docs/gender.md)")
        if all(picture.image is None for picture in found.pictures):
            told = f"{people} stay neutral, since no pictures are at hand; give --images DIR"
            return found.with_notes(f"--gender auto: {told}")
        return with_genders(found, self._network)


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
    return replace(found, pictures=tuple(pictures)).with_notes(*([note] if looked else []))
