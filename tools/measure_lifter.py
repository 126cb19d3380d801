"""How far off are keypoints, lifter and fit on people whose pose is known?

    python tools/measure_lifter.py --seen FOLDER [--count 120]

``FOLDER`` is what tools/render_keypoints.py wrote. Performers that nothing was trained on, stills: what the keypoint
network's own 3D, the lifter without and with that guess, and the fit make of them (PA-MPJPE and MPJPE over 12 limb
joints, mm); the same for the acrobats of the corpus' extreme split, which the lifter may have been trained on.
PCK: share of limb joints in the picture within 0.2 of the torso's length of the truth, of the keypoint network and of
the fitted body, with the true camera. Last, how the confidence of a keypoint goes with its error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap import metrics, skeletons
from monocap.bodies import BodyModel, load_body
from monocap.files import read_npz
from monocap.fitting import Fitter
from monocap.geometry import rotations
from monocap.perception import Lifter
from monocap.skeletons.skeleton import LIMBS12
from monocap.types import Array, Camera, Keypoints

HIPS = (LIMBS12.index("left_hip"), LIMBS12.index("right_hip"))
SHOULDERS = (LIMBS12.index("left_shoulder"), LIMBS12.index("right_shoulder"))
SEEN_LIMBS = skeletons.get("blazepose33").indices(LIMBS12)
FOCAL = 1000.0


def stills(folder: Path, split: str, count: int) -> dict[str, Array]:
    """Arrays of at most ``count`` stills of one split by the heavy network, people that capture would lose left out."""
    parts = []
    for path in sorted(folder.glob("seen-*.npz")):
        shard = read_npz(path)
        good = (shard["score"] >= 0.5) & (shard["peak"] >= 0.3) & (shard["fps"] == 0) & (shard["split"] == split)
        good &= shard["variant"] == "heavy"
        parts.append({key: value[good] for key, value in shard.items()})
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    chosen = np.random.default_rng(0).permutation(len(joined["score"]))[:count]
    return {key: value[chosen] for key, value in joined.items()}


def true_joints(body: BodyModel, shard: dict[str, Array]) -> Array:
    """(N,12,3) limb joints, camera frame."""
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    joints = body.joints_only(
        betas=shard["betas"].astype(np.float64),
        global_orient=rotations.matrix_to_axis_angle(shard["root"].astype(np.float64)),
        body_pose=shard["pose"].astype(np.float64),
        transl=shard["transl"].astype(np.float64),
    )
    return np.asarray(joints)[:, limbs]


def pck(found: Array, truth: Array) -> float:
    """Percent of points (N,12,2) within 0.2 of the torso."""
    torso = np.linalg.norm(truth[:, SHOULDERS].mean(axis=1) - truth[:, HIPS].mean(axis=1), axis=-1)
    return 100 * float((np.linalg.norm(found - truth, axis=-1) < 0.2 * torso[:, None]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Errors of keypoints, lifter and fit on rendered people.")
    parser.add_argument("--seen", type=Path, required=True)
    parser.add_argument("--count", type=int, default=120)
    given = parser.parse_args()
    body, lifter = load_body("open"), Lifter()
    camera = Camera(FOCAL, FOCAL, 0.0, 0.0, 2000, 2000)  # pixels are put before one camera, so that one fitter serves
    fitter = Fitter(body, camera)
    limbs = [body.joint_names.index(name) for name in LIMBS12]
    for split in ("test", "extreme"):
        shard = stills(given.seen, split, given.count)
        truth = true_joints(body, shard)
        points = shard["points2d"].astype(np.float64)
        focal, centre = shard["camera"][:, None, :1], shard["camera"][:, None, 1:]
        points[..., :2] = (points[..., :2] - centre) / focal * FOCAL
        lifted = lifter.lift(points, camera, shard["points3d"])
        fitted = np.concatenate(
            [
                fitter.photo(Keypoints("blazepose33", *pair, 1.0)).joints[:, limbs]
                for pair in zip(points, lifted, strict=True)
            ]
        )
        rows = {
            "keypoint network's 3D": shard["points3d"][:, SEEN_LIMBS].astype(np.float64),
            "lifter without it": lifter.lift(points, camera)[:, SEEN_LIMBS],
            "lifter": lifted[:, SEEN_LIMBS],
            "after the fit": fitted,
        }
        print(f"{split}: {len(truth)} stills")
        for name, joints in rows.items():
            pa, plain = metrics.pa_mpjpe(joints, truth), metrics.mpjpe(joints, truth, root=HIPS)
            middle = f"median {1e3 * np.median(pa):.1f}"
            print(f"  {name:22} PA-MPJPE {1e3 * pa.mean():.1f} ({middle}) MPJPE {1e3 * plain.mean():.1f} mm")
        flat = truth[..., :2] / truth[..., 2:] * FOCAL
        after = fitted[..., :2] / fitted[..., 2:] * FOCAL
        print(f"  PCK@0.2 torso: keypoint network {pck(points[:, SEEN_LIMBS, :2], flat):.1f}, "
              f"fitted body {pck(after, flat):.1f} %")  # fmt: skip
        error = np.linalg.norm(points[:, SEEN_LIMBS, :2] - flat, axis=-1) * truth[..., 2] / FOCAL
        confidence = points[:, SEEN_LIMBS, 2]
        for low, high in ((0.0, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
            inside = (confidence >= low) & (confidence < high)
            if inside.any():
                print(f"  confidence {low}–{high}: median error {1e3 * np.median(error[inside]):.0f} mm")


if __name__ == "__main__":
    main()
