"""What would another skinning keep of the volume at deep bends? ``python -m tools.open_body.bends``.

The shipped weights stay; this only measures, and draws bends.jpg in --out. Compared, on the same weights:

- ``linear``: as shipped;
- ``dual``: dual quaternions (Kavan et al. 2008);
- ``half``: linear with one more bone at each shoulder, elbow, hip and knee that turns by half, between its neighbours
  (what riggers call a half joint; other programs play it, as it is linear);
- ``half+twist``: and the twist of the wrist spread along the forearm.

Numbers: the girth at the bend, in the plane that halves it, over the same girth at rest; the volume of the whole mesh
against rest, cm³ (what is inside twice counts twice).
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
from monocap.geometry.kinematics import forward_kinematics
from monocap.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_multiply,
)
from monocap.render import render_view

Array = NDArray[np.float64]

HINGES = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("shoulder", "elbow", "hip", "knee"))
TWISTS = (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"))
METHODS = ("linear", "dual", "half", "half+twist")
Turns = dict[str, tuple[float, float, float]]  # degrees
BENDS: dict[str, tuple[Turns, str, str]] = {  # pose, joint looked at, bone that ends there
    "elbow 130": ({"left_elbow": (0, -130, 0)}, "left_elbow", "left_wrist"),
    "knee 130": ({"left_knee": (130, 0, 0)}, "left_knee", "left_ankle"),
    "hip 110": ({"left_hip": (-110, 0, 0)}, "left_hip", "left_knee"),
    "arm down 75": ({"left_shoulder": (0, 0, -75)}, "left_shoulder", "left_elbow"),
    "arm up 80": ({"left_shoulder": (0, 0, 65), "left_collar": (0, 0, 15)}, "left_shoulder", "left_elbow"),
    "palm up 150": ({"left_wrist": (-150, 0, 0)}, "left_wrist", "left_middle1"),
}


def _matrices(body: BodyModel, turns: Turns) -> tuple[Array, Array, Array]:
    """World rotations (55,3,3), posed and rest joints (55,3)."""
    pose = np.zeros((len(body.parents), 3))
    for name, degrees in turns.items():
        pose[body.joint_names.index(name)] = np.radians(degrees)
    rest = np.asarray(body.J_template, np.float64)
    world, posed = forward_kinematics(np.asarray(axis_angle_to_matrix(pose)), rest, body.parents)
    return np.asarray(world), np.asarray(posed), rest


def _linear(vertices: Array, weights: Array, world: Array, shift: Array) -> Array:
    return np.einsum("vj,jab,vb->va", weights, world, vertices, optimize=True) + weights @ shift


def _dual(vertices: Array, weights: Array, world: Array, shift: Array) -> Array:
    real = np.asarray(matrix_to_quaternion(world))
    real = real * np.where(real @ real[0] < 0, -1.0, 1.0)[:, None]
    pure = np.concatenate([np.zeros((len(shift), 1)), shift], axis=1)
    dual = 0.5 * np.asarray(quaternion_multiply(pure, real))
    r, d = weights @ real, weights @ dual
    size = np.linalg.norm(r, axis=1, keepdims=True)
    r, d = r / size, d / size
    w, u = r[:, :1], r[:, 1:]
    turned = vertices + 2 * np.cross(u, np.cross(u, vertices) + w * vertices)
    return turned + 2 * (w * d[:, 1:] - d[:, :1] * u + np.cross(u, d[:, 1:]))


def pose(body: BodyModel, turns: Turns, method: str) -> Array:
    """Posed vertices (V,3), metres."""
    world, posed, rest = _matrices(body, turns)
    vertices, weights = body.v_template.astype(np.float64), body.lbs_weights.astype(np.float64).copy()
    shift = posed - np.einsum("jab,jb->ja", world, rest)
    if method == "dual":
        return _dual(vertices, weights, world, shift)
    if method.startswith("half"):
        for name in HINGES:
            j = body.joint_names.index(name)
            p = int(body.parents[j])
            both = weights[:, p] + weights[:, j]
            share = np.where(both > 1e-9, weights[:, j] / np.maximum(both, 1e-9), 0.0)
            halfway = 0.5 * np.asarray(matrix_to_axis_angle(world[p].T @ world[j]))
            turn = world[p] @ np.asarray(axis_angle_to_matrix(halfway))
            only = weights[:, j] > 0
            weights[only, p] = (both * np.maximum(1 - 2 * share, 0))[only]
            weights[only, j] = (both * np.maximum(2 * share - 1, 0))[only]
            extra = np.where(only, both * (1 - np.abs(2 * share - 1)), 0.0)
            weights = np.concatenate([weights, extra[:, None]], axis=1)
            world = np.concatenate([world, turn[None]])
            shift = np.concatenate([shift, (posed[j] - turn @ rest[j])[None]])
    out = _linear(vertices, weights, world, shift)
    if method == "half+twist":
        for bone, end in TWISTS:
            a = body.joint_names.index(bone)
            moved = _spread_twist(body, vertices, rest, turns, bone, end) - vertices
            out += weights[:, a : a + 1] * (moved @ world[a].T)
    return out


def _spread_twist(body: BodyModel, vertices: Array, rest: Array, turns: Turns, bone: str, end: str) -> Array:
    """Turn the skin of a bone, at rest, by a growing share of the twist of the joint at its end."""
    a, b = (body.joint_names.index(name) for name in (bone, end))
    axis = rest[b] - rest[a]
    length = np.linalg.norm(axis)
    axis = axis / length
    twist = np.radians(turns.get(end, (0.0, 0.0, 0.0))) @ axis
    along = np.clip((vertices - rest[a]) @ axis / length, 0.0, 1.0)
    turn = np.asarray(axis_angle_to_matrix((twist * along)[:, None] * axis))
    return rest[a] + np.einsum("vab,vb->va", turn, vertices - rest[a])


def volume(vertices: Array, faces: NDArray) -> float:
    """Cubic centimetres inside the mesh."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return 1e6 * float(np.einsum("fc,fc->", a, np.cross(b, c))) / 6.0


def girth(body: BodyModel, vertices: Array, joints: Array, at: str, end: str) -> float:
    """Metres round the limb in the plane that halves the bend; for a wrist, the least within 8 cm before it."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for bends.jpg")
    options = parser.parse_args()
    body = load_body("open")
    rest = body.v_template.astype(np.float64)
    rows = []
    print(f"{'girth over rest; volume minus rest, cm³':40}" + "".join(f"{m:>18}" for m in METHODS))
    for name, (turns, at, end) in BENDS.items():
        _, joints, rest_joints = _matrices(body, turns)
        line, row = f"{name:40}", []
        for method in METHODS:
            posed = pose(body, turns, method)
            ratio = girth(body, posed, joints, at, end) / girth(body, rest, rest_joints, at, end)
            more = volume(posed, body.faces) - volume(rest, body.faces)
            line += f"{ratio:>10.2f}{more:>+8.0f}"
            target = joints[body.joint_names.index(at)]
            picture = render_view(
                posed, body.faces, eye=target + np.array([0.9, 0.35, 1.1]), target=target, fov=math.radians(20),
                size=(300, 260), ground=False,
            ).copy()  # fmt: skip
            label = f"{name}: {method}"
            cv2.putText(picture, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 66), 1, cv2.LINE_AA)
            row.append(picture)
        print(line)
        rows.append(np.concatenate(row, axis=1))
    cv2.imwrite(str(options.out / "bends.jpg"), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
