"""Does the body stay as right when hands and face are fitted too? With and without them, on pictures with 3D truth.

    python tools/measure_expressive_body.py DATA [--preset accurate] [--count N]

``DATA`` is any data set that `monocap data info` knows, with pictures and 3D joints. Over those pictures in which
somebody is found are printed: MPJPE with the hips together and PA-MPJPE of 12 limb joints in mm, of wrists and elbows
alone; in how many pictures a hand and a face were seen; the CPU-milliseconds that both took per picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from monocap import metrics, skeletons
from monocap.data import open_dataset
from monocap.evaluate.capture_run import camera_of, sample_keypoints
from monocap.pipeline.engine import CaptureEngine
from monocap.pipeline.settings import CaptureSettings
from monocap.skeletons import LIMBS12
from monocap.types import Array

HIPS = LIMBS12.index("left_hip"), LIMBS12.index("right_hip")
ARMS = [k for k, name in enumerate(LIMBS12) if "wrist" in name or "elbow" in name]


def limbs(points: Array, skeleton: str) -> Array:
    return np.asarray(points, np.float64)[list(skeletons.get(skeleton).indices(LIMBS12))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", choices=("fast", "balanced", "accurate"), default="accurate")
    parser.add_argument("--count", type=int, default=10_000)
    args = parser.parse_args()
    engine = CaptureEngine(CaptureSettings(preset=args.preset, hands=True, face=True))
    assert engine.parts is not None
    samples = [sample for sample in open_dataset(args.data) if sample.joints3d is not None][: args.count]
    rows: dict[str, list[tuple[float, float, float]]] = {"without": [], "with": []}
    seen = np.zeros(2)
    for sample in samples:
        image = sample.read_image()
        camera, _ = camera_of(sample, image.shape[1], image.shape[0], engine.settings)
        found = sample_keypoints(engine, sample, image)
        if found is None:
            continue
        truth = limbs(sample.camera_joints(), sample.skeleton3d)
        bare = engine.fit_still(found, camera)
        engine.parts.forget()
        with engine.clock.stage("hands and face"):
            parts = engine.parts.step(image, {0: found})[0]
        parts = type(parts)(*(np.asarray(getattr(parts, name))[None] for name in ("hands", "face", "shapes")))
        whole = engine.fit_still(found, camera, parts)
        seen += [parts.hands[..., 2].any(), parts.face[..., 2].any()]
        for name, estimate in (("without", bare), ("with", whole)):
            own = limbs(np.asarray(estimate.joints)[0], "smplx55")
            arms = np.linalg.norm((own - own[list(HIPS)].mean(0)) - (truth - truth[list(HIPS)].mean(0)), axis=1)[ARMS]
            pair = metrics.mpjpe(own, truth, root=HIPS), metrics.pa_mpjpe(own, truth)
            rows[name].append((1e3 * float(pair[0]), 1e3 * float(pair[1]), 1e3 * float(arms.mean())))
    for name, values in rows.items():
        mpjpe, aligned, arms = (round(float(v), 1) for v in np.mean(values, axis=0))
        told = {"hands and face": name, "pictures": len(values), "mpjpe": mpjpe, "pa": aligned, "arms": arms}
        print(json.dumps(told))
    each = 1e3 / max(len(rows["with"]), 1)
    cost = {name: round(each * engine.clock.cpu[name]) for name in ("hands and face", "fit hands and face")}
    print(json.dumps({"hands seen in": int(seen[0]), "faces seen in": int(seen[1]), "CPU ms": cost}))


if __name__ == "__main__":
    main()
