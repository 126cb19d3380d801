"""What `monocap fit --fast` achieves on synthetic people: time, accuracy, and what each prior gives.

    python tools/measure_smplifyx.py [--people 20] [--frames 300] [--poses NPZ] [--only pictures,depth,ablation,video]

Prints one line per figure. v2v: mean distance of vertices with the bodies' middles brought together, millimetres;
PA: after the best similarity. CPU-seconds by process time, one thread, after a first run that compiles.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.evaluate.smplifyx_truth import Truth, people
from monocap.files import read_npz
from monocap.fitting.collision import Collider
from monocap.fitting.smplifyx.energy import stature
from monocap.fitting.smplifyx.interpenetration import penetration
from monocap.fitting.smplifyx.recipe import Fitter, Options, fit
from monocap.fitting.smplifyx.result import Fitted
from monocap.fitting.smplifyx.schedule import Schedule
from monocap.fitting.smplifyx.state import Free, Model
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.priors.gmm import PoseMixture
from monocap.types import Array

SKELETON = "openpose135"


def errors(body: BodyModel, found: Fitted, truth: Truth) -> tuple[Array, Array, Array]:
    """v2v and PA-v2v (N,) mm, and the relative error of the depth (N,)."""
    ours, theirs = body(**found.params.asdict()).vertices, body(**truth.parameters).vertices
    off = (ours - ours.mean(axis=1, keepdims=True)) - (theirs - theirs.mean(axis=1, keepdims=True))
    depth = found.params.transl[:, 2] / truth.parameters["transl"][:, 2] - 1
    aligned = 1e3 * np.asarray(metrics.pa_mve(ours, theirs))
    return 1e3 * np.linalg.norm(off, axis=-1).mean(axis=1), aligned, np.abs(depth)


def line(name: str, body: BodyModel, found: Fitted, truth: Truth, seconds: float) -> None:
    v2v, aligned, depth = errors(body, found, truth)
    print(
        f"{name:28} {seconds / len(found):.3f} CPU-s/frame  energy {np.median(found.energy):6.0f}"
        f"  v2v median {np.median(v2v):5.1f} mean {v2v.mean():5.1f}  PA median {np.median(aligned):5.1f} mm"
        f"  depth {100 * np.median(depth):4.1f} %  {np.median(found.residual_px):.2f} px",
        flush=True,
    )


def timed(run: Callable[[], Fitted]) -> tuple[Fitted, float]:
    begin = time.process_time()
    found = run()
    return found, time.process_time() - begin


def pictures(body: BodyModel, truth: Truth) -> None:
    views = truth.views
    singles = min(len(views), 10)
    begin = time.process_time()
    for n in range(singles):
        fit(views.take(slice(n, n + 1)), body)
    print(f"one picture at a time: {(time.process_time() - begin) / singles:.3f} CPU-s per picture")
    for name, options in (
        ("smplifyx", Options()),
        ("smplifyx, person's scale", Options(robust="person")),
        ("smplify", Options(recipe="smplify")),
    ):
        found, seconds = timed(lambda options=options: fit(views, body, options))
        line(name, body, found, truth, seconds)


def depths(body: BodyModel, count: int) -> None:
    """Distances of 3 to 12 m, the focal length known; stature unknown, then given."""
    truth = people(body, count, np.random.default_rng(12))
    base, slope = stature(body)
    unknown, given = [], []
    for n in range(count):
        view, z = truth.views.take(slice(n, n + 1)), truth.parameters["transl"][n, 2]
        height = float(base + slope @ truth.parameters["betas"][n])
        unknown.append(abs(fit(view, body).params.transl[0, 2] / z - 1))
        given.append(abs(fit(view, body, Options(height=height)).params.transl[0, 2] / z - 1))
    print(f"depth, {count} people 3–12 m: median error {100 * np.median(unknown):.1f} %", end=", ")
    print(f"with height {100 * np.median(given):.1f} % (90 % below {100 * np.percentile(given, 90):.1f} %)")


def without(fitter: Fitter, **changed: float) -> Fitter:
    """The same with other weights in every stage."""
    schedule: Schedule = fitter.schedule
    return replace(
        fitter, schedule=replace(schedule, stages=tuple(replace(stage, **changed) for stage in schedule.stages))
    )


def ablation(body: BodyModel, truth: Truth) -> None:
    views, collider = truth.views, Collider.of(body)
    whole = Fitter.of(body, SKELETON, Options())
    mixture = replace(whole, model=Model.of(body, SKELETON, None), mixture=PoseMixture.load())
    apart = replace(whole, options=Options(interpenetration=True))
    smplify = Fitter.of(body, SKELETON, Options(recipe="smplify"))
    for name, fitter in (
        ("all of smplifyx", apart),
        ("- collision", whole),
        ("- VPoser, mixture instead", mixture),
        ("- VPoser, no pose prior", without(mixture, body_pose=1e-3)),
        ("all of smplify", smplify),
        ("- mixture", without(smplify, body_pose=1e-3)),
        ("- capsules", replace(smplify, capsules=None)),
    ):
        fitter.fit(views.take(slice(0, 1)))
        found, seconds = timed(lambda fitter=fitter: fitter.fit(views))
        line(name, body, found, truth, seconds)
        if found.latent is not None:
            print(
                f"{'':28} interpenetration (Σ Ψ²) median {np.median(touching(fitter.model, found, collider)):.1f}",
                end="",
            )
            print(f", mean {np.mean(touching(fitter.model, found, collider)):.1f}")


def touching(model: Model, found: Fitted, collider: Collider) -> Array:
    """(N,) Σ Ψ² of the fitted bodies."""
    state = model.rest(len(found))
    values, layout, params = state.values, model.layout, found.params
    values[:, layout["pose"]], values[:, layout["betas"]] = found.latent, params.betas
    values[:, layout["jaw_pose"]] = params.jaw_pose
    values[:, layout["left_hand_pose"]], values[:, layout["right_hand_pose"]] = (
        found.left_hand_pca,
        found.right_hand_pca,
    )
    return penetration(model, Free(axis_angle_to_matrix(params.global_orient), values), collider)


def video(body: BodyModel, frames: int) -> None:
    truth = people(body, frames, np.random.default_rng(3), video=True, depth=(3.0, 5.0))
    true = body.joints_only(**truth.parameters)[:, :22]
    fit(truth.views.take(slice(0, 12)), body, Options(recipe="video"))
    for name, smooth in (("video", 1.0), ("- temporal", 0.0)):
        found, seconds = timed(lambda smooth=smooth: fit(truth.views, body, Options(recipe="video", smooth=smooth)))
        line(f"{name}, {frames} frames", body, found, truth, seconds)
        ours = body.joints_only(**found.params.asdict())[:, :22]
        off = 1e3 * np.linalg.norm(np.diff(ours, 2, axis=0) - np.diff(true, 2, axis=0), axis=-1).mean()
        print(f"{'':28} acceleration error {off:.1f} mm/frame²")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument(
        "--poses", metavar="NPZ", help="body_pose (N,63) of real people, not those of the mixture prior"
    )
    parser.add_argument("--only", default="pictures,depth,ablation,video")
    args = parser.parse_args()
    body = load_body("open").with_betas(10)
    poses = read_npz(args.poses)["body_pose"].reshape(-1, 63) if args.poses else None
    truth = people(body, args.people, np.random.default_rng(1), poses=poses)
    fit(truth.views.take(slice(0, 1)), body)
    todo = args.only.split(",")
    if "pictures" in todo:
        pictures(body, truth)
    if "depth" in todo:
        depths(body, args.people)
    if "ablation" in todo:
        ablation(body, truth)
    if "video" in todo:
        video(body, args.frames)


if __name__ == "__main__":
    main()
