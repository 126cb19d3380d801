"""AMASS files: smplx itself plays them to the motion's own joints, and the project's reader of AMASS takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import write_body
from tiny_body import TinyBody, tiny_body, tiny_motion, world_joints

from monocap.bodies import load_body
from monocap.data.amass import read_amass
from monocap.errors import InputError
from monocap.export.amass import write_amass
from monocap.types import Array

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # AMASS's z-up world to y up


@pytest.fixture
def body(rng: np.random.Generator) -> TinyBody:
    return tiny_body(rng)


def test_smplx_plays_it_to_the_same_joints(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="smplx runs on torch")
    smplx = pytest.importorskip("smplx", reason="the oracle is not installed")
    write_body(tmp_path / "body.npz", rng, poses=False)
    body: Any = load_body(tmp_path / "body.npz")
    motion = tiny_motion(body, rng, frames=9)
    motion = replace(motion, time=np.arange(9) / motion.fps)
    write_amass(tmp_path / "a.npz", motion, 1)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}
    assert data["poses"].shape == (9, 165)
    assert float(data["mocap_frame_rate"]) == 25
    assert str(data["gender"]) == "neutral"
    monkeypatch.setitem(
        smplx.body_models.VERTEX_IDS,
        "smplx",
        {name: 7 * i for i, name in enumerate(smplx.vertex_ids.vertex_ids["smplx"])},
    )
    oracle = smplx.SMPLX(
        str(tmp_path / "body.npz"), use_pca=False, flat_hand_mean=True, batch_size=9, num_betas=10,
        num_expression_coeffs=10, create_body_pose=False,
    )  # fmt: skip
    columns = {
        **{"global_orient": (0, 3), "body_pose": (3, 66), "jaw_pose": (66, 69), "leye_pose": (69, 72)},
        **{"reye_pose": (72, 75), "left_hand_pose": (75, 120), "right_hand_pose": (120, 165)},
    }
    played = oracle(
        betas=torch.tensor(data["betas"])[None].repeat(9, 1),
        transl=torch.tensor(data["trans"]),
        expression=torch.zeros(9, 10),
        **{name: torch.tensor(data["poses"][:, a:b]) for name, (a, b) in columns.items()},
    )
    joints = played.joints.detach().numpy()[:, :55]
    expected = np.stack([world_joints(motion, 1, t) for t in range(9)])
    np.testing.assert_allclose(joints @ Y_UP.T, expected, atol=1e-4)


def played(body: TinyBody, poses: Array, trans: Array, betas: Array) -> Array:
    """Pelvis (T,3), y up."""
    return (body.rest_joints(betas)[0] + trans) @ Y_UP.T


def test_our_reader_takes_it_and_uneven_times_are_resampled(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = tiny_motion(body, rng, frames=20)
    (tmp_path / "someone").mkdir()
    write_amass(tmp_path / "someone" / "a.npz", motion, 0)
    samples = list(read_amass(tmp_path))
    assert len(samples) == int(motion.time[-1] * motion.fps) + 1
    assert samples[0].notes == {"fps": 25.0, "world_up": "z"}
    params = [sample.params for sample in samples]
    assert all(p is not None for p in params)
    trans = np.stack([p.transl for p in params if p is not None])
    pelvis = np.stack([world_joints(motion, 0, t)[0] for t in range(20)])
    times = np.arange(len(samples)) / motion.fps
    expected = np.stack([np.interp(times, motion.time, pelvis[:, a]) for a in range(3)], axis=1)
    np.testing.assert_allclose(played(body, trans, trans, motion.betas[0]), expected, atol=1e-5)


def test_frames_without_numbers_are_interpolated_and_nobody_is_refused(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = tiny_motion(body, rng)
    motion = replace(motion, time=np.arange(7) / motion.fps)
    transl, orient = motion.transl.copy(), motion.global_orient.copy()
    transl[1, 2:4] = orient[1, 2:4] = np.nan
    write_amass(tmp_path / "a.npz", replace(motion, transl=transl, global_orient=orient), 1)
    with np.load(tmp_path / "a.npz") as data:
        pelvis = played(body, data["poses"], data["trans"], motion.betas[1])
        assert np.isfinite(data["poses"]).all()
    first, last = (world_joints(motion, 1, t)[0] for t in (1, 4))
    np.testing.assert_allclose(pelvis[2], first + (last - first) / 3, atol=1e-5)
    with pytest.raises(InputError, match="no frame"):
        replace(motion, valid=np.zeros_like(motion.valid)).to_amass(0)
    with pytest.raises(InputError, match="this motion has 2"):
        motion.to_amass(2)
