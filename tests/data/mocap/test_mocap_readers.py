"""Readers of motion files: geometry against hand-made matrices, and every kind of damage told with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from motion_writers import bvh_text, wandering, write_amc, write_asf

from monocap.data.mocap import MocapClip, read_amc, read_asf, read_bvh, read_deepmimic, read_expmap, read_take
from monocap.errors import InputError
from monocap.geometry import rotations

INCH = 0.0254


def about(axis: str, degrees: float) -> np.ndarray:
    """Elementary rotation written out."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def test_bvh_channels_apply_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "one.bvh"
    path.write_text(bvh_text([{"Hips": [1, 2, 3, 10, 20, 30], "LeftArm": [-40, 50, 60]}]))
    clip = read_bvh(path, INCH)
    hips = about("z", 10) @ about("x", 20) @ about("y", 30)
    arm = about("z", -40) @ about("x", 50) @ about("y", 60)
    world, joints = clip.posed()
    np.testing.assert_allclose(world[0, clip.index("LeftArm")], hips @ arm, atol=1e-9)
    np.testing.assert_allclose(joints[0, 0], np.array([1, 2, 3]) * INCH, atol=1e-12)
    elbow = joints[0, clip.index("LeftForeArm")] - joints[0, clip.index("LeftArm")]
    np.testing.assert_allclose(elbow, hips @ arm @ [11.9 * INCH, 0, 0], atol=1e-9)
    assert clip.fps == pytest.approx(60, rel=1e-4)


def test_amc_turns_bones_in_their_own_axes(tmp_path: Path) -> None:
    asf = write_asf(tmp_path / "07.asf")
    amc = write_amc(tmp_path / "07_01.amc", [{"root": [1, 2, 3, 10, 20, 30], "lhumerus": [15, 25, -35]}])
    clip = read_amc(amc, asf)
    own = about("z", -90) @ about("y", -30) @ about("x", 180)
    moved = about("z", -35) @ about("y", 25) @ about("x", 15)
    root = about("z", 30) @ about("y", 20) @ about("x", 10)
    world, joints = clip.posed()
    np.testing.assert_allclose(world[0, clip.index("lhumerus")], root @ own @ moved @ own.T, atol=1e-6)
    np.testing.assert_allclose(joints[0, 0], np.array([1, 2, 3]) * INCH / 0.45, atol=1e-9)
    bone = joints[0, clip.index("lradius")] - joints[0, clip.index("lhumerus")]
    np.testing.assert_allclose(np.linalg.norm(bone), 5.0 * INCH / 0.45, atol=1e-9)
    assert clip.fps == 120.0


def test_resampling_keeps_frames_that_fall_together(tmp_path: Path, rng: np.random.Generator) -> None:
    asf = write_asf(tmp_path / "07.asf")
    clip = read_amc(write_amc(tmp_path / "07_01.amc", wandering(rng, 41)), asf)
    third = clip.resampled(30.0)
    np.testing.assert_array_equal(third.rotations, clip.rotations[::4])
    between = clip.resampled(240.0)
    half = rotations.matrix_to_axis_angle(np.swapaxes(clip.rotations[0], -1, -2) @ clip.rotations[1]) / 2
    np.testing.assert_allclose(
        between.rotations[1], clip.rotations[0] @ rotations.axis_angle_to_matrix(half), atol=1e-9
    )


def test_expmap_rotates_row_vectors_and_skips_the_t_pose(tmp_path: Path) -> None:
    values = np.zeros((3, 117))
    values[1:, :3] = 1.0
    values[1:, 3:6] = [0.0, 0.5, 0.0]
    path = tmp_path / "walking_1.txt"
    np.savetxt(path, values, delimiter=",", fmt="%.6f")
    clip = read_expmap(path)
    assert clip.frames == 2
    np.testing.assert_allclose(clip.rotations[0, 0], about("y", -np.rad2deg(0.5)), atol=1e-6)
    np.testing.assert_allclose(clip.translation[0], INCH / 0.45, atol=1e-9)
    assert read_take(path).format == "expmap"


def test_deepmimic_hinges_turn_about_z(tmp_path: Path) -> None:
    unit = [1.0, 0.0, 0.0, 0.0]
    frame = [0.0625, 0.1, 0.9, 0.2, *unit, *unit, *unit, *unit, -0.7, *unit, *unit, 0.3, *unit, 0.0, *unit, *unit, 0.0]
    path = tmp_path / "kick.txt"
    path.write_text(json.dumps({"Loop": "none", "Frames": [frame, frame]}))
    clip = read_deepmimic(path)
    assert clip.fps == 16.0
    np.testing.assert_allclose(clip.rotations[0, clip.index("right_knee")], about("z", np.rad2deg(-0.7)), atol=1e-9)
    np.testing.assert_allclose(clip.rotations[0, clip.index("right_elbow")], about("z", np.rad2deg(0.3)), atol=1e-9)


def damaged_bvh() -> dict[str, tuple[str, str]]:
    good = bvh_text([{}, {}, {}])
    lines = good.splitlines()
    motion = lines.index("MOTION")
    row = len(lines)  # number of the last line of the file
    cut = "\n".join(lines[:-1])
    return {
        "cut between frames": (cut, rf"line {row - 1}: ends after 2 of 3 frames.*get it again"),
        "cut in a line": (good.rstrip()[:-40], rf"line {row}: \d+ numbers, expected 75.*get it again"),
        "cut in the tree": ("\n".join(lines[:20]), "line 20: ends without MOTION"),
        "nan": (good.rstrip().rsplit(" ", 1)[0] + " nan", rf"line {row}: NaN or infinity; fill the gap"),
        "no number": (good.rstrip().rsplit(" ", 1)[0] + " 1,5", rf"line {row}: '1,5' is no number"),
        "no frames": (cut.replace("Frames: 3", "Frames: 0"), "0 frames declared; expected at least one"),
        "10 GB": (good.replace("Frames: 3", "Frames: 10000000000"), r"10000000000 frames.*GB\); at most"),
        "too many frames": (good.replace("Frames: 3", "Frames: 2"), rf"line {row}: more frames than the 2 declared"),
        "frame time": (good.replace("Frame Time: 0.0166667", "Frame Time: 0"), "expected a whole number of frames"),
        "no frame count": (good.replace("Frames: 3\n", ""), rf"line {motion + 2}: expected 'Frames: N'"),
        "channel count": (good.replace("CHANNELS 3 Z", "CHANNELS 4 Z", 1), "expected CHANNELS, their number"),
        "channel name": (good.replace("3 Zrotation", "3 Wrotation", 1), "CHANNELS 3 Wrotation"),
        "two roots": (good.replace("JOINT Spine\n", "ROOT Spine\n"), "does not belong here"),
        "no bvh": ("solid cube\n", "line 1: expected HIERARCHY"),
        "binary": ("HIER\0ARCHY", "not a text file"),
    }


@pytest.mark.parametrize("name", list(damaged_bvh()))
def test_damaged_bvh(tmp_path: Path, name: str) -> None:
    text, message = damaged_bvh()[name]
    path = tmp_path / "bad.bvh"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bvh(path)
    assert str(path) in str(caught.value)


def test_damaged_amc(tmp_path: Path) -> None:
    asf = write_asf(tmp_path / "07.asf")
    good = write_amc(tmp_path / "07_01.amc", [{}, {}]).read_text()
    lines = good.splitlines()
    cases = {
        good.replace("lradius 0.000000", "lradius 0.0 0.0", 1): r"line 22: 2 numbers, expected 1",
        good.replace("lradius 0.000000", "lradius nan", 1): r"line 22: NaN or infinity",
        good.replace("lradius", "tail", 1): r"line 22: bone 'tail' does not move in 07.asf",
        "\n".join(lines[:-3]): r"frame 2 has \d+ of \d+ bones; the file is cut off",
        "#!OML:ASF\n:DEGREES\n": r"line 2: no frames",
    }
    for text, message in cases.items():
        path = tmp_path / "bad.amc"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_amc(path, asf)
    with pytest.raises(InputError, match=r"07_01\.amc: no \.asf skeleton beside it"):
        read_take(write_amc(tmp_path / "alone" / "07_01.amc", [{}]))


def test_damaged_asf(tmp_path: Path) -> None:
    good = write_asf(tmp_path / "07.asf").read_text()
    for old, new, message in (
        ("     length 7.2\n", "", "lfemur has no length"),
        ("    lfemur ltibia", "    nobody ltibia", "unknown or has a parent already"),
        ("    root lhipjoint", "    lfoot lhipjoint", "loop"),
        ("length 0.45", "length 0", "expected a positive number"),
    ):
        path = tmp_path / "bad.asf"
        path.write_text(good.replace(old, new, 1))
        with pytest.raises(InputError, match=message):
            read_asf(path)


def test_damaged_expmap_and_deepmimic(tmp_path: Path) -> None:
    path = tmp_path / "walking_1.txt"
    path.write_text("\n".join([",".join(["0"] * 117), ",".join(["0"] * 116)]))
    with pytest.raises(InputError, match="line 2: 116 numbers, expected 117"):
        read_expmap(path)
    path.write_text(",".join(["0"] * 117) + "\n")
    with pytest.raises(InputError, match="0 frames declared"):
        read_expmap(path)
    path.write_text('{"Frames": [[1, 2, 3]]}')
    with pytest.raises(InputError, match="expected 44, those of the humanoid3d"):
        read_deepmimic(path)
    path.write_text('{"Frames": [[1, 2,')
    with pytest.raises(InputError, match="line 1: not a whole DeepMimic motion"):
        read_deepmimic(path)


def test_clip_checks_its_arrays() -> None:
    with pytest.raises(InputError, match="do not fit arrays"):
        MocapClip("x", "bvh", ("a",), (-1,), np.zeros((1, 3)), np.zeros((2, 1, 3, 3)), np.zeros((3, 3)), 30.0)
