"""Side by side, as a video: the joints that VNect's maps tell, and the skeleton that follows them.

    python tools/draw_vnect.py VIDEO OUT.mp4 --weights vnect_light.onnx [--height 1.8] [--people 1]

Left the peaks in the picture, right the fitted skeleton seen by the camera; below both from the side, as read and as
fitted (metres about the pelvis). Frames in which somebody is lost are left without a skeleton.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap.bodies import load_body
from monocap.geometry.cameras import project
from monocap.media.readers import open_media
from monocap.media.writers import VideoWriter
from monocap.perception import PeopleDetector
from monocap.perception.vnect import SKELETON
from monocap.pipeline.settings import CaptureSettings
from monocap.pipeline.vnect.networks import open_vnect
from monocap.pipeline.vnect.run import VNectCapture
from monocap.render import draw_skeleton
from monocap.render.overlays import person_colour
from monocap.types import Array

WIDTH, SIDE = 640, 240


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--height", type=float)
    parser.add_argument("--people", type=int, default=1)
    options = parser.parse_args()
    media = open_media(options.video)
    camera, _ = CaptureSettings().camera(media.width, media.height, media.focal_px)
    network = open_vnect(options.weights)
    live = VNectCapture(network, PeopleDetector(), load_body("open"), options.height, limit=options.people)
    scale = WIDTH / media.width
    tall = 2 * round(media.height * scale / 2)
    with VideoWriter(options.out, media.fps, (2 * WIDTH, tall + SIDE)) as writer:
        for frame in media:
            poses = live.step(frame, camera)
            left = right = _small(frame.image, tall)
            raw_side, fit_side = (np.full((SIDE, WIDTH, 3), 245, np.uint8) for _ in range(2))
            for identity, pose in poses.items():
                colour = person_colour(identity)
                points = np.column_stack([(pose.points2d[:, :2] + 0.5) * scale - 0.5, pose.points2d[:, 2]])
                left = draw_skeleton(left, points, SKELETON.parents, colour=colour, threshold=0.2)
                fitted = (np.asarray(project(pose.fit.points, camera)) + 0.5) * scale - 0.5
                right = draw_skeleton(right, fitted, SKELETON.parents, colour=colour)
                root = pose.fit.points[SKELETON.index("pelvis")]
                raw_side = draw_skeleton(raw_side, _aside(pose.raw), SKELETON.parents, colour=colour)
                fit_side = draw_skeleton(fit_side, _aside(pose.fit.points - root), SKELETON.parents, colour=colour)
            writer.write(np.vstack([np.hstack([left, right]), np.hstack([raw_side, fit_side])]), frame.time)


def _small(image: Array, tall: int) -> Array:
    import cv2

    return cv2.resize(image, (WIDTH, tall), interpolation=cv2.INTER_AREA)


def _aside(points: Array) -> Array:
    """(21,2) pixels of joints (21,3) about the pelvis, seen from the side: away from the camera is to the right."""
    return np.column_stack([WIDTH / 2 + 105 * points[:, 2], 0.46 * SIDE + 105 * points[:, 1]])


if __name__ == "__main__":
    main()
