"""Retargeting: what a known source pose must look like on the body, and the same take from different archives."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from motion_writers import bvh_text, wandering, write_amc, write_asf

from monocap.bodies import BodyModel, load_body
from monocap.data.mocap import MocapClip, Retargeted, read_amc, read_take, retarget
from monocap.data.mocap.rigs import recognise, rigs
from monocap.data.mocap.sheets import contact_sheet
from monocap.errors import InputError
from monocap.geometry import rotations
from monocap.priors.limits import mirrored


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def joints(body: BodyModel, motion: Retargeted) -> dict[str, np.ndarray]:
    out = body.joints_only(global_orient=motion.global_orient, body_pose=motion.body_pose, transl=motion.transl)
    return {name: np.asarray(out)[:, i] for i, name in enumerate(body.joint_names)}


def direction(posed: dict[str, np.ndarray], start: str, end: str) -> np.ndarray:
    bone = posed[end][0] - posed[start][0]
    return bone / np.linalg.norm(bone)


def cmu(tmp_path: Path, frames: list[dict[str, list[float]]]) -> MocapClip:
    return read_amc(write_amc(tmp_path / "07_01.amc", frames), write_asf(tmp_path / "07.asf"))


def test_rest_pose_of_cmu(tmp_path: Path, body: BodyModel) -> None:
    posed = joints(body, retarget(cmu(tmp_path, [{"root": [0, 17, 0, 0, 0, 0]}]), body))
    for side, x in (("left", 1.0), ("right", -1.0)):
        spread = [0.34202 * x, -0.939693, 0.0]
        np.testing.assert_allclose(direction(posed, f"{side}_hip", f"{side}_knee"), spread, atol=1e-6)
        np.testing.assert_allclose(direction(posed, f"{side}_knee", f"{side}_ankle"), spread, atol=1e-6)
        np.testing.assert_allclose(direction(posed, f"{side}_shoulder", f"{side}_elbow"), [x, 0, 0], atol=1e-6)
    assert posed["head"][0, 1] > posed["pelvis"][0, 1] > posed["left_foot"][0, 1]


def test_turned_and_bent(tmp_path: Path, body: BodyModel) -> None:
    frame = {
        "root": [0, 17, 0, 0, 90, 0],
        "ltibia": [90.0],
        "lradius": [90.0],
        "lfemur": [0, 0, -20],
        "rfemur": [0, 0, 20],
    }
    motion = retarget(cmu(tmp_path, [frame]), body)
    posed = joints(body, motion)
    # The root turned the person to face +x; the left side is then towards −z.
    np.testing.assert_allclose(direction(posed, "left_hip", "left_knee"), [0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(direction(posed, "left_knee", "left_ankle"), [-1, 0, 0], atol=1e-5)  # shin to the back
    np.testing.assert_allclose(direction(posed, "left_shoulder", "left_elbow"), [0, 0, -1], atol=1e-5)
    knee = motion.body_pose.reshape(21, 3)[3]
    np.testing.assert_allclose(np.rad2deg(knee), [90, 0, 0], atol=6)  # a hinge about x, up to the body's own knock-knee


def test_mirrored_source_gives_mirrored_pose(tmp_path: Path, body: BodyModel) -> None:
    left = {"lhumerus": [20.0, -10.0, 30.0], "lradius": [50.0], "lfemur": [-30.0, 10.0, 5.0], "ltibia": [40.0]}
    # CMU's axes are mirror images: angles about y and z change their sign with the side.
    right = {"r" + name[1:]: [v * s for v, s in zip(value, (1, -1, -1), strict=False)] for name, value in left.items()}
    one = retarget(cmu(tmp_path, [left]), body).body_pose
    other = retarget(cmu(tmp_path, [right]), body).body_pose
    np.testing.assert_allclose(
        rotations.axis_angle_to_matrix(mirrored(one).reshape(-1, 3)),
        rotations.axis_angle_to_matrix(other.reshape(-1, 3)),
        atol=1e-5,
    )


def test_z_up_rig_stands_and_faces_us(tmp_path: Path, body: BodyModel) -> None:
    path = tmp_path / "stand.bvh"
    path.write_text(bvh_text([{"Hips": [0, 0, 36, 0, 0, 0]}] * 3))
    clip = read_take(path)
    assert recognise(clip).name == "hips_spine3"
    motion = retarget(clip, body)
    assert np.abs(motion.global_orient).max() < 1e-6
    assert np.abs(motion.body_pose).max() < np.deg2rad(6)  # the body's own rest directions, no more
    posed = joints(body, motion)
    assert posed["pelvis"][0, 1] == pytest.approx(36 * 0.0254 * 0.832 / (34.7 * 0.0254), rel=0.02)  # scaled by the legs


def test_hanging_arms_lower_the_collars(tmp_path: Path, body: BodyModel) -> None:
    hanging = {"lhumerus": [0.0, 0.0, 0.0], "LeftArm": [0.0, 0.0, 90.0], "RightArm": [0.0, 0.0, -90.0]}
    path = tmp_path / "hang.bvh"
    path.write_text(bvh_text([hanging] * 2))
    motion = retarget(read_take(path), body)
    pose = np.rad2deg(motion.body_pose[0].reshape(21, 3))
    posed = joints(body, motion)
    np.testing.assert_allclose(direction(posed, "left_shoulder", "left_elbow"), [0, -1, 0], atol=1e-5)
    assert pose[12, 2] == pytest.approx(-18, abs=2)  # a fifth of the quarter turn
    assert pose[13, 2] == pytest.approx(18, abs=2)


def test_errors_are_small_where_limbs_are_copied(tmp_path: Path, body: BodyModel, rng: np.random.Generator) -> None:
    motion = retarget(cmu(tmp_path, wandering(rng, 80)), body)
    assert motion.frames == 20
    assert motion.fps == 30.0
    assert motion.error.summary["direction_mean_deg"] < 0.5
    assert motion.error.summary["position_mean_cm"] < 8
    assert motion.steady.all()


def test_a_joint_that_flips_is_not_steady(tmp_path: Path, body: BodyModel, rng: np.random.Generator) -> None:
    frames = wandering(rng, 40)
    frames[20]["lhumerus"][0] += 170
    steady = retarget(cmu(tmp_path, frames), body).steady
    assert list(np.flatnonzero(~steady)) == [4, 5, 6]


def test_unknown_rig_is_named(body: BodyModel) -> None:
    clip = MocapClip(
        "x", "bvh", ("a", "b"), (-1, 0), np.ones((2, 3)), np.eye(3)[None, None].repeat(2, 1), np.zeros((1, 3)), 30
    )
    with pytest.raises(InputError, match=r"joints \(a, b, …\) are those of no known rig"):
        retarget(clip, body)
    assert all(np.isclose(np.linalg.det(rig.axes), 1) for rig in rigs().values())


def test_contact_sheet_shows_source_and_body(tmp_path: Path, body: BodyModel, rng: np.random.Generator) -> None:
    clip = cmu(tmp_path, wandering(rng, 24))
    sheet = contact_sheet(clip, retarget(clip, body), body, columns=2)
    assert sheet.shape == (400, 300, 3)
    above, below = sheet[:200], sheet[200:]
    assert 100 < np.count_nonzero(above.min(axis=-1) < 200) < 2000  # lines
    assert np.count_nonzero(below.min(axis=-1) < 200) > 2000  # bodies


def member(archive: Path, name: str, folder: Path) -> Path:
    """One file out of a .tar.xz, read no further than needed."""
    with lzma.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for entry in tar:
            if entry.name.endswith(name):
                content = tar.extractfile(entry)
                assert content is not None
                path = folder / Path(name).name
                path.write_bytes(content.read())
                return path
    raise AssertionError(f"{archive} holds no {name}")


def test_same_take_from_two_archives(shared: Callable[[str], Path], tmp_path: Path, body: BodyModel) -> None:
    """CMU 07_07 as ASF/AMC and played by an iClone rig, whose table was measured on it: a few degrees apart."""
    asf = shared("mocap/cmu_asfamc.tar.xz")
    member(asf, "kseniia/07/07.asf", tmp_path)
    one = retarget(read_take(member(asf, "kseniia/07/07_07.amc", tmp_path)), body)
    other = retarget(read_take(member(shared("mocap/cmu_bvh.tar.xz"), "007/007_07.bvh", tmp_path)), body)
    assert one.frames == other.frames
    a, b = (rotations.axis_angle_to_matrix(m.body_pose.reshape(-1, 21, 3)) for m in (one, other))
    apart = np.rad2deg(rotations.geodesic_angle(a, b)).mean(axis=0)
    assert apart.mean() < 5
    assert apart.max() < 15
