"""A video or photo by VNect: look, follow, fit, frame by frame; the next frame is decoded meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.motion.live_filters import LiveSettings
from monocap.perception import people
from monocap.perception.people import PeopleDetector
from monocap.perception.vnect import Look, VNect
from monocap.perception.vnect_tracker import VNectTracker, first_look
from monocap.pipeline.clock import StageClock
from monocap.pipeline.vnect.networks import TURNED
from monocap.pipeline.vnect.person import LiveOptions, LivePerson, LivePose
from monocap.skeletons.vnect import NAME
from monocap.types import Array, BodyEstimate, BodyParams, Camera, Frame, Track

_AHEAD = 4  # frames decoded beforehand
_BRIEF = 8  # frames below which somebody in a longer video is taken for nobody
_JOINTS = 22
T = TypeVar("T")


@dataclass
class _Person:
    live: LivePerson
    frames: list[int] = field(default_factory=list)
    poses: list[LivePose] = field(default_factory=list)


class VNectCapture:
    """Follows at most ``limit`` people. ``height`` m of everybody, if known; ``smooth``: of the filters, 0: none;
    without ``follow`` each frame is fitted for itself; ``keep`` what `finish` needs, 6 kB per person and frame."""

    def __init__(
        self,
        network: VNect,
        detector: PeopleDetector,
        body: BodyModel,
        height: float | None = None,
        smooth: float = 1.0,
        limit: int = 1,
        follow: bool = True,
        clock: StageClock | None = None,
        keep: bool = True,
    ) -> None:
        filters = LiveSettings().slower(smooth) if smooth > 0 and follow else None
        self.options = LiveOptions(filters, follow=follow, height=height)
        self.network, self.detector, self.body, self.limit = network, detector, body, limit
        self._keep = keep
        self.clock = clock or StageClock()
        network.stage = self._stage
        self._turn = getattr(network.crop, "name", "") in TURNED
        self.begin()

    def _stage(self, name: str) -> AbstractContextManager[None]:
        return self.clock.stage(name)  # of whichever clock there is by then

    def begin(self) -> None:
        """Forget everybody: the next frame is the first of a video."""
        self.tracker = VNectTracker(self.network, self.detector, self.limit, turn=self._turn)
        self._people: dict[int, _Person] = {}
        self._frame, self._times = 0, list[float]()

    @property
    def frames(self) -> int:
        """So many frames were seen."""
        return self._frame

    @property
    def times(self) -> list[float]:
        """Their times, s."""
        return self._times

    def poses(self, identity: int) -> list[LivePose]:
        """Every stage of one person's frames, in order. Raises InputError for somebody who was not followed."""
        if identity not in self._people:
            raise InputError(
                f"no person {identity} was followed; there are {', '.join(map(str, self._people)) or 'none'}"
            )
        return self._people[identity].poses

    def step(self, frame: Frame, camera: Camera) -> dict[int, LivePose]:
        """The poses by id of everybody seen in the next frame, at once: what a live program shows."""
        with self.clock.stage("track"):  # crop, network, read and the detector are parts of it
            looks = self.tracker.step(frame.image, camera)
        poses = {}
        with self.clock.stage("fit"):
            for identity, look in looks.items():
                person = self._people.get(identity)
                if person is None:
                    person = self._people[identity] = _Person(LivePerson(self.body, camera, self.options))
                pose, again = person.live.step(look, frame.time)
                poses[identity] = pose
                if self._keep:
                    person.poses = [*again[:-1]] if again else person.poses
                    person.frames.append(self._frame)
                    person.poses.append(pose)
        self._frame += 1
        if self._keep:
            self._times.append(frame.time)
        else:
            followed = {person.id for person in self.tracker.people}
            self._people = {i: person for i, person in self._people.items() if i in followed}
        return poses

    def finish(self, camera: Camera) -> list[tuple[Track, BodyEstimate]]:
        """Everybody who was followed, over all frames so far; nobody where nothing was kept."""
        least = min(_BRIEF, self._frame)
        result = []
        for identity, person in self._people.items():
            if len(person.frames) < max(least, 1):
                continue
            if not person.live.calibrated and self._frame > 1:
                person.poses = person.live.calibrate() or person.poses
            result.append(self._told(identity, person, camera))
        return result

    def still(self, image: Array, camera: Camera) -> list[tuple[Track, BodyEstimate]]:
        """The people of one picture, the most prominent first, each fitted to one look."""
        with self.clock.stage("track"):
            found = people.by_prominence(self.detector.detect(image, thorough=True), camera.width, camera.height)
            looks: list[Look] = []
            for box, coco in zip(found.boxes, found.keypoints, strict=True):
                look = (
                    first_look(self.network, image, camera, box, coco, self._turn) if len(looks) < self.limit else None
                )
                if look is not None:
                    looks.append(look)
        self._frame, self._times = 1, [0.0]
        with self.clock.stage("fit"):
            options = replace(self.options, filters=None, calibrate=False)
            told = []
            for identity, look in enumerate(looks):
                live = LivePerson(self.body, camera, options)
                person = _Person(live, [0], [live.step(look, 0.0)[0]])
                told.append(self._told(identity, person, camera))
        return told

    def _told(self, identity: int, person: _Person, camera: Camera) -> tuple[Track, BodyEstimate]:
        count, found = self._frame, np.array(person.frames)
        if len(found) != len(person.poses):
            raise InputError(f"person {identity}: {len(found)} frames, {len(person.poses)} poses")
        betas, order = person.live.betas, person.live.skeleton.order
        rest = np.asarray(self.body.rest_joints(betas), np.float64)[0]
        pose = np.zeros((len(found), _JOINTS, 3))
        pose[:, order] = np.stack([one.fit.pose for one in person.poses])
        place = np.stack([one.fit.position for one in person.poses])
        pose, place = _everywhere(pose, place, found, count)
        params = BodyParams(
            betas=betas,
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:].reshape(count, -1),
            transl=place - rest,
        )
        valid, points2d, points3d = np.zeros(count, bool), np.zeros((count, 21, 3)), np.zeros((count, 21, 3))
        score, residual = np.zeros(count), np.zeros(count)
        valid[found] = True
        points2d[found] = np.stack([one.points2d for one in person.poses])
        points3d[found] = np.stack([one.own for one in person.poses])
        score[found] = points2d[found, :, 2].mean(axis=1)
        residual[found] = [_residual(one, camera) for one in person.poses]
        joints = np.asarray(self.body.joints_only(**params.asdict()))
        track = Track(identity, NAME, points2d, points3d, valid, score)
        return track, BodyEstimate(params, joints, valid, score, residual)


def ahead(items: Iterable[T], count: int = _AHEAD) -> Generator[T, None, None]:
    """The same items, made by a thread of its own, at most ``count`` before they are asked for; its errors are raised
    here."""
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(count)
    ended = threading.Event()

    def give(what: tuple[str, Any]) -> bool:
        while not ended.is_set():
            try:
                waiting.put(what, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not give(("item", item)):
                    return
            give(("end", None))
        except BaseException as error:
            give(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        ended.set()
        thread.join()


def _everywhere(pose: Array, place: Array, found: Array, count: int) -> tuple[Array, Array]:
    """Poses (F,J,3) and places (F,3) at ``found`` frames spread to all ``count``: interpolated, held at the ends."""
    frames = np.arange(count)
    if len(found) == 1:
        return np.repeat(pose, count, axis=0), np.repeat(place, count, axis=0)
    after = np.clip(np.searchsorted(found, frames), 1, len(found) - 1)
    share = np.clip((frames - found[after - 1]) / (found[after] - found[after - 1]), 0.0, 1.0)
    turns = np.asarray(rotations.axis_angle_to_quaternion(pose))
    mixed = rotations.slerp(turns[after - 1], turns[after], share[:, None])
    spread = np.asarray(rotations.quaternion_to_axis_angle(mixed))
    return spread, place[after - 1] + share[:, None] * (place[after] - place[after - 1])


def _residual(pose: LivePose, camera: Camera) -> float:
    """Root mean square px between the joints as seen and those of the fitted skeleton."""
    at = pose.fit.points
    off = at[:, :2] / np.maximum(at[:, 2:], 0.05) * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    squared = ((off - pose.points2d[:, :2]) ** 2).sum(axis=1)
    weight = pose.points2d[:, 2]
    return float(np.sqrt((weight * squared).sum() / max(float(weight.sum()), 1e-9)))
