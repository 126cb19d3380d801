"""How fast forward kinematics and its Jacobian are: compiled, as array-API reference, and in smplx where installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.evaluate.stopwatch import Figures, milliseconds, race
from monocap.geometry import kinematics, rotations
from monocap.types import Array

BATCHES = (1, 256)
STEP = 1e-6


def bench_kinematics(repeats: int) -> Figures:
    """Milliseconds per pose of the 55-joint tree, in batches of 1 and 256, float64; and how far results differ.

    The Jacobian of all joints (55·3 × 55·3) is compared with central differences through the reference, which is what
    one would do without it.
    """
    parents = skeletons.get("smplx55").parents
    rng = np.random.default_rng(1)
    figures: Figures = {"joints": len(parents), "repeats": repeats, "compile_s": round(kinematics.warmup(), 3)}
    for batch in BATCHES:
        local = rotations.axis_angle_to_matrix(rng.normal(0, 0.5, (batch, len(parents), 3)))
        rest = rng.normal(0, 0.3, (batch, len(parents), 3))
        rivals: dict[str, Callable[[], Any]] = {
            "fk_numba": lambda local=local, rest=rest: kinematics.forward_kinematics_numba(local, rest, parents),
            "fk_reference": lambda local=local, rest=rest: kinematics.forward_kinematics(local, rest, parents),
        }
        peer = _smplx(local, rest, parents)
        if peer is not None:
            rivals["fk_smplx"] = peer
        times = race(rivals, repeats)
        figures |= {f"batch{batch}_{name}": value for name, value in milliseconds(times, batch).items()}
        ours = kinematics.forward_kinematics_numba(local, rest, parents)[1]
        figures[f"batch{batch}_reference_difference_m"] = float(
            np.abs(ours - kinematics.forward_kinematics(local, rest, parents)[1]).max()
        )
        if peer is not None:
            figures[f"batch{batch}_smplx_difference_m"] = float(np.abs(ours - peer()).max())
    return figures | _jacobian(parents, rng, repeats)


def _jacobian(parents: tuple[int, ...], rng: np.random.Generator, repeats: int) -> Figures:
    count = len(parents)
    local = rotations.axis_angle_to_matrix(rng.normal(0, 0.5, (count, 3)))
    rest = rng.normal(0, 0.3, (count, 3))
    carriers = np.arange(count)
    turns = np.zeros((2, count, 3, count, 3))  # ± each joint about each axis
    for j in range(count):
        for axis in range(3):
            turns[0, j, axis, j, axis], turns[1, j, axis, j, axis] = STEP, -STEP
    moved = rotations.axis_angle_to_matrix(turns) @ local

    def analytic() -> Array:
        return kinematics.points_jacobian(local, rest, parents, carriers, rest).rotations

    def differences() -> Array:
        joints = kinematics.forward_kinematics(moved, rest, parents)[1]
        return np.moveaxis((joints[0] - joints[1]) / (2 * STEP), (0, 1), (2, 3))

    figures = milliseconds(race({"jacobian_numba": analytic, "jacobian_differences": differences}, repeats))
    return figures | {"jacobian_difference_m_per_rad": float(np.abs(analytic() - differences()).max())}


def _smplx(local: Array, rest: Array, parents: tuple[int, ...]) -> Callable[[], Array] | None:
    """Joints by smplx's own function on torch, or None where it is not installed."""
    try:
        import torch
        from smplx.lbs import batch_rigid_transform
    except ImportError:
        return None
    tree = torch.tensor(parents)
    matrices, joints = torch.tensor(local), torch.tensor(rest)
    function: Callable[..., Any] = batch_rigid_transform

    def run() -> Array:
        with torch.no_grad():
            return function(matrices, joints, tree, dtype=torch.float64)[0].numpy()

    return run
