"""Convert mocap poses from a stranger's SMPL-X-structured body to the open body and back: what remains, in mm.

    python tools/measure_conversion.py CORPUS [--poses 300] [--bodies 3] [--body FILE]

``CORPUS`` is a folder that ``monocap data corpus`` wrote. SMPL-X's own files are not free, so the stranger is made of
the open body: other proportions (one standard deviation in every beta), every joint displaced by 4 mm at random, a
shape space turned about. ``--body`` measures with a file of your own instead.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.files import read_npz
from monocap.fitting.conversion import convert
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from monocap.types import Array


def stranger(body: BodyModel, seed: int) -> BodyModel:
    """Another body with the same tree."""
    rng = np.random.default_rng(seed)
    count, joints = body.num_betas, len(body.parents)
    mean, mixed = rng.normal(0, 1, count), np.linalg.qr(rng.normal(size=(10, 10)))[0]
    first = body.J_shapedirs[..., :10] @ mixed + rng.normal(0, 0.001, (joints, 3, 10))
    return replace(
        body,
        name=f"stranger {seed}",
        v_template=body.v_template + (body.shapedirs @ mean).astype(np.float32),
        shapedirs=(body.shapedirs[..., :10] @ mixed).astype(np.float32),
        J_template=body.J_template + body.J_shapedirs[..., :count] @ mean + rng.normal(0, 0.004, (joints, 3)),
        J_shapedirs=np.concatenate([first, body.J_shapedirs[..., count:]], axis=-1),
    )


def poses(corpus: Path, count: int, seed: int = 0) -> dict[str, Array]:
    """Poses of held-out takes, varied by drawing, anywhere in space, with hands that are not flat."""
    rng = np.random.default_rng(seed)
    found = np.concatenate([read_npz(path, {"body_pose"})["body_pose"] for path in sorted(corpus.glob("test-*.npz"))])
    chosen = found[rng.choice(len(found), count, replace=False)].astype(np.float64)
    hands = {f"{side}_hand_pose": rng.normal(0, 0.2, (count, 45)) for side in ("left", "right")}
    placed = {"global_orient": rng.normal(0, 1, (count, 3)), "transl": rng.normal(0, 1, (count, 3))}
    return {"body_pose": chosen, **placed, **hands, "betas": rng.normal(0, 1, 10)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--poses", type=int, default=300)
    parser.add_argument("--bodies", type=int, default=3)
    parser.add_argument("--body", help="an SMPL-X or SMPL-H file, or the name of an added body")
    options = parser.parse_args()
    target, given = load_body("open"), poses(options.corpus, options.poses)
    sources = [load_body(options.body)] if options.body else [stranger(target, i) for i in range(options.bodies)]
    for source in sources:
        begun = time.process_time()
        there = convert(source, target, given)
        back = convert(target, source, there.parameters)
        seconds = (time.process_time() - begun) / 2
        wanted, reached = source.joints_only(**given), source.joints_only(**back.parameters)
        apart = 1e3 * np.linalg.norm(reached - wanted, axis=-1)
        turns = geodesic_angle(*(axis_angle_to_matrix(p["body_pose"].reshape(-1, 3)) for p in (given, back.parameters)))
        print(source.name)
        print("  there         ", json.dumps(there.report()))
        print("  back          ", json.dumps(back.report()))
        print(
            f"  there and back: mean {apart.mean():.2f} mm, 95 % under {np.percentile(apart, 95):.2f} mm, "
            f"largest {apart.max():.1f} mm; body angles differ by {np.rad2deg(turns).mean():.2f}° on average; "
            f"{1e3 * seconds / options.poses:.1f} ms of CPU per pose and way"
        )


if __name__ == "__main__":
    main()
