"""SMPLify-X twice on the same people: as published (torch, L-BFGS) and by Levenberg–Marquardt; cost, energy, error.

Truth is known: the open body in poses drawn from the mixture prior, 118 OpenPose keypoints with 2 px of noise and
confidences, pictures of 1920 × 1080. CPU seconds of the process with one thread; all is compiled before the clock runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from monocap import metrics
from monocap.bodies import BodyModel, load_body
from monocap.evaluate.smplifyx_truth import Truth, people
from monocap.evaluate.stopwatch import Figures, one_torch_thread
from monocap.fitting.smplifyx.recipe import Options, fit
from monocap.fitting.smplifyx.result import Fitted

if TYPE_CHECKING:
    from monocap.fitting.smplifyx.faithful import Faithful

SKELETON = "openpose118"
IMAGES, FRAMES = 20, 300


def bench_smplifyx(
    pictures: int, images: int = IMAGES, frames: int = FRAMES, published: Faithful | None = None
) -> Figures:
    """CPU seconds per picture or frame, energies and errors:

    - ``faithful``: ``pictures`` in one batch, with ``published`` settings; ``fast_image``: at least ``images`` in one
      batch, the same ones first; ``faithful_single``, ``fast_single``: the first picture alone; ``fast_video``: one
      person in ``frames`` frames, smooth over time;
    - ``…_ratio``: how many times less CPU than ``faithful`` (``fast_single``: than ``faithful_single``);
    - ``energy_…``: medians over the ``pictures``, of the last published stage; ``energy_ratio`` the median of fast /
      faithful, ``energy_ratio_worst`` the largest;
    - ``…_v2v_mm``: mean vertex error with the pelvis in one place, ``…_pa_v2v_mm`` after a similarity; medians;
    - ``…_depth_error``: median relative error of the distance, focal length known.
    """
    from monocap.fitting.smplifyx.faithful import fit_faithful  # needs torch

    body, rng = load_body("open"), np.random.default_rng(8)
    still = people(body, max(images, pictures), rng, SKELETON)
    moving = people(body, frames, rng, SKELETON, video=True)
    few = Truth(still.views.take(slice(0, pictures)), {name: v[:pictures] for name, v in still.parameters.items()})
    one = still.views.take(slice(0, 1))
    runs: dict[str, tuple[Truth, Callable[[], Fitted]]] = {
        "faithful": (few, lambda: fit_faithful(body, few.views, published)),
        "faithful_single": (still, lambda: fit_faithful(body, one, published)),
        "fast_image": (still, lambda: fit(still.views, body)),
        "fast_single": (still, lambda: fit(one, body)),
        "fast_video": (moving, lambda: fit(moving.views, body, Options(recipe="video"))),
    }
    figures: Figures = {"faithful_pictures": pictures, "fast_images": len(still.views), "fast_frames": frames}
    found: dict[str, Fitted] = {}
    with threadpool_limits(1), one_torch_thread():
        _warm(body, still, moving)
        for name, (truth, run) in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = run()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            count = len(found[name])
            figures[f"{name}_cpu_s_per_frame"] = round(cpu / count, 5)
            figures[f"{name}_wall_s_per_frame"] = round(wall / count, 5)
            if not name.endswith("single"):
                figures |= _errors(name, body, truth, found[name])
    faithful = float(figures["faithful_cpu_s_per_frame"])
    for name in ("fast_image", "fast_single", "fast_video"):
        cost = float(figures[f"{name}_cpu_s_per_frame"])
        rival = float(figures["faithful_single_cpu_s_per_frame"]) if name == "fast_single" else faithful
        figures[f"{name}_ratio"] = round(rival / cost, 1)
    slow, fast = found["faithful"].energy, found["fast_image"].energy[:pictures]
    figures["faithful_iterations"] = median(found["faithful"].iterations.tolist())
    evaluations = found["faithful"].evaluations
    if evaluations is not None:
        figures["faithful_evaluations"] = median(evaluations.tolist())
        figures["faithful_cpu_ms_per_evaluation"] = round(1e3 * faithful * pictures / float(evaluations.sum()), 3)
    figures["fast_image_iterations"] = median(found["fast_image"].iterations.tolist())
    figures["energy_faithful"], figures["energy_fast"] = (round(float(np.median(e)), 2) for e in (slow, fast))
    figures["energy_ratio"] = round(float(np.median(fast / slow)), 4)
    figures["energy_ratio_worst"] = round(float(np.max(fast / slow)), 4)
    figures["fast_v2v_ratio"] = round(float(np.median(_v2v(body, few, found["fast_image"]))) / float(
        np.median(_v2v(body, few, found["faithful"]))), 4)  # fmt: skip
    return figures


def _warm(body: BodyModel, still: Truth, moving: Truth) -> None:
    """Compile everything that the clock should not count."""
    from monocap.fitting.lbfgs import Limits
    from monocap.fitting.smplifyx.faithful import Faithful, fit_faithful

    fit_faithful(body, still.views.take(slice(0, 2)), Faithful(limits=Limits(iterations=2)))
    fit(still.views.take(slice(0, 2)), body)
    fit(moving.views.take(slice(0, 8)), body, Options(recipe="video"))


def _errors(name: str, body: BodyModel, truth: Truth, fitted: Fitted) -> Figures:
    """Medians of the vertex errors and of the distance's."""
    rows = np.linspace(0, len(fitted) - 1, min(len(fitted), 60)).astype(int)  # of a video, some frames
    aligned = []
    for row in rows:
        true, mine = _meshes(body, truth, fitted, row)
        aligned.append(1e3 * float(metrics.pa_mve(mine, true)))
    depth = fitted.params.transl[:, 2] / truth.parameters["transl"][:, 2] - 1
    return {
        f"{name}_v2v_mm": round(float(np.median(_v2v(body, truth, fitted, rows))), 2),
        f"{name}_pa_v2v_mm": round(median(aligned), 2),
        f"{name}_depth_error": round(float(np.median(np.abs(depth))), 4),
        f"{name}_residual_px": round(float(np.median(fitted.residual_px)), 3),
    }


def _v2v(body: BodyModel, truth: Truth, fitted: Fitted, rows: np.ndarray | None = None) -> np.ndarray:
    """(R,) mm, the pelvises in one place."""
    out = []
    for row in range(len(truth.views)) if rows is None else rows:
        true, mine = _meshes(body, truth, fitted, row)
        places = [_pelvis(body, truth.parameters, row), _pelvis(body, fitted.params.asdict(), row)]
        out.append(1e3 * float(metrics.mve(mine, true, places[1], places[0])))
    return np.array(out)


def _meshes(body: BodyModel, truth: Truth, fitted: Fitted, row: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = truth.parameters, fitted.params.asdict()
    true, mine = (body(**{name: value[row] for name, value in given.items()}).vertices for given in pairs)
    return true, mine


def _pelvis(body: BodyModel, parameters: dict[str, np.ndarray], row: int) -> np.ndarray:
    return body.joints_only(**{name: value[row] for name, value in parameters.items()})[0]
