"""Where are the 68 face landmarks (iBUG order)? 51 fixed ones on the mean face, 17 contour ones per head turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Points = list[tuple[float, float]]

# Millimetres right and up of the point between the eye centres, seen from the front; picked by eye on the mean face.
# Left side of the face (the viewer's right); the other side mirrors it.
BROW: Points = [(11, 9), (20, 12.5), (29, 14), (38, 12), (46, 6)]  # inner to outer
BRIDGE: Points = [(0, 2), (0, -10.5), (0, -22), (0, -33)]
NOSTRILS: Points = [(0, -46.5), (6, -45), (12.5, -43)]
# inner corner, over the eye, outer corner, under the eye
EYE: Points = [(16.5, -3.8), (24, 1.8), (34.5, 2.2), (42.8, -1), (35, -5.4), (25, -5.2)]
LIPS_OUT: Points = [(24, -67.6), (14, -61.5), (6.5, -59.5), (0, -60.5), (0, -76.5), (8, -76), (15, -74)]
LIPS_IN: Points = [(21, -67.4), (8, -66.2), (0, -66.0), (0, -67.4), (8, -67.4)]  # the lips meet at -66.6
TURNS = 79
REACH = np.radians(112.0)  # from the chin round to the ear
CONTOUR = 17


def _mirror(points: Points) -> Points:
    return [(-x, y) for x, y in points]


def layout() -> Array:
    """(51,2) metres from the point between the eyes, iBUG order 17 … 67 (the subject's right side first)."""
    right_eye = [_mirror(EYE)[k] for k in (3, 2, 1, 0, 5, 4)]
    out, inn = LIPS_OUT, LIPS_IN
    mouth = [_mirror(out)[k] for k in (0, 1, 2)] + [out[3]] + [out[k] for k in (2, 1, 0)]
    mouth += [out[6], out[5], out[4]] + [_mirror(out)[k] for k in (5, 6)]
    inside = [_mirror(inn)[0], _mirror(inn)[1], inn[2], inn[1], inn[0], inn[4], inn[3], _mirror(inn)[4]]
    nostrils = [_mirror(NOSTRILS)[2], _mirror(NOSTRILS)[1], NOSTRILS[0], NOSTRILS[1], NOSTRILS[2]]
    points = _mirror(BROW)[::-1] + BROW + BRIDGE + nostrils + right_eye + EYE + mouth + inside
    return np.array(points, float) / 1000.0


def pierce(vertices: Array, faces: NDArray[np.int64], point: Array) -> tuple[int, Array]:
    """Front-most triangle over image point (x,y) and its barycentric weights; the nearest corner if none is over it."""
    a, b, c = (vertices[faces[:, k], :2] for k in range(3))
    area = np.cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.cross(b - point, c - point) / area
        v = np.cross(c - point, a - point) / area
    w = 1.0 - u - v
    edge = -1e-9  # points on the middle line lie on edges
    inside = np.flatnonzero((u >= edge) & (v >= edge) & (w >= edge) & (np.abs(area) > 1e-12))
    if not len(inside):
        corner = np.linalg.norm(vertices[faces][..., :2] - point, axis=-1)
        face, which = np.unravel_index(corner.argmin(), corner.shape)
        return int(face), np.eye(3)[which]
    bary = np.stack([u, v, w], axis=1)[inside]
    depth = (bary * vertices[faces[inside], 2]).sum(1)
    best = depth.argmax()
    return int(inside[best]), bary[best]


def static(vertices: Array, faces: NDArray[np.int64], eyes: Array) -> tuple[NDArray[np.int64], Array]:
    """Faces (51,) and weights (51,3) of landmarks 17 … 67; ``eyes`` (3,) the point between the eye centres."""
    near = np.flatnonzero(np.linalg.norm(vertices[faces].mean(1) - eyes, axis=1) < 0.14)
    found = [pierce(vertices, faces[near], eyes[:2] + xy) for xy in layout()]
    return near[[face for face, _ in found]], np.array([bary for _, bary in found])


def contour(
    vertices: Array, faces: NDArray[np.int64], eyes: Array, skin: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Array]:
    """Faces (79,17) and weights (79,17,3) of the jaw contour, one row per whole degree of head turn.

    Rows 0 … 39 are turns to the subject's right, 40 … 78 to the left by 1 … 39 degrees, as smplx reads them. Each point
    is the outermost skin vertex, in front of the ears, in its direction from the middle of the turned face: from the
    subject's right ear round the chin to the left ear. ``skin`` (V,) bool: outer skin of the face.
    """
    front = vertices[:, 2] > eyes[2] - 0.085
    away = vertices - eyes
    # Under the jaw the skin runs back to the throat: keep what lies above a plane from chin to the angle of the jaw.
    throat = -away[:, 1] > 0.105 + 0.55 * np.minimum(away[:, 2] + 0.02, 0.0)
    ids = np.flatnonzero(skin & front & ~throat & (np.abs(vertices[:, 0]) < 0.074) & (away[:, 1] < 0.08))
    centre = eyes - [0.0, 0.03, 0.0]
    first_face = np.full(len(vertices), -1)
    first_face[faces.reshape(-1)[::-1]] = np.repeat(np.arange(len(faces)), 3)[::-1]
    rows, weights = np.empty((TURNS, CONTOUR), np.int64), np.zeros((TURNS, CONTOUR, 3))
    for row in range(TURNS):
        turn = np.radians(-row if row < 40 else row - 39)
        seen = Rotation.from_rotvec([0.0, turn, 0.0]).apply(vertices[ids] - centre)[:, :2]
        seen[:, 0] -= 0.06 * np.sin(turn)  # the middle of the face moves sideways as the head turns
        radius, angle = np.hypot(*seen.T), np.arctan2(seen[:, 0], -seen[:, 1])
        for k, wanted in enumerate(np.linspace(-1.0, 1.0, CONTOUR) * REACH):
            vertex = ids[(radius * (1.0 - 4.0 * np.abs(angle - wanted))).argmax()]
            face = first_face[vertex]
            rows[row, k] = face
            weights[row, k, list(faces[face]).index(vertex)] = 1.0
    return rows, weights
