"""From what is given and the weights of a stage to the list of terms that is minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.fitting.smplifyx.points import PointModel
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.schedule import Schedule, Stage
from monocap.fitting.smplifyx.state import Model
from monocap.fitting.smplifyx.terms import Bending, Mixture, Points3D, Quadratic, Reprojection, Term
from monocap.priors.gmm import PoseMixture
from monocap.types import Array

_HAND = ("thumb", "index", "middle", "ring", "pinky", "hand_root")
_FACE = ("brow", "nose_", "nostril", "lid", "lip", "mouth", "contour", "chin", "eye_inner", "eye_outer")
_PERSON_HEIGHT = 1000.0  # px of the picture in which published weights and rho hold, the person filling most of it
_PERSON_SHARE = 0.8


def stature(body: BodyModel) -> tuple[float, Array]:
    """Height from sole to crown at betas 0, and its slope (B,) per beta, metres: of the highest and lowest vertex."""
    template = body.v_template[:, 1]
    top, bottom = int(np.argmax(template)), int(np.argmin(template))
    slope = np.asarray(body.shapedirs[top, 1] - body.shapedirs[bottom, 1], dtype=np.float64)
    return float(template[top] - template[bottom]), slope


def part_of(name: str) -> str:
    """``"hand"``, ``"face"`` or ``"body"``, by the name of a keypoint."""
    if any(word in name for word in _HAND):
        return "hand"
    return "face" if any(word in name for word in _FACE) else "body"


def joint_weights(names: Sequence[str], confidence: Array, schedule: Schedule, stage: Stage) -> Array:
    """(γκ)² (N,K) of keypoints ``names`` with ``confidence`` (N,K).

    Keypoints that the schedule ignores count where the mid-hip, which stands for the hips, was not seen; without that,
    a body from a detector that has no mid-hip would have no hips at all.
    """
    by_part = {"body": 1.0, "hand": stage.hand_joints, "face": stage.face_joints}
    gamma = np.array([by_part[part_of(name)] for name in names])
    gamma = np.broadcast_to(gamma, confidence.shape).copy()
    centre = confidence[:, names.index("mid_hip")] > 0 if "mid_hip" in names else np.zeros(len(confidence), bool)
    for name in schedule.ignored:
        if name in names:
            gamma[:, names.index(name)] *= ~centre if name.endswith("hip") else 0.0
    return (gamma * confidence) ** 2


def pixel_scales(views: Views, schedule: Schedule, robust: str) -> tuple[Array, Array]:
    """(N,) data², by which squared pixels are weighed, and (N,) rho px.

    ``robust`` "official": by the height of the picture. "person": as if it were cut to the person and enlarged until
    the weights, made for people who fill a picture 1000 pixels high, fit.
    """
    height = views.image_size[:, 1]
    if robust == "official":
        data = np.ones(len(height)) if schedule.data_height is None else schedule.data_height / height
        return data**2, np.full(len(height), schedule.rho)
    extent = extents(views) / _PERSON_SHARE
    return (_PERSON_HEIGHT / extent) ** 2, schedule.rho * extent / _PERSON_HEIGHT


_POINT_ERROR = 0.02  # m, of a measured 3D point


def points_3d(body: BodyModel, views: Views) -> Points3D | None:
    """The term of measured 3D points: those of their skeleton that the body has."""
    if views.points3d is None or views.skeleton3d is None:
        return None
    source, target = skeletons.mapping(views.skeleton3d, body.kind.points)
    own = skeletons.get(body.kind.points).joint_names
    has = set(body.keypoint_names())
    pairs = [(int(a), own[b]) for a, b in zip(source, target, strict=True) if own[b] in has]
    measured = views.points3d[:, [a for a, _ in pairs]]
    points = PointModel.of(body, [name for _, name in pairs])
    weight = (measured[..., 3] / _POINT_ERROR) ** 2
    return Points3D(points, measured[..., :3], weight, relative=views.relative3d)


def extents(views: Views) -> Array:
    """(N,) px: the longer side of the box around the seen keypoints, at least 8."""
    seen, points = views.keypoints[..., 2:] > 0, views.keypoints[..., :2]
    high, low = np.where(seen, points, -np.inf).max(axis=1), np.where(seen, points, np.inf).min(axis=1)
    return np.maximum(np.nan_to_num(high - low, neginf=0.0, posinf=0.0).max(axis=1), 8.0)


def terms_of(
    model: Model, views: Views, schedule: Schedule, stage: Stage, mixture: PoseMixture | None, robust: str = "official"
) -> list[Term]:
    """The published terms of one stage; ``mixture`` is the pose prior where the model has no VPoser."""
    layout = model.layout
    data, rho = pixel_scales(views, schedule, robust)
    weight = data[:, None] * joint_weights(model.points.names, views.keypoints[..., 2], schedule, stage)
    terms: list[Term] = [Reprojection(views.keypoints[..., :2], weight, views.K, rho)]

    def quadratic(name: str, block: str, weight: float | Array, mix: Array | None = None) -> None:
        if block in layout and np.any(weight):
            size = layout[block].stop - layout[block].start if mix is None else mix.shape[1]
            terms.append(Quadratic(name, block, np.broadcast_to(np.asarray(weight, np.float64), (size,)), mix))

    if model.vposer is not None:
        quadratic("body_pose", "pose", stage.body_pose)
    elif mixture is not None:
        terms.append(Mixture(mixture, stage.body_pose))
    terms.append(Bending(stage.bending))
    quadratic("betas", "betas", stage.betas)
    quadratic("expression", "expression", stage.expression)
    for hand in model.hands:
        quadratic("hands", hand, stage.hands, model.body.hand_components.get(hand))
    quadratic("jaw", "jaw_pose", np.array(stage.jaw))
    for eye in ("left_eye_pose", "right_eye_pose"):
        quadratic("eyes", eye, stage.eyes)
    return terms
