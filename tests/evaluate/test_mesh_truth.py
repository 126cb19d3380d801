"""Truth that is a mesh: gendered and neutral bodies, the regressor's family, EHF's scans; each protocol its own way."""

import numpy as np
import pytest
from small_dataset import write_dataset, write_predictions

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.evaluate.program import EvaluateOptions, evaluate
from monocap.geometry import transforms
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.skeletons import get

COUNT = 5


def write_smpl(path, body: BodyModel, size: float = 1.0):
    """The open body with SMPL's 24 joints, in SMPL's file format; ``size`` makes another gender of it."""
    kept = [*range(22), body.joint_names.index("left_middle1"), body.joint_names.index("right_middle1")]
    weights = np.zeros((len(body.v_template), 24), np.float32)
    for j in range(55):
        up = j
        while up not in kept:
            up = int(body.parents[up])
        weights[:, kept.index(up)] += body.lbs_weights[:, j]
    regressor = np.zeros((24, len(body.v_template)))
    for row, j in enumerate(kept):
        near = np.argsort(np.linalg.norm(body.v_template - body.J_template[j], axis=1))[:40]
        regressor[row, near] = 1 / 40
    parents = np.array(get("smpl24").parents)
    np.savez(
        path,
        v_template=size * body.v_template,
        f=body.faces,
        shapedirs=body.shapedirs[..., :10],
        weights=weights,
        J_regressor=regressor,
        kintree_table=np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(24)]),
    )


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    folder, body = tmp_path_factory.mktemp("bodies"), load_body("open")
    write_smpl(folder / "SMPL_NEUTRAL.npz", body)
    write_smpl(folder / "SMPL_FEMALE.npz", body, 0.94)
    return folder


@pytest.fixture(scope="module")
def regressors(bodies, tmp_path_factory):
    body = load_body(bodies / "SMPL_NEUTRAL.npz")
    names = {"root": "pelvis", "spine": "spine2", "thorax": "neck", "nose": "head"}
    smpler = np.zeros((17, len(body.v_template)))
    for row, name in enumerate(get("h36m17").joint_names):
        place = body.J_template[body.joint_names.index(names.get(name, name))]
        smpler[row, np.argsort(np.linalg.norm(body.v_template - place, axis=1))[:30]] = 1 / 30
    folder = tmp_path_factory.mktemp("regressors")
    np.save(folder / "smpler.npy", smpler)
    np.save(folder / "spin.npy", smpler[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]])
    return folder


@pytest.fixture(scope="module")
def scene():
    """Parameters of women in a world, and the camera that sees them."""
    rng = np.random.default_rng(4)
    T_camera_world = transforms.from_parts(axis_angle_to_matrix(np.array([np.pi, 0.2, 0.0])), np.array([0.1, 0.9, 4.0]))
    params = [
        {
            "betas": rng.normal(0, 0.8, 10).tolist(),
            "global_orient": rng.normal(0, 0.3, 3).tolist(),
            "body_pose": rng.normal(0, 0.15, 69).tolist(),
            "transl": rng.normal(0, 0.2, 3).tolist(),
        }
        for _ in range(COUNT)
    ]
    return params, T_camera_world


@pytest.fixture(scope="module")
def data(scene, tmp_path_factory):
    params, T_camera_world = scene
    samples = [
        {
            "params": one,
            "body": "smpl",
            "gender": "female",
            "sequence": "s",
            "frame": i,
            "T_camera_world": T_camera_world.tolist(),
        }
        for i, one in enumerate(params)
    ]
    folder = tmp_path_factory.mktemp("params")
    return write_dataset(
        folder, np.zeros((0, 55, 3)), skeleton="smpl24", frame_of_reference="world", samples=samples, name="params"
    )


def posed(bodies, scene, gender: str):
    """Vertices (5,V,3) and joints (5,24,3) in the camera."""
    params, T_camera_world = scene
    body = load_body(bodies / f"SMPL_{gender}.npz")
    out = body(**{key: np.array([one[key] for one in params]) for key in params[0]})
    return transforms.apply(T_camera_world, out.vertices), transforms.apply(T_camera_world, out.joints)


@pytest.fixture
def judge(data, bodies, regressors, tmp_path):
    def run(protocol, regressor="", **arrays):
        path = write_predictions(tmp_path / "guess.npz", **arrays)
        chosen = regressors / regressor if regressor else None
        options = EvaluateOptions(str(path), protocol, data, tmp_path / "out", bodies, chosen, gallery=0)
        return evaluate(options).report

    return run


def means(report):
    return {name: summary["mean"] for name, summary in report["rows"][0]["metrics"].items()}


def test_gendered_truth_of_3dpw(judge, bodies, scene):
    vertices, _ = posed(bodies, scene, "FEMALE")
    exact = means(judge("3dpw-j14", "spin.npy", vertices=vertices))
    assert max(exact.values()) == pytest.approx(0, abs=0.01)
    # moved away: everything is aligned at the regressed pelvis
    moved = means(judge("3dpw-j14", "spin.npy", vertices=vertices + 0.5))
    assert max(moved["mpjpe"], moved["mve"]) == pytest.approx(0, abs=0.01)
    neutral, _ = posed(bodies, scene, "NEUTRAL")
    other = means(judge("3dpw-j14", "spin.npy", vertices=neutral))
    assert other["mve"] > 15
    assert other["pa_mpjpe"] < 8


def test_smpler_compares_with_the_neutral_mesh(judge, bodies, scene):
    neutral, _ = posed(bodies, scene, "NEUTRAL")
    report = judge("3dpw-smpler14", "smpler.npy", vertices=neutral)
    assert max(means(report).values()) == pytest.approx(0, abs=0.01)
    assert any("female body were put into the neutral one" in note for note in report["data"]["notes"])


def test_the_regressor_of_the_other_family_is_refused(judge, bodies, scene):
    vertices, _ = posed(bodies, scene, "FEMALE")
    with pytest.raises(InputError, match="of the h36m-smpler family"):
        judge("3dpw-j14", "smpler.npy", vertices=vertices)
    with pytest.raises(InputError, match="pass --regressor"):
        judge("3dpw-j14", vertices=vertices)


def test_joints_from_the_wrong_regressor_are_found_out(judge, bodies, scene, regressors):
    """A predictions file in which SPIN's index list was used on SMPLer's regressor: only the legs are wrong."""
    vertices, _ = posed(bodies, scene, "FEMALE")
    theirs = np.einsum("jv,nvc->njc", np.load(regressors / "smpler.npy"), vertices)
    j15 = theirs[:, [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0]]  # SPIN's list
    names = [
        *(f"right_{part}" for part in ("ankle", "knee", "hip")),
        *(f"left_{part}" for part in ("hip", "knee", "ankle")),
        *(f"right_{part}" for part in ("wrist", "elbow", "shoulder")),
        *(f"left_{part}" for part in ("shoulder", "elbow", "wrist")),
        *("thorax", "head", "root"),
    ]
    with pytest.raises(InputError, match="legs' left and right are exchanged"):
        judge("3dpw-j14", "spin.npy", joints=j15, joint_names=names)


def test_emdb_compares_24_joints_of_the_neutral_body(judge, bodies, scene):
    vertices, joints = posed(bodies, scene, "NEUTRAL")
    exact = means(judge("emdb1-24", joints=joints, vertices=vertices))
    assert set(exact) == {"pa_mpjpe", "mpjpe", "mve", "accel_error"}
    assert max(exact.values()) == pytest.approx(0, abs=0.01)
    without = means(judge("emdb1-24", joints=joints))
    assert "mve" not in without
    assert without["mpjpe"] == pytest.approx(0, abs=0.01)


def test_world_protocol(judge, bodies, scene):
    params, _ = scene
    body = load_body(bodies / "SMPL_FEMALE.npz")
    joints = body.joints_only(**{key: np.array([one[key] for one in params]) for key in params[0]})
    exact = means(judge("emdb2-world", joints=joints))
    assert max(exact[name] for name in ("wa_mpjpe", "w_mpjpe", "rte")) == pytest.approx(0, abs=0.01)
    turned = joints @ axis_angle_to_matrix(np.array([0.0, 1.0, 0.0])).T + [3.0, 0, 1]
    assert means(judge("emdb2-world", joints=turned))["wa_mpjpe"] == pytest.approx(0, abs=0.01)


def test_bodies_must_be_there(data, bodies, tmp_path):
    path = write_predictions(tmp_path / "p.npz", joints=np.zeros((COUNT, 24, 3)))
    with pytest.raises(InputError, match="pass --bodies"):
        evaluate(EvaluateOptions(str(path), "emdb1-24", data, tmp_path / "out"))
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "SMPL_NEUTRAL.npz").write_bytes((bodies / "SMPL_NEUTRAL.npz").read_bytes())
    with pytest.raises(InputError, match=r"no SMPL_FEMALE\.npz"):
        evaluate(EvaluateOptions(str(path), "3dpw-j14", data, tmp_path / "out", tmp_path / "some"))


def test_ehf_scans(bodies, scene, tmp_path):
    from monocap.data.ehf import T_CAMERA_WORLD

    body = load_body(bodies / "SMPL_NEUTRAL.npz")
    (tmp_path / "ehf").mkdir()
    meshes = body(body_pose=np.random.default_rng(1).normal(0, 0.2, (3, 69))).vertices
    for i, mesh in enumerate(meshes):
        header = f"ply\nformat ascii 1.0\nelement vertex {len(mesh)}\nproperty float x\nproperty float y\n"
        rows = "\n".join(f"{x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh)
        (tmp_path / "ehf" / f"{i + 1:02d}_align.ply").write_text(header + "property float z\nend_header\n" + rows)
    seen = transforms.apply(T_CAMERA_WORLD, meshes)
    path = write_predictions(tmp_path / "p.npz", vertices=1.05 * seen + 0.3)
    report = evaluate(EvaluateOptions(str(path), "ehf-v1", tmp_path / "ehf", tmp_path / "out", gallery=0)).report
    metrics = report["rows"][0]["metrics"]
    assert metrics["pa_mve"]["mean"] == pytest.approx(0, abs=0.01)
    assert metrics["mve"]["mean"] is None
    assert any("pelvis is unknown" in note for note in report["data"]["notes"])
    path = write_predictions(tmp_path / "mm.npz", vertices=1000 * seen)
    with pytest.raises(InputError, match="millimetres"):
        evaluate(EvaluateOptions(str(path), "ehf-v1", tmp_path / "ehf", tmp_path / "out", gallery=0))
    (tmp_path / "smplx").mkdir()
    with np.load(bodies / "SMPL_NEUTRAL.npz") as arrays:
        np.savez(tmp_path / "smplx" / "SMPLX_NEUTRAL.npz", **arrays)
    path = write_predictions(tmp_path / "p.npz", vertices=seen + 0.3)
    options = EvaluateOptions(str(path), "ehf-v1", tmp_path / "ehf", tmp_path / "out", tmp_path / "smplx", gallery=0)
    assert means(evaluate(options).report) == {"pa_mve": pytest.approx(0, abs=0.01), "mve": pytest.approx(0, abs=0.01)}
