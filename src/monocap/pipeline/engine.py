"""Photo or video → `Motion`: find the person, follow their keypoints, fit the body. One person for now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError, MediaError
from monocap.fitting import Fitter
from monocap.media.readers import Media
from monocap.perception import BlazePose, Lifter, PeopleDetector, PersonTracker, find_person_keypoints
from monocap.pipeline.assemble import assemble
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.pipeline.settings import NETWORK, PHOTO_CROPS, CaptureSettings
from monocap.types import BodyEstimate, Camera, Frame, Keypoints, Motion, Track


class CaptureEngine:
    """Holds body and networks, so that several inputs pay for loading once.

    ``warnings`` collects, in plain words, what the user should know about the last capture.
    """

    def __init__(self, settings: CaptureSettings | None = None, clock: StageClock | None = None) -> None:
        self.settings = settings or CaptureSettings()
        self.clock = clock or StageClock()
        self.warnings: list[str] = []
        with self.clock.stage("load"):
            self.body: BodyModel = load_body(self.settings.body)
            self.detector = PeopleDetector()
            self.network = BlazePose(NETWORK[self.settings.preset])
            self.lifter = Lifter()

    def capture(self, media: Media, progress: Progress = silent) -> Motion:
        """Capture an opened photo or video. Nobody found is no error: the motion then holds no people."""
        self.warnings = []
        motion = self._photo(media) if media.kind == "image" else self._video(media, progress)
        self.warnings = [*media.warnings, *self.warnings]
        return motion

    def capture_pixels(self, image: NDArray[np.uint8]) -> Motion:
        """Capture a picture (H,W,3) uint8 RGB that is already in memory. Raises InputError if it is anything else."""
        self.warnings = []
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image has shape {image.shape} and type {image.dtype}; expected (H, W, 3) uint8 RGB")
        return self._still(image, None)

    def fit_still(self, keypoints: Keypoints, camera: Camera) -> BodyEstimate:
        """The body of one picture (T = 1) from its keypoints, their 3D hints replaced by the lifter's."""
        with self.clock.stage("lift"):
            lifted = self.lifter.lift(keypoints.points2d[None], camera)[0]
        with self.clock.stage("fit"):
            return self._fitter(camera).photo(replace(keypoints, points3d=lifted, mask=None))

    def _photo(self, media: Media) -> Motion:
        with self.clock.stage("decode"):
            frame = next(iter(media))
        return self._still(frame.image, media.focal_px)

    def _camera(self, width: int, height: int, focal_px: float | None) -> Camera:
        camera, origin = self.settings.camera(width, height, focal_px)
        if origin == "assumed":
            self.warnings.append(
                f"focal length unknown, {camera.fx:.0f} px assumed; give --focal or --fov for truer depth"
            )
        return camera

    def _still(self, image: NDArray[np.uint8], focal_px: float | None) -> Motion:
        height, width = image.shape[:2]
        camera = self._camera(width, height, focal_px)
        crops = PHOTO_CROPS[self.settings.preset]
        with self.clock.stage("keypoints"):
            keypoints = find_person_keypoints(image, detector=self.detector, blazepose=self.network, jittered=crops)
        people = []
        if keypoints is None:
            self.warnings.append("nobody found in the picture")
        else:
            estimate = self.fit_still(keypoints, camera)
            people.append((_track([keypoints], keypoints.skeleton), estimate))
        return assemble(self.body, camera, 1.0, np.zeros(1, np.int64), np.zeros(1), people)

    def _video(self, media: Media, progress: Progress) -> Motion:
        camera = self._camera(media.width, media.height, media.focal_px)
        tracker = PersonTracker(self.detector, self.network)
        found: list[Keypoints | None] = []
        times: list[float] = []
        frames = iter(media)
        while (frame := self._next(frames)) is not None:
            with self.clock.stage("keypoints"):
                keypoints = tracker.step(frame.image)
            found.append(None if keypoints is None else replace(keypoints, mask=None))
            times.append(frame.time)
            progress("keypoints", len(found), media.frame_count)
        if not found:
            raise MediaError(f"{media.path}: no frame could be decoded; is it a whole video file?")
        stamps, index = np.array(times), np.arange(len(found))
        seen = [keypoints for keypoints in found if keypoints is not None]
        people = []
        if not seen:
            self.warnings.append(f"nobody found in {len(found)} frames")
        else:
            if len(seen) < len(found):
                self.warnings.append(f"the person was found in {len(seen)} of {len(found)} frames; see 'valid'")
            track = _track(found, seen[0].skeleton)
            with self.clock.stage("lift"):
                track = replace(track, points3d=self.lifter.lift(track.points2d, camera))
            with self.clock.stage("fit"):
                report = partial(progress, "fit")
                people.append((track, self._fitter(camera).video(track, stamps, report)))
        return assemble(self.body, camera, media.fps, index, stamps, people)

    def _next(self, frames: Iterator[Frame]) -> Frame | None:
        with self.clock.stage("decode"):
            return next(frames, None)

    def _fitter(self, camera: Camera) -> Fitter:
        return Fitter(self.body, camera, self.settings.fit_options)


def _track(found: list[Keypoints | None], skeleton: str) -> Track:
    template = next(keypoints for keypoints in found if keypoints is not None)
    empty = np.zeros_like(template.points2d), np.zeros_like(template.points3d)
    return Track(
        track_id=0,
        skeleton=skeleton,
        points2d=np.stack([empty[0] if k is None else k.points2d for k in found]),
        points3d=np.stack([empty[1] if k is None else k.points3d for k in found]),
        valid=np.array([k is not None for k in found]),
        score=np.array([0.0 if k is None else k.score for k in found]),
    )
