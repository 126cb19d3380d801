"""Look at dressed people, and count where the body pokes through: a sheet of pictures and two numbers.

    PYTHONPATH=src python -m tools.wardrobe.inspect --corpus FOLDER -o FILE.jpg [--count 40] [--size 320]

Each person has a random shape, a pose of the corpus and clothes by chance, seen from a random side. Poke-through is
counted in spots: skin of trunk or limbs (not hands, feet, head) of at most 1 % of the person that a picture shows
surrounded by cloth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from monocap.bodies import load_body
from monocap.bodies.shapes import named_shape
from monocap.data.pose_corpus import read_pose_corpus
from monocap.geometry import rotations
from monocap.media.pictures import write_image
from monocap.render.photograph import photograph
from monocap.render.scene import Scene, Shot
from monocap.synth import backgrounds
from monocap.synth.wardrobe import Wardrobe
from monocap.types import Array, Camera

BARE = 22  # joints from here on are face and fingers
HEAD, FEET, WRISTS = (12, 15), (7, 8, 10, 11), (20, 21)


def spots(shot: Shot, kinds: tuple[str, ...]) -> list[int]:
    """Areas, pixels, of skin that cloth surrounds where it should cover it."""
    limb = (shot.part >= 0) & (shot.part < BARE) & ~np.isin(shot.part, (*HEAD, *FEET, *WRISTS))
    skin = (shot.surface == 0) & limb
    cloth = np.isin(shot.surface, [k for k, kind in enumerate(kinds) if kind == "cloth"])
    count, label, stats, _ = cv2.connectedComponentsWithStats(skin.astype(np.uint8), connectivity=8)
    out = []
    for k in range(1, count):
        area = int(stats[k, cv2.CC_STAT_AREA])
        mask = (label == k).astype(np.uint8)
        ring = (cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask) if area else mask > 0
        if area <= 0.01 * (shot.person >= 0).sum() and cloth[ring].mean() > 0.95:
            out.append(area)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--part", default="test", help="split of the corpus: test, extreme …")
    parser.add_argument("--split", default="train", help="split of the wardrobe")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    body, poses = load_body("open"), read_pose_corpus(options.corpus).part(options.part).body_pose
    wardrobe, size = Wardrobe.load(body), options.size
    tiles: list[Array] = []
    areas, people = [], 0
    for number in range(options.count):
        rng = np.random.default_rng([options.seed, number])
        gender = ("female", "male", "female", "male", "child")[number % 5]
        betas = named_shape(body, gender) + rng.normal(0, 0.7, 16)
        tilt, heading = rng.uniform(-0.1, 0.3), rng.uniform(0, 2 * np.pi)
        look, face = (rotations.axis_angle_to_matrix(np.array([v])) for v in ([tilt, 0, 0], [0, heading, 0]))
        turn = look[0] @ np.diag([1.0, -1.0, -1.0]) @ face[0]
        pose = poses[rng.integers(len(poses))]
        vertices = body(betas=betas, body_pose=pose, global_orient=rotations.matrix_to_axis_angle(turn)).vertices
        vertices = vertices - vertices.mean(axis=0) + np.array([0.0, 0.0, 4.0])
        focal = 0.9 * size * 4.0 / max(float(np.ptp(vertices, axis=0)[:2].max()), 1.5)
        camera, up = Camera(focal, focal, size / 2 - 0.5, size / 2 - 0.5, size, size), turn @ [0.0, 1.0, 0.0]
        behind = backgrounds.backdrop(rng, camera, up, float(-(vertices @ up).min()), options.split)
        light = backgrounds.room_lights(rng, behind, up)
        surfaces = wardrobe.choose(rng, gender, options.split).surfaces(vertices, 0)
        x, y, z = map(float, up)
        shot = photograph(Scene(camera, surfaces, behind, light.lamps, light.sky, light.ground, (x, y, z)))
        found = spots(shot, tuple(s.kind for s in surfaces))
        areas += found
        people += bool(found)
        tiles.append(shot.image)
    columns = max(1, round(1.4 * len(tiles) ** 0.5))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    write_image(options.output, np.vstack(rows))
    worst = max(areas, default=0)
    print(f"{people} of {options.count} people with skin through cloth, {len(areas)} spots, the largest {worst} pixels")


if __name__ == "__main__":
    main()
