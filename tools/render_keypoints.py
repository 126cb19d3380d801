"""What the keypoint network says of people whose pose is known: renderings of motion capture, seen by BlazePose.

    python tools/render_keypoints.py --mocap FOLDER_OF_CMU_MOTION --corpus FOLDER -o FOLDER [--shards 20] [--seed 0]

The second half of what the lifter learns from (`monocap train lifter --seen FOLDER`). Each shard holds stills of the
pose corpus (balanced; its extreme split too, marked) and short clips of motion at 10 to 30 pictures a second. The open
body is dressed (skin, hair, shirt, trousers, shoes: colours, stripes and looseness by chance) and seen from all sides
by cameras of many focal lengths, looking up by 30° to down by 45°, before backgrounds of shapes and noise, at times
cut off or hidden by something. The network looks at it as capture does: stills in a slightly wrong region, clips
followed from picture to picture. Pictures are thrown away; kept are keypoints and truth. Shards that exist are left
alone, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.corpus import CorpusOptions
from monocap.data.mocap.retarget import Retargeted, retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.data.pose_corpus import read_pose_corpus
from monocap.errors import InputError
from monocap.export import skin_texture
from monocap.files import write_npz
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.state import PoseState, Skeleton, landmark_points
from monocap.geometry import rotations
from monocap.media.pictures import read_picture
from monocap.perception import BlazePose, Roi
from monocap.perception.followed import steady
from monocap.perception.roi import upright
from monocap.render import Light, Mesh, overlay, vertex_normals
from monocap.types import Array, Camera

STILLS, CLIPS, CLIP_FRAMES = 400, 10, 15  # of a shard
_SKELETON = skeletons.get("blazepose33")
_HIPS = _SKELETON.indices(("left_hip", "right_hip"))
_SHOULDERS = _SKELETON.indices(("left_shoulder", "right_shoulder"))
_MIRROR = np.array([1.0, -1.0, -1.0])
_UPRIGHT = np.diag([1.0, -1.0, -1.0])
_SIDE = 448  # pixels of a rendering
_MIN_SCORE, _MIN_PEAK = 0.5, 0.3  # the tracker's: below them the person counts as lost
Garment = tuple[Array, Array, Array, Array | None, tuple[float, float, float], float]


@dataclass(frozen=True)
class Dress:
    """Garments: which faces of the body, their vertices, faces among those, texture, colour, looseness in metres."""

    meshes: list[Garment]

    def put_on(self, body: BodyModel, vertices: Array) -> list[Mesh]:
        """``vertices`` (V,3) of the naked body → one mesh per garment."""
        assert body.uv_faces is not None
        normals = vertex_normals(vertices, body.faces)
        out = []
        for faces, used, own, texture, colour, loose in self.meshes:
            grown = vertices[used] + loose * normals[used]
            if texture is None:
                out.append(Mesh(grown, own, colour))
            else:
                out.append(Mesh(grown, own, uv=body.uv, uv_faces=body.uv_faces[faces], texture=texture))
        return out


class Wardrobe:
    """Cuts the open body into garments once and dresses people by chance."""

    def __init__(self, body: BodyModel) -> None:
        carrier = np.argmax(body.lbs_weights, axis=1)
        names = np.array(body.joint_names)[carrier]
        at = body.v_template
        joint = {name: body.J_template[i] for i, name in enumerate(body.joint_names)}
        head = np.isin(names, ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf", "left_eye", "right_eye"))
        eye = joint["left_eye"]
        hair = head & ((at[:, 1] > eye[1] + 0.045) | ((at[:, 2] < eye[2] - 0.10) & (at[:, 1] > eye[1] - 0.06)))
        feet = np.char.endswith(names, "ankle") | np.char.endswith(names, "foot")
        legs = np.char.endswith(names, "hip") | np.char.endswith(names, "knee") | (names == "pelvis")
        below_knee = np.char.endswith(names, "knee")
        shirt = np.char.startswith(names, "spine") | np.char.endswith(names, "collar")
        sleeve = np.char.endswith(names, "shoulder")
        fore = np.char.endswith(names, "elbow")
        self._masks = {
            "hair": hair, "feet": feet, "legs": legs & ~below_knee, "shins": below_knee,
            "shirt": shirt, "sleeve": sleeve, "fore": fore,
        }  # fmt: skip
        self._faces = np.asarray(body.faces)
        skin = skin_texture(body)
        self._skin = None if skin is None else read_picture(skin).image

    def choose(self, rng: np.random.Generator) -> Dress:
        faces = {name: mask[self._faces].sum(axis=1) >= 2 for name, mask in self._masks.items()}
        worn: dict[str, Array] = {}
        if rng.random() < 0.92:
            top = faces["shirt"].copy()
            if rng.random() < 0.85:
                top |= faces["sleeve"]
                if rng.random() < 0.5:
                    top |= faces["fore"]
            worn["top"] = top
        trousers = faces["legs"].copy()
        if rng.random() < 0.7:
            trousers |= faces["shins"]
        worn["trousers"] = trousers
        if rng.random() < 0.85:
            worn["shoes"] = faces["feet"]
        if rng.random() < 0.85:
            worn["hair"] = faces["hair"]
        rest = np.ones(len(self._faces), dtype=bool)
        meshes = []
        for name, mask in worn.items():
            rest &= ~mask
            loose = {"hair": rng.uniform(0.0, 0.025), "shoes": 0.006}.get(name, rng.gamma(1.5, 0.006))
            colour = tuple(rng.uniform(0.02, 0.95, 3) ** rng.choice([1.0, 1.0, 2.0]))
            if name in ("hair", "shoes") or rng.random() < 0.45:  # near grey, as most of what people wear
                colour = tuple(np.clip(rng.uniform(0.02, 0.9) + 0.06 * rng.normal(size=3), 0, 1))
            texture = _cloth(rng, colour) if name in ("top", "trousers") and rng.random() < 0.5 else None
            meshes.append(self._cut(mask, texture, colour, loose))
        skin = self._skin
        if skin is not None:
            tone = rng.uniform(0.35, 1.1) * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.75, 1.0)])
            skin = np.clip(skin * tone, 0, 255).astype(np.uint8)
        meshes.append(self._cut(rest, skin, (0.8, 0.6, 0.5), 0.0))
        return Dress(meshes)

    def _cut(self, mask: Array, texture: Array | None, colour: tuple[float, float, float], loose: float) -> Garment:
        faces = np.flatnonzero(mask)
        used, own = np.unique(self._faces[faces], return_inverse=True)
        return faces, used, own.reshape(-1, 3), texture, colour, loose


def _cloth(rng: np.random.Generator, colour: tuple[float, ...]) -> Array:
    """(256,256,3) uint8: stripes, checks or noise around a colour."""
    base = np.array(colour) * 255
    y, x = np.mgrid[:256, :256] / 256
    kind, count = rng.integers(3), rng.integers(8, 60)
    wave = np.sign(np.sin(2 * np.pi * count * (y if kind else x)))
    if kind == 2:
        wave = cv2.resize(rng.normal(size=(count, count)), (256, 256), interpolation=cv2.INTER_LINEAR)
    other = rng.uniform(0, 255, 3)
    share = np.clip(0.5 + rng.uniform(0.1, 0.5) * wave, 0, 1)[..., None]
    return np.clip(base * share + other * (1 - share), 0, 255).astype(np.uint8)


def background(rng: np.random.Generator, width: int, height: int) -> Array:
    """(H,W,3) uint8: soft noise at several scales, a floor, and shapes with straight and round edges."""
    picture = np.full((height, width, 3), rng.uniform(20, 235, 3))
    if rng.random() < 0.7:
        line = int(height * rng.uniform(0.3, 1.0))
        picture[line:] = rng.uniform(10, 220, 3)
    for scale in (3, 9, 40):
        noise = rng.normal(size=(scale, scale, 3)) * rng.uniform(0, 30)
        noise = noise if rng.random() < 0.4 else noise.mean(axis=2, keepdims=True) + np.zeros(3)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 14)):
        colour = tuple(int(c) for c in rng.uniform(0, 255, 3))
        a = rng.uniform(-0.1, 1.1, 2) * (width, height)
        size = rng.uniform(0.03, 0.35, 2) * width
        if rng.random() < 0.6:
            corners = cv2.boxPoints((tuple(map(float, a)), tuple(map(float, size)), float(rng.choice([0, 0, 20, 70]))))
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        elif rng.random() < 0.5:
            cv2.ellipse(picture, tuple(map(int, a)), tuple(map(int, size / 2)), 0, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            b = rng.uniform(0, 1, 2) * (width, height)
            cv2.line(picture, tuple(map(int, a)), tuple(map(int, b)), colour, int(rng.integers(1, 12)), cv2.LINE_AA)
    return picture


@dataclass(frozen=True)
class View:
    """One camera before one person: ``turn`` (3,3) world to camera, ``distance`` m, and how far off the optical axis
    the person stands, ``slant`` (2,) in focal lengths."""

    turn: Array
    distance: float
    slant: Array


def view(rng: np.random.Generator) -> View:
    tilt = np.deg2rad(np.clip(rng.normal(10, 14), -30, 45)) if rng.random() < 0.9 else np.deg2rad(rng.uniform(-30, 60))
    roll = 0.05 * rng.normal()
    heading = rng.uniform(0, 2 * np.pi)
    turn = rotations.axis_angle_to_matrix(np.array([[tilt, 0.0, 0.0]]))[0]
    turn = rotations.axis_angle_to_matrix(np.array([[0.0, 0.0, roll]]))[0] @ turn @ _UPRIGHT
    turn = turn @ rotations.axis_angle_to_matrix(np.array([[0.0, heading, 0.0]]))[0]
    distance = float(np.exp(rng.uniform(np.log(2.0), np.log(9.0))))
    return View(turn, distance, rng.normal(size=2) * [0.22, 0.12])


def dirty(rng: np.random.Generator, picture: Array, strength: tuple[float, ...]) -> Array:
    """Blur, noise, exposure and JPEG, as of a phone or an old camera; ``strength`` is the clip's own."""
    blur, noise, gain, gamma, quality = strength
    out = picture.astype(np.float32)
    out = 255 * np.clip(gain * out / 255, 0, 1) ** gamma
    if blur > 0.4:
        out = cv2.GaussianBlur(out, (0, 0), blur)
    out += rng.standard_normal(out.shape, dtype=np.float32) * np.float32(noise)
    out = np.clip(out, 0, 255).astype(np.uint8)
    if quality < 95:
        packed = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        out = out if unpacked is None else np.asarray(unpacked)
    return out


def _strength(rng: np.random.Generator) -> tuple[float, ...]:
    blur, noise = rng.gamma(1.0, 0.6), rng.gamma(1.0, 4.0)
    return blur, noise, rng.uniform(0.55, 1.3), np.exp(0.2 * rng.normal()), rng.uniform(25, 110)


class Studio:
    """Renders people and asks the networks about them."""

    def __init__(self, threads: int = 1) -> None:
        self.body = load_body("open")
        self.skeleton = Skeleton.of(self.body, blazepose_landmarks(self.body))
        self.wardrobe = Wardrobe(self.body)
        self.networks = {"heavy": BlazePose("heavy", threads), "lite": BlazePose("lite", threads)}
        joints = skeletons.get("smplx55")
        self.flip = np.array(joints.flip[1:22]) - 1

    def shoot(
        self, rng: np.random.Generator, variant: str, pose: Array, root: Array, move: Array
    ) -> list[dict[str, Array]]:
        """T pictures of one person, ``pose`` (T,63), ``root`` (T,3,3) in a world with y up, ``move`` (T,3) m."""
        network, seen = self.networks[variant], view(rng)
        betas = np.concatenate([0.9 * rng.normal(size=4), 0.5 * rng.normal(size=self.body.shapedirs.shape[2] - 4)])
        turned = seen.turn @ root
        move = (move - move.mean(axis=0)) @ seen.turn.T
        centre = seen.distance * np.array([*seen.slant, 1.0])
        state = PoseState(turned, pose, move + centre, betas)
        points = landmark_points(self.skeleton, state)
        middle = points[:, _HIPS].mean(axis=(0, 1))
        transl = state.transl - middle + centre
        points = points - middle + centre
        points[..., 2] = np.maximum(points[..., 2], 0.3)
        flat = points[..., :2] / points[..., 2:]
        low, high = flat.min(axis=(0, 1)), flat.max(axis=(0, 1))
        # the window around all of it, at times cut off; people of many sizes in pixels
        extent = float((high - low).max()) * rng.uniform(1.05, 1.7)
        window = (low + high) / 2 + rng.uniform(-0.1, 0.1, 2) * extent
        if rng.random() < 0.12:
            window += rng.uniform(-0.35, 0.35, 2) * extent
        focal = _SIDE / extent
        camera = Camera(
            focal, focal, _SIDE / 2 - focal * window[0] - 0.5, _SIDE / 2 - focal * window[1] - 0.5, _SIDE, _SIDE
        )
        pixels = flat * focal + [camera.cx, camera.cy]
        scene, dress, strength = background(rng, _SIDE, _SIDE), self.wardrobe.choose(rng), _strength(rng)
        towards = rng.normal(size=3) * [1.0, 0.6, 1.0] + [0, -0.8, -0.5]
        key = rng.uniform(0.3, 1.0)
        light = Light(tuple(towards), (0.0, -1.0, 0.0), key, rng.uniform(0.15, 0.6), rng.uniform(0.05, 0.3))
        hide = _occluder(rng, pixels) if rng.random() < 0.13 else None
        shrink = float(np.exp(rng.uniform(np.log(0.25), 0.0))) if rng.random() < 0.4 else 1.0
        placed = self.body(
            betas=np.broadcast_to(betas, (len(pose), len(betas))),
            global_orient=rotations.matrix_to_axis_angle(turned),
            body_pose=pose,
            transl=transl,
        ).vertices
        out, roi = [], None
        for t in range(len(pose)):
            meshes = dress.put_on(self.body, placed[t])
            picture = overlay(scene, meshes, camera, 1.0, light=light)
            if hide is not None:
                cv2.fillPoly(picture, [hide[0]], hide[1], cv2.LINE_AA)
            if shrink < 1.0:
                small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
                picture = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
            picture = dirty(rng, picture, strength)
            if roi is None:
                roi = _first_roi(rng, pixels[t], len(pose) == 1)
            result = network.estimate(picture, roi)
            good = result.keypoints.score >= _MIN_SCORE and result.peak >= _MIN_PEAK
            out.append(
                {
                    "points2d": result.keypoints.points2d,
                    "points3d": result.keypoints.points3d,
                    "score": np.float32(result.keypoints.score),
                    "peak": np.float32(result.peak),
                    "truth": points[t].astype(np.float32),
                    "camera": np.array([camera.fx, camera.cx, camera.cy], np.float32),
                    "pose": pose[t].astype(np.float32),
                    "root": turned[t].astype(np.float32),
                    "transl": transl[t].astype(np.float32),
                    "betas": betas.astype(np.float32),
                    "picture": picture,
                }
            )
            roi = steady(roi, result.next_roi) if good else None
        return out


def _first_roi(rng: np.random.Generator, pixels: Array, still: bool) -> Roi:
    """The region that capture would have settled on, and a little beside it."""
    hips, shoulders = pixels[_HIPS].mean(axis=0), pixels[_SHOULDERS].mean(axis=0)
    radius = max(float(np.linalg.norm(pixels - hips, axis=1).max()) * 1.05, 5.0)
    jitter = 1.0 if still else 0.5
    roi = Roi(hips, 2.5 * radius, upright(shoulders - hips))
    roi = roi.shifted(*(0.025 * jitter * rng.normal(size=2))).scaled(float(np.exp(0.08 * jitter * rng.normal())))
    return roi.turned(float(0.15 * jitter * rng.normal()))


def _occluder(rng: np.random.Generator, pixels: Array) -> tuple[Array, tuple[int, int, int]]:
    """A box that hides about a third of the person."""
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    size = rng.uniform(0.25, 0.6, 2) * (high - low)
    at = rng.uniform(low, high)
    if rng.random() < 0.5:
        at[1] = high[1]  # most often legs behind furniture
        size = np.array([1.3, rng.uniform(0.3, 0.9)]) * (high - low)
    corners = cv2.boxPoints((tuple(map(float, at)), tuple(map(float, size)), float(15 * rng.normal())))
    red, green, blue = (int(c) for c in rng.uniform(0, 255, 3))
    return corners.astype(np.int32), (red, green, blue)


def read_motion(folder: Path, body: BodyModel) -> list[tuple[str, Retargeted]]:
    """Performer and motion of every usable take of CMU's."""
    out = []
    for take in find_takes(folder):
        if take.origin != "cmu":
            continue
        try:
            motion = retarget(read_take(take), body)
        except InputError:
            continue
        if motion.error.summary["direction_mean_deg"] <= CorpusOptions().direction:
            out.append((take.subject, motion))
    return out


def held_out(subject: str) -> bool:
    """Performers who are not trained on, as in the pose corpus."""
    options = CorpusOptions()
    return subject in (*options.test, *options.val)


class Cast:
    """Who is rendered: stills of the corpus, clips of the takes."""

    def __init__(self, mocap: Path, corpus: Path, body: BodyModel) -> None:
        poses = read_pose_corpus(corpus)
        self.corpus = {split: poses.part(split) for split in ("train", "test", "extreme")}
        self.motion = [(s, m) for s, m in read_motion(mocap, body) if m.frames > CLIP_FRAMES + 2]
        # one pose in a take says how people lean; stills of the corpus lost it, so they take that of a similar pose
        self.known = np.concatenate([m.body_pose[::5] for _, m in self.motion]).astype(np.float32)
        self.up = np.concatenate(
            [rotations.axis_angle_to_matrix(m.global_orient[::5])[:, 1, :] for _, m in self.motion]
        )

    def still(self, rng: np.random.Generator) -> tuple[str, Array, Array, Array]:
        split = str(rng.choice(["train", "extreme", "test"], p=[0.85, 0.1, 0.05]))
        part = self.corpus[split]
        pose = part.body_pose[rng.choice(len(part.body_pose), p=part.weight / part.weight.sum())].astype(np.float64)
        near = int(np.argmin(((self.known - pose.astype(np.float32)) ** 2).sum(axis=1)))
        up = rotations.rotation_between(self.up[near : near + 1], np.array([[0.0, 1.0, 0.0]]))[0]
        lean = rng.normal(size=3) * (0.8 if rng.random() < 0.12 else 0.08)
        root = rotations.axis_angle_to_matrix(lean[None])[0] @ up
        return split, pose[None], root[None], np.zeros((1, 3))

    def clip(self, rng: np.random.Generator, flip: Array) -> tuple[str, Array, Array, Array, float]:
        lengths = np.array([min(m.frames, 600) for _, m in self.motion], float)
        subject, motion = self.motion[rng.choice(len(lengths), p=lengths / lengths.sum())]
        stride = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
        span = (CLIP_FRAMES - 1) * stride + 1
        stride, span = (1, CLIP_FRAMES) if span > motion.frames else (stride, span)
        start = int(rng.integers(0, motion.frames - span + 1))
        part = slice(start, start + span, stride)
        pose = motion.body_pose[part].astype(np.float64)
        root = rotations.axis_angle_to_matrix(motion.global_orient[part]).astype(np.float64)
        move = motion.transl[part].astype(np.float64)
        if rng.random() < 0.5:
            pose = (pose.reshape(-1, 21, 3)[:, flip] * _MIRROR).reshape(-1, 63)
            root = np.diag([-1.0, 1.0, 1.0]) @ root @ np.diag([-1.0, 1.0, 1.0])
            move = move * [-1.0, 1.0, 1.0]
        return "test" if held_out(subject) else "train", pose, root, move, 30.0 / stride


def make_shard(studio: Studio, cast: Cast, seed: int) -> dict[str, Array]:
    """Arrays of one shard; ``clip`` (N,) counts people, ``fps`` is 0 for stills."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Array]] = []
    for index in range(STILLS + CLIPS):
        variant = "heavy" if rng.random() < 0.75 else "lite"
        if index < STILLS:
            split, pose, root, move = cast.still(rng)
            fps = 0.0
        else:
            split, pose, root, move, fps = cast.clip(rng, studio.flip)
        for row in studio.shoot(rng, variant, pose, root, move):
            del row["picture"]
            rows.append(row | {"clip": index, "fps": fps, "variant": variant, "split": split})
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Keypoints of rendered people, for the lifter to learn from.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="write a sheet of pictures of the first shard instead")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    studio = Studio()
    cast = Cast(given.mocap, given.corpus, studio.body)
    if given.show:
        show(studio, cast, given.out / "sheet.jpg", given.seed)
        return
    for number in range(given.shards):
        path = given.out / f"seen-{given.seed + number:03d}.npz"
        if path.exists():
            continue
        started = time.monotonic()
        write_npz(path, make_shard(studio, cast, given.seed + number))
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


def show(studio: Studio, cast: Cast, path: Path, seed: int) -> None:
    """A contact sheet of stills with what the network sees, to look at."""
    rng, tiles = np.random.default_rng(seed), []
    for _ in range(18):
        _, pose, root, move = cast.still(rng)
        row = studio.shoot(rng, "heavy", pose, root, move)[0]
        tile = row["picture"].copy()
        for x, y in row["points2d"][:, :2]:
            cv2.circle(tile, (int(x), int(y)), 3, (255, 255, 0), -1)
        tiles.append(cv2.resize(tile, (256, 256), interpolation=cv2.INTER_AREA))
    sheet = np.vstack([np.hstack(tiles[i : i + 6]) for i in range(0, 18, 6)])
    cv2.imwrite(str(path), sheet[..., ::-1])


if __name__ == "__main__":
    main()
