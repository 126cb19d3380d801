"""How fast a body is posed: ours, with and without pose correctives, and smplx on the same data where installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.evaluate.stopwatch import Figures, milliseconds, race
from monocap.types import Array

BATCHES = (1, 16)
BETAS = 10


def bench_bodies(repeats: int) -> Figures:
    """Milliseconds per body, float32: joints only, mesh, mesh with 486 pose correctives (the open body has none).

    smplx poses the same file with the same random correctives: the work of ``mesh_correctives``. All with
    one thread.
    """
    plain = load_body("open")
    rng = np.random.default_rng(2)
    size = 9 * (len(plain.parents) - 1)
    correctives = rng.normal(0, 1e-4, (*plain.v_template.shape, size)).astype(np.float32)
    full = replace(plain, posedirs=correctives)
    peer = _smplx(full)
    figures: Figures = {"vertices": len(plain.v_template), "joints": len(plain.parents), "repeats": repeats}
    for batch in BATCHES:
        pose = {"betas": BETAS, "global_orient": 3, "body_pose": 63, "transl": 3}
        parameters = {name: rng.normal(0, 0.3, (batch, n)).astype(np.float32) for name, n in pose.items()}
        rivals: dict[str, Callable[[], Any]] = {
            "joints": lambda parameters=parameters: plain.joints_only(**parameters),
            "mesh": lambda parameters=parameters: plain(**parameters),
            "mesh_correctives": lambda parameters=parameters: full(**parameters),
        }
        if peer is not None:
            rivals["smplx"] = lambda parameters=parameters: peer(parameters)
        times = race(rivals, repeats)
        figures |= {f"batch{batch}_{name}": value for name, value in milliseconds(times, batch).items()}
        if peer is not None:
            gap = np.abs(peer(parameters) - full(**parameters).vertices).max()
            figures[f"batch{batch}_smplx_difference_m"] = float(gap)
    return figures


def _smplx(body: BodyModel) -> Callable[[dict[str, Array]], Array] | None:
    """Vertices by smplx of the same body, or None where it is not installed."""
    try:
        import smplx
        import torch
    except ImportError:
        return None
    assert body.posedirs is not None
    path = resources.files("monocap.bodies") / "data" / "open.npz"
    model = smplx.SMPLX(
        str(path), num_betas=BETAS, num_expression_coeffs=10, use_pca=False, flat_hand_mean=True, dtype=torch.float32
    )
    size = body.posedirs.shape[-1]
    model.posedirs = torch.from_numpy(np.ascontiguousarray(body.posedirs.reshape(-1, size).T))

    def run(parameters: dict[str, Array]) -> Array:
        count = len(parameters["betas"])
        given = {name: torch.from_numpy(value) for name, value in parameters.items()}
        rest = {name: torch.zeros(count, 3) for name in ("jaw_pose", "leye_pose", "reye_pose")}
        hands = {name: torch.zeros(count, 45) for name in ("left_hand_pose", "right_hand_pose")}
        with torch.no_grad():
            return model(**given, **rest, **hands, expression=torch.zeros(count, 10)).vertices.numpy()

    return run
