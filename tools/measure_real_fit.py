"""Other programs' way on real pictures: our detector's 2D keypoints alone, fitted by the recipes of `monocap fit`.

    python tools/measure_real_fit.py DATA [-o FOLDER] [--preset accurate]

``DATA`` is any data set that `monocap data info` knows, with pictures and 3D joints; its intrinsics are used. Compared
are the keypoint network's own 3D, capture's fit (which has the lifter's depth) and the recipes of SMPLify-X and SMPLify
(which have 2D and a prior only): MPJPE with the hips together, and PA-MPJPE, of 12 limb joints in mm, mean and median
over pictures. With ``-o`` each picture with the body of `smplifyx` over it is written there, to look at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from monocap import metrics, skeletons
from monocap.data import open_dataset
from monocap.data.sample import Sample
from monocap.evaluate.capture_run import Captured, capture_sample
from monocap.fitting.smplifyx import recipe
from monocap.fitting.smplifyx.problem import Views
from monocap.media.pictures import write_image
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.keypoint_fit.fitting import to_fit
from monocap.pipeline.settings import CaptureSettings
from monocap.render import Mesh, overlay
from monocap.skeletons import LIMBS12
from monocap.types import Array

HIPS = LIMBS12.index("left_hip"), LIMBS12.index("right_hip")
RECIPES: dict[str, recipe.Options] = {
    "smplifyx": recipe.Options(recipe="smplifyx"),
    "smplifyx, interpenetration": recipe.Options(recipe="smplifyx", interpenetration=True),
    "smplify": recipe.Options(recipe="smplify"),
}


def errors(found: Array, truth: Array) -> tuple[float, float]:
    """MPJPE with hips together, and PA-MPJPE, mm, of `LIMBS12` (12,3) m."""
    pair = metrics.mpjpe(found, truth, root=HIPS), metrics.pa_mpjpe(found, truth)
    return 1000 * float(pair[0]), 1000 * float(pair[1])


def limbs(points: Array, skeleton: str) -> Array:
    return np.asarray(points, np.float64)[list(skeletons.get(skeleton).indices(LIMBS12))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--preset", choices=("fast", "balanced", "accurate"), default="accurate")
    args = parser.parse_args()
    engine = CaptureEngine(CaptureSettings(preset=args.preset))
    samples: list[Sample] = [s for s in open_dataset(args.data) if s.joints3d is not None]
    captured: list[Captured] = [capture_sample(engine, sample) for sample in samples]
    kept = [
        (s, c) for s, c in zip(samples, captured, strict=True) if c.keypoints is not None and c.estimate is not None
    ]
    truths = [limbs(sample.camera_joints(), sample.skeleton3d) for sample, _ in kept]
    print(f"{len(kept)} of {len(samples)} people found, preset {args.preset}, 12 limb joints, mm: mean (median)")
    rows: dict[str, list[tuple[float, float]]] = {"keypoint network's own 3D": [], "capture": []}
    for truth, (_, one) in zip(truths, kept, strict=True):
        assert one.keypoints is not None
        assert one.estimate is not None
        rows["keypoint network's own 3D"].append(errors(limbs(one.keypoints.points3d, one.keypoints.skeleton), truth))
        rows["capture"].append(errors(limbs(one.estimate.joints[0], "smplx55"), truth))
    points, skeleton = to_fit(np.stack([c.keypoints.points2d for _, c in kept if c.keypoints]), "blazepose33")
    views = Views(
        keypoints=points,
        skeleton=skeleton,
        image_size=np.array([[c.camera.width, c.camera.height] for _, c in kept]),
        K=np.stack([c.camera.K for _, c in kept]),
    )
    for name, options in RECIPES.items():
        fitted = recipe.fit(views, engine.body, options)
        parameters = fitted.params.asdict()
        joints = np.asarray(engine.body.joints_only(**parameters))
        rows[f"fit, {name}"] = [errors(limbs(j, "smplx55"), truth) for j, truth in zip(joints, truths, strict=True)]
        if args.out is not None and name == "smplifyx":
            vertices = engine.body(**parameters).vertices
            for (sample, one), skin in zip(kept, vertices, strict=True):
                picture = overlay(sample.read_image(), [Mesh(skin, engine.body.faces)], one.camera)
                write_image(args.out / f"{sample.name.replace('/', '_')}.jpg", picture)
    for name, values in rows.items():
        table = np.array(values)
        told = "   ".join(
            f"{what} {table[:, k].mean():.1f} ({np.median(table[:, k]):.1f})"
            for k, what in ((1, "PA-MPJPE"), (0, "MPJPE"))
        )
        print(f"{name:32s} {told}")


if __name__ == "__main__":
    main()
