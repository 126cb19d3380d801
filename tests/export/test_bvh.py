"""BVH files before two readers that nobody here wrote (bvhio, pybvh) and the project's own, against the motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import write_body
from tiny_body import PARENTS, TinyBody, tiny_body, tiny_motion, world_joints

from monocap.bodies import load_body
from monocap.data.mocap.bvh import read_bvh
from monocap.errors import InputError
from monocap.export.bvh import LEFT_OUT, euler_zxy, write_bvh
from monocap.export.person import even_times
from monocap.geometry.kinematics import forward_kinematics
from monocap.types import Motion


@pytest.fixture
def body(rng: np.random.Generator) -> TinyBody:
    return tiny_body(rng)


def even(motion: Motion) -> Motion:
    return replace(motion, time=np.arange(motion.frames) / motion.fps)


@pytest.mark.parametrize("person", [0, 1])
def test_bvhio_plays_the_motion(body: TinyBody, rng: np.random.Generator, tmp_path: Path, person: int) -> None:
    bvhio = pytest.importorskip("bvhio", reason="an independent reader; pip install --group test")
    motion = even(tiny_motion(body, rng))
    write_bvh(tmp_path / "a.bvh", motion, body, person)
    root = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    layout = {joint.Name: joint for joint, _, _ in root.layout()}
    names = [name for name in motion.joint_names if name not in LEFT_OUT]
    assert set(names) <= set(layout)
    for t in range(motion.frames):
        root.loadPose(t)
        read = np.array([list(layout[name].PositionWorld) for name in names]) / 100
        expected = world_joints(motion, person, t)[[list(motion.joint_names).index(name) for name in names]]
        assert np.abs(read - expected).max() < 1e-3, t


def test_pybvh_plays_the_motion(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh", reason="an independent reader; pip install --group test")
    motion = even(tiny_motion(body, rng, frames=12))
    write_bvh(tmp_path / "a.bvh", motion, body)
    read = pybvh.read_bvh_file(tmp_path / "a.bvh", world_up="+y")
    positions = read.joint_positions()
    at = {name: i for i, name in enumerate(read.joint_names)}
    names = [name for name in motion.joint_names if name not in LEFT_OUT]
    for t in range(12):
        expected = world_joints(motion, 0, t)[[list(motion.joint_names).index(name) for name in names]]
        assert np.abs(positions[t, [at[n] for n in names]] / 100 - expected).max() < 1e-3
    assert read.frame_time == pytest.approx(1 / motion.fps, rel=1e-8)


def test_our_own_reader_agrees_and_the_shape_is_the_persons(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = even(tiny_motion(body, rng))
    write_bvh(tmp_path / "a.bvh", motion, body, 1)
    clip = read_bvh(tmp_path / "a.bvh")
    assert len(clip.joint_names) == 52
    assert clip.fps == pytest.approx(25)
    rest = body.rest_joints(motion.betas[1])
    bones = rest - rest[np.maximum(PARENTS, 0)]
    for name, offset in zip(clip.joint_names[1:], clip.offsets[1:], strict=True):
        np.testing.assert_allclose(offset, bones[list(motion.joint_names).index(name)], atol=1e-6)


def test_a_body_with_fewer_joints(rng: np.random.Generator, tmp_path: Path) -> None:
    """SMPL-H has no jaw and no eyes; a motion's poses have them all the same."""
    write_body(tmp_path / "body.npz", rng, skeleton="smplh52", poses=False)
    body = load_body(tmp_path / "body.npz")
    motion = even(tiny_motion(tiny_body(rng), rng, people=1))
    face = ("jaw_pose", "left_eye_pose", "right_eye_pose", "expression")
    posed = body.joints_only(**{k: v for k, v in motion.params(0).asdict().items() if k not in face})
    motion = replace(motion, joints=posed[None], joint_names=np.array(body.joint_names))
    write_bvh(tmp_path / "a.bvh", motion, body)
    clip = read_bvh(tmp_path / "a.bvh")
    rest = body.rest_joints(motion.betas[0])
    order = [body.joint_names.index(name) for name in clip.joint_names]
    for t in range(motion.frames):
        _, joints = forward_kinematics(clip.rotations[t], rest[order].astype(float), clip.parents)
        moved = joints - joints[0] + clip.translation[t]
        assert np.abs(moved - world_joints(motion, 0, t)[order]).max() < 1e-3


def test_uneven_times_are_resampled_and_fps_is_obeyed(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng, frames=20)
    assert np.ptp(np.diff(motion.time)) > 0.01
    write_bvh(tmp_path / "a.bvh", motion, body)
    clip = read_bvh(tmp_path / "a.bvh")
    assert clip.fps == pytest.approx(motion.fps)
    assert len(clip.translation) == int(motion.time[-1] * motion.fps) + 1
    pelvis = np.stack([world_joints(motion, 0, t)[0] for t in range(20)])
    times = np.arange(len(clip.translation)) / motion.fps
    expected = np.stack([np.interp(times, motion.time, pelvis[:, a]) for a in range(3)], axis=1)
    np.testing.assert_allclose(clip.translation, expected, atol=1e-5)
    write_bvh(tmp_path / "b.bvh", motion, body, fps=120)
    assert read_bvh(tmp_path / "b.bvh").fps == pytest.approx(120)
    assert len(read_bvh(tmp_path / "b.bvh").translation) == int(motion.time[-1] * 120) + 1


def test_times_rounded_to_milliseconds_count_as_even(body: TinyBody, rng: np.random.Generator) -> None:
    motion = replace(tiny_motion(body, rng, frames=90), fps=30000 / 1001)
    rounded = replace(motion, time=np.round(np.arange(90) / motion.fps, 3))
    times, rate = even_times(rounded)
    assert len(times) == 90
    assert rate == pytest.approx(30000 / 1001)


def test_angles_run_on_through_turns_and_the_singular_pose(rng: np.random.Generator) -> None:
    spin = np.linspace(0, 6 * np.pi, 400)
    somersault = np.stack([0 * spin, spin, 0.2 + 0 * spin], axis=-1)  # z, x, y: x passes ±90° again and again
    matrices = Rotation.from_euler("ZXY", somersault).as_matrix()[:, None]
    angles = euler_zxy(matrices)
    assert np.abs(np.diff(angles, axis=0)).max() < 0.1
    np.testing.assert_allclose(Rotation.from_euler("ZXY", angles[:, 0]).as_matrix(), matrices[:, 0], atol=1e-9)
    singular = Rotation.from_euler("ZXY", [[0.3, np.pi / 2, 0.4], [0.5, -np.pi / 2, 0.4]]).as_matrix()[:, None]
    assert np.abs(Rotation.from_euler("ZXY", euler_zxy(singular)[:, 0]).as_matrix() - singular[:, 0]).max() < 1e-6
    noise = Rotation.from_quat(rng.normal(size=(300, 4))).as_matrix()[:, None]
    np.testing.assert_allclose(Rotation.from_euler("ZXY", euler_zxy(noise)[:, 0]).as_matrix(), noise[:, 0], atol=1e-6)


def test_an_unseen_stretch_without_numbers_is_interpolated(
    body: TinyBody, rng: np.random.Generator, tmp_path: Path
) -> None:
    motion = even(tiny_motion(body, rng))
    transl = motion.transl.copy()
    transl[1, 2:4] = np.nan  # the gap
    write_bvh(tmp_path / "a.bvh", replace(motion, transl=transl), body, 1)
    clip = read_bvh(tmp_path / "a.bvh")
    first, last = (world_joints(motion, 1, t)[0] for t in (1, 4))
    np.testing.assert_allclose(clip.translation[2], first + (last - first) / 3, atol=1e-5)
    np.testing.assert_allclose(clip.translation[4], last, atol=1e-5)


def test_what_cannot_be_written_is_said(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    motion = tiny_motion(body, rng)
    with pytest.raises(InputError, match="seen in no frame"):
        write_bvh(tmp_path / "a.bvh", replace(motion, valid=np.zeros_like(motion.valid)), body)
    with pytest.raises(InputError, match="frames per second"):
        write_bvh(tmp_path / "a.bvh", motion, body, fps=0)
    with pytest.raises(InputError, match="frames"):
        write_bvh(tmp_path / "a.bvh", motion, body, fps=float("nan"))
    assert list(tmp_path.iterdir()) == []
