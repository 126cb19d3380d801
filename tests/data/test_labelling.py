"""Labels of synthetic recordings with known truth: joints within millimetres, corrupted frames rejected."""
# What a sample may lack, these are known to have.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalOperand=false
# pyright: reportOptionalIterable=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingImports=false

import json

import numpy as np
import pytest
from people import scene

from monocap import skeletons
from monocap.bodies import load_body
from monocap.cli import main
from monocap.data import open_dataset
from monocap.data.labelling import label, write_labels
from monocap.data.recordings import Recording, read_markers, read_recordings
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.fitting.point_sets import marker_points, skeleton_points
from monocap.fitting.points3d import Points3D
from monocap.fitting.state import PoseState, Skeleton, linearise
from monocap.geometry import rotations

FRAMES = 40


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def walk():
    return scene(FRAMES, seed=2)


def posed(body, state):
    orient = rotations.matrix_to_axis_angle(state.root)
    return body.joints_only(
        betas=state.betas, global_orient=orient, body_pose=state.body_pose, transl=state.transl
    ).astype(np.float64)


def error_mm(body, labels, walk, where="world"):
    return 1000 * np.linalg.norm(posed(body, labels.state)[:, :22] - getattr(walk, where)[:, :22], axis=-1)


def true_state(walk, body):
    betas = np.zeros(body.num_betas)
    betas[: len(walk.betas)] = walk.betas
    return PoseState(rotations.axis_angle_to_matrix(walk.global_orient), walk.body_pose, walk.transl, betas)


def markers_of(walk, body, offsets=None):
    table = read_markers()
    points = marker_points(body, table, list(table))
    if offsets is not None:
        points = points.moved(offsets)
    places = linearise(Skeleton.of(body, points.landmarks), true_state(walk, body)).points
    return np.einsum("mn,tnc->tmc", points.mix, places), tuple(table)


def test_joints_come_back_within_millimetres(body, walk, rng):
    noisy = walk.joints("smpl24", "world") + rng.normal(scale=0.003, size=(FRAMES, 24, 3))
    labels = label(Recording("walk", "joints", noisy, skeletons.get("smpl24").joint_names, "smpl24"), body)
    errors = error_mm(body, labels, walk)
    assert errors.mean() < 5
    assert errors[:, :20].max() < 15
    assert labels.accepted.all()
    assert np.median(labels.residual) < 6


def test_joints_of_another_skeleton_with_gaps(body, walk):
    joints = walk.joints("lsp14", "world")
    _, b = skeletons.mapping("smplx76", "lsp14")
    joints[:, np.setdiff1d(np.arange(14), b)] = np.nan  # the top of the head is no point of the body
    joints[5, b[:3]] = np.nan
    joints[7] = np.nan
    labels = label(Recording("walk", "joints", joints, skeletons.get("lsp14").joint_names, "lsp14"), body)
    limbs = skeletons.get("smplx55").indices(skeletons.LIMBS12)
    errors = error_mm(body, labels, walk)[:, limbs]
    assert errors[np.arange(FRAMES) != 7].mean() < 12
    assert np.flatnonzero(~labels.accepted).tolist() == [7]
    assert np.isinf(labels.residual[7])


def test_markers_that_sit_a_little_beside_their_places(body, walk, rng):
    offsets = rng.normal(scale=0.006, size=(41, 3))
    points, names = markers_of(walk, body, offsets)
    points = points + rng.normal(scale=0.001, size=points.shape)
    labels = label(Recording("walk", "markers", points, names), body, read_markers())
    assert error_mm(body, labels, walk).mean() < 10
    assert labels.accepted.all()
    assert np.median(labels.residual) < 5
    assert np.abs(labels.offsets).max() <= 0.04


def test_corrupted_frames_are_rejected_and_spoil_no_others(body, walk, rng):
    points, names = markers_of(walk, body)
    wrong = [3, 11, 12, 30]
    points[3] = points[3, ::-1]  # every marker has another's name
    points[11:13, 10:25] += rng.normal(scale=0.3, size=(2, 15, 3))
    points[30, 4:] = np.nan
    labels = label(Recording("walk", "markers", points, names), body, read_markers())
    assert np.flatnonzero(~labels.accepted).tolist() == wrong
    assert error_mm(body, labels, walk)[labels.accepted].mean() < 10


def test_keypoints_with_a_known_camera(body, walk, rng):
    pixels = walk.joints("coco17", "pixels") + rng.normal(scale=0.5, size=(FRAMES, 17, 2))
    points = np.concatenate([pixels, np.ones((FRAMES, 17, 1))], axis=2)
    points[9, :, :2] = rng.uniform(0, 480, size=(17, 2))
    recording = Recording("walk", "keypoints2d", points, skeletons.get("coco17").joint_names, "coco17", K=walk.K)
    labels = label(recording, body)
    assert labels.unit == "px"
    assert np.flatnonzero(~labels.accepted).tolist() == [9]
    distance = labels.state.transl[:, 2]
    assert np.abs(np.median(distance) - 4.0) < 0.5


def test_a_recording_with_too_little_in_it_is_refused(body, walk):
    nothing = np.full((3, 24, 3), np.nan)
    names = skeletons.get("smpl24").joint_names
    with pytest.raises(InputError, match="no frame has"):
        label(Recording("empty", "joints", nothing, names, "smpl24"), body)
    nothing[:, :4] = walk.joints("smpl24", "world")[:3, :4]
    with pytest.raises(InputError, match="no frame has"):
        label(Recording("few", "joints", nothing, names, "smpl24"), body)
    with pytest.raises(InputError, match="of 5 markers are in the table"):
        label(Recording("unknown", "markers", np.ones((3, 5, 3)), tuple("ABCDE")), body, read_markers())


def test_the_term_of_points_has_right_derivatives(body, walk, rng):
    points = marker_points(body, read_markers(), list(read_markers())[::5])
    skeleton = Skeleton.of(body, points.landmarks)
    state = true_state(walk, body).take(slice(0, 2))
    target = rng.normal(size=(2, len(points.names), 3))
    term = Points3D(target, rng.uniform(0.2, 1, target.shape[:2]), points.mix, 0.5, 3.0)

    def cost(delta, betas):
        return term.rows(linearise(skeleton, state.step(delta, betas))).cost.sum()

    at = term.rows(linearise(skeleton, state, with_betas=True))
    zero, none = np.zeros((2, 63)), np.zeros(body.num_betas)
    for _ in range(5):
        step, shape = rng.normal(size=(2, 63)), rng.normal(size=body.num_betas)
        numeric = (cost(1e-6 * step, 1e-6 * shape) - cost(-1e-6 * step, -1e-6 * shape)) / 2e-6
        analytic = np.einsum("tr,trn,tn->", at.residual, at.jacobian, step)
        analytic += np.einsum("tr,trb,b->", at.residual, at.by_betas, shape)
        assert analytic == pytest.approx(numeric, rel=1e-4)
    assert cost(zero, none) == pytest.approx(at.cost.sum())


def test_points_on_the_body(body):
    points = skeleton_points(body, "coco17")
    assert points.known.all()
    on_mesh = marker_points(body, {"A": {"vertex": 100}, "B": {"joint": "left_knee", "offset": [0, 0.1, 0]}}, "ABC")
    assert on_mesh.known.tolist() == [True, True, False]
    # A vertex as a mixture of landmarks moves as the skinned mesh does.
    made = scene(2, seed=5)
    places = linearise(Skeleton.of(body, on_mesh.landmarks), true_state(made, body)).points
    mesh = body(betas=made.betas, global_orient=made.global_orient, body_pose=made.body_pose, transl=made.transl)
    assert np.abs(np.einsum("mn,tnc->tmc", on_mesh.mix, places)[:, 0] - mesh.vertices[:, 100]).max() < 2e-3
    for bad in ({"vertex": -1}, {"joint": "tail"}, {"from": "head", "direction": [0, 0, 0]}, {}, {"vertex": "x"}, 3):
        with pytest.raises(InputError, match=r"A|direction|tail"):
            marker_points(body, {"A": bad}, "A")


def test_the_shipped_markers_lie_on_their_limbs(body):
    table = read_markers()
    points = marker_points(body, table, list(table))
    assert points.known.all()
    places = dict(zip(points.names, points.mix @ points.landmarks.rest, strict=True))
    distance = np.linalg.norm(np.stack(list(places.values()))[:, None] - body.v_template, axis=2).min(axis=1)
    assert (distance > 0.004).all()  # off the skin
    assert (distance < 0.012).all()
    for name, place in places.items():
        if name[0] in "LR" and name != "RBAK":
            assert (place[0] > 0) == (name[0] == "L"), name
    joint = dict(zip(body.joint_names, body.J_template, strict=True))
    for marker, near in (("LKNE", "left_knee"), ("RELB", "right_elbow"), ("LANK", "left_ankle"), ("C7", "neck")):
        assert np.linalg.norm(places[marker] - joint[near]) < 0.09
    assert places["LFHD"][2] > places["LBHD"][2] + 0.05
    assert places["LFWT"][2] > places["LBWT"][2] + 0.1


# ------------------------------------------------------------------ files and the command
def write_csv(path, points, names, unit=1.0):
    lines = [",".join(["frame", *(f"{n}_{a}" for n in names for a in "xyz")])]
    for t, frame in enumerate(points * unit):
        lines.append(",".join([str(t), *("" if not np.isfinite(v) else f"{v:.6f}" for v in frame.ravel())]))
    path.write_text("\n".join(lines) + "\n")


def test_recordings_from_csv_json_and_npz(walk, tmp_path):
    joints, names = walk.joints("smpl24", "world"), skeletons.get("smpl24").joint_names
    joints[2, 3] = np.nan
    write_csv(tmp_path / "a.csv", joints[:, :10], names[:10], 1000)
    found = read_recordings(tmp_path / "a.csv", unit="mm", axes="y-up")[0]
    assert (found.what, found.skeleton, found.axes) == ("joints", "smpl24", "y-up")
    assert np.allclose(found.points[:, :10], joints[:, :10], atol=1e-6, equal_nan=True)
    assert np.isnan(found.points[:, 10:]).all()
    with pytest.raises(InputError, match="is the unit right"):
        read_recordings(tmp_path / "a.csv")
    rows = [[None if not np.isfinite(p).all() else p.tolist() for p in frame] for frame in joints]
    (tmp_path / "b.json").write_text(json.dumps({"joints": rows, "skeleton": "smpl24", "fps": 120}))
    found = read_recordings(tmp_path / "b.json")[0]
    assert found.fps == 120
    assert np.allclose(found.points, joints, equal_nan=True)
    np.savez(tmp_path / "c.npz", markers=joints, names=[f"M{i}" for i in range(24)])
    assert read_recordings(tmp_path / "c.npz")[0].what == "markers"
    for content, message in (
        ({"joints": joints[:, 0].tolist(), "skeleton": "smpl24"}, "joints"),
        ({"joints": np.zeros((2, 3, 3)).tolist(), "names": ["a", "b", "c"]}, "span"),
        ({"joints": joints[:, :3].tolist(), "names": ["nose", "tail", "wing"]}, "names of one skeleton"),
        ({"keypoints2d": np.zeros((2, 17, 3)).tolist(), "skeleton": "coco17"}, "without K"),
        ({"nothing": 1}, "lacks"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps(content).replace("NaN", "null"))
        with pytest.raises(InputError, match=message):
            read_recordings(tmp_path / "bad.json")


def test_labels_are_amass_files_in_a_z_up_world(body, walk, tmp_path):
    recording = Recording(
        "walk", "joints", walk.joints("smpl24", "world"), skeletons.get("smpl24").joint_names, "smpl24", 60.0, "y-up"
    )
    labels = label(recording, body)
    write_labels(tmp_path / "walk.npz", labels, recording, body)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "amass"
    sample = dataset[4]
    assert sample.notes["fps"] == 60
    joints = body.joints_only(**sample.params.asdict()).astype(np.float64)
    turned = walk.world[4] @ rotations.axis_angle_to_matrix(np.array([np.pi / 2, 0, 0])).T
    assert np.abs(joints[:20] - turned[:20]).max() < 0.02
    assert joints[15, 2] > joints[7, 2] + 1.0  # the head is above the ankle, z up
    data = read_npz(tmp_path / "walk.npz")
    assert data["accepted"].all()
    assert str(data["residual_unit"]) == "mm"


def test_the_command_labels_resumes_and_tells(walk, tmp_path, capsys):
    points, names = walk.joints("smpl24", "world")[:8], skeletons.get("smpl24").joint_names
    (tmp_path / "in" / "day1").mkdir(parents=True)
    write_csv(tmp_path / "in" / "a.csv", points, names)
    write_csv(tmp_path / "in" / "day1" / "b.csv", points, names)
    out = tmp_path / "out"
    arguments = ["data", "label", str(tmp_path / "in"), "-o", str(out), "--axes", "y-up", "--json"]
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert [r["accepted"] for r in first["recordings"]] == [8, 8]
    assert (out / "day1" / "b.npz").is_file()
    (out / "a.npz").unlink()
    kept = (out / "day1" / "b.npz").stat().st_mtime_ns
    assert main(arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert [r["was_there"] for r in again["recordings"]] == [False, True]
    assert (out / "day1" / "b.npz").stat().st_mtime_ns == kept
    assert main(["data", "info", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["samples"], told["problems"]) == ("amass", 16, {})
    assert main(["data", "label", str(tmp_path / "absent"), "-o", str(out)]) == 2
    assert main(["data", "info", str(tmp_path / "absent")]) == 2
