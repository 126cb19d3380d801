"""Ids through crossings, and what following costs, on rendered walkers with exact truth.

    python tools/measure_people.py --mocap FOLDER_OF_CMU_MOTION [--preset fast] [--alike] [--video OUT.mp4]

One, two and three open bodies in clothes of different colours (``--alike``: of the same) walk up and down past each
other at different depths, the near ones hiding the far ones, over the empty half of examples/demo.mp4. For each: frames
in which they were found although at most half hidden, ids after all was seen, switches (frames in which an id's
landmarks lie on somebody else than most of its others), and CPU milliseconds per frame of detecting and following.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.takes import find_takes, read_take
from monocap.export import skin_texture
from monocap.geometry import rotations, transforms
from monocap.geometry.cameras import project
from monocap.media.pictures import read_picture
from monocap.media.readers import open_media
from monocap.media.writers import VideoWriter
from monocap.perception import BlazePose, PeopleDetector, PeopleTracker
from monocap.pipeline.cast import Cast, cast_of
from monocap.pipeline.settings import NETWORK
from monocap.pipeline.sightings import Sightings
from monocap.render import Mesh, overlay, person_colour, rasterise
from monocap.skeletons import get
from monocap.types import Array, Camera, Frame

CAMERA = Camera(900.0, 900.0, 479.5, 269.5, 960, 540)
FRAMES, RATE, HALF = 180, 30.0, 1.6  # HALF: metres to each side that they walk
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"
TAKES = ("07_01", "08_01", "35_01")
CLOTHES = (
    ((0.75, 0.12, 0.1), (0.12, 0.13, 0.2)),
    ((0.1, 0.25, 0.65), (0.55, 0.5, 0.42)),
    ((0.85, 0.8, 0.3), (0.15, 0.35, 0.2)),
)
LIMBS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee")


class Walker:
    """A body that walks up and down at one depth: vertices (T,V,3), joints (T,J,3), camera frame."""

    def __init__(self, body: BodyModel, folder: Path, number: int, clothes: int) -> None:
        takes = {take.path.stem: take for take in reversed(find_takes(folder)) if take.path.suffix == ".amc"}
        motion = retarget(read_take(takes[TAKES[number]]), body)
        betas = np.zeros(body.shapedirs.shape[2])
        betas[:3] = np.random.default_rng(number).normal(size=3)
        # there and back again, so that any number of frames can be walked
        count, phase = motion.frames, (np.arange(FRAMES) + 40 * number) / FRAMES
        step = np.abs(np.arange(FRAMES) % (2 * count - 2) - (count - 1))[::-1] % count
        along = motion.transl[-1] - motion.transl[0]
        place = np.abs((1.5 * phase + 0.5 * number) % 2 - 1)  # 1 to 0 and back
        leftward = np.gradient(place) < 0
        turns = np.where(leftward, -np.pi / 2, np.pi / 2) - np.arctan2(along[0], along[2])
        pelvis = np.asarray(body.rest_joints(betas))[0]
        vertices, joints = [], []
        for frame in range(FRAMES):
            turn = np.diag([1.0, -1.0, -1.0]) @ rotations.axis_angle_to_matrix(np.array([0.0, turns[frame], 0.0]))
            move = transforms.from_parts(turn, np.zeros(3))
            i = slice(step[frame], step[frame] + 1)
            orient, _ = transforms.move_body(move, motion.global_orient[i], motion.transl[i], pelvis)
            x = HALF * (2 * place[frame] - 1)
            transl = np.array([[x, 0.15, 4.2 + 0.7 * number]]) - pelvis
            posed = body(betas=betas, global_orient=orient, body_pose=motion.body_pose[i], transl=transl)
            vertices.append(posed.vertices[0])
            joints.append(posed.joints[0])
        self.vertices, self.joints = np.array(vertices), np.array(joints)
        self.top, self.trousers = CLOTHES[clothes]


def dressed(body: BodyModel, walker: Walker, frame: int, texture: Array | None) -> list[Mesh]:
    """A body in a shirt and trousers, by the parts of the rest pose."""
    rest = body.v_template[body.faces].mean(1)
    height = (rest[:, 1] - rest[:, 1].min()) / np.ptp(rest[:, 1])
    shirt = (height > 0.5) & (height < 0.84) & (np.abs(rest[:, 0]) < 0.45)
    trousers = (height > 0.06) & (height <= 0.5) & (np.abs(rest[:, 0]) < 0.45)
    skin = ~(shirt | trousers)
    vertices = walker.vertices[frame]
    uv_faces = None if body.uv_faces is None else body.uv_faces[skin]
    return [
        Mesh(vertices, body.faces[shirt], walker.top),
        Mesh(vertices, body.faces[trousers], walker.trousers),
        Mesh(vertices, body.faces[skin], uv=body.uv, uv_faces=uv_faces, texture=texture),
    ]


def hidden(body: BodyModel, walkers: list[Walker], frame: int) -> Array:
    """Which share of each walker's outline nearer ones cover (they stand in order, the first nearest)."""
    shares, covered = [], np.zeros((CAMERA.height, CAMERA.width), bool)
    for walker in walkers:
        outline = rasterise(walker.vertices[frame], body.faces, CAMERA).face >= 0
        shares.append((outline & covered).sum() / max(outline.sum(), 1))
        covered |= outline
    return np.array(shares)


def empty_scene() -> Array:
    """The right half of the example without those who walk through it."""
    scene = np.median([frame.image for frame in open_media(EXAMPLE) if frame.index % 12 == 0], axis=0).astype(np.uint8)
    return cv2.resize(scene[:, scene.shape[1] // 2 :], (CAMERA.width, CAMERA.height))


def whose(points: Array, valid: Array, truth: Array) -> Array:
    """(T,) which walker a track's limbs (T,6,2) lie on in each frame, -1 on nobody; ``truth`` (P,T,6,2)."""
    apart = np.linalg.norm(truth - points[None], axis=-1).mean(-1)
    size = np.ptp(truth[..., 1], axis=(0, 2)).mean()
    return np.where(valid & (apart.min(0) < 0.25 * size), apart.argmin(0), -1)


def draw(images: list[Array], cast: Cast, path: Path) -> None:
    """The video with everybody's landmarks in the colour of the id."""
    with VideoWriter(path, RATE, (CAMERA.width, CAMERA.height)) as writer:
        for frame, image in enumerate(images):
            for track in cast.tracks:
                colour = tuple(round(255 * part) for part in person_colour(track.track_id))
                for x, y, sure in track.points2d[frame] if track.valid[frame] else ():
                    if sure > 0.3:
                        cv2.circle(image, (int(x), int(y)), 3, colour, -1)
            writer.write(image)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ids through crossings, and what following costs.")
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--preset", choices=tuple(NETWORK), default="fast")
    parser.add_argument("--alike", action="store_true", help="the same clothes for everybody")
    parser.add_argument("--video", type=Path, help="write the last video, with ids drawn in")
    arguments = parser.parse_args()
    body = load_body("open")
    background = empty_scene()
    skin = skin_texture(body)
    texture = None if skin is None else read_picture(skin).image
    detector, network = PeopleDetector(threads=1), BlazePose(NETWORK[arguments.preset], threads=1)
    landmarks = get("blazepose33").indices(LIMBS)
    limbs = [body.joint_names.index(name) for name in LIMBS]
    walkers = [Walker(body, arguments.mocap, i, 0 if arguments.alike else i) for i in range(3)]
    for count in (1, 2, 3):
        tracker, sightings = PeopleTracker(detector, network), Sightings("blazepose33")
        spent, images, shares = [], [], []
        for frame in range(FRAMES):
            meshes = [mesh for one in reversed(walkers[:count]) for mesh in dressed(body, one, frame, texture)]
            image = overlay(background, meshes, CAMERA, 1.0)
            started = time.process_time()
            seen = tracker.step(Frame(image, frame, frame / RATE))
            spent.append(time.process_time() - started)
            sightings.add(frame / RATE, seen, tracker.looks())
            shares.append(hidden(body, walkers[:count], frame))
            images.append(image)
        cast = cast_of(sightings, tracker.confirmed, CAMERA.width, CAMERA.height)
        truth = np.array([project(one.joints[:, limbs], CAMERA) for one in walkers[:count]])
        on = [whose(track.points2d[:, landmarks, :2], track.valid, truth) for track in cast.tracks]
        switches = sum(int((w[w >= 0] != np.bincount(w[w >= 0]).argmax()).sum()) for w in on if (w >= 0).any())
        nobody = sum(int((w < 0)[track.valid].sum()) for w, track in zip(on, cast.tracks, strict=True))
        found = np.array([[any(w[t] == p for w in on) for t in range(FRAMES)] for p in range(count)])
        line = f"{count} people: found in {100 * found[np.array(shares).T < 0.5].mean():.1f} % of frames, "
        line += f"{len(cast.tracks)} ids, {switches} frames under another's id, {nobody} on nobody, "
        print(line + f"{1e3 * np.mean(spent):.1f} CPU ms/frame", flush=True)
        if arguments.video is not None and count == len(walkers):
            draw(images, cast, arguments.video)


if __name__ == "__main__":
    main()
