"""The embedded open body: a sound SMPL-X file, a sound skin, and the proportions it promises."""

import shutil
from importlib import resources

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.files import read_npz

DATA = resources.files("monocap.bodies") / "data"
SHAPES, EXPRESSIONS = 16, 10
# Vertex ids at which smplx reads key points of SMPL-X, and the joint each lies near (largest distance, metres)
NEAR = {
    9448: ("left_eye", 0.025), 9929: ("right_eye", 0.025), 6: ("head", 0.10), 616: ("head", 0.10), 9120: ("head", 0.14),
    5770: ("left_foot", 0.08), 5780: ("left_foot", 0.08), 8846: ("left_ankle", 0.09),
    8463: ("right_foot", 0.08), 8474: ("right_foot", 0.08), 8635: ("right_ankle", 0.09),
    5361: ("left_thumb3", 0.045), 4933: ("left_index3", 0.04), 5058: ("left_middle3", 0.04), 5169: ("left_ring3", 0.04),
    5286: ("left_pinky3", 0.04), 8079: ("right_thumb3", 0.045), 7669: ("right_index3", 0.04),
    7794: ("right_middle3", 0.04), 7905: ("right_ring3", 0.04), 8022: ("right_pinky3", 0.04),
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    with resources.as_file(DATA / "open.npz") as path:
        return read_npz(path)


@pytest.fixture(scope="module")
def vertices(data):
    return data["v_template"].astype(float)


@pytest.fixture(scope="module")
def joints(data, vertices):
    rest = data["J_regressor"].astype(float) @ vertices
    return dict(zip((str(n) for n in data["joint_names"]), rest, strict=True))


@pytest.fixture(scope="module")
def directions(data):
    return data["shapedirs"][:, :, [*range(SHAPES), *range(300, 300 + EXPRESSIONS)]].astype(float)


def length(joints, a, b):
    return float(np.linalg.norm(joints[a] - joints[b]))


def test_arrays_have_the_format_of_smplx(data):
    count, triangles = len(data["v_template"]), len(data["f"])
    assert count > max(NEAR)
    assert data["f"].flags.c_contiguous
    expected = {
        "v_template": (count, 3), "f": (triangles, 3), "kintree_table": (2, 55), "weights": (count, 55),
        "J_regressor": (55, count), "posedirs": (count, 3, 486), "shapedirs": (count, 3, 400), "hands_meanl": (45,),
        "hands_componentsl": (45, 45), "lmk_faces_idx": (51,), "lmk_bary_coords": (51, 3),
        "dynamic_lmk_faces_idx": (79, 17), "dynamic_lmk_bary_coords": (79, 17, 3),
        "ft": (triangles, 3), "joint_names": (55,), "vertex_mirror": (count,),
    }  # fmt: skip
    assert {k: data[k].shape for k in expected} == expected
    for name, value in data.items():
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), name
    assert not data["posedirs"].any()
    assert not data["shapedirs"][:, :, SHAPES:300].any()
    assert not data["shapedirs"][:, :, 300 + EXPRESSIONS :].any()
    for name in ("lmk_bary_coords", "dynamic_lmk_bary_coords"):
        np.testing.assert_allclose(data[name].sum(-1), 1.0, atol=1e-5)
        assert data[name].min() >= -1e-6


def test_files_are_small():
    with resources.as_file(DATA / "open.npz") as body, resources.as_file(DATA / "open_skin.jpg") as skin:
        assert body.stat().st_size < 4e6
        assert skin.stat().st_size < 1e6


def test_every_vertex_follows_at_most_four_joints(data):
    weights = data["weights"].astype(float)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
    assert weights.min() >= 0.0
    assert (weights > 0).sum(1).max() <= 4
    assert (weights.sum(0) > 0).all()


def test_weights_change_gently_over_the_skin(data):
    limbs = np.r_[0:22]
    weights = data["weights"].astype(float)[:, limbs]
    edges = np.concatenate([data["f"][:, [0, 1]], data["f"][:, [1, 2]]])
    jump = np.abs(weights[edges[:, 0]] - weights[edges[:, 1]]).sum(1)
    assert np.quantile(jump, 0.999) < 0.65  # steepest where flesh folds: groin, armpit, back of the knee


def test_both_sides_are_alike(data, vertices, joints, directions):
    mirror = data["vertex_mirror"]
    flip = np.array([-1.0, 1.0, 1.0])
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    assert np.abs(vertices[mirror] * flip - vertices).max() < 1e-6
    shapes = directions[:, :, :SHAPES]
    assert np.abs(shapes[mirror] * flip[:, None] - shapes).max() < 2e-4
    for name, joint in joints.items():
        twin = name.replace("left_", "right_") if name.startswith("left_") else name
        if not name.startswith("right_"):
            np.testing.assert_allclose(joints[twin] * flip, joint, atol=2e-5, err_msg=name)


def test_joints_come_from_near_skin_with_moderate_weights(data, vertices, joints):
    regressor = data["J_regressor"].astype(float)
    np.testing.assert_allclose(regressor.sum(1), 1.0, atol=1e-5)
    assert np.abs(regressor).sum(1).max() < 120
    assert (regressor != 0).sum(1).max() <= 1000
    for row, joint in zip(regressor, joints.values(), strict=True):
        assert np.linalg.norm(vertices[row != 0] - joint, axis=1).max() < 0.31


def test_expression_does_not_move_joints(data, directions):
    moved = np.einsum("jv,vck->jck", data["J_regressor"].astype(float), directions[:, :, SHAPES:])
    assert np.abs(moved).max() < 1e-5


def test_pelvis_stays_in_place_for_every_shape(data, directions, joints):
    np.testing.assert_allclose(joints["pelvis"], [0.0, -0.35, 0.0], atol=1e-5)
    moved = np.einsum("v,vck->ck", data["J_regressor"][0].astype(float), directions)
    assert np.abs(moved).max() < 1e-5


def test_eye_joints_are_the_centres_of_the_eyeballs_for_every_shape(data, vertices, directions):
    for column in (23, 24):
        ids = np.flatnonzero(data["weights"][:, column] == 1.0)
        row = data["J_regressor"][column].astype(float)
        for shape in (np.zeros(26), *np.eye(26)[:SHAPES] * 2.0):
            skin = vertices + directions @ shape
            radius = np.linalg.norm(skin[ids] - row @ skin, axis=1)
            assert 0.010 < radius.mean() < 0.019
            assert radius.std() < 0.0015


def test_proportions_are_those_of_adults(data, vertices, joints):
    stature, floor = np.ptp(vertices[:, 1]), vertices[:, 1].min()
    assert stature == pytest.approx(1.70, abs=0.005)
    assert 0.97 < np.ptp(vertices[:, 0]) / stature < 1.07
    for side in ("left", "right"):
        thigh, shin = length(joints, f"{side}_hip", f"{side}_knee"), length(joints, f"{side}_knee", f"{side}_ankle")
        assert shin / thigh == pytest.approx(0.98, abs=0.015)
        assert thigh == pytest.approx(0.42, abs=0.015)
        assert length(joints, f"{side}_shoulder", f"{side}_elbow") == pytest.approx(0.28, abs=0.015)
        assert length(joints, f"{side}_elbow", f"{side}_wrist") == pytest.approx(0.25, abs=0.015)
        assert joints[f"{side}_knee"][1] - floor == pytest.approx(0.285 * stature, abs=0.015)
        assert joints[f"{side}_ankle"][1] - floor == pytest.approx(0.039 * stature, abs=0.012)
    assert length(joints, "left_hip", "right_hip") == pytest.approx(0.185, abs=0.01)
    assert length(joints, "left_shoulder", "right_shoulder") == pytest.approx(0.35, abs=0.015)
    hips = 0.5 * (joints["left_hip"] + joints["right_hip"])
    assert 0.03 < joints["pelvis"][1] - hips[1] < 0.11


def test_first_component_is_stature_and_shapes_stay_human(vertices, directions):
    for k in range(SHAPES):
        for sign in (-2.0, 2.0):
            stature = np.ptp((vertices + directions[:, :, k] * sign)[:, 1])
            assert 1.45 < stature < 1.95
    taller = np.ptp((vertices + directions[:, :, 0])[:, 1]) - np.ptp(vertices[:, 1])
    assert 0.05 < taller < 0.12
    size = np.sqrt((directions[:, :, :SHAPES] ** 2).sum(1).mean(0))
    assert (np.diff(size) < 1e-4).all()


def test_key_points_lie_where_smplx_looks_for_them(vertices, joints):
    for vertex, (joint, reach) in NEAR.items():
        assert np.linalg.norm(vertices[vertex] - joints[joint]) < reach, (vertex, joint)
    nose, left_eye, right_eye, left_ear, right_ear = vertices[[9120, 9448, 9929, 6, 616]]
    assert nose[2] > left_eye[2] > joints["left_eye"][2]
    assert left_ear[0] > left_eye[0] > 0 > right_eye[0] > right_ear[0]
    toe, heel = vertices[5770], vertices[8846]
    assert toe[2] - heel[2] == pytest.approx(0.152 * 1.70, abs=0.04)  # Drillis and Contini: foot length
    for tips, wrist in (((4933, 5058, 5169, 5286), "left_wrist"), ((7669, 7794, 7905, 8022), "right_wrist")):
        reach = np.abs(vertices[list(tips), 0] - joints[wrist][0])
        assert reach.argmax() == 1
        assert 0.13 < reach.min() < reach.max() < 0.21
        assert np.ptp(vertices[list(tips), 1]) < 0.02  # a flat hand


def test_rest_pose_is_the_t_pose(joints):
    for side, sign in (("left", 1.0), ("right", -1.0)):
        along = np.array([sign, 0.0, 0.0])
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "middle1"), ("middle1", "middle3")):
            bone = joints[f"{side}_{b}"] - joints[f"{side}_{a}"]
            assert bone @ along / np.linalg.norm(bone) > 0.99
        leg = joints[f"{side}_ankle"] - joints[f"{side}_hip"]
        assert -leg[1] / np.linalg.norm(leg) > 0.99


def test_skin_faces_outwards_and_is_not_degenerate(data, vertices):
    corners = vertices[data["f"]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(normal, axis=1)
    assert area.min() > 1e-10
    volume = np.einsum("fc,fc->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
    assert 0.05 < volume < 0.09  # cubic metres, 50 to 90 kg
    # Neighbours across an edge must not fold back on each other, but for lips, lids, nostrils and ears.
    unit = normal / (2.0 * area[:, None])
    edges: dict[tuple[int, int], int] = {}
    folded = 0
    body = corners[:, :, 1].mean(1) < 0.15
    for index, (a, b, c) in enumerate(data["f"].tolist()):
        for edge in ((a, b), (b, c), (c, a)):
            assert edge not in edges, "two triangles run along an edge in the same direction"
            edges[edge] = index
            other = edges.get((edge[1], edge[0]))
            if other is not None and body[index]:
                folded += unit[index] @ unit[other] < -0.6
    assert folded <= 12


def test_smplx_opens_it_and_plays_a_pose(data, tmp_path):
    torch = pytest.importorskip("torch", reason="the oracle needs torch")
    smplx = pytest.importorskip("smplx", reason="smplx, the reference implementation, is not installed")
    (tmp_path / "smplx").mkdir()
    with resources.as_file(DATA / "open.npz") as path:
        shutil.copy(path, tmp_path / "smplx/SMPLX_NEUTRAL.npz")
    model = smplx.create(
        str(tmp_path), model_type="smplx", num_betas=SHAPES, num_expression_coeffs=EXPRESSIONS, use_pca=False,
        flat_hand_mean=True, use_face_contour=True, ext="npz",
    )  # fmt: skip
    with torch.no_grad():
        rest = model()
        assert rest.joints.shape == (1, 144, 3)
        face = rest.joints[0, 76:].numpy()
        eyes = rest.joints[0, 23:25].mean(0).numpy()
        assert np.linalg.norm(face - eyes, axis=1).max() < 0.14
        assert (face[:51, 2] > eyes[2] - 0.04).all()
        pose = torch.zeros(1, 63)
        pose[0, 3 * (18 - 1) + 1] = -np.pi / 2  # bend the left elbow: the forearm comes forward
        bent = model(body_pose=pose, expression=torch.ones(1, EXPRESSIONS))
    joints, moved = rest.joints[0].numpy(), bent.joints[0].numpy()
    forearm = moved[20] - moved[18]
    assert forearm[2] / np.linalg.norm(forearm) > 0.99
    np.testing.assert_allclose(np.linalg.norm(forearm), np.linalg.norm(joints[20] - joints[18]), atol=1e-4)
    np.testing.assert_allclose(moved[21], joints[21], atol=1e-4)
    skin = bent.vertices[0].numpy()
    assert np.isfinite(skin).all()
    edges = data["f"][:, [0, 1]]
    before = np.linalg.norm(np.diff(rest.vertices[0].numpy()[edges], axis=1), axis=-1)
    after = np.linalg.norm(np.diff(skin[edges], axis=1), axis=-1)
    assert (after - before).max() < 0.03


def test_arkit_shapes_open_the_jaw_and_close_the_lids(data, vertices):
    names = [str(n) for n in data["arkit_names"]]
    assert len(names) == 52
    start = data["arkit_start"]
    for name, down in (("jawOpen", 0.01), ("eyeBlinkLeft", 0.004)):
        k = names.index(name)
        rows = slice(start[k], start[k + 1])
        ids, offset = data["arkit_vertex"][rows], data["arkit_offset"][rows].astype(float)
        assert -offset[:, 1].min() > down
        assert (vertices[ids, 1] > 0.1).all()
        if name.endswith("Left"):
            assert vertices[ids[offset[:, 1].argmin()], 0] > 0.01


@pytest.mark.parametrize("precise", [False, True])
def test_smplx_and_monocap_agree_on_it(tmp_path, rng, precise):
    """All 144 joints and the mesh, with every parameter, hand components and contour."""
    torch = pytest.importorskip("torch", reason="the oracle needs torch")
    smplx = pytest.importorskip("smplx", reason="smplx, the reference implementation, is not installed")
    (tmp_path / "smplx").mkdir()
    with resources.as_file(DATA / "open.npz") as path:
        shutil.copy(path, tmp_path / "smplx/SMPLX_NEUTRAL.npz")
    model = smplx.create(
        str(tmp_path), model_type="smplx", num_betas=SHAPES, num_expression_coeffs=EXPRESSIONS, num_pca_comps=12,
        use_face_contour=True, ext="npz", batch_size=2, dtype=torch.float64 if precise else torch.float32,
    )  # fmt: skip
    body = load_body("open", num_pca_comps=12, flat_hand_mean=False)
    sizes = {
        **{"betas": SHAPES, "expression": EXPRESSIONS, "global_orient": 3, "body_pose": 63, "transl": 3, "jaw_pose": 3},
        **{"left_eye_pose": 3, "right_eye_pose": 3, "left_hand_pose": 12, "right_hand_pose": 12},
    }
    given = {
        name: rng.normal(0, 0.4, (2, size)).astype(np.float64 if precise else np.float32)
        for name, size in sizes.items()
    }
    short = {"left_eye_pose": "leye_pose", "right_eye_pose": "reye_pose"}
    with torch.no_grad():
        want = model(**{short.get(name, name): torch.tensor(value) for name, value in given.items()})
    tolerance = 1e-9 if precise else 1e-5
    np.testing.assert_allclose(body(**given).vertices, want.vertices, atol=tolerance)
    np.testing.assert_allclose(body.keypoints("smplx144", **given), want.joints, atol=tolerance)


def test_lips_part_when_the_jaw_opens():
    """Upper lips stay with the head, lower ones go with the jaw, inside and outside; closed lips touch."""
    body = load_body("open")
    names = [name for name in body.keypoint_names("openpose118") if "lip" in name]
    shut = body.keypoints(names, jaw_pose=np.zeros(3))
    moved = np.linalg.norm(body.keypoints(names, jaw_pose=np.array([0.3, 0.0, 0.0])) - shut, axis=1)
    lower = np.array([name.endswith(("lip_bottom", "lip2", "lip3")) or "inner_lip1" in name for name in names])
    assert (moved[lower] > 0.02).all()
    assert (moved[~lower] < 0.001).all()
    at = {name: shut[k] for k, name in enumerate(names)}
    for upper, under in (("inner_lip_top", "inner_lip_bottom"), ("left_inner_lip0", "left_inner_lip1")):
        assert 0 < at[upper][1] - at[under][1] < 0.003
    assert at["lip_top"][2] > at["left_lip0"][2]  # the middle of the lips is in front
