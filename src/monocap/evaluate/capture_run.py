"""Our own capture over a data set's pictures, with its intrinsics: keypoints, a regression network, the fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from monocap import metrics, skeletons
from monocap.bodies import BodyModel
from monocap.data import Sample
from monocap.errors import InputError
from monocap.evaluate.poses import Poses, finite, in_order
from monocap.evaluate.predictions import Estimate
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.geometry.cameras import project
from monocap.perception import find_person_keypoints, turn_to_camera
from monocap.perception.photo import average, search
from monocap.pipeline.calibration import guessed_camera
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import PHOTO_CROPS, CaptureSettings
from monocap.pipeline.vnect.run import VNectCapture
from monocap.types import Array, BodyEstimate, Camera, Keypoints

BODY_SKELETON = "smplx76"  # the body's 55 joints and 21 points on its skin
CameraChoice = Literal["given", "default"]
_SAME = 0.3  # overlap of boxes from which two are the same person


@dataclass(frozen=True)
class Captured:
    """What capture made of one sample: ``keypoints`` and ``estimate`` (T = 1), or None if nobody was found.

    ``said``: the body as a regression network said it, where the fit was given it.
    """

    keypoints: Keypoints | None
    estimate: BodyEstimate | None
    camera: Camera
    said: BodyEstimate | None = None


def camera_of(
    sample: Sample, width: int, height: int, settings: CaptureSettings, image: Array | None = None
) -> tuple[Camera, bool]:
    """The data set's camera for a picture of that size, and whether it was known; if not, what capture makes of the
    ``image``, or without one the usual lens."""
    if sample.K is None:
        if image is not None and not settings.camera_given:
            return guessed_camera(image, (width, height))[0], False
        return settings.camera(width, height)[0], False
    K = np.asarray(sample.K, np.float64)
    return Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], width, height), True


def capture_sample(engine: CaptureEngine, sample: Sample) -> Captured:
    """Capture one picture as `monocap.capture` does, but with the sample's camera if it is known.

    With a true box, the person meant is the one it encloses: if capture settles on somebody else, the people found
    are tried by overlap with the box. Nobody found is a result, not an error.
    """
    image = sample.read_image()
    height, width = image.shape[:2]
    camera, _ = camera_of(sample, width, height, engine.settings)
    if engine.live is not None:
        return _live_sample(engine.live, sample, image, camera)
    found = sample_keypoints(engine, sample, image)
    if found is None:
        return Captured(None, None, camera)
    found = replace(found, mask=None)
    turned = turn_to_camera(found.points3d, found.points2d, camera)
    guess = engine.guess_still(image, found, camera)
    estimate = engine.fit_still(found, camera, guess=guess)
    said = None if guess is None or not engine.settings.refine else engine.say_still(found, camera, guess)
    return Captured(replace(found, points3d=turned), estimate, camera, said)


def _live_sample(live: VNectCapture, sample: Sample, image: Array, camera: Camera) -> Captured:
    """The person that ``sample`` is about as VNect sees them in one picture, its joints as the keypoints."""
    people = [
        (Keypoints(track.skeleton, track.points2d[0], track.points3d[0], float(track.score[0])), estimate)
        for track, estimate in live.still(image, camera)
    ]
    if sample.box is not None:
        overlaps = [_overlap(keypoints, sample.box) for keypoints, _ in people]
        people = [people[int(np.argmax(overlaps))]] if max(overlaps, default=0.0) >= _SAME else []
    return Captured(*people[0], camera) if people else Captured(None, None, camera)


def sample_keypoints(engine: CaptureEngine, sample: Sample, image: Array) -> Keypoints | None:
    """What the keypoint network says of the person that ``sample`` is about, in its picture ``image``; None if nobody
    is found there."""
    crops = PHOTO_CROPS[engine.settings.preset]
    found = find_person_keypoints(image, detector=engine.detector, blazepose=engine.network, jittered=crops)
    if sample.box is not None and (found is None or _overlap(found, sample.box) < _SAME):
        found = _at_box(engine, image, sample.box, crops) or found
    return found


def _overlap(keypoints: Keypoints, box: Array) -> float:
    points = keypoints.points2d[:, :2]
    return float(metrics.box_iou(np.concatenate([points.min(axis=0), points.max(axis=0)]), box))


def _at_box(engine: CaptureEngine, image: Array, box: Array, crops: int) -> Keypoints | None:
    people = engine.detector.detect(image, thorough=True)
    overlaps = metrics.box_iou(people.boxes, box) if len(people.boxes) else np.zeros(0)
    for index in np.argsort(-overlaps):
        if overlaps[index] < _SAME / 2:
            return None
        look = search(image, people.boxes[index], people.keypoints[index], engine.network)
        if look is not None:
            return average(image, look, engine.network, crops).keypoints
    return None


def run_capture(
    protocol: EvaluationProtocol,
    samples: list[Sample],
    settings: CaptureSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    camera: CameraChoice = "given",
) -> tuple[list[Estimate], list[Captured], BodyModel]:
    """Capture every sample; returns the rows, from keypoints to what capture gives, the captures, and the body.

    With a regression network there is one more row, what it says; without ``refine`` that is the last.

    ``camera``: the samples' own intrinsics where they have some, or what capture makes of the picture without.

    Raises InputError for a protocol about motions in the world: pictures are captured one by one.
    """
    if protocol.frame == "world":
        raise InputError(f"protocol {protocol.name} is about motions in the world; capture the videos and pass a file")
    engine = CaptureEngine(settings or CaptureSettings(preset="accurate"))
    if camera == "default":
        samples = [replace(sample, K=None) for sample in samples]
    captured = []
    for done, sample in enumerate(samples):
        captured.append(capture_sample(engine, sample))
        if progress is not None:
            progress(done + 1, len(samples))
    found = np.array([one.keypoints is not None for one in captured])
    if not found.any():
        raise InputError("nobody was found in any picture; nothing can be compared")
    notes = ["pictures are captured one by one, also those of videos", f"preset {engine.settings.preset}"]
    guessed = sum(sample.K is None for sample in samples)
    if camera == "default":
        notes.append("the data set's intrinsics were not used; capture's assumption was")
    elif guessed:
        notes.append(f"intrinsics are unknown for {guessed} of {len(samples)} samples; capture's assumption was used")
    rows = [_before(protocol, captured, found, notes)]
    if engine.guesser is not None:
        said = [one.said if engine.settings.refine else one.estimate for one in captured]
        label = f"{engine.settings.engine}, nothing fitted"
        rows.append(_posed(label, protocol, engine.body, captured, said, found, notes))
    if engine.settings.refine:
        fitted = [one.estimate for one in captured]
        rows.append(_posed("after the fit", protocol, engine.body, captured, fitted, found, notes))
    return rows, captured, engine.body


def _before(protocol: EvaluationProtocol, captured: list[Captured], found: Array, notes: list[str]) -> Estimate:
    label = "keypoint network, before the fit"
    first = next(one.keypoints for one in captured if one.keypoints is not None)
    size = 2 if protocol.points == "keypoints" else 3
    points = np.full((len(captured), len(first.points2d), size), np.nan)
    for i, one in enumerate(captured):
        if one.keypoints is not None:
            points[i] = one.keypoints.points2d[:, :2] if size == 2 else one.keypoints.points3d
    if protocol.points == "vertices":
        nothing = np.zeros(len(captured), dtype=bool)
        empty = Poses(np.full((len(captured), len(protocol.joints), 3), np.nan), np.zeros((len(captured), 1), bool))
        return Estimate(label, empty, nothing, ["keypoints have no surface"])
    joints, visible, root, more = in_order(protocol, points, finite(points), skeleton=first.skeleton)
    return Estimate(label, Poses(joints, visible, root), found, [*notes, *more])


def _posed(
    label: str,
    protocol: EvaluationProtocol,
    body: BodyModel,
    captured: list[Captured],
    estimates: list[BodyEstimate | None],
    found: Array,
    notes: list[str],
) -> Estimate:
    count = len(skeletons.get(BODY_SKELETON))
    flat = protocol.points == "keypoints"
    points = np.full((len(captured), count, 2 if flat else 3), np.nan)
    vertices = np.full((len(captured), len(body.v_template), 3), np.nan) if protocol.points == "vertices" else None
    for i, estimate in enumerate(estimates):
        if estimate is None:
            continue
        parameters = estimate.params.asdict()
        skin = body.extra_points(**parameters).reshape(-1, 3)
        space = np.concatenate([estimate.joints[0], skin])
        points[i] = project(space, captured[i].camera) if flat else space
        if vertices is not None:
            vertices[i] = body(**parameters).vertices[0]
    joints, visible, root, more = in_order(protocol, points, finite(points), skeleton=BODY_SKELETON)
    return Estimate(label, Poses(joints, visible, root, vertices, root), found, [*notes, *more])
