"""Terms of what may be known beside keypoints: depth, silhouette, a scan, the ground. None is in the published energy.

The skin is sampled at vertices spread over it. Who is matched with whom is found anew at every evaluation; for nearest
neighbours that changes no gradient, since a distance has its least at the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from scipy.spatial import KDTree

from monocap.bodies import BodyModel
from monocap.fitting.smplifyx.points import PointModel, pose_points, spread_vertices
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.state import At
from monocap.fitting.smplifyx.terms import Index, Term, geman_mcclure, projected, projection
from monocap.fitting.terms import Rows
from monocap.types import Array

# Weights 1/m² (silhouette 1/px²): one over the square of how far such measurements err.
DEPTH, SCAN, GROUND, OUTLINE = 1 / 0.03**2, 1 / 0.015**2, 1 / 0.01**2, 1 / 3.0**2
_REACH = 0.1  # m: beyond it a depth or a scan's point belongs to something else
_CONTACT = 0.03  # m: feet so near to the ground stand on it
_EDGE, _SAMPLES, _DENSE, _OUTLINE_POINTS, _SCAN_POINTS = 0.03, 300, 1200, 150, 600
_FEET = ("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")


_KNOWN: WeakKeyDictionary[BodyModel, dict[tuple[int, float], PointModel]] = WeakKeyDictionary()


def skin_samples(body: BodyModel, count: int, shift: float = 0.0) -> PointModel:
    """``count`` vertices spread over the skin, or points ``shift`` m outside of them; made once."""
    known = _KNOWN.setdefault(body, {})
    if (count, shift) not in known:
        known[count, shift] = PointModel.of_vertices(body, spread_vertices(body, count), shift)
    return known[count, shift]


def look_up(table: Array, pixels: Array) -> tuple[Array, Array, Array]:
    """Bilinear values (P,) of ``table`` (h,w) at ``pixels`` (P,2), their gradients (P,2), and which lie inside (P,).

    Outside the table, the value at its border.
    """
    height, width = table.shape
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] <= width - 1) & (pixels[:, 1] <= height - 1)
    x = np.clip(np.nan_to_num(pixels[:, 0]), 0, width - 1 - 1e-9)
    y = np.clip(np.nan_to_num(pixels[:, 1]), 0, height - 1 - 1e-9)
    i, j = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    a, b = x - i, y - j
    p, q, r, s = table[j, i], table[j, i + 1], table[j + 1, i], table[j + 1, i + 1]
    value = (1 - b) * ((1 - a) * p + a * q) + b * ((1 - a) * r + a * s)
    gradient = np.stack([(1 - b) * (q - p) + b * (s - r), (1 - a) * (r - p) + a * (s - q)], axis=1)
    return value, gradient * inside[:, None], inside


@dataclass(frozen=True)
class Depth:
    """`DEPTH` · ρ(z − measured) of skin that faces the camera: ``maps`` N arrays (h,w) m, 0 unknown, or None.

    ``skin`` the samples, ``outside`` points just outside of them, by which skin that faces away is left out.
    """

    name: str = field(default="depth", init=False)
    skin: PointModel
    outside: PointModel
    maps: tuple[Array | None, ...]
    K: Array
    weight: float = DEPTH

    def rows(self, at: At) -> Rows:
        points, slopes = at.of(self.skin)
        shape = at.model.shape(at.state)
        away = pose_points(at.model.tree, self.outside, at.local, shape, derivatives=False).points
        away = away + at.block("transl")[:, None] - points
        facing = np.sum(away * points, axis=-1) < 0
        pixels, by_point = projection(points, self.K)
        d_pixels = projected(by_point, slopes)
        error, weight = np.zeros(points.shape[:2]), np.zeros(points.shape[:2])
        gradient = np.zeros(pixels.shape)
        for n, table in enumerate(self.maps):
            if table is None:
                continue
            error[n], gradient[n], inside = look_up(table, pixels[n])
            column = np.clip(np.rint(np.nan_to_num(pixels[n, :, 0])), 0, table.shape[1] - 1).astype(int)
            row = np.clip(np.rint(np.nan_to_num(pixels[n, :, 1])), 0, table.shape[0] - 1).astype(int)
            weight[n] = self.weight * (inside & facing[n] & (table[row, column] > 0))
        error = points[..., 2] - error
        rho, share = geman_mcclure(error, _REACH)
        scale = np.sqrt(2.0 * weight * share)
        jacobian = slopes[:, :, 2] - np.sum(gradient[..., None] * d_pixels, axis=2)
        return Rows(scale * error, scale[..., None] * jacobian, None, np.sum(weight * rho, axis=1))

    def take(self, index: Index) -> Depth:
        return replace(self, maps=tuple(self.maps[i] for i in index), K=self.K[index])


@dataclass(frozen=True)
class Silhouette:
    """The body inside a mask, and the mask filled by the body: `OUTLINE` · squared pixels, the latter robust.

    ``outside`` N arrays (h,w): distance in pixels to the mask, 0 on it, or None; ``outline`` N arrays (o,2): points of
    its edge px, each drawn to the nearest sample of the ``skin``; ``weight`` (N,) 1/px², ``reach`` (N,) px.
    """

    name: str = field(default="silhouette", init=False)
    skin: PointModel
    outside: tuple[Array | None, ...]
    outline: tuple[Array, ...]
    K: Array
    weight: Array
    reach: Array

    @classmethod
    def of(cls, skin: PointModel, masks: Sequence[Array | None], K: Array, weight: Array, reach: Array) -> Silhouette:
        """From masks (h,w), true where the person is. An empty mask says nothing."""
        tables, outlines = [], []
        for mask in masks:
            outline, table = np.zeros((0, 2)), None
            if mask is not None and np.any(mask):
                shape = np.asarray(mask) > 0.5
                table = cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
                table = table.astype(np.float64)
                edge = shape & ~cv2.erode(shape.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
                edge[[0, -1]] = edge[:, [0, -1]] = False  # where the picture ends the person may go on
                found = np.argwhere(edge)[:, ::-1].astype(np.float64)
                outline = found[np.linspace(0, len(found) - 1, min(len(found), _OUTLINE_POINTS)).astype(int)]
            tables.append(table)
            outlines.append(outline)
        return cls(skin, tuple(tables), tuple(outlines), K, weight, reach)

    def rows(self, at: At) -> Rows:
        points, slopes = at.of(self.skin)
        pixels, by_point = projection(points, self.K)
        d_pixels = projected(by_point, slopes)
        count, samples = points.shape[:2]
        most = max((len(o) for o in self.outline), default=0)
        rows = samples + 2 * most
        error, jacobian = np.zeros((count, rows)), np.zeros((count, rows, d_pixels.shape[-1]))
        cost = np.zeros(count)
        for n, (table, outline) in enumerate(zip(self.outside, self.outline, strict=True)):
            if table is None:
                continue
            value, gradient, _ = look_up(table, pixels[n])
            scale = np.sqrt(2.0 * self.weight[n])
            error[n, :samples] = scale * value
            jacobian[n, :samples] = scale * np.sum(gradient[..., None] * d_pixels[n], axis=1)
            cost[n] = self.weight[n] * float(value @ value)
            if len(outline):
                nearest = KDTree(pixels[n]).query(outline)[1]
                off = pixels[n, nearest] - outline
                rho, share = geman_mcclure(np.linalg.norm(off, axis=1), self.reach[n])
                by = np.sqrt(2.0 * self.weight[n] * share)
                some = slice(samples, samples + 2 * len(outline))
                error[n, some] = (by[:, None] * off).ravel()
                jacobian[n, some] = (by[:, None, None] * d_pixels[n, nearest]).reshape(2 * len(outline), -1)
                cost[n] += self.weight[n] * rho.sum()
        return Rows(error, jacobian, None, cost)

    def take(self, index: Index) -> Silhouette:
        outside, outline = (tuple(values[i] for i in index) for values in (self.outside, self.outline))
        return replace(
            self, outside=outside, outline=outline, K=self.K[index], weight=self.weight[index], reach=self.reach[index]
        )


@dataclass(frozen=True)
class Scan:
    """`SCAN` · ρ(distance) of each scanned point to the nearest sample of the ``skin``: ``points`` N arrays (P,3) m."""

    name: str = field(default="scan", init=False)
    skin: PointModel
    points: tuple[Array, ...]
    weight: float = SCAN

    @classmethod
    def of(cls, skin: PointModel, scans: Sequence[Array | None]) -> Scan:
        """At most some hundred points of each scan, evenly out of those that are finite."""
        kept = []
        for scan in scans:
            points = np.zeros((0, 3)) if scan is None else np.asarray(scan, dtype=np.float64).reshape(-1, 3)
            points = points[np.isfinite(points).all(axis=1)]
            kept.append(points[np.linspace(0, len(points) - 1, min(len(points), _SCAN_POINTS)).astype(int)])
        return cls(skin, tuple(kept))

    def rows(self, at: At) -> Rows:
        places, slopes = at.of(self.skin)
        count, most = len(places), max((len(p) for p in self.points), default=0)
        error, jacobian = np.zeros((count, 3 * most)), np.zeros((count, 3 * most, slopes.shape[-1]))
        cost = np.zeros(count)
        for n, points in enumerate(self.points):
            if not len(points):
                continue
            nearest = KDTree(places[n]).query(points)[1]
            off = places[n, nearest] - points
            rho, share = geman_mcclure(np.linalg.norm(off, axis=1), _REACH)
            by = np.sqrt(2.0 * self.weight * share)
            error[n, : 3 * len(points)] = (by[:, None] * off).ravel()
            jacobian[n, : 3 * len(points)] = (by[:, None, None] * slopes[n, nearest]).reshape(3 * len(points), -1)
            cost[n] = self.weight * rho.sum()
        return Rows(error, jacobian, None, cost)

    def take(self, index: Index) -> Scan:
        return replace(self, points=tuple(self.points[i] for i in index))


@dataclass(frozen=True)
class Ground:
    """`GROUND` · (height below the ground)², and · ρ(height above it): near feet stand, others may be in the air.

    ``feet`` toes and heels; ``planes`` (N,4), unit normal up and offset.
    """

    name: str = field(default="ground", init=False)
    feet: PointModel
    planes: Array
    weight: float = GROUND

    def rows(self, at: At) -> Rows:
        points, slopes = at.of(self.feet)
        normal = self.planes[:, None, :3]
        height = np.sum(normal * points, axis=-1) + self.planes[:, None, 3]
        rho, share = geman_mcclure(height, _CONTACT)
        below = height < 0
        rho, share = np.where(below, height**2, rho), np.where(below, 1.0, share)
        scale = np.sqrt(2.0 * self.weight * share)
        jacobian = scale[..., None] * np.sum(normal[..., None] * slopes, axis=2)
        return Rows(scale * height, jacobian, None, self.weight * rho.sum(axis=1))

    def take(self, index: Index) -> Ground:
        return replace(self, planes=self.planes[index])


def observed(body: BodyModel, views: Views, extent: Array) -> list[Term]:
    """The terms of all that ``views`` bring beside keypoints; ``extent`` (N,) px, the person's size in the picture."""
    terms: list[Term] = []
    if views.masks is not None or views.depths is not None:
        skin = skin_samples(body, _SAMPLES)
        if views.depths is not None:
            tables = tuple(None if d is None else np.nan_to_num(np.asarray(d, np.float64)) for d in views.depths)
            terms.append(Depth(skin, skin_samples(body, _SAMPLES, _EDGE), tables, views.K))
        if views.masks is not None:
            reach = 0.1 * extent
            terms.append(Silhouette.of(skin, views.masks, views.K, np.full(len(reach), OUTLINE), reach))
    if views.scans is not None:
        terms.append(Scan.of(skin_samples(body, _DENSE), views.scans))
    if views.ground is not None and all(name in body.extra_vertex_ids for name in _FEET):
        feet = PointModel.of_vertices(body, np.array([body.extra_vertex_ids[name] for name in _FEET]))
        terms.append(Ground(feet, views.ground))
    return terms
