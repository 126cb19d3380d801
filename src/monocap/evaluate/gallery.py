"""The worst cases as one picture: truth and estimate drawn over the person, with the sample's name and error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.data import Sample
from monocap.errors import InputError
from monocap.evaluate.capture_run import Captured
from monocap.evaluate.predictions import Estimate
from monocap.evaluate.protocols import EvaluationProtocol
from monocap.evaluate.report import Report, worst
from monocap.evaluate.scoring import METRICS
from monocap.evaluate.truth import Truth
from monocap.geometry.cameras import project
from monocap.geometry.procrustes import similarity_alignment
from monocap.media.pictures import write_image
from monocap.render import Mesh, draw_skeleton, overlay, person_colour
from monocap.types import Array

TILE = 320
BAND, LETTERS = 20, 40  # strip behind the writing, px; letters that fit
TRUTH, ESTIMATE = (0.0, 0.62, 0.45), (0.90, 0.62, 0.0)


def write_gallery(
    path: Path,
    protocol: EvaluationProtocol,
    truth: Truth,
    estimate: Estimate,
    report: Report,
    count: int,
    captured: Sequence[Captured] | None = None,
    body: BodyModel | None = None,
) -> Path | None:
    """Write the ``count`` worst samples of the last row, worst first: truth green, estimate orange; returns the path.

    With ``captured`` the fitted body is drawn where capture put it; predictions are laid on the truth (similarity) and
    projected. None if no sample has a picture.
    """
    name: str = next(iter(report["rows"][-1]["metrics"]), "")
    tiles = []
    for i in worst(report, count) if name else []:
        sample = truth.samples[i]
        try:
            image = sample.read_image()
        except InputError:
            continue  # predictions may be judged without the pictures at hand
        value = report["samples"][i]["values"][estimate.label][name]
        caption = f"{METRICS[name].title} {value:.0f} {METRICS[name].unit}" if value is not None else "nobody found"
        drawn = _drawn(protocol, truth, estimate, i, image, captured, body)
        title = sample.image.name if isinstance(sample.image, Path) else sample.name
        tiles.append(_tile(drawn, _window(sample, truth.poses.joints[i], image), title, caption))
    if not tiles:
        return None
    columns = min(4, len(tiles))
    rows = [tiles[k : k + columns] for k in range(0, len(tiles), columns)]
    blank = np.full_like(tiles[0], 255)
    sheet = np.vstack([np.hstack(row + [blank] * (columns - len(row))) for row in rows])
    write_image(path, sheet)
    return path


def _drawn(
    protocol: EvaluationProtocol,
    truth: Truth,
    estimate: Estimate,
    i: int,
    image: Array,
    captured: Sequence[Captured] | None,
    body: BodyModel | None,
) -> Array:
    sample, parents = truth.samples[i], _parents(protocol)
    if captured is not None and body is not None and (fit := captured[i].estimate) is not None:
        mesh = Mesh(body(**fit.params.asdict()).vertices[0], body.faces, person_colour(0))
        image = overlay(image, [mesh], captured[i].camera, 0.6)
    image = draw_skeleton(image, _pixels(sample, truth.poses.joints[i]), parents, colour=TRUTH)
    if not estimate.found[i]:
        return image
    points = estimate.poses.joints[i]
    both = estimate.poses.visible[i] & truth.poses.visible[i]
    if captured is None and points.shape[-1] == 3 and both.sum() >= 3:
        points = similarity_alignment(points[both], truth.poses.joints[i][both]).apply(np.nan_to_num(points))
        points = np.where(both[:, None], points, np.nan)
    if captured is not None and points.shape[-1] == 3:
        return draw_skeleton(image, project(points, captured[i].camera), parents, colour=ESTIMATE)
    return draw_skeleton(image, _pixels(sample, points), parents, colour=ESTIMATE)


def _pixels(sample: Sample, points: Array) -> Array:
    if points.shape[-1] == 2:
        return points
    if sample.K is None:
        return np.full((len(points), 2), np.nan)
    in_front = points[:, 2:] > 0.05
    return np.where(in_front, project(np.nan_to_num(points, nan=1.0), sample.K), np.nan) + 0 * points[:, :2]


def _parents(protocol: EvaluationProtocol) -> list[int]:
    """The nearest ancestor that the protocol has, -1 if none; the skeleton's own edges where it has no tree."""
    skeleton = skeletons.get(protocol.skeleton)
    at = {name: i for i, name in enumerate(protocol.joints)}
    parents = []
    for name in protocol.joints:
        up = skeleton.parents[skeleton.index(name)]
        while up >= 0 and skeleton.joint_names[up] not in at:
            up = skeleton.parents[up]
        parents.append(at[skeleton.joint_names[up]] if up >= 0 else -1)
    for a, b in skeleton.edges if max(skeleton.parents, default=-1) < 0 else ():
        one, other = at.get(skeleton.joint_names[a], -1), at.get(skeleton.joint_names[b], -1)
        if one >= 0 and other >= 0 and parents[other] < 0:
            parents[other] = one
    return parents


def _window(sample: Sample, joints: Array, image: Array) -> tuple[float, float, float]:
    """Middle x, y and side of the square to show: the box with some room, else the joints', else the picture."""
    height, width = image.shape[:2]
    box = sample.box
    points = _pixels(sample, joints)
    points = points[np.isfinite(points).all(axis=1)]
    if box is None and len(points) >= 2:
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    if box is None:
        return (width - 1) / 2, (height - 1) / 2, max(width, height)
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(1.3 * max(box[2] - box[0], box[3] - box[1]), 16.0)


def _tile(image: Array, window: tuple[float, float, float], title: str, caption: str) -> Array:
    x, y, side = window
    scale = TILE / side
    matrix = np.array([[scale, 0, TILE / 2 - scale * x], [0, scale, TILE / 2 - scale * y]])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = cv2.warpAffine(image, matrix, (TILE, TILE), flags=interpolation, borderValue=(60, 60, 60))
    for text, top in ((title[-LETTERS:], 0), (caption, TILE - BAND)):
        tile[top : top + BAND] = (0.35 * tile[top : top + BAND]).astype(np.uint8)
        place = (6, top + BAND - 6)
        cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return tile
