"""Photo or video → `Motion`: find the people, follow their keypoints, fit a body to each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError, MediaError
from monocap.fitting import Fitter
from monocap.fitting.expressive import express
from monocap.media.exif import Lens
from monocap.media.readers import Media
from monocap.motion.faces import calm_face, calm_shapes
from monocap.perception import BlazePose, Lifter, PeopleDetector, PeopleTracker, find_people_keypoints
from monocap.perception.blazepose import SKELETON
from monocap.perception.cleaning import clean
from monocap.perception.field_of_view import CameraGuess
from monocap.perception.parts import PartsFinder, bridged
from monocap.pipeline.assemble import assemble
from monocap.pipeline.calibration import guessed_camera
from monocap.pipeline.cast import cast_of
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.pipeline.people_camera import camera_by_people, guess_under
from monocap.pipeline.regress.guesses import Guesser, calm_guess
from monocap.pipeline.resume import Checkpoint
from monocap.pipeline.settings import NETWORK, PHOTO_CROPS, CaptureSettings, Preset
from monocap.pipeline.sightings import Sightings
from monocap.pipeline.vnect.networks import open_vnect
from monocap.pipeline.vnect.run import VNectCapture, ahead
from monocap.types import BodyEstimate, BodyGuess, Camera, Frame, Keypoints, Motion, Parts, Track

_FOLLOWED = 8  # people at a time
_LIVE = 4  # people that VNect follows where all are wanted: each costs a look in every frame
_BETAS = 16  # official files have up to 300; one camera cannot tell the later ones
_DETECT_EVERY = (8, 30)  # frames; a second of most videos
_PARTS_FPS, _PARTS_EVERY = 15.0, 4  # looks at hands and face in a second, about; frames between two at most
_CANDIDATES = 1  # people followed beyond those asked for: who is prominent shows only in the end


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
            if self.body.kind.name not in ("smplx", "smplh"):
                raise InputError(
                    f"body {self.settings.body!r} is {self.body.kind.title}; capture takes the open body, SMPL-X and "
                    "SMPL-H. Capture with one of these, then: monocap bodies convert"
                )
            if self.body.num_betas > _BETAS:
                self.body = self.body.with_betas(_BETAS)
            self._guessed: CameraGuess | None = None  # behind a camera that nobody gave
            self.live: VNectCapture | None = None
            if self.settings.live:  # told before the other networks are loaded, if there is none
                self.live = self._live()
            self.detector = PeopleDetector() if self.live is None else self.live.detector
            self.network = BlazePose(NETWORK[self.settings.preset])
            self.lifter = Lifter()
            hands, face = self.settings.hands, self.settings.face
            self.parts = PartsFinder(hands, face) if hands or face else None
            family = self.settings.network
            self.guesser = None if family is None else Guesser(family, self.settings.weights, self.body)

    def capture(self, media: Media, progress: Progress = silent, checkpoint: Checkpoint | None = None) -> Motion:
        """Capture an opened photo or video. Nobody found is no error: the motion then holds no people.

        Pixels are those of the source's full size, though very large ones are worked on smaller. With a
        ``checkpoint``, a video goes on where that was saved, and saves itself there now and then.
        """
        self.warnings = []
        motion = self._photo(media) if media.kind == "image" else self._video(media, progress, checkpoint)
        self.warnings = [*media.warnings, *self.warnings]
        return motion if (media.width, media.height) == media.full_size else motion.resized(*media.full_size)

    def capture_pixels(self, image: NDArray[np.uint8]) -> Motion:
        """Capture a picture (H,W,3) uint8 RGB that is already in memory. Raises InputError if it is anything else."""
        self.warnings = []
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image has shape {image.shape} and type {image.dtype}; expected (H, W, 3) uint8 RGB")
        height, width = image.shape[:2]
        return self._still(image, self._camera(image, (width, height), None))

    def _live(self) -> VNectCapture:
        settings = self.settings
        most = settings.most_people or _LIVE
        network = open_vnect(settings.weights)
        return VNectCapture(
            network, PeopleDetector(), self.body, settings.height, settings.smooth, most, settings.refine
        )

    def fit_still(
        self, keypoints: Keypoints, camera: Camera, parts: Parts | None = None, guess: BodyGuess | None = None
    ) -> BodyEstimate:
        """The body of one picture (T = 1) from its keypoints, their 3D hints replaced by the lifter's, and from the
        ``parts`` (1,…), hands and face, if they were looked for, and a regression network's ``guess`` (1,…)."""
        if guess is not None and not self.settings.refine:
            return self._express(self.say_still(keypoints, camera, guess), parts, camera, np.zeros(1))
        with self.clock.stage("lift"):
            lifted = self.lifter.lift(keypoints.points2d[None], camera, keypoints.points3d[None])[0]
        with self.clock.stage("fit"):
            estimate = self._fitter(camera).photo(replace(keypoints, points3d=lifted, mask=None), guess)
        return self._express(estimate, parts, camera, np.zeros(1))

    def guess_still(self, image: NDArray[np.uint8], keypoints: Keypoints, camera: Camera) -> BodyGuess | None:
        """What the regression network says of one person in a picture (T = 1), if one is asked."""
        return _of_one(self.guess(image, {0: keypoints}, camera, twice=True).get(0))

    def say_still(self, keypoints: Keypoints, camera: Camera, guess: BodyGuess) -> BodyEstimate:
        """The body of one picture as a ``guess`` (1,…) has it, nothing fitted."""
        with self.clock.stage("regress"):
            return self._fitter(camera).as_guessed(_still_track(0, keypoints, None, guess))

    def _photo(self, media: Media) -> Motion:
        with self.clock.stage("decode"):
            frame = next(iter(media))
        return self._still(frame.image, self._camera_of(media, frame.image))

    def _camera_of(self, media: Media, image: NDArray[np.uint8]) -> Camera:
        """The camera of the frames that are worked on, ``image`` one of them; what is given is of the full size."""
        return self._camera(image, media.full_size, media.lens).resized(media.width, media.height)

    def _camera(self, image: NDArray[np.uint8], size: tuple[int, int], lens: Lens | None) -> Camera:
        """As the user gave it or EXIF is sure of it; else guessed from the picture, which the user is told."""
        if self.settings.camera_given or (lens is not None and lens.sure):
            self._guessed = None
            return self.settings.camera(*size, None if lens is None else lens.focal)[0]
        with self.clock.stage("camera"):
            camera, self._guessed, told = guessed_camera(image, size, lens)
        self.warnings.append(told)
        return camera

    def _told_camera(self, tracks: list[Track], times: NDArray[np.float64], camera: Camera) -> Camera:
        """The camera of a video, which was only guessed, as the people who walk there tell it; the guess, if not."""
        whole = self._guessed
        if whole is None or not tracks or not self.settings.refine:
            return camera
        with self.clock.stage("camera"):
            guess = replace(whole, focal=camera.fx)
            fit = camera_by_people(self.body, self.settings.fit_options, self.lifter, tracks, times, camera, guess)
        if fit is None or not fit.told:
            return camera
        self.warnings = [line for line in self.warnings if not line.startswith("focal length ")]
        focal, within = fit.camera.fx * whole.focal / camera.fx, np.expm1(fit.log_sigma)
        self.warnings.append(
            f"focal length {focal:.0f} px by how people walk and stand, give or take {within:.0%} (before: "
            f"{whole.focal:.0f} px, {whole.source}); give --focal or --fov if you know better"
        )
        return fit.camera

    def _still(self, image: NDArray[np.uint8], camera: Camera) -> Motion:
        if self.live is not None:
            self.live.clock = self.clock
            people = self.live.still(image, camera)
            if not people:
                self.warnings.append("nobody found in the picture")
            return assemble(self.body, camera, 1.0, np.zeros(1, np.int64), np.zeros(1), people)
        crops = PHOTO_CROPS[self.settings.preset]
        with self.clock.stage("keypoints"):
            found = find_people_keypoints(
                image,
                most=self.settings.most_people,
                detector=self.detector,
                blazepose=self.network,
                jittered=crops,
            )
        if not found:
            self.warnings.append("nobody found in the picture")
        parts = self._parts(image, dict(enumerate(found)), new=True)
        guesses = self.guess(image, dict(enumerate(found)), camera, twice=True)
        tracks = [_still_track(i, one, parts.get(i), _of_one(guesses.get(i))) for i, one in enumerate(found)]
        people = [(t, self.fit_still(one, camera, t.parts, t.guess)) for t, one in zip(tracks, found, strict=True)]
        return assemble(self.body, camera, 1.0, np.zeros(1, np.int64), np.zeros(1), people)

    def _video(self, media: Media, progress: Progress, checkpoint: Checkpoint | None) -> Motion:
        first = next(iter(media), None)
        if first is None:
            raise MediaError(f"{media.path}: no frame could be decoded; is it a whole video file?")
        camera = self._camera_of(media, first.image)
        if self.live is not None:
            return self._follow_live(self.live, media, camera, progress)
        most = self.settings.most_people
        limit = _FOLLOWED if most is None else min(most + _CANDIDATES, _FOLLOWED)
        every = int(np.clip(round(media.fps), *_DETECT_EVERY))
        tracker = PeopleTracker(self.detector, self.network, detect_every=every, limit=max(limit, most or 1))
        sightings = Sightings(SKELETON, parts=self.parts is not None, guesses=self.guesser is not None)
        if self.parts is not None:
            preset = self.settings.preset
            self.parts.forget(looks_every(preset, media.fps), "brief" if preset == "fast" else "usual")
        if checkpoint is not None and (saved := checkpoint.keypoints()) is not None:
            tracker.restore(_part(saved, "tracker."))
            sightings.restore(_part(saved, "sightings."))
            if self.parts is not None:
                self.parts.restore(_part(saved, "parts."))
            checkpoint.resumed_from = sightings.frames
        frames = media.frames(sightings.frames)
        while (frame := self._next(frames)) is not None:
            with self.clock.stage("keypoints"):
                seen = tracker.step(frame.image)
            parts = self._parts(frame.image, seen)
            sightings.add(frame.time, seen, tracker.looks(), parts, self.guess(frame.image, seen, camera))
            progress("keypoints", sightings.frames, media.frame_count)
            if checkpoint is not None:
                with self.clock.stage("checkpoint"):
                    checkpoint.offer(partial(_state, tracker, sightings, self.parts))
        count = sightings.frames
        if not count:
            raise MediaError(f"{media.path}: no frame could be decoded; is it a whole video file?")
        tracks = self._decide(sightings, tracker.confirmed, camera)
        told = self._told_camera(tracks, sightings.times, camera)
        if told is not camera:
            tracks = [t if t.guess is None else replace(t, guess=guess_under(t.guess, camera, told)) for t in tracks]
            camera = told
        people = [self._fit_track(track, camera, sightings.times, progress) for track in tracks]
        times, raw = sightings.times.copy(), self.settings.smooth == 0 or not self.settings.refine
        with self.clock.stage("settle"):
            return assemble(self.body, camera, media.fps, np.arange(count), times, people, hold_feet=not raw)

    def _follow_live(self, live: VNectCapture, media: Media, camera: Camera, progress: Progress) -> Motion:
        """A video by VNect: frame by frame, the next ones decoded meanwhile."""
        live.clock = self.clock
        live.begin()
        frames = ahead(media.frames(0))
        while (frame := self._next(frames)) is not None:
            live.step(frame, camera)
            progress("keypoints", live.frames, media.frame_count)
        if not live.frames:
            raise MediaError(f"{media.path}: no frame could be decoded; is it a whole video file?")
        people = live.finish(camera)
        self._warn_of_absence([track for track, _ in people], live.frames)
        raw = self.settings.smooth == 0 or not self.settings.refine
        with self.clock.stage("settle"):
            times = np.array(live.times)
            return assemble(self.body, camera, media.fps, np.arange(len(times)), times, people, hold_feet=not raw)

    def _decide(self, sightings: Sightings, confirmed: Collection[int], camera: Camera) -> list[Track]:
        """The people to capture; what the user should know about them goes to the warnings."""
        cast = cast_of(sightings, confirmed, camera.width, camera.height, self.settings.most_people)
        if cast.doubtful:
            what = "sighting was" if cast.doubtful == 1 else "sightings were"
            self.warnings.append(f"{cast.doubtful} {what} too short or too doubtful to be a person")
        if cast.less_prominent:
            self.warnings.append(f"{cast.less_prominent} less prominent people were left out; see --people")
        self._warn_of_absence(cast.tracks, sightings.frames)
        return cast.tracks

    def _warn_of_absence(self, tracks: Sequence[Track], frames: int) -> None:
        if not tracks:
            self.warnings.append(f"nobody found in {frames} frames")
        for track in tracks:
            found = int(track.valid.sum())
            if found < frames:
                self.warnings.append(f"person {track.track_id} was found in {found} of {frames} frames; see 'valid'")

    def _fit_track(
        self, track: Track, camera: Camera, times: NDArray[np.float64], progress: Progress
    ) -> tuple[Track, BodyEstimate]:
        """The track as detected, but with the lifter's 3D, and the body fitted to the track once that is cleaned."""
        if track.guess is not None and not self.settings.refine:
            with self.clock.stage("smooth"):
                guess = calm_guess(track.guess, track.valid, times, self.settings.smooth)
                estimate = self._fitter(camera).as_guessed(replace(track, guess=guess))
            return self._with_parts(track, estimate, camera, times)
        with self.clock.stage("clean"):
            cleaned = clean(track, times)
            usable = replace(cleaned.track, valid=track.valid & ~cleaned.blinks)
        with self.clock.stage("lift"):
            lifted = np.zeros(track.points3d.shape)
            found = usable.valid
            lifted[found] = self.lifter.lift(usable.points2d[found], camera, usable.points3d[found])
            usable = replace(usable, points3d=lifted)
        with self.clock.stage("fit"):
            estimate = self._fitter(camera).video(usable, times, partial(progress, "fit"))
        track, estimate = self._with_parts(track, estimate, camera, times)
        # In a blink the person was there, only the pose had to be bridged.
        return replace(track, points3d=lifted), replace(estimate, valid=track.valid)

    def _with_parts(
        self, track: Track, estimate: BodyEstimate, camera: Camera, times: NDArray[np.float64]
    ) -> tuple[Track, BodyEstimate]:
        """Hands and face of a video, if they were looked for: fitted to looks, and the track's bridged between them."""
        if track.parts is None or self.parts is None:
            return track, estimate
        every = self.parts.every
        whole = calm_shapes(bridged(track.parts, track.valid, every), times)
        looks = replace(track.parts, shapes=whole.shapes)
        return replace(track, parts=whole), self._express(estimate, looks, camera, times, every)

    def guess(
        self, image: NDArray[np.uint8], seen: Mapping[int, Keypoints], camera: Camera, twice: bool = False
    ) -> dict[int, BodyGuess]:
        """What the regression network says of everybody seen in a picture, if one is asked; without batch shape.

        A photo is looked at ``twice``, also in a mirror."""
        if self.guesser is None or not seen:
            return {}
        with self.clock.stage("regress"):
            return self.guesser.step(image, seen, camera, twice)

    def _parts(self, image: NDArray[np.uint8], seen: Mapping[int, Keypoints], new: bool = False) -> dict[int, Parts]:
        """Hands and faces of everybody seen in the next frame, or in a ``new`` picture, if they are wanted."""
        if self.parts is None:
            return {}
        if new:
            self.parts.forget()
        with self.clock.stage("hands and face"):
            return self.parts.step(image, seen)

    def _express(
        self, estimate: BodyEstimate, parts: Parts | None, camera: Camera, times: NDArray[np.float64], every: int = 1
    ) -> BodyEstimate:
        if parts is None:
            return estimate
        with self.clock.stage("fit hands and face"):
            estimate = express(
                self.body,
                estimate,
                parts,
                camera,
                times,
                hands=self.settings.hands,
                face=self.settings.face,
                smooth=self.settings.smooth,
                every=every,
            )
            return calm_face(estimate, times, self.settings.smooth)

    def _next(self, frames: Iterator[Frame]) -> Frame | None:
        with self.clock.stage("decode"):
            return next(frames, None)

    def _fitter(self, camera: Camera) -> Fitter:
        return Fitter(self.body, camera, self.settings.fit_options)


def looks_every(preset: Preset, fps: float) -> int:
    """From how many frames to how many hands and faces of a video are looked at: accurately in each, else by turns."""
    return 1 if preset == "accurate" else int(np.clip(round(fps / _PARTS_FPS), 1, _PARTS_EVERY))


def _state(tracker: PeopleTracker, sightings: Sightings, finder: PartsFinder | None) -> dict[str, NDArray[Any]]:
    """All that a video's keypoint stage has in memory, under names that `_part` takes apart."""
    parts = {"tracker.": tracker.state(), "sightings.": sightings.state()}
    if finder is not None:
        parts["parts."] = finder.state()
    return {prefix + name: array for prefix, part in parts.items() for name, array in part.items()}


def _part(saved: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in saved.items() if name.startswith(prefix)}


def _of_one(guess: BodyGuess | None) -> BodyGuess | None:
    """With T = 1."""
    return None if guess is None else BodyGuess(guess.pose[None], guess.betas[None], guess.pelvis[None])


def _still_track(identity: int, keypoints: Keypoints, parts: Parts | None, guess: BodyGuess | None = None) -> Track:
    points2d, points3d = keypoints.points2d[None], keypoints.points3d[None]
    score = np.array([keypoints.score])
    if parts is not None:
        parts = Parts(parts.hands[None], parts.face[None], parts.shapes[None])
    return Track(identity, keypoints.skeleton, points2d, points3d, np.array([True]), score, parts, guess)
