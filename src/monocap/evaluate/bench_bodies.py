"""How fast a body is posed: ours beside smplx, in one process with one thread each, on the same data.

Two bodies: one of SMPL-X's exact size and structure with dense pose correctives (random numbers: its files are not
free), and the open body, which has no correctives.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from monocap import skeletons
from monocap.bodies import BodyModel, load_body
from monocap.bodies.store import open_converted, save_converted
from monocap.evaluate.stopwatch import Figures, milliseconds, one_torch_thread, race
from monocap.types import Array

BATCHES = (1, 64)
BETAS = 10
_SIZES = {
    **{"betas": BETAS, "expression": 10, "global_orient": 3, "body_pose": 63, "transl": 3, "jaw_pose": 3},
    **{"left_eye_pose": 3, "right_eye_pose": 3, "left_hand_pose": 45, "right_hand_pose": 45},
}
_SMPLX_NAMES = {"left_eye_pose": "leye_pose", "right_eye_pose": "reye_pose"}


def bench_bodies(repeats: int) -> Figures:
    """Milliseconds per body, float32, every parameter given, and how many times faster than smplx (by CPU time):

    - ``vertices``: mesh and joints without gradients; ``floor``: the product of the pose correctives alone;
    - ``keypoints``: smplx's 127 joints (55 joints, 21 vertices, 51 landmarks) from torch, forward and backward;
    - ``body_pose_only``: as ``vertices`` with face and hands at rest, as from capture;
    - ``load_ms``: opening a converted file of SMPL-X's size.
    """
    figures: Figures = {"repeats": repeats}
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1), one_torch_thread():
        path = Path(folder) / "SMPLX_NEUTRAL.npz"
        np.savez(path, allow_pickle=False, **_smplx_sized(rng))
        body = load_body(path)
        save_converted(body, Path(folder) / "converted.npz")
        loads = race({"load": lambda: open_converted(Path(folder) / "converted.npz")}, repeats)
        figures |= {"vertices": len(body.v_template), "load_ms": round(1e3 * loads["load"][0], 3)}
        open_path = Path(str(resources.files("monocap.bodies") / "data" / "open.npz"))
        for name, model, file in (("smplx_sized", body, path), ("open", load_body("open"), open_path)):
            figures |= _against_smplx(name, model, file, repeats, rng)
    return figures


def _against_smplx(name: str, body: BodyModel, path: Path, repeats: int, rng: np.random.Generator) -> Figures:
    figures: Figures = {}
    peer = _smplx(path)
    for batch in BATCHES:
        given = {key: rng.normal(0, 0.3, (batch, n)).astype(np.float32) for key, n in _SIZES.items()}
        few = {key: given[key] for key in ("betas", "global_orient", "body_pose", "transl")}
        rivals: dict[str, Callable[[], Any]] = {
            "vertices": lambda given=given: body(**given),
            "body_pose_only": lambda few=few: body(**few),
            "joints": lambda given=given: body.joints_only(**given),
        }
        correctives = body.tables(np.dtype(np.float32)).correctives
        if correctives is not None:
            feature = rng.normal(0, 0.3, (batch, len(correctives))).astype(np.float32)
            rivals["floor"] = partial(np.matmul, feature, correctives)
        if peer is not None:
            rivals |= {"smplx_vertices": lambda given=given: peer.vertices(given)}
            rivals |= {"smplx_keypoints": lambda given=given: _gradients(peer.joints, given)}
            ours = partial(body.keypoints, "smplx127")
            rivals |= {"keypoints": lambda given=given, ours=ours: _gradients(ours, given)}
        times = race(rivals, repeats)
        prefix = f"{name}_batch{batch}"
        figures |= {f"{prefix}_{key}": value for key, value in milliseconds(times, batch).items()}
        if peer is not None:
            for what in ("vertices", "keypoints"):
                ratio = times[f"smplx_{what}"][1] / times[what][1]
                figures[f"{prefix}_{what}_speedup"] = round(ratio, 2)
            gap = np.abs(peer.vertices(given) - body(**given).vertices).max()
            figures[f"{prefix}_smplx_difference_m"] = float(gap)
    return figures


def _smplx_sized(rng: np.random.Generator) -> dict[str, Array]:
    """Arrays of SMPL-X's official structure: 10475 vertices, 4 weights each, dense correctives, landmarks."""
    vertices, faces, joints = 10475, 20908, 55
    parents = np.array(skeletons.get("smplx55").parents)
    owner = rng.integers(0, joints, vertices)
    weights = np.zeros((vertices, joints), np.float32)
    near = [owner, np.maximum(parents[owner], 0), *rng.integers(0, joints, (2, vertices))]
    for column, share in zip(near, rng.dirichlet((6, 3, 1, 1), vertices).T, strict=True):
        np.add.at(weights, (np.arange(vertices), column), share)
    regressor = np.zeros((joints, vertices), np.float32)
    for row in regressor:
        row[rng.choice(vertices, 10, replace=False)] = rng.dirichlet(np.ones(10))
    return {
        "v_template": rng.normal(0, 0.4, (vertices, 3)).astype(np.float32),
        "f": rng.integers(0, vertices, (faces, 3)).astype(np.uint32),
        "shapedirs": rng.normal(0, 0.02, (vertices, 3, 20)).astype(np.float32),
        "posedirs": 0.002 * rng.standard_normal((vertices, 3, 9 * (joints - 1)), np.float32),
        "J_regressor": regressor,
        "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)]),
        "weights": weights,
        **{f"hands_{what}{side}": np.zeros(45) for side in "lr" for what in ("mean", "coeffs")},
        **{f"hands_components{side}": np.eye(45) for side in "lr"},
        "lmk_faces_idx": rng.integers(0, faces, 51),
        "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, faces, (79, 17)),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
    }


class _Smplx:
    """smplx on the same file: vertices without gradients, joints with."""

    def __init__(self, path: Path) -> None:
        import smplx
        import torch

        self.torch = torch
        options = {"num_betas": BETAS, "num_expression_coeffs": 10, "use_pca": False, "flat_hand_mean": True}
        with contextlib.redirect_stdout(None):  # it warns about 10 coefficients
            self.model = smplx.SMPLX(str(path), dtype=torch.float32, **options)

    def joints(self, **given: Any) -> Any:
        return self.model(**{_SMPLX_NAMES.get(name, name): value for name, value in given.items()}).joints

    def vertices(self, given: dict[str, Array]) -> Array:
        tensors = {_SMPLX_NAMES.get(name, name): self.torch.from_numpy(value) for name, value in given.items()}
        with self.torch.no_grad():
            return self.model(**tensors).vertices.numpy()


def _gradients(points: Callable[..., Any], given: dict[str, Array]) -> None:
    """Points from torch and their gradients with respect to every parameter."""
    import torch

    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in given.items()}
    points(**leaves).square().sum().backward()


def _smplx(path: Path) -> _Smplx | None:
    try:
        return _Smplx(path)
    except ImportError:  # torch or smplx is not installed
        return None
