"""Head, jaw, eyes and expression from 51 points of a face and ARKit's weights.

The energy is SMPLify-X's for a part (`fitting.parts`): reprojection, a pull to the face that the weights stand for
(`bodies.arkit`), and the gap between the lips. The network that gives the weights has seen many faces and knows what is
expression and what is somebody's own face, which 51 points on a mean face do not tell; the points say how the head is
turned, and the gap how far the jaw is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monocap import skeletons
from monocap.bodies import BodyModel
from monocap.bodies.arkit import arkit_shapes
from monocap.fitting.parts import Looks, Part, baked
from monocap.fitting.smplifyx.points import PointModel
from monocap.fitting.smplifyx.solver import energy_of, minimise, step_bound
from monocap.fitting.smplifyx.state import At
from monocap.fitting.smplifyx.terms import Damped, Index, Reprojection, Term, projected, projection
from monocap.fitting.terms import Rows
from monocap.types import ARKIT, Array, Camera

POINTS = skeletons.get("openpose118").joint_names[67:]
_UPPER = ("right_inner_lip0", "inner_lip_top", "left_inner_lip0")
_LOWER = ("right_inner_lip1", "inner_lip_bottom", "left_inner_lip1")
_POINT, _CUTOFF = 0.03, 4.0  # deviation of a point, of the face's extent; where errors stop to count
_SMALLEST = 1.0  # px of that deviation
_PLACE, _DEPTH = 0.04, 0.15  # m that the body's head may be off
_JAW, _EYES, _EXPRESSION = (0.15, 0.02, 0.02), 0.01, 0.4  # deviations from the face of the weights
_GAP = 0.0015  # m that the gap between the inner lips may be off
_ITERATIONS = 15
_OPEN, _GAZE = 0.31, 0.25  # rad per unit weight on bodies without ARKit's shapes


@dataclass(frozen=True)
class FaceFit:
    """``turn`` (T,3,3) of the head in the camera's frame; ``jaw``, ``left_eye``, ``right_eye`` (T,3) rad;
    ``expression`` (T,E); ``seen`` (T,) bool, or known from looks before and after: elsewhere all but the turn, which
    means nothing, are zero."""

    turn: Array
    jaw: Array
    left_eye: Array
    right_eye: Array
    expression: Array
    seen: NDArray[np.bool_]


def face_part(body: BodyModel, points: Sequence[str] = POINTS) -> Part:
    """The head of a `baked` body of SMPL-X's kind. Raises InputError if it has no points of the face."""
    poses = {"pose": 0, "jaw_pose": 1, "left_eye_pose": 1, "right_eye_pose": 1}
    joints = ("head", "jaw", "left_eye", "right_eye")
    return Part.cut(body, joints, points, poses, expressions=True)


def fit_face(
    body: BodyModel,
    betas: Array,
    points: Array,
    shapes: Array,
    head: Array,
    turn: Array,
    camera: Camera,
    every: int = 1,
) -> FaceFit:
    """The face over T frames, each alone, of a body with ``betas``; where every ``every``-th was looked at, those
    between lie between them.

    ``points`` (T,53,3) and ``shapes`` (T,52) as in `types.Parts`; ``head`` (T,3) m and ``turn`` (T,3,3) are the
    body's own, camera frame.
    """
    points = np.asarray(points, np.float64)[:, : len(POINTS)]
    frames = len(points)
    seen = points[..., 2].max(axis=1) > 0
    turn = np.array(turn, np.float64)
    out = {name: np.zeros((frames, 3)) for name in ("jaw_pose", "left_eye_pose", "right_eye_pose")}
    out["expression"] = np.zeros((frames, body.num_expressions))
    if seen.any():
        bare = baked(body, betas)
        part, lips = face_part(bare), face_part(bare, (*_UPPER, *_LOWER)).points
        likely = parameters(body, np.asarray(shapes, np.float64)[seen])
        state = part.rest(int(seen.sum()))
        state.root[:] = turn[seen]
        state.values[:, part.layout["transl"]] = part.place(np.asarray(head, np.float64)[seen])
        for name, values in likely.items():
            state.values[:, part.layout[name]] = values
        terms = _terms(part, lips, points[seen], state.values.copy(), camera)
        state = minimise(energy_of(part, terms), state, step_bound(part.layout), _ITERATIONS, 1e-3).state
        turn[seen] = state.root
        for name in out:
            out[name][seen] = state.values[:, part.layout[name]]
    looks = Looks.of(seen, every)
    turn, out = looks.turned(turn), {name: looks.between(values) for name, values in out.items()}
    return FaceFit(turn, out["jaw_pose"], out["left_eye_pose"], out["right_eye_pose"], out["expression"], looks.there)


def parameters(body: BodyModel, shapes: Array) -> dict[str, Array]:
    """SMPL-X's parameters nearest to ARKit's weights (T,52), as far as the body's own expressions are known."""
    if body.name == "open":
        known = arkit_shapes(body)
        order = [ARKIT.index(name) for name in known.names]
        weights = shapes[:, order]
        turns = np.einsum("tk,kjc->tjc", weights, known.turns)
        expression = np.zeros((len(shapes), body.num_expressions))
        count = min(known.to_expression.shape[1], body.num_expressions)
        expression[:, :count] = weights @ known.to_expression[:, :count]
        names = ("jaw_pose", "left_eye_pose", "right_eye_pose")
        return {**{name: turns[:, k] for k, name in enumerate(names)}, "expression": expression}
    at = {name: shapes[:, k] for k, name in enumerate(ARKIT)}
    zero = np.zeros(len(shapes))
    found = {"jaw_pose": np.stack([_OPEN * at["jawOpen"], zero, zero], axis=1)}
    for side, out in (("Left", 1.0), ("Right", -1.0)):
        pitch = at[f"eyeLookDown{side}"] - at[f"eyeLookUp{side}"]
        yaw = out * (at[f"eyeLookOut{side}"] - at[f"eyeLookIn{side}"])
        found[f"{side.lower()}_eye_pose"] = _GAZE * np.stack([pitch, yaw, zero], axis=1)
    return {**found, "expression": np.zeros((len(shapes), body.num_expressions))}


@dataclass(frozen=True)
class LipGap:
    """The gap between the lips, whatever face they are in: mouths that are shut stay shut.

    ``lips`` 6 points, upper ones first; ``target`` (N,3,2) px from the lower to the upper lip; ``seen`` (N,);
    ``deviation`` (N,) px.
    """

    lips: PointModel
    target: Array
    seen: Array
    deviation: Array
    K: Array
    name: str = field(default="lips", init=False)

    def rows(self, at: At) -> Rows:
        places, slopes = at.of(self.lips)
        pixels, by_point = projection(places, self.K)
        d_pixels = projected(by_point, slopes)
        scale = (self.seen / self.deviation)[:, None, None]
        residual = scale * (pixels[:, :3] - pixels[:, 3:] - self.target)
        jacobian = scale[..., None] * (d_pixels[:, :3] - d_pixels[:, 3:])
        count = len(residual)
        flat = residual.reshape(count, -1)
        return Rows(flat, jacobian.reshape(count, flat.shape[1], -1), None, 0.5 * np.sum(flat**2, axis=1))

    def take(self, index: Index) -> Self:
        return replace(
            self,
            target=self.target[index],
            seen=self.seen[index],
            deviation=self.deviation[index],
            K=self.K[index],
        )


def _terms(part: Part, lips: PointModel, points: Array, centre: Array, camera: Camera) -> list[Term]:
    layout = part.layout
    extent = np.ptp(points[..., :2], axis=1).max(axis=1)
    deviation = np.maximum(_POINT * extent, _SMALLEST)
    weight = np.zeros(layout.size)
    deviations = {
        "transl": (_PLACE, _PLACE, _DEPTH), "jaw_pose": _JAW, "left_eye_pose": _EYES, "right_eye_pose": _EYES,
        "expression": _EXPRESSION,
    }  # fmt: skip
    for name, value in deviations.items():
        weight[layout[name]] = 1 / (np.sqrt(2.0) * np.asarray(value))
    K = np.broadcast_to(camera.K, (len(points), 3, 3))
    inner = np.array(["inner_lip" in name for name in POINTS])
    sure = points[..., 2] * ~inner / (2 * deviation[:, None] ** 2)
    pairs = np.array([[POINTS.index(name) for name in row] for row in (_UPPER, _LOWER)])
    gap = points[:, pairs[0], :2] - points[:, pairs[1], :2]
    scale = camera.fy / np.maximum(centre[:, layout["transl"]][:, 2] + part.tree.joints[0, 2], 0.1)
    return [
        Reprojection(points[..., :2], sure, K, _CUTOFF * deviation),
        Damped("face", centre, weight),
        LipGap(lips, gap, points[:, pairs[0], 2].min(axis=1) > 0, np.maximum(_GAP * scale, 0.5), K),
    ]
