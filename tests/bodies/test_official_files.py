"""Every kind and option of the SMPL family against smplx itself, on files of the official structure."""

import pickle

import numpy as np
import pytest
from official import JOINTS, landmarks, official, save_npz, save_pkl

from monocap import skeletons
from monocap.bodies import load_body
from monocap.bodies.kinds import EXTRA_POINTS, KINDS
from monocap.errors import InputError
from monocap.evaluate.truth import TrueBodies

torch = pytest.importorskip("torch", reason="smplx runs on torch")
smplx = pytest.importorskip("smplx", reason="the oracle is not installed")

SHORT = {"left_eye_pose": "leye_pose", "right_eye_pose": "reye_pose"}  # smplx's names
VERTICES = 300


@pytest.fixture(scope="module", autouse=True)
def small_meshes():
    """The small meshes do not have the official vertex numbers, in smplx and here."""
    with pytest.MonkeyPatch.context() as patch:
        numbers = {name: 11 * i for i, name in enumerate(EXTRA_POINTS)}
        for kind in ("smplh", "smplx"):
            patch.setitem(smplx.body_models.VERTEX_IDS, kind, numbers)
        for name, number in {"thumb": 7, "index": 20, "middle": 33, "ring": 41, "pinky": 150}.items():
            patch.setitem(smplx.body_models.VERTEX_IDS["mano"], name, number)
        for kind in KINDS.values():
            for i, name in enumerate(kind.extra_points):
                patch.setitem(kind.extra_points, name, 11 * i)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One folder in smplx's layout; arrays by kind."""
    folder, rng = tmp_path_factory.mktemp("official"), np.random.default_rng(3)
    made = {}
    for kind in JOINTS:
        (folder / kind).mkdir()
        made[kind] = official(kind, rng, VERTICES)
    save_pkl(folder / "smpl" / "SMPL_NEUTRAL.pkl", made["smpl"])
    save_pkl(folder / "smplh" / "SMPLH_MALE.pkl", made["smplh"])
    save_npz(folder / "smplx" / "SMPLX_NEUTRAL.npz", made["smplx"])
    save_pkl(folder / "mano" / "MANO_RIGHT.pkl", made["mano"])
    save_pkl(folder / "flame" / "FLAME_NEUTRAL.pkl", made["flame"])
    marks = landmarks(rng)
    static = {"lmk_face_idx": marks["lmk_faces_idx"], "lmk_b_coords": marks["lmk_bary_coords"]}
    (folder / "flame" / "flame_static_embedding.pkl").write_bytes(pickle.dumps(static, 2))
    moving = {"lmk_face_idx": marks["dynamic_lmk_faces_idx"], "lmk_b_coords": marks["dynamic_lmk_bary_coords"]}
    np.save(folder / "flame" / "flame_dynamic_embedding.npy", np.array(moving, dtype=object))
    return folder, made


def parameters(body, rng, count=3, betas=10):
    sizes = {name: 3 * joints for name, joints in body.kind.parts}
    sizes |= {name: len(c) for name, c in body.hand_components.items()}
    sizes |= {"betas": betas, "transl": 3}
    if body.num_expressions:
        sizes["expression"] = 10
    return {name: rng.normal(0, 0.4, (count, size)) for name, size in sizes.items()}


CASES = {
    "SMPL": ("smpl", {}, {}),
    "SMPL-H, PCA and mean": ("smplh", {"gender": "male"}, {"num_pca_comps": 6, "flat_hand_mean": False}),
    "SMPL-H, flat": ("smplh", {"gender": "male", "use_pca": False, "flat_hand_mean": True}, {}),
    "SMPL-X, PCA and mean": ("smplx", {"num_pca_comps": 12}, {"num_pca_comps": 12, "flat_hand_mean": False}),
    "SMPL-X, flat": ("smplx", {"use_pca": False, "flat_hand_mean": True}, {}),
    "SMPL-X, contour": ("smplx", {"use_pca": False, "flat_hand_mean": True, "use_face_contour": True}, {}),
    "SMPL-X, 40 betas": ("smplx", {"use_pca": False, "flat_hand_mean": True, "num_betas": 40}, {}),
    "MANO, PCA": ("mano", {"num_pca_comps": 9}, {"num_pca_comps": 9, "flat_hand_mean": False}),
    "MANO, mean": ("mano", {"use_pca": False}, {"flat_hand_mean": False}),
    "FLAME": ("flame", {}, {}),
    "FLAME, contour": ("flame", {"use_face_contour": True}, {}),
}


def both(files, case, dtype, rng):
    """smplx's model and ours of one case, and parameters for them."""
    kind, theirs, ours = CASES[case]
    folder, _ = files
    path = next(p for p in (folder / kind).iterdir() if p.stem.split("_")[0] == kind.upper())
    body = load_body(path, **ours)
    given = parameters(body, rng, betas=theirs.get("num_betas", 10))
    where = str(folder / "flame") if kind == "flame" else str(path)
    options = {"ext": path.suffix[1:], "batch_size": 3, "dtype": dtype, **theirs}
    if body.num_expressions:
        options["num_expression_coeffs"] = 10
    model = {
        "smpl": smplx.SMPL, "smplh": smplx.SMPLH, "smplx": smplx.SMPLX, "mano": smplx.MANO, "flame": smplx.FLAME,
    }[kind](where, **options)  # fmt: skip
    return model, body, given


@pytest.mark.parametrize("case", CASES)
def test_joints_vertices_and_gradients_equal_smplx(files, case, rng):
    model, body, given = both(files, case, torch.float64, rng)
    theirs = {k: torch.tensor(v, requires_grad=True) for k, v in given.items()}
    want = model(**{SHORT.get(k, k): v for k, v in theirs.items()})
    contour = "contour" in case
    found = body.keypoints(body.keypoint_names() if contour else None, **given)
    # smplx.MANO returns the 16 joints only
    np.testing.assert_allclose(found[:, : want.joints.shape[1]], want.joints.detach().numpy(), atol=1e-9)
    out = body(**given)
    np.testing.assert_allclose(out.vertices, want.vertices.detach().numpy(), atol=1e-9)
    # float32, on both libraries
    for single in (np.float32, torch.float32):
        turn = (lambda v: v.astype(np.float32)) if single is np.float32 else (lambda v: torch.tensor(v).float())
        low = body(**{k: turn(v) for k, v in given.items()})
        assert low.vertices.dtype == single
        np.testing.assert_allclose(np.asarray(low.vertices), want.vertices.detach().numpy(), atol=1e-5)
    # gradients of everything together, of points and of the mesh
    weigh = torch.tensor(rng.normal(size=tuple(want.vertices.shape)))
    marks = torch.tensor(rng.normal(size=tuple(want.joints.shape)))
    ((want.vertices * weigh).sum() + (want.joints * marks).sum()).backward()
    ours = {k: torch.tensor(v, requires_grad=True) for k, v in given.items()}
    points = body.keypoints(body.keypoint_names() if contour else None, **ours)[:, : marks.shape[1]]
    ((body(**ours).vertices * weigh).sum() + (points * marks).sum()).backward()
    for name in given:
        size = float(theirs[name].grad.abs().max())
        np.testing.assert_allclose(ours[name].grad, theirs[name].grad, atol=1e-9 * max(size, 1), err_msg=name)


def test_reference_lines_equal_the_loops(files, rng):
    _, body, given = both(files, "SMPL-X, PCA and mean", torch.float64, rng)
    module = body.to("torch", dtype=torch.float64, kernels=False)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in given.items()}
    want = body(**given)
    out = module(**tensors)
    np.testing.assert_allclose(out.vertices.detach(), want.vertices, atol=1e-12)
    np.testing.assert_allclose(module.joints_only(**tensors).detach(), want.joints, atol=1e-12)
    names = body.keypoint_names()
    np.testing.assert_allclose(module.keypoints(names, **tensors).detach(), body.keypoints(names, **given), atol=1e-12)
    out.vertices.square().sum().backward()
    again = {k: torch.tensor(v, requires_grad=True) for k, v in given.items()}
    body(**again).vertices.square().sum().backward()
    for name in given:
        np.testing.assert_allclose(again[name].grad, tensors[name].grad, rtol=1e-9, atol=1e-9, err_msg=name)
    # a straight body turns smoothly: gradients at zero are finite, second ones exist on these lines
    flat = {k: torch.zeros(v.shape, dtype=torch.float64, requires_grad=True) for k, v in given.items()}
    (first,) = torch.autograd.grad(module(**flat).vertices.square().sum(), flat["body_pose"], create_graph=True)
    first.sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in flat.values())


def test_pickles_with_chumpy_and_scipy_objects(files, tmp_path, rng):
    _, made = files
    for kind in ("smpl", "mano", "smplh"):
        plain = load_body(save_pkl(tmp_path / "plain.pkl", made[kind]))
        for protocol in (0, 2):
            packed = save_pkl(tmp_path / "packed.pkl", made[kind], chumpy=True, protocol=protocol)
            packed.write_bytes(packed.read_bytes().replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n"))
            body = load_body(packed)
            for name in ("v_template", "shapedirs", "posedirs", "J_template", "lbs_weights"):
                np.testing.assert_array_equal(getattr(body, name), getattr(plain, name), err_msg=name)
    with pytest.raises(InputError, match=r"shapedirs is chumpy\.reordering\.Select; expected an array"):
        load_body(_with_odd_object(tmp_path, made["smpl"]))


def _with_odd_object(folder, arrays):
    path = save_pkl(folder / "odd.pkl", arrays, chumpy=True, protocol=0)
    path.write_bytes(path.read_bytes().replace(b"Vidxs\n", b"Vidxz\n"))
    return path


def test_smplh_of_amass_takes_the_hands_of_mano(files, tmp_path, rng):
    """Arrays of the 16-beta release come without hands; MANO's two files bring them."""
    folder, made = files
    bare = {k: v for k, v in made["smplh"].items() if not k.startswith("hands")}
    path = save_npz(tmp_path / "model.npz", bare)
    body = load_body(path)
    assert body.kind.name == "smplh"
    assert body.num_betas == 16
    with pytest.raises(InputError, match="no mean hands"):
        load_body(path, flat_hand_mean=False)
    mano = folder / "mano" / "MANO_RIGHT.pkl"
    merged = load_body(path, flat_hand_mean=False, num_pca_comps=6, hands=(mano, mano))
    given = parameters(merged, rng)
    angles = {k: v for k, v in given.items() if not k.endswith("hand_pose")}
    for side in ("left", "right"):
        coefficients = given[f"{side}_hand_pose"]
        angles[f"{side}_hand_pose"] = coefficients @ made["mano"]["hands_components"][:6] + made["mano"]["hands_mean"]
    np.testing.assert_allclose(merged(**given).vertices, body(**angles).vertices, atol=1e-12)


def test_kid_template_appends_a_beta(files, tmp_path, rng):
    folder, made = files
    template = made["smpl"]["v_template"] * 0.6 + 0.1
    np.save(tmp_path / "smil.npy", template)
    path = folder / "smpl" / "SMPL_NEUTRAL.pkl"
    body = load_body(path, kid_template=tmp_path / "smil.npy")
    assert body.num_betas == 11
    model = smplx.SMPL(
        str(path), age="kid", kid_template_path=str(tmp_path / "smil.npy"), batch_size=3, dtype=torch.float64
    )
    given = parameters(body, rng, betas=11)
    want = model(**{k: torch.tensor(v) for k, v in given.items()})
    np.testing.assert_allclose(body(**given).vertices, want.vertices.detach(), atol=1e-9)
    np.testing.assert_allclose(body(**given).joints, want.joints.detach()[:, :24], atol=1e-9)


def test_named_sets(files, rng):
    folder, _ = files
    body = load_body(folder / "smplx" / "SMPLX_NEUTRAL.npz")
    given = parameters(body, rng, 2)
    whole = body.keypoints("smplx144", **given)
    assert body.keypoint_names("smplx144") == body.keypoint_names() == skeletons.get("smplx144").joint_names
    np.testing.assert_allclose(body.keypoints(**given), whole[:, :127], atol=1e-12)
    np.testing.assert_allclose(body.keypoints("smplx55", **given), whole[:, :55], atol=1e-12)
    np.testing.assert_allclose(whole[:, :55], body(**given).joints, atol=1e-12)
    # the published index lists of SMPLify-X
    order = [55, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, *range(56, 66)]
    order += [20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70]
    order += [21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75, *range(76, 144)]
    np.testing.assert_allclose(body.keypoints("openpose135", **given), whole[:, order], atol=1e-12)
    np.testing.assert_allclose(body.keypoints("openpose25", **given), whole[:, order[:25]], atol=1e-12)
    named = body.keypoints(["left_wrist", "chin", "nose"], **given)
    names = body.keypoint_names()
    np.testing.assert_allclose(named, whole[:, [names.index(n) for n in ("left_wrist", "chin", "nose")]], atol=1e-12)
    smpl = load_body(folder / "smpl" / "SMPL_NEUTRAL.pkl")
    assert smpl.keypoints("smpl45").shape == (45, 3)
    assert smpl.keypoints("openpose25").shape == (25, 3)
    with pytest.raises(InputError, match=r"has no left_hand_root|has no left_thumb1"):
        smpl.keypoints("openpose135")
    with pytest.raises(InputError, match="has no wing"):
        smpl.keypoints(["wing"])
    assert load_body(folder / "mano" / "MANO_RIGHT.pkl").keypoints("mano21").shape == (21, 3)


def test_contour_follows_the_turn_of_the_head(files):
    """All branches of the table, a body that turns with its root included; batch shapes broadcast."""
    folder, _ = files
    body = load_body(folder / "smplx" / "SMPLX_NEUTRAL.npz")
    model = smplx.SMPLX(
        str(folder / "smplx" / "SMPLX_NEUTRAL.npz"), use_pca=False, flat_hand_mean=True, use_face_contour=True,
        batch_size=9, dtype=torch.float64,
    )  # fmt: skip
    angles = np.deg2rad([-100.0, -50.2, -39.2, -20.6, 0.0, 10.2, 38.8, 40.4, 120.0])
    root, neck = np.zeros((9, 3)), np.zeros((9, 63))
    root[:, 1], neck[:, 34] = 0.3 * angles, 0.7 * angles
    want = model(global_orient=torch.tensor(root), body_pose=torch.tensor(neck)).joints.detach().numpy()
    np.testing.assert_allclose(body.keypoints("smplx144", global_orient=root, body_pose=neck), want, atol=1e-9)
    grid = body.keypoints("smplx144", global_orient=root.reshape(3, 3, 3), body_pose=neck[0], betas=np.ones((3, 1, 2)))
    one = body.keypoints("smplx144", global_orient=root[4], body_pose=neck[0], betas=np.ones(2))
    np.testing.assert_allclose(grid[1, 1], one, atol=1e-12)


def test_evaluations_find_pickles(files):
    """SMPL's own files are pickles; so is the joint regressor in them."""
    bodies = TrueBodies(files[0])
    assert bodies.load("smpl", "neutral").kind.name == "smpl"
    assert bodies.load("smplh", "male").kind.name == "smplh"
    np.testing.assert_array_equal(bodies.joint_regressor("smpl"), files[1]["smpl"]["J_regressor"])
    with pytest.raises(InputError, match=r"no SMPL_FEMALE\.npz or \.pkl"):
        bodies.load("smpl", "female")


def test_fewer_betas(files, rng):
    body = load_body(files[0] / "smplx" / "SMPLX_NEUTRAL.npz")
    few = load_body(files[0] / "smplx" / "SMPLX_NEUTRAL.npz", num_betas=4)
    given = parameters(few, rng, betas=4)
    np.testing.assert_allclose(few(**given).vertices, body(**given).vertices, atol=1e-12)
    np.testing.assert_allclose(few(**given).joints, body(**given).joints, atol=1e-12)
    with pytest.raises(InputError, match="up to 4"):
        few(betas=np.zeros(5))
    with pytest.raises(InputError, match="has 300"):
        body.with_betas(301)


def test_hands_say_what_they_take(files):
    body = load_body(files[0] / "smplx" / "SMPLX_NEUTRAL.npz", num_pca_comps=12, flat_hand_mean=False)
    with pytest.raises(InputError, match=r"\(\.\.\., 12\) coefficients, since .* num_pca_comps=12"):
        body(left_hand_pose=np.zeros(45))
    with pytest.raises(InputError, match=r"45\) angles; coefficients need"):
        body.with_hands()(left_hand_pose=np.zeros(12))
    with pytest.raises(InputError, match="has no hands"):
        load_body(files[0] / "smpl" / "SMPL_NEUTRAL.pkl", num_pca_comps=6)
    with pytest.raises(InputError, match="1…45"):
        body.with_hands(num_pca_comps=46)


@pytest.mark.parametrize("name", ["smplx", "open"])
def test_gradients_reach_only_what_asks_for_them(files, name, rng):
    body = load_body(name if name == "open" else files[0] / "smplx" / "SMPLX_NEUTRAL.npz")
    pose = torch.tensor(rng.normal(0, 0.3, (2, 63)), requires_grad=True)
    betas = torch.tensor(rng.normal(0, 1, (1, 5)))
    out = body(body_pose=pose, betas=betas)
    (out.vertices.sum() + out.joints.sum()).backward()
    assert torch.isfinite(pose.grad).all()
    shape = betas.clone().requires_grad_()
    joints = body.joints_only(body_pose=pose.detach(), betas=shape)
    joints[:, 20].sum().backward()
    assert float(shape.grad.abs().sum()) > 0
