"""The 52 ARKit face shapes of the open body: names to movements of vertices, and to SMPL-X's parameters.

The shapes are those of CC0 "face units 01" (MakeHuman), in Apple's names and meaning (ARFaceAnchor.BlendShapeLocation):
weights from 0 to 1 that add. ``mouthClose`` only makes sense beside ``jawOpen``, whose lips it closes. The shapes move
vertices of the rest mesh; the joints stay, so a face may be given either by them or by expression, jaw and eyes
(`ArkitShapes.parameters`), not both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monocap.bodies.model import BodyModel
from monocap.errors import AssetError, InputError
from monocap.files import read_npz
from monocap.geometry.rotations import matrix_to_axis_angle, project_to_so3

_KEYS = ("arkit_names", "arkit_start", "arkit_vertex", "arkit_offset", "arkit_to_expression")


@dataclass(frozen=True, eq=False)
class ArkitShapes:
    """``names`` (52), sorted. Shape k moves the vertices ``vertex[start[k]:start[k+1]]`` by the same rows of ``offset``
    (n,3), metres in the rest frame at weight 1. ``to_expression`` (52,10): the expression nearest to each shape (zeros
    for jaw, eyes and tongue); ``turns`` (52,3,3) axis-angle in radians that jaw, left and right eye turn by. ``count``
    is V, the number of vertices.
    """

    names: tuple[str, ...]
    start: NDArray[np.int64]
    vertex: NDArray[np.int64]
    offset: NDArray[np.float32]
    to_expression: NDArray[np.float32]
    turns: NDArray[np.float64]
    count: int

    def weights(self, given: Mapping[str, float]) -> NDArray[np.float64]:
        """(52,) from weights by name; what is not named is 0. Raises InputError for other names."""
        unknown = sorted(set(given) - set(self.names))
        if unknown:
            raise InputError(f"no ARKit shape {', '.join(map(repr, unknown[:4]))}; expected some of {list(self.names)}")
        return np.array([float(given.get(name, 0.0)) for name in self.names])

    def of(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Vertices (n,) and their offsets (n,3), metres, of one shape. Raises InputError for other names."""
        self.weights({name: 1.0})
        k = self.names.index(name)
        rows = slice(self.start[k], self.start[k + 1])
        return self.vertex[rows], self.offset[rows]

    def dense(self) -> NDArray[np.float32]:
        """(52,V,3) offsets, metres: what morph targets of other programs hold."""
        out = np.zeros((len(self.names), self.count, 3), np.float32)
        out[np.repeat(np.arange(len(self.names)), np.diff(self.start)), self.vertex] = self.offset
        return out

    def offsets(self, weights: Mapping[str, float] | NDArray[np.floating]) -> NDArray[np.float32]:
        """(V,3) offsets, metres, of weights by name or (52,). Raises InputError for other names or shapes."""
        w = np.repeat(self._checked(weights), np.diff(self.start))[:, None]
        out = np.zeros((self.count, 3), np.float32)
        np.add.at(out, self.vertex, (self.offset * w).astype(np.float32))
        return out

    def on(self, body: BodyModel, weights: Mapping[str, float] | NDArray[np.floating]) -> BodyModel:
        """The body with this face at rest, which any pose then moves. Raises InputError for another body's mesh."""
        if len(body.v_template) != self.count:
            raise InputError(
                f"body {body.name!r} has {len(body.v_template)} vertices; these shapes are for {self.count}"
            )
        return replace(body, v_template=body.v_template + self.offsets(weights))

    def parameters(self, weights: Mapping[str, float] | NDArray[np.floating]) -> dict[str, NDArray[np.float32]]:
        """SMPL-X's parameters nearest to a face: ``expression`` (10,); ``jaw_pose``, ``left_eye_pose`` and
        ``right_eye_pose`` (3,) axis-angle in radians. Raises InputError for other names or shapes."""
        w = self._checked(weights)
        jaw, left, right = np.einsum("k,kjc->jc", w, self.turns).astype(np.float32)
        expression = (w @ self.to_expression).astype(np.float32)
        return {"expression": expression, "jaw_pose": jaw, "left_eye_pose": left, "right_eye_pose": right}

    def _checked(self, weights: Mapping[str, float] | NDArray[np.floating]) -> NDArray[np.float64]:
        if isinstance(weights, Mapping):
            return self.weights(weights)
        w = np.asarray(weights, dtype=np.float64)
        if w.shape != (len(self.names),) or not np.isfinite(w).all():
            raise InputError(f"ARKit weights of shape {w.shape}; expected {len(self.names)} finite numbers")
        return w


def arkit_shapes(body: BodyModel) -> ArkitShapes:
    """The shapes of the open body. Raises InputError for other bodies, AssetError if its file is damaged."""
    if body.name != "open":
        raise InputError(f"body {body.name!r} has no ARKit shapes; only the open body has")
    data = _data()
    shapes = ArkitShapes(
        tuple(str(name) for name in data["arkit_names"]),
        data["arkit_start"].astype(np.int64),
        data["arkit_vertex"].astype(np.int64),
        data["arkit_offset"].astype(np.float32),
        data["arkit_to_expression"].astype(np.float32),
        np.zeros((len(data["arkit_names"]), 3, 3)),
        len(body.v_template),
    )
    for k, name in enumerate(shapes.names):
        if name in ("jawOpen", "jawLeft", "jawRight"):
            shapes.turns[k, 0] = _turn(body, "jaw", *shapes.of(name))
        elif name.startswith("eyeLook"):
            eye = "left_eye" if name.endswith("Left") else "right_eye"
            shapes.turns[k, 1 if eye == "left_eye" else 2] = _turn(body, eye, *shapes.of(name))
    return shapes


@cache
def _data() -> dict[str, np.ndarray]:
    path = Path(str(resources.files("monocap.bodies") / "data" / "open.npz"))
    data = read_npz(path, _KEYS)
    if len(data) != len(_KEYS):
        raise AssetError(f"{path}: holds no ARKit shapes; reinstall monocap")
    return data


def _turn(body: BodyModel, joint: str, ids: NDArray[np.int64], offset: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3,) the turn of a joint that moves its own skin most like a shape: Kabsch's rotation about the joint."""
    column = body.joint_names.index(joint)
    moved = np.zeros(body.v_template.shape)
    moved[ids] = offset
    own = np.flatnonzero(body.lbs_weights[:, column] > 0.95)
    before = body.v_template[own].astype(np.float64) - body.J_template[column]
    return np.asarray(matrix_to_axis_angle(project_to_so3((before + moved[own]).T @ before)))
