"""Motion: shapes are checked, files come back as they were, and nothing else is taken for a motion."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monocap import skeletons
from monocap.errors import InputError
from monocap.files import read_npz, replacing, write_npz
from monocap.types import Motion


def motion_of(people: int, frames: int) -> Motion:
    rng = np.random.default_rng(3)
    names = skeletons.get("smplx55").joint_names
    keypoints = skeletons.get("blazepose33").joint_names

    def normal(*shape: int) -> np.ndarray[Any, Any]:
        return rng.normal(size=shape)

    return Motion(
        fps=25.0,
        frame_index=np.arange(frames),
        time=np.arange(frames) / 25,
        image_size=np.array([640, 480]),
        track_id=np.arange(people),
        valid=np.ones((people, frames), bool),
        confidence=np.ones((people, frames)),
        K=np.broadcast_to(np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]]), (frames, 3, 3)),
        T_world_camera=np.broadcast_to(np.diag([1.0, -1, -1, 1]), (frames, 4, 4)),
        betas=normal(people, 16),
        global_orient=normal(people, frames, 3),
        body_pose=normal(people, frames, 63),
        jaw_pose=normal(people, frames, 3),
        left_eye_pose=normal(people, frames, 3),
        right_eye_pose=normal(people, frames, 3),
        left_hand_pose=normal(people, frames, 45),
        right_hand_pose=normal(people, frames, 45),
        expression=normal(people, frames, 10),
        transl=normal(people, frames, 3),
        joints=normal(people, frames, 55, 3),
        keypoints2d=normal(people, frames, 33, 3),
        joint_names=np.array(names),
        keypoint_names=np.array(keypoints),
    )


@pytest.mark.parametrize(("people", "frames"), [(0, 1), (1, 1), (2, 7), (0, 3)])
def test_round_trip(tmp_path: Path, people: int, frames: int) -> None:
    motion = motion_of(people, frames)
    motion.save(tmp_path / "motion.npz")
    again = Motion.load(tmp_path / "motion.npz")
    for f in fields(Motion):
        before, after = getattr(motion, f.name), getattr(again, f.name)
        if isinstance(before, np.ndarray) and before.dtype.kind == "f":
            np.testing.assert_allclose(after, before, rtol=1e-6)
        else:
            np.testing.assert_array_equal(after, before)
    with np.load(tmp_path / "motion.npz", allow_pickle=False) as archive:
        assert all(not archive[key].dtype.hasobject for key in archive.files)
        assert str(archive["schema"]) == "monocap.motion/1"
    assert [p.name for p in tmp_path.iterdir()] == ["motion.npz"], "nothing temporary is left"


def test_shapes_that_disagree_are_named() -> None:
    motion = motion_of(1, 4)
    with pytest.raises(InputError, match=r"Motion\.body_pose has shape \(1, 3, 63\); expected \('P=1', 'T=4', 63\)"):
        replace(motion, body_pose=motion.body_pose[:, :3])
    with pytest.raises(InputError, match=r"Motion\.left_hand_pose"):
        replace(motion, left_hand_pose=motion.left_hand_pose[..., :6])


def test_joint_by_name() -> None:
    motion = motion_of(1, 4)
    np.testing.assert_array_equal(motion.joint("left_wrist"), motion.joints[:, :, 20])
    with pytest.raises(InputError, match="no joint 'left_tail'"):
        motion.joint("left_tail")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"hello"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "motion.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"motion\.npz"):
        Motion.load(path)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros(3))
    with pytest.raises(InputError, match="schema 'none'"):
        Motion.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", schema="monocap.motion/1", fps=1.0)
    with pytest.raises(InputError, match="lacks frame_index"):
        Motion.load(tmp_path / "b.npz")
    with pytest.raises(InputError, match="no such file"):
        Motion.load(tmp_path / "c.npz")


def test_pickles_inside_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", schema=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="not a readable npz"):
        Motion.load(tmp_path / "evil.npz")
    with pytest.raises(InputError, match="dtype object"):
        write_npz(tmp_path / "x.npz", {"a": np.array([None], dtype=object)})
    assert not (tmp_path / "x.npz").exists()


def test_declared_size_is_bounded(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(4_000_000))
    with pytest.raises(InputError, match="32 MB unpacked, more than the allowed 1 MB"):
        read_npz(tmp_path / "bomb.npz", max_bytes=1_000_000)
    assert read_npz(tmp_path / "bomb.npz", keys=["b"], max_bytes=1_000_000) == {}


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"

    def fail_half_way() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(target.parent.iterdir()) == []
    target.write_text("old")
    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
