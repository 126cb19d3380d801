"""Keypoints → bodies: pictures in batches, videos person by person. The one place that calls the fitting recipes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.data.keypoint_files import KeypointPicture, KeypointSet
from monocap.data.keypoint_files.pictures import numbered
from monocap.errors import InputError
from monocap.fitting.smplifyx import recipe
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.result import Fitted
from monocap.pipeline.clock import Progress, StageClock, silent
from monocap.pipeline.keypoint_fit.motion import FittedPerson, motion_of
from monocap.pipeline.keypoint_fit.people import by_prominence, follow
from monocap.pipeline.keypoint_fit.settings import FitSettings
from monocap.pipeline.keypoint_fit.skeleton import fit_skeleton
from monocap.pipeline.keypoint_fit.state import packed, taken, unpacked
from monocap.types import Array, Camera, Motion, Track

_BATCH = {False: 32, True: 4}  # people at a time; the faithful fit takes some ten seconds each
_BETAS = 16  # official files have up to 300; one camera cannot tell the later ones
_TARGETS = ("openpose25", "openpose67", "openpose135")  # what is fitted, from few points to all
_GENDERED = "{kind}_{gender}{suffix}"
_VIDEO_FPS = 30.0

Counted = Callable[[int, int], None]


class Parts(Protocol):
    """Where finished pieces of work are kept until everything is done (`pipeline.resume.Checkpoint`)."""

    def part(self, name: str) -> Mapping[str, Array] | None: ...

    def keep_part(self, name: str, arrays: Mapping[str, Array]) -> None: ...


@dataclass(frozen=True)
class Fit:
    """One picture, or a whole video of T frames at ``times`` (T,) s: its people as they were fitted, and their body.

    ``index`` is the picture's place in the set, ``skeleton`` that of the keypoints.
    """

    name: str
    index: int
    body: BodyModel
    camera: Camera
    fps: float
    times: Array
    people: tuple[FittedPerson, ...]
    skeleton: str

    @cached_property
    def motion(self) -> Motion:
        """People in the order of ``people``; made when it is asked for."""
        return motion_of(self.body, self.camera, self.fps, self.times, self.people, self.skeleton)


class KeypointFitter:
    """Fits the people of keypoint sets; bodies are loaded once. ``warnings`` collects what the user should know."""

    def __init__(self, settings: FitSettings, clock: StageClock | None = None) -> None:
        self.settings = settings
        self.clock = clock or StageClock()
        self.warnings: list[str] = []
        self._bodies: dict[str, BodyModel] = {}
        common = settings.common
        self._options = recipe.Options(  # that of pictures; videos: `_recipe`
            recipe="smplify" if settings.recipe == "smplify" else "smplifyx",
            faithful=settings.faithful,
            height=common.height,
            interpenetration=settings.interpenetration,
            smooth=common.smooth,
        )

    def fit(self, found: KeypointSet, progress: Progress = silent, parts: Parts | None = None) -> Iterator[Fit]:
        """A set whose pictures all know their size → a `Fit` per picture as they are done, or one of the whole video.

        Raises InputError for what cannot be fitted.
        """
        self.warnings = list(found.notes)
        if is_video(found, self.settings):
            yield self._video(found, progress, parts)
        else:
            yield from self._pictures(found, progress, parts)

    # ------------------------------------------------------------------ pictures
    def _pictures(self, found: KeypointSet, progress: Progress, parts: Parts | None) -> Iterator[Fit]:
        most = self.settings.common.most_people
        chosen = [by_prominence(picture, most) for picture in found.pictures]
        total, done = sum(map(len, chosen)), 0
        for number, batch in enumerate(self._batches(found, chosen)):
            people = [(i, row) for i in batch for row in chosen[i]]
            body = self.body(_gender(self.settings, [found.pictures[i] for i in batch]))
            fitted = None
            if people:
                solve = partial(recipe.fit, self._views(found, people), body, self._options)
                fitted = self._kept(f"fit_{number:05d}", solve, parts, progress, (done, total, len(people)))
                done += len(people)
                progress("fit", done, total)
            row = 0
            for i in batch:
                count = len(chosen[i])
                rows = np.arange(row, row + count)
                row += count
                yield self._picture(found, i, chosen[i], body, None if fitted is None else taken(fitted, rows))

    def _batches(self, found: KeypointSet, chosen: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Whole pictures in order, about so many people together, all with the same body."""
        batch: list[int] = []
        gender, people = "", 0
        for i, rows in enumerate(chosen):
            own = _gender(self.settings, [found.pictures[i]])
            if batch and (own != gender or people + len(rows) > _BATCH[self.settings.faithful]):
                yield batch
                batch, people = [], 0
            batch.append(i)
            gender, people = own, people + len(rows)
        if batch:
            yield batch

    def _views(self, found: KeypointSet, people: Sequence[tuple[int, int]]) -> Views:
        points, skeleton = to_fit(np.stack([found.pictures[i].points[row] for i, row in people]), found.skeleton)
        cameras = [self.camera(found, i) for i, _ in people]
        return Views(
            keypoints=points,
            skeleton=skeleton,
            image_size=np.array([[camera.width, camera.height] for camera in cameras]),
            K=np.stack([camera.K for camera in cameras]),
            **self._evidence(found, [i for i, _ in people]),
            names=tuple(f"{found.pictures[i].name}/{row:03d}" for i, row in people),
        )

    def _picture(
        self, found: KeypointSet, index: int, rows: Sequence[int], body: BodyModel, fitted: Fitted | None
    ) -> Fit:
        picture = found.pictures[index]
        people = []
        for rank, row in enumerate(rows):
            assert fitted is not None
            points = picture.points[row][None]
            seen = points[..., 2] > 0
            score = points[..., 2].sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
            track = Track(rank, found.skeleton, points, np.zeros_like(points), np.array([True]), score)
            people.append(FittedPerson(track, np.zeros(1, np.int64), taken(fitted, np.array([rank]))))
        lost = sum(not bool(person.fitted.found[0]) for person in people)
        if lost:
            self.warn(f"{picture.name}: {lost} of {len(rows)} people have too few points to be fitted")
        camera = self.camera(found, index)
        return Fit(picture.name, index, body, camera, 1.0, np.zeros(1), tuple(people), found.skeleton)

    # ------------------------------------------------------------------ video
    def _video(self, found: KeypointSet, progress: Progress, parts: Parts | None) -> Fit:
        frames = numbered(found)
        fps = self.settings.fps or found.fps or _VIDEO_FPS
        if self.settings.fps is None and found.fps is None:
            self.warn(f"{fps:.0f} frames per second assumed; give --fps, or --images VIDEO")
        count = max(frames, default=-1) + 1
        followed, notes = follow(found.pictures, found.skeleton, frames, fps, count, self.settings.common.most_people)
        self.warnings += notes
        gender = _gender(self.settings, found.pictures)
        body, camera = self.body(gender), self.camera(found, 0)
        if any(picture.size != found.pictures[0].size for picture in found.pictures):
            raise InputError("the frames of a video must be of one size; leave --fps out for separate pictures")
        times = np.arange(count) / fps
        people = []
        for person in followed:
            track = person.track
            seen = np.flatnonzero(track.valid)
            done = sum(len(one.frames) for one in people)
            total = sum(int(one.track.valid.sum()) for one in followed)
            place_of = {frame: i for i, frame in enumerate(frames)}
            rows = [place_of[int(frame)] for frame in seen]
            solve = self._recipe(track, seen, found, rows, camera, times, body)
            place = done, total, len(seen)
            fitted = self._kept(f"fit_{track.track_id:05d}", solve, parts, progress, place)
            people.append(FittedPerson(track, seen, fitted))
            betas = np.asarray(fitted.params.betas)[np.asarray(fitted.found, bool)]
            if len(betas) and np.ptp(betas, axis=0).max() > 1e-6:
                self.warn("every frame was fitted with a shape of its own; the motion holds their mean")
            if len(seen) < count:
                self.warn(f"person {track.track_id} was found in {len(seen)} of {count} frames; see 'valid'")
        if not people:
            self.warn(f"nobody in {count} frames")
        return Fit("motion", 0, body, camera, fps, times, tuple(people), found.skeleton)

    # ------------------------------------------------------------------ shared
    def _recipe(
        self,
        track: Track,
        seen: NDArray[np.int64],
        found: KeypointSet,
        rows: Sequence[int],
        camera: Camera,
        times: Array,
        body: BodyModel,
    ) -> Callable[[Counted], Fitted]:
        """What fits one person of a video, ``seen`` in frames that are the pictures ``rows`` of the set."""
        points, skeleton = track.points2d[seen], found.skeleton
        if self.settings.recipe == "skeleton":
            height = self.settings.common.height
            return lambda told: fit_skeleton(points, skeleton, camera, times[seen], body, height, told)
        # One shape for all frames; and smooth over time, unless another recipe is asked for or a frame is alone.
        options = replace(self._options, share_betas=True)
        if self.settings.recipe in ("auto", "video") and not self.settings.faithful and len(seen) > 1:
            options = replace(options, recipe="video")
        points, skeleton = to_fit(points, skeleton)
        size = np.array([camera.width, camera.height])
        extra = self._evidence(found, rows)
        views = Views(points, skeleton, size, camera.K, times[seen] if options.recipe == "video" else None, **extra)
        return lambda told: recipe.fit(views, body, options, told)

    def _evidence(self, found: KeypointSet, rows: Sequence[int]) -> dict[str, Any]:
        """Scans, masks and depths of pictures by number, as `Views` takes them."""
        evidence = self.settings.evidence
        if not evidence.places:
            return {}
        if (evidence.scan or evidence.mask) and len(set(rows)) < len(rows):
            raise InputError("a scan or mask is of one person; add --people largest")
        pictures = [found.pictures[i] for i in rows]
        return evidence.of([one.name for one in pictures], [one.size or (0, 0) for one in pictures])

    def _kept(
        self,
        name: str,
        solve: Callable[[Counted], Fitted],
        parts: Parts | None,
        progress: Progress,
        place: tuple[int, int, int],
    ) -> Fitted:
        """What ``solve`` gives, or what an earlier run kept under this name. ``place``: done before, in all, here."""
        kept = None if parts is None else parts.part(name)
        if kept is not None:
            return unpacked(kept)
        before, total, own = place

        def told(done: int, of: int) -> None:
            progress("fit", before + round(own * done / max(of, 1)), total)

        with self.clock.stage("fit"):
            fitted = solve(told)
        for line in fitted.warnings:
            self.warn(line)
        if parts is not None:
            parts.keep_part(name, packed(fitted))
        return fitted

    def camera(self, found: KeypointSet, index: int) -> Camera:
        """The pinhole camera of a picture: given, of the file, its EXIF's, or assumed (that is told once)."""
        picture, common = found.pictures[index], self.settings.common
        assert picture.size is not None
        width, height = picture.size
        given = common.intrinsics is not None or common.focal is not None or common.fov is not None
        if found.K is not None and not given:
            K = found.K
            return Camera(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), width, height)
        camera, origin = common.camera(width, height, picture.focal)
        if origin == "assumed":
            self.warn(f"focal length unknown, {camera.fx:.0f} px assumed; give --focal or --fov for truer depth")
        return camera

    def body(self, gender: str = "neutral") -> BodyModel:
        """The body of that gender; one file serves all unless --body is a folder of official files."""
        if gender not in self._bodies:
            with self.clock.stage("load"):
                body = load_body(body_file(self.settings.common.body, gender))
            if body.kind.name not in ("smplx", "smplh"):
                raise InputError(
                    f"body {body.name!r} is {body.kind.title}; fit takes the open body, SMPL-X and SMPL-H. Fit one of "
                    "these, then: monocap bodies convert"
                )
            self._bodies[gender] = body.with_betas(_BETAS) if body.num_betas > _BETAS else body
        return self._bodies[gender]

    def warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)


def is_video(found: KeypointSet, settings: FitSettings) -> bool:
    """Whether the pictures are frames of one video: the file says so, or the user does by --fps or --recipe video."""
    if settings.fps is not None or settings.recipe in ("video", "skeleton"):
        return True
    return bool(found.video) and len(found.pictures) > 1


def to_fit(points: Array, skeleton: str) -> tuple[Array, str]:
    """Points (…,N,3) in OpenPose's order, which the recipes take, and its name: 25, 67 with hands, 135 with the face.

    By meaning (`skeletons.mapping`). Middle of the hips and neck, which many skeletons do not have, are then not seen,
    and the hips count instead: halfway between them lies 6 cm below the pelvis.
    """
    if skeleton in ("openpose25", "openpose67", "openpose118", "openpose135"):
        return points, skeleton
    whole = np.zeros((*points.shape[:-2], 135, 3))
    a, b = skeletons.mapping(skeleton, "openpose135")
    whole[..., b, :] = points[..., a, :]
    counts = (25, 67, 135)
    target = next(name for name, count in zip(_TARGETS, counts, strict=True) if (b < count).all())
    return whole[..., : counts[_TARGETS.index(target)], :], target


def body_file(body: str, gender: str) -> str:
    """``body`` itself, or of a folder of official files (``SMPLX_MALE.npz`` …) the one of this gender.

    Raises InputError if the folder has none, or a gender is asked of a body that has but one form.
    """
    path = Path(body)
    if not path.is_dir():
        if gender != "neutral":
            raise InputError(
                f"--gender {gender}: the body {body!r} has one shape space for everybody; give --body the folder with "
                "the official files of each gender (SMPLX_MALE.npz …), or leave --gender out"
            )
        return body
    for folder in (path, path / "smplx", path / "smplh"):
        for kind in ("SMPLX", "SMPLH"):
            for suffix in (".npz", ".pkl"):
                file = folder / _GENDERED.format(kind=kind, gender=gender.upper(), suffix=suffix)
                if file.is_file():
                    return str(file)
    raise InputError(f"{body}: no SMPLX_{gender.upper()}.npz there; expected the official files' folder, or one file")


def _gender(settings: FitSettings, pictures: Sequence[KeypointPicture]) -> str:
    """Of the pictures' people; where they differ, of most: a motion has one body."""
    if settings.gender != "auto":
        return settings.gender
    if not Path(settings.common.body).is_dir():
        return "neutral"
    named = Counter(gender for picture in pictures for gender in picture.gender if gender is not None)
    return named.most_common(1)[0][0] if named else "neutral"
