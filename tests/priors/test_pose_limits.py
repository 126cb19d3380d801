"""Joint limits: the swing–twist chart against scipy, its derivative, fitting, sampling, and what they allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from monocap.errors import InputError
from monocap.priors.limits import JOINTS, PoseLimits, bone_frames, mirrored

SHIPPED = PoseLimits.load()


def test_chart_is_a_swing_after_a_twist(rng: np.random.Generator) -> None:
    pose = rng.normal(0, 0.8, (40, 63))
    u = SHIPPED.chart(pose)
    frames = bone_frames()
    for j in range(21):
        swing = Rotation.from_rotvec(u[:, j, :2] @ frames[j, :2])
        twist = Rotation.from_rotvec(u[:, j, 2:] @ frames[j, 2:])
        wanted = Rotation.from_rotvec(pose[:, 3 * j : 3 * j + 3])
        assert ((swing * twist).inv() * wanted).magnitude().max() < 1e-7
    np.testing.assert_allclose(SHIPPED.from_chart(u), pose, atol=1e-9)


@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-3, 0.3, 1.5])
def test_chart_derivative(rng: np.random.Generator, size: float) -> None:
    pose = size * rng.normal(size=(6, 63))
    _, jacobian = SHIPPED.chart_jacobian(pose)
    for axis in range(3):
        step = np.zeros(63)
        step[axis::3] = 1e-6
        expected = (SHIPPED.chart(pose + step) - SHIPPED.chart(pose - step)) / 2e-6
        smooth = np.abs(expected).max(axis=-1) < 50  # not where a swing of π jumps
        np.testing.assert_allclose(jacobian[..., axis][smooth], expected[smooth], atol=2e-6)


def test_excess_derivative_and_inside_is_zero(rng: np.random.Generator) -> None:
    pose = rng.normal(0, 1.0, (30, 63))
    excess, slope = SHIPPED.excess_jacobian(pose)
    np.testing.assert_allclose(excess, SHIPPED.excess(pose))
    assert 0.1 < (excess > 0).mean() < 0.9
    assert not slope[excess == 0].any()
    delta = 1e-7 * rng.normal(size=pose.shape)
    change = np.einsum("nja,nja->nj", slope, delta.reshape(-1, 21, 3))
    clear = (excess > 1e-3) | (excess == 0)
    moved = SHIPPED.excess(pose + delta) - excess
    assert np.abs(moved - change)[clear].max() < 1e-9


def test_anatomy_that_everybody_knows() -> None:
    def pose(**angles: tuple[float, float, float]) -> np.ndarray:
        made = np.zeros((21, 3))
        for name, value in angles.items():
            made[JOINTS.index(name)] = np.deg2rad(value)
        return made.reshape(63)

    allowed = [
        pose(),
        pose(left_knee=(120, 0, 0), right_knee=(120, 0, 0)),
        pose(left_hip=(-110, 0, 0), right_hip=(-110, 0, 0)),
        pose(left_elbow=(0, -130, 0), right_elbow=(0, 130, 0)),
        pose(left_shoulder=(0, 0, -80), right_shoulder=(0, 0, 80)),
        pose(left_shoulder=(0, 0, 70), right_shoulder=(0, 0, -70)),
        pose(neck=(0, 35, 0), head=(0, 35, 0)),
    ]
    forbidden = [
        pose(left_knee=(-40, 0, 0)),
        pose(right_knee=(0, 60, 0)),
        pose(left_elbow=(0, 60, 0)),
        pose(right_elbow=(0, -60, 0)),
        pose(left_hip=(90, 0, 0)),
        pose(head=(0, 120, 0)),
        pose(spine2=(0, 0, 60)),
        pose(left_ankle=(0, 100, 0)),
    ]
    assert SHIPPED.allows(np.array(allowed)).all()
    assert not SHIPPED.allows(np.array(forbidden)).any()


def test_limits_are_the_same_on_both_sides(rng: np.random.Generator) -> None:
    pose = rng.normal(0, 0.7, (50, 63))
    flip = [JOINTS.index(n.replace("left_", "#").replace("right_", "left_").replace("#", "right_")) for n in JOINTS]
    np.testing.assert_allclose(SHIPPED.excess(mirrored(pose)), SHIPPED.excess(pose)[:, flip], atol=0.02)
    np.testing.assert_array_equal(mirrored(mirrored(pose)), pose)


def test_samples_fill_the_limits(rng: np.random.Generator) -> None:
    poses = SHIPPED.sample(2000, rng)
    assert SHIPPED.excess(poses).max() < 1e-9
    elbow = poses.reshape(-1, 21, 3)[:, JOINTS.index("left_elbow"), 1]
    assert elbow.min() < -2.0
    around = PoseLimits.around(poses)
    assert np.median(around.support / SHIPPED.support) > 0.85
    np.testing.assert_array_equal(
        SHIPPED.sample(3, np.random.default_rng(5)), SHIPPED.sample(3, np.random.default_rng(5))
    )


def test_fit_leaves_out_outliers_and_widens(rng: np.random.Generator) -> None:
    poses = np.clip(0.1 * rng.normal(size=(4000, 63)), -0.3, 0.3)
    poses[0] = 2.0
    limits = PoseLimits.fit(poses, outliers=1e-3, margin=0.1)
    assert not limits.allows(poses[0])
    assert limits.allows(poses[1:]).mean() > 0.9
    wider = PoseLimits.fit(poses, outliers=1e-3, margin=0.3)
    np.testing.assert_allclose(wider.support - limits.support, 0.2, atol=1e-9)
    assert limits.widened(PoseLimits.around(poses)).allows(poses[0], tolerance=1e-9)


def test_bad_input(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=r"expected \(…,63\)"):
        SHIPPED.chart(np.zeros(66))
    with pytest.raises(InputError, match="N of at least 100"):
        PoseLimits.fit(np.zeros((5, 63)))
    with pytest.raises(InputError, match="count is -1"):
        SHIPPED.sample(-1, rng)
    np.savez(tmp_path / "bad.npz", support=np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"expected an array 'support' \(21,26\)"):
        PoseLimits.load(tmp_path / "bad.npz")
