"""SMPLify's interpenetration: the body as capsules, each a row of spheres, which keep apart from those of other limbs.

Source: Bogo et al. 2016, section 3.3: Σ exp(−d² / (σ₁² + σ₂²)) over pairs of spheres of limbs that can meet, with σ a
third of the radius. The radii are measured on the mesh of whatever body is fitted, and follow its betas linearly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.fitting.smplifyx.points import Carriers, PointModel
from monocap.fitting.smplifyx.state import At
from monocap.fitting.smplifyx.terms import Index
from monocap.fitting.terms import Rows
from monocap.types import Array

_ALPHA = 0.3  # σ in radii
_ENCLOSED = 65  # per cent of the vertices inside; heads have eyes and teeth within
# Joint at whose bone the capsule hangs, and the joint where its axis ends; hands and feet end where their mesh does.
_AXES = {
    "pelvis": ("pelvis", "spine1"), "belly": ("spine1", "spine2"), "chest": ("spine3", "neck"), "head": ("head", None),
    "left_arm": ("left_shoulder", "left_elbow"), "right_arm": ("right_shoulder", "right_elbow"),
    "left_forearm": ("left_elbow", "left_wrist"), "right_forearm": ("right_elbow", "right_wrist"),
    "left_palm": ("left_wrist", None), "right_palm": ("right_wrist", None),
    "left_thigh": ("left_hip", "left_knee"), "right_thigh": ("right_hip", "right_knee"),
    "left_shin": ("left_knee", "left_ankle"), "right_shin": ("right_knee", "right_ankle"),
    "left_sole": ("left_ankle", None), "right_sole": ("right_ankle", None),
}  # fmt: skip
_TRUNK = ("pelvis", "belly", "chest", "head")
_LEGS = ("left_thigh", "right_thigh", "left_shin", "right_shin")


def _pairs() -> tuple[tuple[str, str], ...]:
    """Capsules that can meet: forearms and hands with trunk, legs and each other; a leg with the other."""
    out = [("left_forearm", "right_forearm"), ("left_palm", "right_palm"), ("left_sole", "right_sole")]
    for side, other in (("left", "right"), ("right", "left")):
        for part in ("forearm", "palm"):
            out += [(f"{side}_{part}", trunk) for trunk in _TRUNK]
            out += [(f"{side}_{part}", leg) for leg in _LEGS]
            out.append((f"{side}_{part}", f"{other}_arm"))
        out += [(f"{side}_palm", f"{other}_forearm"), (f"{side}_sole", f"{other}_shin")]
    return (*out, ("left_shin", "right_shin"), ("left_thigh", "right_shin"), ("right_thigh", "left_shin"))


@dataclass(frozen=True, eq=False)
class Spheres:
    """S spheres of a body: ``points`` their centres, ``radius`` (S,) m at betas 0 and ``slope`` (S,B); ``capsule`` (S,)
    which each belongs to, by name."""

    points: PointModel
    radius: Array
    slope: Array
    capsule: NDArray[np.str_]

    @classmethod
    def of(cls, body: BodyModel) -> Spheres:
        """From the mesh: `_ENCLOSED` per cent of the vertices that a bone moves most are within the radius."""
        owner = np.argmax(body.lbs_weights, axis=1)
        bone, moment, directions, radius, slope, capsule = [], [], [], [], [], []
        template, shapes = body.v_template.astype(np.float64), body.shapedirs.astype(np.float64)
        count = body.num_betas
        for name, (start, end) in _AXES.items():
            joint = body.joint_names.index(start)
            held = [joint] if end is not None else [k for k in range(len(body.parents)) if _under(body, k, joint)]
            mine = np.flatnonzero(np.isin(owner, held))
            a, a_slope = body.J_template[joint], body.J_shapedirs[joint]
            if end is not None:
                other = body.joint_names.index(end)
                b, b_slope = body.J_template[other], body.J_shapedirs[other]
            else:  # twice as far as the mesh's middle
                b = 2 * template[mine].mean(axis=0) - a
                b_slope = a_slope
            axis, length = b - a, float(np.linalg.norm(b - a))
            size = _distance(template[mine], a, axis)
            radius_here, slope_here = float(np.percentile(size, _ENCLOSED)), np.zeros(count)
            for k in range(count):  # a derivative of a percentile: by a small change
                moved = template[mine] + 0.1 * shapes[mine, :, k]
                start_moved = a + 0.1 * a_slope[:, k]
                axis_moved = b + 0.1 * b_slope[:, k] - start_moved
                slope_here[k] = (
                    np.percentile(_distance(moved, start_moved, axis_moved), _ENCLOSED) - radius_here
                ) / 0.1
            places = np.linspace(0.0, 1.0, max(int(np.ceil(length / radius_here)) + 1, 2))
            for t in places:
                bone.append(joint)
                moment.append(a + t * axis)
                directions.append((1 - t) * a_slope + t * b_slope)
                radius.append(radius_here)
                slope.append(slope_here)
                capsule.append(name)
        correctives = None
        if body.posedirs is not None:
            correctives = np.zeros((len(bone), 3, body.posedirs.shape[2]))
        carriers = Carriers(
            np.arange(len(bone) + 1),
            np.array(bone, dtype=np.int64),
            np.ones(len(bone)),
            np.array(moment, dtype=np.float64),
            np.array(directions, dtype=np.float64),
            correctives,
        )
        names = tuple(f"{name} {i}" for i, name in enumerate(capsule))
        points = PointModel(names, carriers, np.zeros(0, dtype=np.int64), body.kind.neck or 0)
        return cls(points, np.array(radius), np.array(slope), np.array(capsule))

    def pairs(self) -> NDArray[np.int64]:
        """(P,2) spheres of capsules that can meet."""
        out = []
        for one, other in _pairs():
            first, second = np.flatnonzero(self.capsule == one), np.flatnonzero(self.capsule == other)
            out.append(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2))
        return np.concatenate(out)


def _under(body: BodyModel, joint: int, above: int) -> bool:
    while joint >= 0 and joint != above:
        joint = int(body.parents[joint])
    return joint == above


def _distance(points: Array, start: Array, axis: Array) -> Array:
    """(n,) from the line through ``start`` along ``axis``."""
    unit = axis / max(float(np.linalg.norm(axis)), 1e-9)
    off = points - start
    return np.linalg.norm(off - (off @ unit)[:, None] * unit, axis=1)


@dataclass(frozen=True, eq=False)
class Capsules:
    """weight · Σ exp(−d² / (σ₁² + σ₂²)) over ``pairs`` (P,2) of spheres. Shape does not yield: no slope by betas."""

    name: str = field(default="collision", init=False)
    spheres: Spheres
    pairs: NDArray[np.int64]
    weight: float

    def rows(self, at: At) -> Rows:
        centres, slopes = at.of(self.spheres.points)
        one, other = self.pairs.T
        radius = self.spheres.radius + at.block("betas") @ self.spheres.slope.T
        spread = _ALPHA**2 * (radius[:, one] ** 2 + radius[:, other] ** 2)
        off = centres[:, one] - centres[:, other]
        squared = np.sum(off**2, axis=-1)
        residual = np.sqrt(2.0 * self.weight) * np.exp(-0.5 * squared / spread)
        near = np.flatnonzero((squared < 25.0 * spread).any(axis=0))  # what is farther weighs 10⁻¹¹
        jacobian = np.zeros((len(centres), len(near), slopes.shape[-1]))
        if len(near):
            factor = -(residual[:, near] / spread[:, near])[..., None] * off[:, near]
            jacobian = np.einsum("npc,npcm->npm", factor, slopes[:, one[near]] - slopes[:, other[near]])
        jacobian[:, :, at.columns["betas"]] = 0.0
        return Rows(residual[:, near], jacobian, None, 0.5 * np.sum(residual[:, near] ** 2, axis=1))

    def take(self, index: Index) -> Capsules:
        return replace(self)
