"""Readers on tiny files of the official formats, against the truth that the files were written from."""
# What a sample may lack, these are known to have.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalOperand=false
# pyright: reportOptionalIterable=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingImports=false

import keypoints2d
import mocap
import numpy as np
import pytest
from people import write_old_pickle, write_picture

import bodies
from monocap import skeletons
from monocap.bodies import load_body
from monocap.data import Checked, open_dataset, recognise
from monocap.data.bedlam import read_bedlam
from monocap.data.ehf import T_CAMERA_WORLD
from monocap.data.emdb import read_emdb
from monocap.data.human36m import CAMERAS, read_h36m
from monocap.data.meshes import read_vertices
from monocap.data.mpi_inf_3dhp import read_3dhp_train, solve_intrinsics
from monocap.errors import InputError
from monocap.geometry import transforms
from monocap.geometry.cameras import project


def _all_in_order(dataset):
    checked = Checked(dataset, "skip", decode=True)
    samples = list(checked)
    assert checked.problems == []
    assert checked.used == len(dataset)
    return samples


def test_3dpw(tmp_path):
    made = bodies.write_3dpw(tmp_path)
    dataset = open_dataset(tmp_path)
    assert (dataset.name, dataset.sequences, len(dataset)) == ("3dpw", ("downtown_walking_00",), 8)
    samples = _all_in_order(dataset)
    for i, sample in enumerate(samples):
        person, frame = divmod(i, 4)
        truth = made[person]
        assert np.allclose(sample.joints3d, truth.world[frame][[*range(22), 28, 43]], atol=1e-6)
        assert sample.gender == ("male", "female")[person]
        assert sample.in_protocol == (frame < 3)
        assert sample.params.betas.shape == (10,)
        assert sample.image.name == f"image_{frame:05d}.jpg"
        assert sample.image_size == (1080, 1920)
        if frame < 3:  # the person's own parameters put its joints there too (the open body stands in for SMPL)
            posed = {**sample.params.asdict(), "body_pose": sample.params.body_pose[:63]}
            assert np.allclose(load_body().joints_only(**posed)[:22], sample.joints3d[:22], atol=1e-4)
    assert np.allclose(samples[0].camera_joints(), made[0].camera[0][[*range(22), 28, 43]], atol=1e-6)
    with pytest.raises(InputError, match="world"):
        samples[3].camera_joints()


def test_3dpw_hostile_or_damaged_sequences_are_named_and_the_rest_read(tmp_path):
    bodies.write_3dpw(tmp_path)
    folder = tmp_path / "sequenceFiles" / "test"
    (folder / "evil_00.pkl").write_bytes(b"cos\nsystem\n(S'touch " + bytes(str(tmp_path / "ran"), "ascii") + b"'\ntR.")
    (folder / "cut_00.pkl").write_bytes((folder / "downtown_walking_00.pkl").read_bytes()[:-500])
    write_old_pickle(folder / "other_00.pkl", {"poses": [np.zeros((3, 72))]})
    write_old_pickle(folder / "short_00.pkl", {"cam_poses": np.zeros((3, 4, 4)), "poses": [np.zeros((2, 72))]})
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 8
    reasons = dict(dataset.unreadable)
    assert set(reasons) == {"evil_00", "cut_00", "other_00", "short_00"}
    assert "os.system" in reasons["evil_00"]
    assert "lacks cam_poses" in reasons["other_00"]
    assert not (tmp_path / "ran").exists()
    checked = Checked(dataset, "skip")
    assert len(list(checked)) == 8
    assert checked.counts() == {"unreadable": 4}
    with pytest.raises(InputError, match=r"damaged|refused|lacks|shape"):
        list(Checked(dataset, "stop"))


def test_emdb(tmp_path):
    made = bodies.write_emdb(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path))
    assert [s.in_protocol for s in samples] == [True, True, False, True]
    assert [s.box is None for s in samples] == [False, False, True, False]
    for frame, sample in enumerate(samples):
        assert np.allclose(sample.joints2d[:, :2], made.pixels[frame][[*range(22), 28, 43]])
        posed = {**sample.params.asdict(), "body_pose": sample.params.body_pose[:63]}
        joints = load_body().joints_only(**posed)[:22].astype(np.float64)
        pixels = project(transforms.apply(sample.T_camera_world, joints), sample.K)
        assert np.abs(pixels - sample.joints2d[:22, :2]).max() < 0.1
    assert len(read_emdb(tmp_path, part=1)) == 4
    assert len(read_emdb(tmp_path, part=2)) == 0
    assert samples[0].gender == "female"


def test_amass(tmp_path):
    made = bodies.write_amass(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "amass"
    assert dataset.sequences == ("CMU/01/01_01_poses", "CMU/01/01_01_stageii")
    samples = _all_in_order(dataset)
    assert len(samples) == 10  # shape.npz holds no motion
    assert samples[0].body == "smplh"
    assert samples[0].gender == "male"
    assert samples[0].notes["fps"] == 120
    assert np.allclose(samples[2].params.body_pose, made.body_pose[2])
    assert samples[2].params.left_hand_pose.shape == (45,)
    assert samples[6].body == "smplx"
    assert samples[6].notes["fps"] == 100
    assert np.allclose(samples[6].params.jaw_pose, 0.01)
    for sample in (samples[1], samples[6]):
        posed = {"betas": sample.params.betas[:10], "global_orient": sample.params.global_orient}
        posed |= {"body_pose": sample.params.body_pose, "transl": sample.params.transl}
        assert np.allclose(load_body().joints_only(**posed)[:22], made.world[1, :22], atol=1e-4)
    assert len(open_dataset(tmp_path / "CMU" / "01" / "01_01_stageii.npz")) == 5


def test_bedlam_joints_of_the_parameters_project_onto_the_2d_joints(tmp_path):
    made = bodies.write_bedlam(tmp_path)
    dataset = open_dataset(tmp_path / "labels")
    assert dataset.name == "bedlam"
    for i, sample in enumerate(_all_in_order(dataset)):
        joints = load_body().joints_only(**sample.params.asdict()).astype(np.float64)
        assert np.allclose(joints[:22], made.camera[i, :22], atol=1e-4)
        assert np.abs(project(joints, sample.K)[:22] - sample.joints2d[:22, :2]).max() < 0.1
        assert sample.gender == "neutral"
        assert sample.notes["subject_gender"] == "female"
        assert sample.quarter_turns == 0
    closeup = tmp_path / "closeup.npz"
    arrays = dict(np.load(next((tmp_path / "labels").glob("*.npz"))))
    arrays["cam_int"][:, 0, 2], arrays["cam_int"][:, 1, 2] = 360, 640
    np.savez(closeup, **arrays)
    turned = read_bedlam(closeup, tmp_path / "training_images")[0]
    assert turned.quarter_turns == 1
    write_picture(tmp_path / "training_images" / "closeup" / "png" / arrays["imgname"][0], (1280, 720))
    assert turned.read_image().shape == (1280, 720, 3)


def test_agora_data_frames_without_pandas(tmp_path):
    made = bodies.write_agora(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path))
    assert [s.in_protocol for s in samples] == [True, False]
    assert [s.gender for s in samples] == ["male", "female"]
    assert np.allclose(samples[1].joints3d, made.camera[1])
    assert samples[0].image_size == (1280, 720)  # the 4K pixels are scaled to the picture that is there
    assert np.allclose(samples[0].joints2d[:, :2], made.pixels[0] / 3)
    assert np.allclose(project(samples[0].joints3d, samples[0].K), made.pixels[0] / 3, atol=1e-6)
    assert samples[1].notes["kid"] is True


def test_ehf_mesh_projects_onto_the_picture(tmp_path):
    made = bodies.write_ehf(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path))
    assert len(samples) == 2
    vertices = read_vertices(samples[0].scan)
    assert vertices.shape == load_body().v_template.shape
    raw = read_vertices(samples[0].notes["raw_scan"])
    assert np.allclose(raw, vertices[:100], atol=1e-5)
    assert np.allclose(samples[0].T_camera_world, T_CAMERA_WORLD)
    hip = skeletons.get("openpose25").index("right_hip")
    joints = made.world[0] - [0, 1.2, 0]
    pixel = project(transforms.apply(T_CAMERA_WORLD, joints[[2]]), samples[0].K)[0]
    assert np.allclose(samples[0].joints2d[hip, :2], pixel, atol=0.05)


@pytest.mark.parametrize("whole", [False, True])
def test_coco(tmp_path, whole):
    path, made = keypoints2d.write_coco(tmp_path, whole)
    dataset = open_dataset(path)
    skeleton = "coco133" if whole else "coco17"
    samples = _all_in_order(dataset)
    assert [s.in_protocol for s in samples] == [True, True, False]
    truth = made.joints(skeleton, "pixels")
    seen = samples[1].joints2d[:, 2] > 0
    assert seen.sum() == len(truth[1]) - 1
    assert np.allclose(samples[1].joints2d[seen, :2], truth[1][seen])
    assert samples[1].notes["visibility"][9] == 1  # hidden, still labelled
    assert np.allclose(samples[0].box, [*truth[0].min(axis=0), *truth[0].max(axis=0)])
    assert samples[0].image_size == made.size


def test_mpii_counts_pixels_from_zero(tmp_path):
    path, made = keypoints2d.write_mpii(tmp_path)
    dataset = open_dataset(path)
    samples = _all_in_order(dataset)
    truth = made.joints("mpii16", "pixels")
    assert len(samples) == 4
    assert dataset.sequences == ("train", "test")
    first, alone, without = samples[0], samples[2], samples[3]
    assert np.allclose(first.joints2d[:, :2], truth[0])
    assert first.notes["visible"][9] == 0
    assert (alone.joints2d[:2, 2] == 0).all()
    assert np.allclose(alone.joints2d[2:, :2], truth[1, 2:])
    assert without.joints2d is None
    assert not without.in_protocol
    assert np.allclose(without.box_size, 300)
    path, made = keypoints2d.write_mpii_json(tmp_path / "json")
    sample = open_dataset(path)[1]
    assert sample.joints2d[0].tolist() == [0, 0, 0]
    assert np.allclose(sample.joints2d[1:, :2], made.joints("mpii16", "pixels")[1, 1:])


@pytest.mark.parametrize("extended", [False, True])
def test_lsp(tmp_path, extended):
    folder, made = keypoints2d.write_lsp(tmp_path, extended)
    dataset = open_dataset(folder)
    samples = _all_in_order(dataset)
    assert dataset.name == ("lspet" if extended else "lsp")
    assert dataset.sequences == (("train",) if extended else ("train", "test"))
    assert np.allclose(samples[3].joints2d[:, :2], made.joints("lsp14", "pixels")[3])
    assert samples[3].joints2d[13, 2] == (0 if extended else 1)
    if not extended:
        assert samples[3].notes["occluded"].tolist() == [False] * 13 + [True]


def test_posetrack(tmp_path):
    folder, made = keypoints2d.write_posetrack(tmp_path)
    dataset = open_dataset(folder)
    samples = list(Checked(dataset, "skip", decode=True))
    assert len(samples) == 3
    assert [name for name, _ in dataset.unreadable] == ["000522_mpii_test"]
    truth = made.joints("posetrack17", "pixels")
    assert np.allclose(samples[2].joints2d[5:, :2], truth[2, 5:])
    assert samples[2].joints2d[3:5, 2].tolist() == [0, 0]
    assert samples[2].subject == "7"


def test_human36m_cdf(tmp_path):
    pytest.importorskip("cdflib", reason="Human3.6M's own files need the extra 'data'")
    made = mocap.write_h36m(tmp_path)
    dataset = read_h36m(tmp_path, step=5)
    samples = _all_in_order(dataset)
    assert recognise(tmp_path).name == "human3.6m"
    assert len(samples) == 6
    truth = made.joints("h36m17")
    for sample in samples:
        assert np.allclose(sample.joints3d, truth[sample.frame], atol=1e-5)
        assert np.allclose(project(sample.joints3d, sample.K), sample.joints2d[:, :2], atol=0.01)
        assert sample.in_protocol == (sample.subject == "S9")
    whole = read_h36m(tmp_path, subjects=("S9",), all_joints=True)
    assert len(whole) == 11
    assert whole[0].joints3d.shape == (32, 3)


def test_human36m_intrinsics_are_those_of_the_pictures(shared):
    for sample in open_dataset(shared("reference/real3d_dev")):
        camera = sample.image.stem.split(".")[-1].split("_")[0]
        if camera in CAMERAS:
            fx, fy, cx, cy, _, _ = CAMERAS[camera]
            assert np.allclose([fx, fy, cx, cy], [*np.diag(sample.K)[:2], *sample.K[:2, 2]], atol=0.01)


def test_human36m_json(tmp_path):
    made = mocap.write_h36m_json(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path))
    assert np.allclose(samples[1].camera_joints(), made.joints("h36m17")[1])
    assert samples[1].notes["action"] == "Directions"


@pytest.mark.parametrize("calibration", [True, False])
def test_3dhp_train(tmp_path, calibration):
    made = mocap.write_3dhp_train(tmp_path, calibration)
    dataset = read_3dhp_train(tmp_path, cameras=(0, 2))
    assert dataset.sequences == ("S1/Seq1/video_0", "S1/Seq1/video_2")
    sample = dataset[2]
    assert np.allclose(sample.joints3d, made.joints("3dhp28")[2])
    assert np.allclose(sample.K, made.K, atol=1e-4)
    assert np.allclose(sample.notes["univ_joints3d"], np.multiply(0.95, sample.joints3d))
    assert sample.image.name == "frame_000003.jpg"
    checked = Checked(dataset, "skip")
    assert len(list(checked)) == 3  # of camera 2 there are no pictures
    assert checked.counts() == {"missing-picture": 3}
    assert "video_2" in checked.summary()


def test_3dhp_test(tmp_path):
    pytest.importorskip("h5py", reason="the test set of MPI-INF-3DHP needs the extra 'data'")
    made = mocap.write_3dhp_test(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path))
    assert [s.in_protocol for s in samples] == [True, True, True, False]
    assert np.allclose(samples[1].joints3d, made.joints("3dhp17")[1])
    assert np.allclose(samples[1].K, made.K, atol=1e-3)
    assert samples[0].image_size == (1920, 1080)


def test_solving_a_camera_needs_enough_points():
    with pytest.raises(InputError, match="at least 8"):
        solve_intrinsics(np.ones((1, 3, 3)), np.ones((1, 3, 2)))


def test_spin_npz(tmp_path):
    made = bodies.write_spin(tmp_path)
    samples = _all_in_order(open_dataset(tmp_path / "3dpw_test.npz"))
    truth = made.joints("spin24")
    assert np.allclose(samples[1].joints3d, truth[1] - truth[1, 14])
    assert samples[1].frame_of_reference == "root"
    assert samples[1].gender == "female"
    assert np.allclose(samples[1].params.body_pose[:63], made.body_pose[1])


def test_real3d(shared):
    dataset = open_dataset(shared("reference/real3d_dev"))
    samples = _all_in_order(dataset)
    assert dataset.sequences == ("Human3.6M", "MPI-INF-3DHP")
    assert [s.skeleton3d for s in samples] == ["h36m17"] * 4 + ["3dhp17"] * 4
    for sample in samples:
        pixels = project(sample.joints3d, sample.K)
        assert np.linalg.norm(pixels - sample.joints2d[:, :2], axis=1).max() < 4  # lens distortion and rounding


def test_what_is_not_a_data_set_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(InputError, match="neither"):
        open_dataset(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="sequenceFiles"):
        recognise(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="there are real3d_dev"):
        open_dataset(tmp_path, "imagenet")
    for kind in ("3dpw", "emdb", "ehf", "lsp", "human3.6m", "mpi-inf-3dhp", "amass", "bedlam", "agora", "posetrack"):
        with pytest.raises(InputError):
            open_dataset(tmp_path, kind)
