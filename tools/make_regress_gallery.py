"""What a network says, what the fit finds, and both together, over real pictures, as one sheet to look at.

``python tools/make_regress_gallery.py PICTURE|VIDEO… -o gallery.jpg [--engine smpler] [--weights FILE] [--frames 1]``

Per row: the picture; then three times the body over it and seen from its left side, where wrong depth shows. Under each
how far, in pixels, the body's landmarks lie from the keypoints. Of a video so many frames spread over it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from monocap.bodies import BodyModel
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.media.pictures import write_image
from monocap.media.readers import open_media
from monocap.perception import find_people_keypoints
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import PHOTO_CROPS, CaptureSettings
from monocap.render import Mesh, overlay, person_colour
from monocap.types import Array, BodyEstimate, Camera

HEIGHT, SIDE = 300, 190  # px: of a row; width of the view from the side
BAND = 20


def pictures(paths: list[Path], frames: int) -> Iterator[tuple[str, Array]]:
    """Name and picture (H,W,3) of photos, and of frames of videos."""
    for path in paths:
        media = open_media(path)
        if media.kind == "image":
            yield path.name, next(iter(media)).image
            continue
        wanted = set(np.linspace(0, max((media.frame_count or 1) - 1, 0), frames + 2)[1:-1].astype(int).tolist())
        for number, frame in enumerate(media):
            if number in wanted:
                yield f"{path.name} {number}", frame.image


def cell(image: Array, body: BodyModel, camera: Camera, estimates: list[BodyEstimate], title: str) -> Array:
    """Bodies over the picture, and the first of them from its left side."""
    meshes = [np.asarray(body(**one.params.asdict()).vertices[0]) for one in estimates]
    shown = overlay(image, [Mesh(v, body.faces, person_colour(i)) for i, v in enumerate(meshes)], camera)
    first, pelvis = meshes[0], estimates[0].joints[0, 0]
    turned = (first - pelvis) @ axis_angle_to_matrix(np.array([0.0, np.pi / 2, 0.0])).T
    extent = max(float(np.abs(turned).max()), 0.5)
    focal = 0.46 * SIDE * 6.0 / extent
    beside = Camera(focal, focal, SIDE / 2, HEIGHT / 2, SIDE, HEIGHT)
    blank = np.full((HEIGHT, SIDE, 3), 235, np.uint8)
    aside = overlay(blank, [Mesh(turned + np.array([0.0, 0.0, 6.0]), body.faces, person_colour(0))], beside, 1.0)
    residual = np.mean([one.residual_px[0] for one in estimates])
    return labelled(np.hstack([fitted(shown), aside]), f"{title}: {residual:.0f} px")


def fitted(image: Array) -> Array:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)


def labelled(image: Array, text: str) -> Array:
    band = np.full((BAND, image.shape[1], 3), 30, np.uint8)
    cv2.putText(band, text, (5, BAND - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([band, image])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, default=Path("gallery.jpg"))
    parser.add_argument("--engine", choices=["hmr", "smpler"], default="smpler")
    parser.add_argument("--weights")
    parser.add_argument("--preset", choices=["fast", "balanced", "accurate"], default="fast")
    parser.add_argument("--frames", type=int, default=1)
    given = parser.parse_args()
    settings = CaptureSettings(preset=given.preset, engine=given.engine, weights=given.weights)
    engine = CaptureEngine(settings)
    rows = []
    for name, image in pictures(given.inputs, given.frames):
        height, width = image.shape[:2]
        camera = settings.camera(width, height)[0]
        found = find_people_keypoints(
            image, detector=engine.detector, blazepose=engine.network, jittered=PHOTO_CROPS[given.preset]
        )
        if not found:
            print(f"{name}: nobody found")
            continue
        guesses = [engine.guess_still(image, one, camera) for one in found]
        said = [engine.say_still(one, camera, guess) for one, guess in zip(found, guesses, strict=True) if guess]
        alone = [engine.fit_still(one, camera) for one in found]
        both = [engine.fit_still(one, camera, guess=guess) for one, guess in zip(found, guesses, strict=True)]
        cells = [labelled(fitted(image), name)]
        for title, estimates in ((given.engine, said), ("fit", alone), (f"fit from {given.engine}", both)):
            cells.append(cell(image, engine.body, camera, estimates, title))
        rows.append(np.hstack(cells))
        print(f"{name}: {len(found)} people")
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_image(given.out, np.vstack(padded))


if __name__ == "__main__":
    main()
