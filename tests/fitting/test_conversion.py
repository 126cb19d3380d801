"""Motion from one body to another and back: joints stay where they are, limbs keep their twist."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.cli import main
from monocap.data.body_motion import read_body_motion
from monocap.errors import InputError
from monocap.files import read_npz, write_npz
from monocap.fitting.conversion import convert
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from monocap.types import Motion


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def stranger(body: BodyModel, seed: int = 1) -> BodyModel:
    """Another SMPL-X body: other proportions, joints that sit elsewhere, a shape space of its own."""
    rng = np.random.default_rng(seed)
    mean, mixed = rng.normal(0, 1, body.num_betas), np.linalg.qr(rng.normal(size=(10, 10)))[0]
    first = body.J_shapedirs[..., :10] @ mixed + rng.normal(0, 0.001, (55, 3, 10))
    rest = body.J_template + body.J_shapedirs[..., : body.num_betas] @ mean + rng.normal(0, 0.003, (55, 3))
    return replace(
        body,
        name="stranger",
        v_template=body.v_template + (body.shapedirs @ mean).astype(np.float32),
        shapedirs=(body.shapedirs[..., :10] @ mixed).astype(np.float32),
        J_template=rest,
        J_shapedirs=np.concatenate([first, body.J_shapedirs[..., body.num_betas :]], axis=-1),
    )


def without_face(body: BodyModel) -> BodyModel:
    """The same skeleton as SMPL-H has it, or SMPL's with nothing below the wrists' first children."""
    kept = [*range(22), *range(25, 55)]
    return _of_joints(body, kept, "smplh")


def _of_joints(body: BodyModel, kept: list[int], name: str) -> BodyModel:
    parents = np.array([-1, *(kept.index(int(body.parents[j])) for j in kept[1:])])
    return replace(
        body,
        name=name,
        parents=parents,
        joint_names=tuple(body.joint_names[j] for j in kept),
        lbs_weights=body.lbs_weights[:, kept],
        J_template=body.J_template[kept],
        J_shapedirs=body.J_shapedirs[kept][..., : body.num_betas],
        posedirs=None,
        hand_data={},
        landmarks=None,
        contour=None,
        exprdirs=body.exprdirs[..., :0],
    )


def poses(rng: np.random.Generator, frames: int, hands: float = 0.2) -> dict[str, np.ndarray]:
    sizes = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "transl": 3}
    given = {name: rng.normal(0, 0.35 if n == 63 else hands, (frames, n)) for name, n in sizes.items()}
    given["global_orient"] = rng.normal(0, 1.0, (frames, 3))
    return given | {"betas": rng.normal(0, 0.8, 10)}


def test_there_and_back(body: BodyModel, rng: np.random.Generator) -> None:
    other, given = stranger(body), poses(rng, 20)
    there = convert(other, body, given)
    assert there.joint_names == body.joint_names
    reached = body.joints_only(**there.parameters)
    wanted = other.joints_only(**given)
    np.testing.assert_allclose(there.errors, np.linalg.norm(reached - wanted, axis=-1), atol=1e-9)
    report = there.report()
    assert float(report["mean_mm"]) < 8  # other bones than shape can follow
    back = convert(body, other, there.parameters)
    again = other.joints_only(**back.parameters)
    errors = 1e3 * np.linalg.norm(again - wanted, axis=-1)
    assert errors.mean() < 5
    turned = geodesic_angle(
        axis_angle_to_matrix(given["body_pose"].reshape(-1, 21, 3)),
        axis_angle_to_matrix(back.parameters["body_pose"].reshape(-1, 21, 3)),
    )
    assert np.rad2deg(turned).mean() < 4  # twist too


def test_the_same_skeleton_is_met_exactly(body: BodyModel, rng: np.random.Generator) -> None:
    given = poses(rng, 5)
    smplh = without_face(body)
    done = convert(body, smplh, given)
    assert done.errors.max() < 1e-3
    assert set(done.parameters) == {"betas", "transl", *(name for name, _ in smplh.kind.parts)}
    assert done.errors.shape == (5, 52)
    hand = axis_angle_to_matrix(done.parameters["left_hand_pose"].reshape(-1, 3))
    apart = geodesic_angle(hand, axis_angle_to_matrix(given["left_hand_pose"].reshape(-1, 3)))
    assert np.rad2deg(apart).max() < 3


def test_no_frames_and_wrong_bodies(body: BodyModel) -> None:
    none = convert(body, stranger(body), {"body_pose": np.zeros((0, 63)), "betas": np.zeros(3)})
    assert none.parameters["body_pose"].shape == (0, 63)
    assert none.report() == {"frames": 0}
    hand = replace(body, parents=body.parents[:16], joint_names=("wrist", *(f"f{i}" for i in range(15))))
    with pytest.raises(InputError, match="no whole body"):
        convert(body, hand, {})
    with pytest.raises(InputError, match="one shape"):
        convert(body, body, {"betas": np.zeros((2, 10))})


# ------------------------------------------------------------------ files
def motion_of(body: BodyModel, rng: np.random.Generator) -> Motion:
    people, frames = 2, 4
    given = [poses(rng, frames) for _ in range(people)]
    arrays: dict[str, Any] = {key: np.stack([one[key] for one in given]) for key in given[0]}
    arrays |= {f"{name}_pose": np.zeros((people, frames, 3)) for name in ("jaw", "left_eye", "right_eye")}
    valid = np.ones((people, frames), dtype=bool)
    valid[1, 2] = False
    joints = np.stack([body.joints_only(**one) for one in given])
    for name in ("global_orient", "body_pose", "transl"):
        arrays[name][1, 2] = np.nan
    return Motion(
        fps=25.0,
        frame_index=np.arange(frames),
        time=np.arange(frames) / 25,
        image_size=np.array([640, 480]),
        track_id=np.arange(people),
        valid=valid,
        confidence=np.ones((people, frames)),
        K=np.eye(3)[None].repeat(frames, 0),
        T_world_camera=np.eye(4)[None].repeat(frames, 0),
        expression=np.zeros((people, frames, body.num_expressions)),
        joints=joints,
        keypoints2d=np.zeros((people, frames, 17, 3)),
        joint_names=np.array(body.joint_names),
        keypoint_names=np.array([f"k{i}" for i in range(17)]),
        **arrays,
    )


def as_file(body: BodyModel, folder: Path) -> str:
    from monocap.bodies.store import save_converted

    path = folder / f"{body.name}.npz"
    save_converted(body, path)
    return str(path)


def test_motion_files_of_every_body(
    body: BodyModel, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    motion = motion_of(body, rng)
    motion.save(tmp_path / "motion.npz")
    smpl = _of_joints(body, [*range(22), 34, 49], "smpl")  # SMPL's hands sit at a finger's root
    smpl = replace(smpl, joint_names=(*smpl.joint_names[:22], "left_hand", "right_hand"))
    files = {"smpl": as_file(smpl, tmp_path), "smplh": as_file(without_face(body), tmp_path)}
    for name, columns in (("smplh", 63), ("smpl", 69)):
        out = tmp_path / f"as_{name}.npz"
        assert (
            main(["bodies", "convert", str(tmp_path / "motion.npz"), "--to", files[name], "-o", str(out), "--json"])
            == 0
        )
        said = json.loads(capsys.readouterr().out)
        assert said["people"] == 2
        assert [report["frames"] for report in said["errors"]] == [4, 3]
        assert max(report["mean_mm"] for report in said["errors"]) < 2
        written = read_npz(out)
        assert written["body_pose"].shape == (2, 4, columns)
        assert np.isnan(written["transl"][1, 2]).all()
        assert written["keypoints2d"].shape == (2, 4, 17, 3)
        assert str(written["body_model"]) == name
        if name == "smplh":
            assert Motion.load(out).joints.shape == (2, 4, 52, 3)
        back = tmp_path / "back.npz"
        assert main(["bodies", "convert", str(out), "--source", files[name], "--to", "open", "-o", str(back)]) == 0
        capsys.readouterr()
        found, seen = Motion.load(back), motion.valid
        shared = [i for i, joint in enumerate(body.joint_names) if joint in smpl.joint_names]
        apart = np.linalg.norm(found.joints[seen] - motion.joints[seen], axis=-1)[:, shared]
        assert 1e3 * apart.mean() < 3
    assert (
        main(["bodies", "convert", str(tmp_path / "as_smpl.npz"), "--to", "open", "-o", str(tmp_path / "x.npz")]) == 2
    )
    assert "--source" in capsys.readouterr().err


def test_amass_files_stay_amass_files(body: BodyModel, tmp_path: Path, rng: np.random.Generator) -> None:
    given = poses(rng, 3)
    poses165 = np.concatenate(
        [
            given["global_orient"],
            given["body_pose"],
            np.zeros((3, 9)),
            given["left_hand_pose"],
            given["right_hand_pose"],
        ],
        axis=1,
    )
    data = {"poses": poses165, "trans": given["transl"], "betas": given["betas"], "mocap_frame_rate": np.array(60.0)}
    write_npz(tmp_path / "take.npz", data)
    target = as_file(without_face(body), tmp_path)
    out = tmp_path / "take_h.npz"
    assert main(["bodies", "convert", str(tmp_path / "take.npz"), "--to", target, "-o", str(out)]) == 2  # whose body?
    assert (
        main(["bodies", "convert", str(tmp_path / "take.npz"), "--source", "open", "--to", target, "-o", str(out)]) == 0
    )
    written = read_npz(out)
    assert written["poses"].shape == (3, 156)
    assert float(written["mocap_frame_rate"]) == 60
    assert read_body_motion(out).joints == 52
    assert main(["bodies", "convert", str(out), "--source", "open", "--to", "open", "-o", str(tmp_path / "y.npz")]) == 2
    np.savez(tmp_path / "bad.npz", poses=np.zeros((3, 10)), trans=np.zeros((3, 3)))
    with pytest.raises(InputError, match="expected"):
        read_body_motion(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="schema"):
        read_body_motion(target)
