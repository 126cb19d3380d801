"""How well does `monocap fit` find fingers, jaw and expression from keypoints of hands and face, whose truth is known?

    python tools/measure_fit_parts.py [--people 24] [--noise 0 2 4] [--seed 0]

Synthetic people 600 to 900 pixels tall who face the camera to within 60°, written as OpenPose's files (hands of 21
points, face of 70) and as COCO-WholeBody's (133 points), read, fitted, compared. ``fingers``: mean distance of finger
joints and tips once wrists lie on one another, mm; ``turned``: once the hands are laid on one another, too; ``jaw``:
degrees of its opening; ``mouth``: millimetres that the gap between the lips is off; ``body``: mean distance of the 22
joints about the pelvis, mm. ``without``: the same people by their bodies' points alone, hands and face at rest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.data.keypoint_files import read_keypoints
from monocap.evaluate.smplifyx_truth import HEIGHT, WIDTH, Truth, people
from monocap.fitting.smplifyx import recipe
from monocap.fitting.smplifyx.problem import Views
from monocap.geometry.procrustes import rigid_alignment
from monocap.pipeline.keypoint_fit.fitting import to_fit
from monocap.types import Array, BodyParams

FACING = np.radians(60)
LIPS = ("inner_lip_top", "inner_lip_bottom")
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def openpose(folder: Path, keypoints: Array) -> Path:
    """One file per person (N,135,3)."""
    for n, points in enumerate(keypoints):
        face = np.zeros((70, 3))
        face[17:68], face[:17] = points[67:118], points[118:135]
        parts = {"pose": points[:25], "hand_left": points[25:46], "hand_right": points[46:67], "face": face}
        entry = {f"{name}_keypoints_2d": part.ravel().tolist() for name, part in parts.items()}
        (folder / f"{n:03d}_keypoints.json").write_text(json.dumps({"people": [entry]}))
    return folder


def wholebody(folder: Path, keypoints: Array) -> Path:
    """COCO results of people (N,135,3): what OpenPose's order has of the 133."""
    a, b = skeletons.mapping("openpose135", "coco133")
    rows = []
    for n, points in enumerate(keypoints):
        own = np.zeros((133, 3))
        own[b] = points[a]
        entry = {"image_id": f"{n:03d}.jpg", "category_id": 1, "score": 1.0, "keypoints": own.ravel().tolist()}
        rows.append(entry)
    (folder / "results.json").write_text(json.dumps(rows))
    return folder / "results.json"


def errors(body: BodyModel, found: BodyParams, truth: Truth) -> dict[str, float]:
    """Means over people, as told above."""
    ours, theirs = found.asdict(), truth.parameters
    out: dict[str, list[Array]] = {"fingers": [], "turned": []}
    for side in ("left", "right"):
        names = [f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in _FINGERS for k in (1, 2, 3, "_tip"))]
        a, b = (np.asarray(body.keypoints(names, **one), np.float64) for one in (ours, theirs))
        out["fingers"].append(np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1)[:, 1:])
        out["turned"].append(np.linalg.norm(rigid_alignment(a, b).apply(a) - b, axis=-1)[:, 1:])
    joints = [np.asarray(body.joints_only(**one), np.float64)[:, :22] for one in (ours, theirs)]
    a, b = (one - one[:, :1] for one in joints)
    gap = [
        np.linalg.norm(np.diff(np.asarray(body.keypoints(list(LIPS), **one)), axis=1), axis=-1)
        for one in (ours, theirs)
    ]
    jaw = np.abs(np.asarray(ours["jaw_pose"])[:, 0] - theirs["jaw_pose"][:, 0])
    return {
        **{name: 1e3 * float(np.mean(values)) for name, values in out.items()},
        "jaw": float(np.degrees(jaw.mean())),
        "mouth": 1e3 * float(np.abs(gap[0] - gap[1]).mean()),
        "body": 1e3 * float(np.linalg.norm(a - b, axis=-1).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 2.0, 4.0], help="pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    body = load_body("open")
    for noise in options.noise:
        rng = np.random.default_rng(options.seed)
        truth = people(body, options.people, rng, noise=noise, facing=FACING)
        size, K = np.tile([WIDTH, HEIGHT], (options.people, 1)), truth.views.K
        for name, write in (("OpenPose", openpose), ("WholeBody", wholebody), ("without", None)):
            points, skeleton = truth.views.keypoints[:, :25], "openpose25"
            if write is not None:
                with tempfile.TemporaryDirectory() as folder:
                    read = read_keypoints(write(Path(folder), truth.views.keypoints))
                points = np.stack([picture.points[0] for picture in read.pictures])
                points, skeleton = to_fit(points, read.skeleton)
            fitted = recipe.fit(Views(points, skeleton, size, K), body)
            told = {key: round(value, 2) for key, value in errors(body, fitted.params, truth).items()}
            print(
                json.dumps(
                    {"noise": noise, "input": name, **told, "px": round(float(np.median(fitted.residual_px)), 2)}
                )
            )


if __name__ == "__main__":
    main()
