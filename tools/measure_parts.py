"""How well are fingers, jaw and lids of rendered people found, whose truth is known?

    python tools/measure_parts.py [--count 60] [--hand 128] [--seed 0] [--pictures FOLDER] [--calibrate]

The open body with random shape, skin, hands and face before plain backgrounds, near enough that a hand is ``--hand``
pixels long from wrist to fingertip. Region of the first look, wrist, forearm and head come from the true body with the
errors that fits have (2 cm, 10°, 5°), so that what is measured is the parts' own: errors of finger joints once the
wrists lie on one another (moved, not turned: "wrist"), once the palms do too, which turns the wrist as it truly is
("palm"), and once all points do ("rigid"); of the jaw's opening; and whether lids that are shut are told from open
ones. ``--calibrate`` prints where the networks' points lie on the body instead (`fitting.part_landmarks`): per point
the offset in its bone's rest frame, metres, by robust least squares over all pictures, left side.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.bodies.arkit import arkit_shapes
from monocap.export.skin import skin_names, skin_texture
from monocap.fitting.face import POINTS, fit_face
from monocap.fitting.hands import fit_hand
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry.kinematics import forward_kinematics_numba
from monocap.geometry.procrustes import rigid_alignment
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle
from monocap.media.pictures import read_picture
from monocap.perception.face import FaceFollower, FaceNetwork
from monocap.perception.hands import HandFollower, HandNetwork
from monocap.priors.limits import PoseLimits
from monocap.render import Light, Mesh, overlay
from monocap.synth.people import random_person
from monocap.types import ARKIT, Array, Camera

SIDE = 480  # pixels of a picture
DISTANCE, HAND = 2.5, 0.18  # m of the person, and of a hand from wrist to fingertip
WRONG = 40.0  # degrees from which a hand counts as turned wrongly
SHUT = 0.3  # weight of a blink from which lids count as shut
_NAMES = skeletons.get("smplx55").joint_names
_BLAZE = skeletons.get("blazepose33")
_OF_HANDS = ("wrist", "palm", "rigid", "turn", "px")


def arms(rng: np.random.Generator, limits: PoseLimits) -> Array:
    """(63,) a standing pose with hands somewhere before the chest, within limits."""
    while True:
        pose = np.zeros((21, 3))
        for side, out in (("left", 1.0), ("right", -1.0)):
            s, e, w = (_NAMES.index(f"{side}_{name}") - 1 for name in ("shoulder", "elbow", "wrist"))
            pose[s] = [rng.uniform(-0.6, 0.6), -out * rng.uniform(0.0, 1.2), -out * rng.uniform(0.2, 1.1)]
            pose[e] = [rng.uniform(-0.8, 0.8), -out * rng.uniform(0.1, 1.8), 0.0]
            pose[w] = rng.normal(0, 0.25, 3)
        pose[_NAMES.index("head") - 1] = rng.normal(0, 0.2, 3)
        if limits.allows(pose.reshape(-1), 0.1):
            return pose.reshape(-1)


class Studio:
    """Renders people and knows what is true of them."""

    def __init__(self, focal: float) -> None:
        self.body = load_body("open")
        self.shapes = arkit_shapes(self.body)
        self.skeleton = Skeleton.of(self.body, blazepose_landmarks(self.body))
        self.limits, self.focal = PoseLimits.load(), focal
        self.skins = [read_picture(path).image for name in skin_names() if (path := skin_texture(self.body, name))]

    def picture(self, rng: np.random.Generator, body: BodyModel, params: dict[str, Array], at: Array) -> tuple:
        """A picture around the point ``at`` (3,) m, its camera, and the body's keypoints (33,3) in it."""
        centre = self.focal * at[:2] / at[2]
        middle = (SIDE - 1) / 2
        camera = Camera(self.focal, self.focal, middle - centre[0], middle - centre[1], SIDE, SIDE)
        vertices = body(**params).vertices
        ground = np.full((SIDE, SIDE, 3), rng.uniform(20, 235, 3), np.uint8)
        skin = self.skins[rng.integers(len(self.skins))]
        light = Light((rng.normal(0, 0.5), -1.0, -rng.uniform(0.4, 1.2)), (0.0, -1.0, 0.0))
        mesh = Mesh(vertices, body.faces, uv=body.uv, uv_faces=body.uv_faces, texture=skin)
        picture = overlay(ground, [mesh], camera, 1.0, light=light)
        root = axis_angle_to_matrix(params["global_orient"])[None]
        state = PoseState(root, params["body_pose"][None], params["transl"][None], params["betas"])
        points = landmark_points(self.skeleton, state)[0]
        lips = body.keypoints(["left_mouth", "right_mouth"], **params)
        points[[_BLAZE.index("mouth_left"), _BLAZE.index("mouth_right")]] = lips
        pixels = points[:, :2] / points[:, 2:] * self.focal + [camera.cx, camera.cy]
        return picture, camera, np.column_stack([pixels, np.ones(len(pixels))])

    def person(self, rng: np.random.Generator) -> tuple[dict[str, Array], Array, Array]:
        """Parameters, and places (22,3) and turns (22,3,3) of the body's joints, camera frame."""
        one = random_person(rng, self.body)
        yaw = axis_angle_to_matrix(np.array([0.0, rng.normal(0, 0.35), 0.0]))
        turn = np.diag([1.0, -1.0, -1.0]) @ yaw
        orient = cv2.Rodrigues(turn)[0].reshape(3)
        params = {
            "betas": np.asarray(one.betas, np.float64)[: self.body.num_betas],
            "global_orient": orient,
            "body_pose": arms(rng, self.limits),
            "transl": np.array([0.0, 0.0, DISTANCE]),
            "jaw_pose": np.asarray(one.jaw_pose, np.float64),
            "left_hand_pose": np.asarray(one.left_hand_pose, np.float64),
            "right_hand_pose": np.asarray(one.right_hand_pose, np.float64),
        }
        rest = np.asarray(self.body.rest_joints(params["betas"]), np.float64)[:22]
        local = axis_angle_to_matrix(np.concatenate([orient, params["body_pose"]]).reshape(1, 22, 3))
        world, joints = forward_kinematics_numba(local, rest, np.asarray(self.body.parents[:22], np.int64))
        return params, joints[0] + params["transl"], world[0]


class Offsets:
    """Where a network's points lie on the body: (R d)_xy = error of the point, metres, over many views, per point."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.rows = names, [([], []) for _ in names]

    def add(self, turns: Array, error: Array, mirrored: bool) -> None:
        """``turns`` (K,3,3) of the points' bones; ``error`` (K,2) m across the line of sight."""
        flip = np.array([-1.0, 1.0, 1.0]) if mirrored else np.ones(3)
        for (left, right), turn, e in zip(self.rows, turns, error, strict=True):
            left.append(turn[:2] * flip)
            right.append(e)

    def solve(self) -> Array:
        """(K,3) m."""
        out = []
        for left, right in self.rows:
            a, b = np.array(left), np.array(right)
            weight, d = np.ones(len(a)), np.zeros(3)
            for _ in range(10):
                w = weight[:, None, None]
                normal = np.einsum("nij,nik->jk", w * a, a) + 2.0 * np.eye(3)  # in doubt nothing
                d = np.linalg.solve(normal, np.einsum("nij,ni->j", w * a, b))
                off = np.linalg.norm(a @ d - b, axis=1)
                weight = 1 / (1 + (off / 0.008) ** 2) ** 2
            out.append(d)
        return np.array(out)


def bone_turns(studio: Studio, params: dict[str, Array], bones: list[str]) -> Array:
    """(K,3,3) of bones in the camera's frame."""
    body = studio.body
    local = axis_angle_to_matrix(np.asarray(body.full_pose(**params), np.float64))[None]
    rest = np.asarray(body.rest_joints(params["betas"]), np.float64)
    world, _ = forward_kinematics_numba(local, rest, np.asarray(body.parents, np.int64))
    return world[0, [body.joint_names.index(name) for name in bones]]


def hand_error(
    studio: Studio, rng: np.random.Generator, network: HandNetwork, show: list[Array], offsets: Offsets
) -> dict[str, float]:
    """Millimetres of one hand's joints and fingertips; empty where the hand was not found."""
    params, joints, world = studio.person(rng)
    k = int(rng.integers(2))
    side = ("left", "right")[k]
    wrist = joints[_NAMES.index(f"{side}_wrist")]
    names = [f"{side}_wrist"] + [
        f"{side}_{finger}{j}" for finger in ("thumb", "index", "middle", "ring", "pinky") for j in (1, 2, 3, "_tip")
    ]
    truth = studio.body.keypoints(names, **params)
    picture, camera, body = studio.picture(rng, studio.body, params, truth.mean(axis=0))
    body[:, :2] += rng.normal(0, 0.01 / DISTANCE * studio.focal, (33, 2))
    points = HandFollower(network).step(picture, body)[k]
    if not points[0, 2]:
        return {}
    near = wrist + rng.normal(0, 0.02, 3)
    arm = world[_NAMES.index(f"{side}_elbow")] @ axis_angle_to_matrix(rng.spawn(1)[0].normal(0, math.radians(10), 3))
    given = params["betas"], side, points[None], near[None], camera, np.zeros(1)
    fit = fit_hand(studio.body, *given, forearm=arm[None])
    posed = {**params, f"{side}_hand_pose": fit.pose[0]}
    own = studio.body.keypoints(names, **posed)
    true_turn = world[_NAMES.index(f"{side}_wrist")]
    moved = (own - own[0]) @ true_turn @ fit.turn[0].T  # undo the true turn of the wrist, apply the found one
    found = moved + truth[0]
    error = np.linalg.norm(found - truth, axis=1)[1:]
    palm, every = [0, 1, 5, 9, 13, 17], list(range(len(names)))

    def laid(on: list[int]) -> float:
        best = rigid_alignment(found[on], truth[on])
        return 1e3 * float(np.linalg.norm(best.apply(found) - truth, axis=1)[1:].mean())

    pixels = truth[:, :2] / truth[:, 2:] * studio.focal + [camera.cx, camera.cy]
    bones = [name.replace("_tip", "3") for name in names]
    off = (points[:, :2] - pixels) / studio.focal * truth[:, 2:]
    offsets.add(bone_turns(studio, params, bones), off, side == "right")
    if len(show) < 24:
        drawn = picture.copy()
        for at, colour in ((points[:, :2], (0, 255, 0)), (pixels, (255, 0, 0))):
            for x in at:
                cv2.circle(drawn, tuple(int(v) for v in x), 2, colour, -1)
        joint = _NAMES.index(f"{side}_wrist") - 1
        turned = params["body_pose"].copy()
        turned[3 * joint : 3 * joint + 3] = matrix_to_axis_angle(world[_NAMES.index(f"{side}_elbow")].T @ fit.turn[0])
        skin = studio.body(**{**posed, "body_pose": turned}).vertices
        show += [drawn, overlay(picture, [Mesh(skin, studio.body.faces)], camera)]
    return {
        "wrist": 1e3 * float(error.mean()),
        "palm": laid(palm),
        "rigid": laid(every),
        "turn": math.degrees(float(geodesic_angle(fit.turn[0], true_turn))),
        "px": float(np.linalg.norm(points[:, :2] - pixels, axis=1).mean()),
    }


def face_error(
    studio: Studio, rng: np.random.Generator, network: FaceNetwork, show: list[Array], offsets: Offsets
) -> dict[str, float]:
    """Degrees that the jaw is off, and the weights of both lids when they are shut or open; empty without a face."""
    params, joints, world = studio.person(rng)
    params["jaw_pose"] = np.array([rng.uniform(0.0, 0.35), 0.0, 0.0])
    shut = bool(rng.random() < 0.5)
    lids = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0} if shut else {}
    body = studio.shapes.on(studio.body, lids)
    head = _NAMES.index("head")
    picture, camera, seen = studio.picture(rng, body, params, joints[head] + world[head] @ [0.0, 0.06, 0.0])
    points, shapes = FaceFollower(network).step(picture, seen)
    if not points[0, 2]:
        return {}
    near = joints[head] + rng.normal(0, 0.02, 3)
    turn = world[head] @ axis_angle_to_matrix(rng.normal(0, math.radians(5), 3))
    fit = fit_face(studio.body, params["betas"], points[None], shapes[None], near[None], turn[None], camera)
    if len(show) < 48:
        drawn = picture.copy()
        for x in points[:, :2]:
            cv2.circle(drawn, tuple(int(v) for v in x), 2, (0, 255, 0), -1)
        show.append(drawn)
    places = body.keypoints(list(POINTS), **params)
    pixels = places[:, :2] / places[:, 2:] * studio.focal + [camera.cx, camera.cy]
    off = (points[: len(POINTS), :2] - pixels) / studio.focal * places[:, 2:]
    if not shut:
        offsets.add(bone_turns(studio, params, _face_bones()), off, False)
    blink = min(shapes[ARKIT.index("eyeBlinkLeft")], shapes[ARKIT.index("eyeBlinkRight")])
    apart = axis_angle_to_matrix(fit.jaw[0] - params["jaw_pose"])
    return {
        "jaw": math.degrees(abs(fit.jaw[0, 0] - params["jaw_pose"][0])),
        "jaw_turn": math.degrees(math.acos(np.clip((np.trace(apart) - 1) / 2, -1, 1))),
        "jaw_truth": math.degrees(params["jaw_pose"][0]),
        "jaw_found": math.degrees(fit.jaw[0, 0]),
        "jaw_weight": float(shapes[ARKIT.index("jawOpen")]),
        "shut": float(shut),
        "blink": float(blink),
    }


def _face_bones() -> list[str]:
    """Which bone each point of the face rides on."""
    lower = ("lip2", "lip3", "lip_bottom", "inner_lip1", "inner_lip_bottom")
    return ["jaw" if any(part in name for part in lower) else "head" for name in POINTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--hand", type=float, default=128.0, help="pixels from wrist to fingertip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calibrate", action="store_true", help="print offsets of the networks' points instead")
    parser.add_argument("--pictures", type=Path, help="folder for a sheet of what was seen and found")
    options = parser.parse_args()
    studio, rng = Studio(options.hand / HAND * DISTANCE), np.random.default_rng(options.seed)
    hands, face = HandNetwork(), FaceNetwork()
    show: list[Array] = []
    fingers = ("thumb", "index", "middle", "ring", "pinky")
    on_hand = Offsets(["wrist", *(f"{finger}{k}" for finger in fingers for k in (1, 2, 3, "_tip"))])
    on_face = Offsets(list(POINTS))
    of_hands = [hand_error(studio, rng, hands, show, on_hand) for _ in range(options.count)]
    del show[24:]
    of_faces = [face_error(studio, rng, face, show, on_face) for _ in range(options.count)]
    if options.calibrate:
        for offsets in (on_hand, on_face):
            for name, d in zip(offsets.names, offsets.solve(), strict=True):
                print(f'    "{name}": ({d[0]:.4f}, {d[1]:.4f}, {d[2]:.4f}),')
        return
    found = [row for row in of_hands if row]
    faces = [row for row in of_faces if row]
    shut, opened = ([row for row in faces if bool(row["shut"]) is which] for which in (True, False))
    told = {
        "hands_found": len(found) / options.count,
        **{f"hand_{name}": round(float(np.mean([row[name] for row in found])), 2) for name in _OF_HANDS},
        **{f"hand_{name}_median": round(float(np.median([row[name] for row in found])), 2) for name in _OF_HANDS},
        "hands_turned_wrongly": round(float(np.mean([row["turn"] > WRONG for row in found])), 3),
        "faces_found": len(faces) / options.count,
        "jaw_degrees": round(float(np.mean([row["jaw"] for row in faces])), 2),
        "jaw_bias": round(float(np.mean([row["jaw_found"] - row["jaw_truth"] for row in faces])), 2),
        "blinks_found": round(float(np.mean([row["blink"] > SHUT for row in shut])), 3),
        "blinks_invented": round(float(np.mean([row["blink"] > SHUT for row in opened])), 3),
        "blink_shut_p5": round(float(np.percentile([row["blink"] for row in shut], 5)), 2),
        "blink_open_p95": round(float(np.percentile([row["blink"] for row in opened], 95)), 2),
    }
    print(json.dumps(told))
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        tiles = [cv2.resize(picture, (200, 200)) for picture in show]
        tiles += [np.zeros((200, 200, 3), np.uint8)] * (-len(tiles) % 8)
        rows = [np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles), 8)]
        cv2.imwrite(str(options.pictures / "parts.jpg"), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
        with (options.pictures / "faces.json").open("w") as stream:
            json.dump(of_faces, stream)


if __name__ == "__main__":
    main()
