"""Focal length and tilt from straight lines: most are upright, or level along one of two directions at right angles.

What buildings have and nature has not (Coughlan and Yuille 1999: Manhattan worlds). Every segment is explained by one
of three vanishing points, or by none of them; which focal lengths explain the picture, and how sharply, comes out as
the posterior over ln f, so that a wall seen straight on, which tells nothing of the lens, says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.optimize import minimize

from monocap.types import Array

FOCALS = np.geomspace(0.42, 4.2, 21)
"""Focal lengths that are tried, in longer sides: 15 to 150 mm equivalent."""

FEWEST = 12  # segments
EVIDENCE = 8.0
"""Nats by which the lines must be better explained than by chance; folds and grass reach 5 by luck."""

TEMPER = 0.25  # part of the evidence that counts: segments of one object err together
_ANGLE = math.radians(0.35)  # that segments err by, besides a pixel at each end
_PIXEL = 1.0 / 512  # of the longer side
_ROLL, _PITCH = math.radians(5.0), math.radians(20.0)  # deviations of how people hold cameras
_COARSE = math.radians(2.5)
_TURNS = (np.radians(np.arange(-50, 51, 5.0)), np.radians(np.arange(-20, 21, 4.0)), np.radians(np.arange(0, 90, 5.0)))
_STARTS = 3


@dataclass(frozen=True)
class Vanishing:
    """What lines and what was known before say: ``focal`` in longer sides with ``log_sigma`` of ln f.

    ``pitch``, ``roll`` rad as in `CameraGuess`, ``tilt_sigma``; ``evidence`` in nats beside chance; ``way`` (N,) which
    direction each segment follows: 0 upright, 1, 2 level, -1 none; ``directions`` (3,3) these as rows, camera frame.
    """

    focal: float
    log_sigma: float
    pitch: float
    roll: float
    tilt_sigma: float
    evidence: float
    way: Array
    directions: Array


@njit(cache=True, nogil=True, error_model="numpy")
def _score(lines, widest, focal, pitch, roll, yaw):
    """Log-likelihood ratio of segments beside directions by chance, for one camera.

    ``lines`` (N,6): middle, direction, deviation rad, weight; ``widest``: least deviation that is used. Half of all
    segments are expected to follow no direction; of the others 0.4 are upright, 0.3 along each level direction.
    """
    ux, uy, uz = -math.sin(roll) * math.cos(pitch), -math.cos(roll) * math.cos(pitch), math.sin(pitch)
    # ahead along the floor, and to the side of it
    ax, ay, az = -uz * ux, -uz * uy, 1.0 - uz * uz
    length = math.sqrt(ax * ax + ay * ay + az * az) + 1e-12
    ax, ay, az = ax / length, ay / length, az / length
    bx, by, bz = uy * az - uz * ay, uz * ax - ux * az, ux * ay - uy * ax
    c, s = math.cos(yaw), math.sin(yaw)
    directions = (
        (ux, uy, uz),
        (c * ax + s * bx, c * ay + s * by, c * az + s * bz),
        (c * bx - s * ax, c * by - s * ay, c * bz - s * az),
    )
    total = 0.0
    for i in range(lines.shape[0]):
        sigma = max(lines[i, 4], widest)
        explained = 0.0
        for k in range(3):
            d = directions[k]
            wx, wy = focal * d[0] - lines[i, 0] * d[2], focal * d[1] - lines[i, 1] * d[2]
            off = (lines[i, 2] * wy - lines[i, 3] * wx) / (math.sqrt(wx * wx + wy * wy) + 1e-9) / sigma
            if off * off < 40.0:
                explained += (0.4 if k == 0 else 0.3) * math.exp(-0.5 * off * off)
        total += lines[i, 5] * math.log(0.5 + 0.5 * explained * 1.2533141373155001 / sigma)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _coarse(lines, widest, focals, pitches, rolls, yaws, out):
    for a in range(len(focals)):
        for b in range(len(pitches)):
            for c in range(len(rolls)):
                for d in range(len(yaws)):
                    out[a, b, c, d] = _score(lines, widest, focals[a], pitches[b], rolls[c], yaws[d])


def _prior(turn: Array) -> float:
    """How people hold cameras, in the scores' own nats, of which only `TEMPER` counts."""
    return (-0.5 * (turn[0] / _PITCH) ** 2 - math.log1p((turn[1] / _ROLL) ** 2)) / TEMPER


def vanishing(segments: Array, width: int, height: int, log_focal: float, log_sigma: float) -> Vanishing | None:
    """The camera that explains ``segments`` (N,4) px of a picture, its principal point in the middle, or None.

    ``log_focal``, ``log_sigma``: what is known before of ln(f / longer side). None where there are too few segments, or
    they are explained no better than lines of any directions.
    """
    if len(segments) < FEWEST:
        return None
    longer = max(width, height)
    lines = _measured((segments - np.tile([(width - 1) / 2, (height - 1) / 2], 2)) / longer)
    coarse = np.empty((len(FOCALS[::2]), *(len(turns) for turns in _TURNS)))
    _coarse(lines, _COARSE, FOCALS[::2], *_TURNS, coarse)
    coarse += np.array([[_prior(np.array([p, r])) for r in _TURNS[1]] for p in _TURNS[0]])[None, :, :, None]
    starts = _starts(coarse)
    # each focal length from its own starts and from its neighbours' results
    best: list[tuple[float, Array]] = []
    for i, focal in enumerate(FOCALS):
        tried = starts[i // 2] + ([best[-1][1]] if best else [])
        best.append(max((_refined(lines, focal, turn) for turn in tried), key=lambda found: found[0]))
    for i in range(len(FOCALS) - 2, -1, -1):
        again = _refined(lines, FOCALS[i], best[i + 1][1])
        best[i] = max(best[i], again, key=lambda found: found[0])
    values = np.array([value for value, _ in best])
    if values.max() < EVIDENCE:
        return None
    logs = np.log(FOCALS)
    posterior = TEMPER * values - 0.5 * ((logs - log_focal) / log_sigma) ** 2
    weight = np.exp(posterior - posterior.max())
    weight /= weight.sum()
    mean = float(weight @ logs)
    step = logs[1] - logs[0]
    sigma = math.sqrt(float(weight @ (logs - mean) ** 2) + step**2 / 12)
    turns = np.array([turn for _, turn in best])
    top = int(np.argmax(posterior))
    _, turn = _refined(lines, math.exp(mean), turns[int(np.argmin(np.abs(logs - mean)))])
    along = weight @ np.square(turns[:, :2] - weight @ turns[:, :2])
    before = -0.5 * ((np.log(FOCALS[::2]) - log_focal) / log_sigma) ** 2
    tilt = math.hypot(
        math.sqrt(float(np.mean(along + _widths(lines, FOCALS[top], turns[top]) ** 2))),
        _elsewhere(TEMPER * coarse + before[:, None, None, None], turn),
    )
    directions = _directions(*turn)
    way = _ways(lines, math.exp(mean), directions)
    pitch, roll = float(turn[0]), float(turn[1])
    return Vanishing(math.exp(mean), sigma, pitch, roll, tilt, float(values.max()), way, directions)


def _elsewhere(posterior: Array, turn: Array) -> float:
    """How far, rad, other optima of the coarse search spread the tilt beyond what its steps do anyway."""
    weight = np.exp(posterior - posterior.max()).sum(axis=(0, 3))
    weight /= weight.sum()
    spread = [
        float(weight.sum(axis=1) @ (_TURNS[0] - turn[0]) ** 2),
        float(weight.sum(axis=0) @ (_TURNS[1] - turn[1]) ** 2),
    ]
    return math.sqrt(max(max(spread) - _COARSE**2, 0.0))


def _measured(lines: Array) -> Array:
    """(N,6) as `_score` takes them, of segments (N,4) in longer sides from the middle."""
    way = lines[:, 2:] - lines[:, :2]
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    deviation = np.hypot(_ANGLE, math.sqrt(2) * _PIXEL / length)
    weight = np.minimum(length / 0.1, 1.0)
    middle = (lines[:, 2:] + lines[:, :2]) / 2
    return np.column_stack([middle, way / length[:, None], deviation, weight])


def _starts(coarse: Array) -> list[list[Array]]:
    """For each focal length some orientations that lie apart."""
    found = []
    for table in coarse:
        table = table.copy()
        mine = []
        for _ in range(_STARTS):
            at = np.unravel_index(int(np.argmax(table)), table.shape)
            mine.append(np.array([turns[k] for turns, k in zip(_TURNS, at, strict=True)]))
            near = [slice(max(k - 2, 0), k + 3) for k in at[:2]]
            yaws = np.arange(at[2] - 2, at[2] + 3) % table.shape[2]
            table[near[0], near[1], yaws[:, None, None].T] = -np.inf
        found.append(mine)
    return found


def _refined(lines: Array, focal: float, turn: Array) -> tuple[float, Array]:
    """The nearest optimum over pitch, roll and yaw: its value and place."""
    for widest in (math.radians(1.2), 0.0):
        found = minimize(
            _energy, turn, (lines, widest, focal), method="Nelder-Mead",
            options={"initial_simplex": turn + np.vstack([np.zeros(3), 0.02 * np.eye(3)]), "maxfev": 90,
                     "xatol": 2e-4, "fatol": 1e-2},
        )  # fmt: skip
        turn = np.asarray(found.x)
    return -float(found.fun), turn


def _energy(turn: Array, lines: Array, widest: float, focal: float) -> float:
    return -(_score(lines, widest, focal, turn[0], turn[1], turn[2]) + _prior(turn))


def _widths(lines: Array, focal: float, turn: Array) -> Array:
    """(2,) deviations of pitch and roll at an optimum, from the curvature there."""
    step = 4e-3
    here = _score(lines, 0.0, focal, *turn)
    widths = []
    for axis in range(2):
        aside = step * np.eye(3)[axis]
        bend = 2 * here - _score(lines, 0.0, focal, *(turn + aside)) - _score(lines, 0.0, focal, *(turn - aside))
        widths.append((max(TEMPER * bend, 1e-3) / step**2) ** -0.5)
    return np.array(widths)


def _directions(pitch: float, roll: float, yaw: float) -> Array:
    """(3,3) rows: up and the two level directions, camera frame."""
    up = np.array([-math.sin(roll) * math.cos(pitch), -math.cos(roll) * math.cos(pitch), math.sin(pitch)])
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    ahead /= np.linalg.norm(ahead) + 1e-12
    side = np.cross(up, ahead)
    c, s = math.cos(yaw), math.sin(yaw)
    return np.stack([up, c * ahead + s * side, c * side - s * ahead])


def _ways(lines: Array, focal: float, points: Array) -> Array:
    """(N,) the direction each segment follows within three deviations, -1 for none."""
    towards = focal * points[None, :, :2] - lines[:, None, :2] * points[None, :, 2:]
    cross = lines[:, None, 2] * towards[..., 1] - lines[:, None, 3] * towards[..., 0]
    off = np.abs(cross) / (np.linalg.norm(towards, axis=2) + 1e-9) / lines[:, None, 4]
    return np.where(off.min(axis=1) < 3.0, off.argmin(axis=1), -1)
