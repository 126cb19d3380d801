"""What do the weights keep of a limb at deep bends? ``python -m tools.open_body.bends --before FILE``.

FILE is an open.npz with the merged bones' own weights (`build --merged-weights --out FOLDER`). Compared are:

- ``merged``: those weights; ``shipped``: the refined ones (`volume.py`), both as plain linear blend skinning;
- ``dual``: dual quaternions (Kavan et al. 2008) on the merged weights: a yardstick, as most programs lack them;
- a turned palm also ``shared``: with elbow and wrist sharing the twist (`monocap.geometry.twist`), as captures have it.

Numbers: girth at the bend, in the plane that halves it, over the same girth at rest; volume of the whole mesh minus
rest, cm³ (what is inside twice counts twice); length over rest that 1 in 100 edges near the joint exceeds; pairs of
triangles that cross and did not at rest. Draws docs/images/open_body_bends.jpg: before above, after below.
With --poses, a file of a pose corpus (`monocap data corpus`), also how far skin moved in 100 of its poses.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel, load_body
from monocap.bodies.measurements import section, tape
from monocap.files import read_npz, replacing
from monocap.fitting.collision.collider import Collider
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_quaternion, quaternion_multiply
from monocap.geometry.twist import share_forearm_twist
from monocap.render import render_view

from .sheet import CROUCH, DATA, ROOT, SIT, Pose, full_pose
from .volume import signed_volume

Array = NDArray[np.float64]

OUT = ROOT / "docs/images/open_body_bends.jpg"
NEAR = 0.2  # metres about the joint in which edges are looked at
RIGHT: Pose = {f"right_{joint}": (0.0, 0.0, 0.0) for joint in ("shoulder", "collar", "elbow", "hip", "knee", "wrist")}
# pose of the left side, joint looked at, bone that ends at
BENDS: dict[str, tuple[Pose, str, str]] = {
    "elbow 130": ({"left_elbow": (0, -130, 0)}, "left_elbow", "left_wrist"),
    "knee 130": ({"left_knee": (130, 0, 0)}, "left_knee", "left_ankle"),
    "hip 110": ({"left_hip": (-110, 0, 0)}, "left_hip", "left_knee"),
    "arm down 75": ({"left_shoulder": (0, 0, -75)}, "left_shoulder", "left_elbow"),
    "arm up 80": ({"left_shoulder": (0, 0, 65), "left_collar": (0, 0, 15)}, "left_shoulder", "left_elbow"),
    "ankle 40": ({"left_ankle": (40, 0, 0)}, "left_ankle", "left_foot"),
    "palm up 150": ({"left_wrist": (-150, 0, 0)}, "left_wrist", "left_middle1"),
}
# pose, joint looked at, where from (metres from it), degrees of view, whether palms are shared after
VIEWS: tuple[tuple[Pose, str, tuple[float, float, float], float, bool], ...] = (
    ({"left_shoulder": (0, 0, -75)}, "left_shoulder", (0.3, 0.0, 1.0), 24, False),
    ({"left_shoulder": (0, 0, 65), "left_collar": (0, 0, 15)}, "left_shoulder", (0.2, -0.1, 1.1), 24, False),
    ({"left_elbow": (0, -130, 0)}, "left_elbow", (0.3, 1.2, 0.3), 17, False),
    ({"left_knee": (130, 0, 0)}, "left_knee", (1.2, 0.1, 0.2), 22, False),
    (SIT, "left_hip", (1.0, 0.3, 1.1), 30, False),
    (CROUCH, "left_knee", (1.3, 0.2, 0.9), 40, False),
    ({"left_wrist": (-150, 0, 0)}, "left_wrist", (0.1, 0.5, 0.9), 16, True),
)


def transforms(body: BodyModel, pose: Pose, share: bool = False) -> tuple[Array, Array, Array]:
    """World rotations (55,3,3), posed joints (55,3), and shifts (55,3): x = R p + shift."""
    turns = full_pose(list(body.joint_names), pose)
    rest = np.asarray(body.J_template, np.float64)
    if share:
        turns[1:22] = share_forearm_twist(turns[1:22].reshape(63), rest).reshape(21, 3)
    world, posed = (
        np.asarray(a) for a in forward_kinematics(np.asarray(axis_angle_to_matrix(turns)), rest, body.parents)
    )
    return world, posed, posed - np.einsum("jab,jb->ja", world, rest)


def linear(body: BodyModel, world: Array, shift: Array) -> Array:
    """Vertices (V,3) by linear blend skinning."""
    weights, vertices = body.lbs_weights.astype(np.float64), body.v_template.astype(np.float64)
    return np.einsum("vj,jab,vb->va", weights, world, vertices, optimize=True) + weights @ shift


def dual(body: BodyModel, world: Array, shift: Array) -> Array:
    """Vertices (V,3) by dual quaternions."""
    weights, vertices = body.lbs_weights.astype(np.float64), body.v_template.astype(np.float64)
    real = np.asarray(matrix_to_quaternion(world))
    real = real * np.where(real @ real[0] < 0, -1.0, 1.0)[:, None]
    pure = np.concatenate([np.zeros((len(shift), 1)), shift], axis=1)
    r, d = weights @ real, weights @ (0.5 * np.asarray(quaternion_multiply(pure, real)))
    size = np.linalg.norm(r, axis=1, keepdims=True)
    r, d = r / size, d / size
    w, u = r[:, :1], r[:, 1:]
    turned = vertices + 2 * np.cross(u, np.cross(u, vertices) + w * vertices)
    return turned + 2 * (w * d[:, 1:] - d[:, :1] * u + np.cross(u, d[:, 1:]))


def girth(body: BodyModel, vertices: Array, joints: Array, at: str, end: str) -> float:
    """Metres round the limb in the plane that halves the bend; for a wrist, the least within 6 cm before it."""
    j, e = body.joint_names.index(at), body.joint_names.index(end)
    p = int(body.parents[j])
    near = body.lbs_weights[:, [p, j]].sum(axis=1) > 0.5
    faces = body.faces[near[body.faces].all(axis=1)]
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1), axis=0)
    before, after = joints[j] - joints[p], joints[e] - joints[j]
    normal = before / np.linalg.norm(before) + after / np.linalg.norm(after)
    if at.endswith("wrist"):
        back = before / np.linalg.norm(before)
        places = (joints[j] - d * back for d in (0.0, 0.02, 0.04, 0.06))
        return min(tape(section(vertices, edges, place, back), back) for place in places)
    return tape(section(vertices, edges, joints[j], normal), normal)


class Scales:
    """What is measured of a posed skin, against the same skin at rest."""

    def __init__(self, body: BodyModel) -> None:
        self.body, self.rest = body, body.v_template.astype(np.float64)
        self.joints = np.asarray(body.J_template, np.float64)
        self.edges = np.unique(np.sort(np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]]]), 1), axis=0)
        self.collider = Collider(body.faces)
        self.crossing = {tuple(pair) for pair in self.collider.pairs(self.rest)}

    def row(self, vertices: Array, joints: Array, at: str, end: str) -> str:
        """Girth, volume, stretch and crossings as four columns."""
        body = self.body
        ratio = girth(body, vertices, joints, at, end) / girth(body, self.rest, self.joints, at, end)
        more = 1e6 * (signed_volume(vertices, body.faces) - signed_volume(self.rest, body.faces))
        first, second = self.edges.T
        near = np.linalg.norm(vertices[first] - joints[body.joint_names.index(at)], axis=1) < NEAR
        long, short = (np.linalg.norm(v[first[near]] - v[second[near]], axis=1) for v in (vertices, self.rest))
        pairs = {tuple(pair) for pair in self.collider.pairs(vertices)} - self.crossing
        return f"{ratio:8.2f}{more:+7.0f}{np.quantile(long / short, 0.99):6.2f}{len(pairs):6d}"


def table(before: BodyModel, after: BodyModel) -> None:
    """Print what each skinning keeps."""
    scales = Scales(before)
    print("girth over rest, volume minus rest (cm³), edges over rest (99 in 100), crossing pairs")
    print(" " * 14 + "".join(f"{name:>27}" for name in ("merged", "shipped", "dual", "shared")))
    for name, (pose, at, end) in BENDS.items():
        one_sided = RIGHT | pose
        world, joints, shift = transforms(before, one_sided)
        skins = [linear(before, world, shift), linear(after, world, shift), dual(before, world, shift)]
        if at.endswith("wrist"):
            world, _, shift = transforms(after, one_sided, share=True)
            skins.append(linear(after, world, shift))
        print(f"{name:14}" + "".join(scales.row(skin, joints, at, end) for skin in skins), flush=True)


def moved(before: BodyModel, after: BodyModel, poses: Path) -> None:
    """Print how far skin lies from where it was, mm, in 100 poses of a corpus: all of it, and within 8 cm of joints."""
    pose = read_npz(poses, ["body_pose"])["body_pose"].astype(np.float64)
    pose = pose[np.linspace(0, len(pose) - 1, 100).astype(int)]
    skins = [np.asarray(body(body_pose=pose).vertices) for body in (before, after)]
    distance = 1000 * np.linalg.norm(skins[0] - skins[1], axis=-1)
    print(f"skin moved by, mm: all {distance.mean():.1f}", end="")
    for name in ("head", "left_shoulder", "left_elbow", "left_wrist", "left_knee", "left_ankle", "left_foot"):
        joint = before.J_template[before.joint_names.index(name)]
        near = np.linalg.norm(before.v_template - joint, axis=1) < 0.08
        print(f", {name} {distance[:, near].mean():.1f}", end="")
    print()


def sheet(before: BodyModel, after: BodyModel) -> NDArray[np.uint8]:
    """The merged weights above, the shipped ones below (H,W,3) RGB."""
    rows = []
    for body in (before, after):
        row = []
        for pose, at, off, degrees, share in VIEWS:
            world, joints, shift = transforms(body, pose, share and body is after)
            target = joints[body.joint_names.index(at)]
            row.append(render_view(
                linear(body, world, shift), body.faces, eye=target + np.array(off), target=target,
                fov=math.radians(degrees), size=(260, 300), ground=False,
            ))  # fmt: skip
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="an open.npz built with --merged-weights")
    parser.add_argument("--after", type=Path, default=DATA / "open.npz")
    parser.add_argument("--poses", type=Path, help="a file of a pose corpus")
    parser.add_argument("--out", type=Path, default=OUT, help="the picture")
    options = parser.parse_args()
    before, after = load_body(options.before), load_body(options.after)
    table(before, after)
    if options.poses:
        moved(before, after, options.poses)
    picture = sheet(before, after)
    with replacing(options.out) as temporary:
        cv2.imwrite(str(temporary), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{options.out.name}: {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
