"""SMPLify-X's energy: every term's gradient by central differences, and its value worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_body

from monocap.bodies import load_body
from monocap.fitting.collision import Collider
from monocap.fitting.smplifyx import observations as seen
from monocap.fitting.smplifyx.capsules import Capsules, Spheres
from monocap.fitting.smplifyx.energy import joint_weights, part_of, pixel_scales, stature, terms_of
from monocap.fitting.smplifyx.interpenetration import Interpenetration
from monocap.fitting.smplifyx.points import PointModel
from monocap.fitting.smplifyx.problem import Views, intrinsics_of
from monocap.fitting.smplifyx.schedule import SMPLIFY, SMPLX, schedule_for
from monocap.fitting.smplifyx.state import At, Free, Model
from monocap.fitting.smplifyx.terms import (
    Bending,
    Mixture,
    Points3D,
    Quadratic,
    Reprojection,
    Stature,
    Term,
    geman_mcclure,
)
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from monocap.priors.gmm import PoseMixture
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

STEP = 1e-5
COUNT = 2


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.of(load_body("open"), "openpose135", VPoserPrior.load())


@pytest.fixture(scope="module")
def plain() -> Model:
    """Without VPoser: the body's joints are free themselves."""
    return Model.of(load_body("open"), "openpose25", None)


def somewhere(model: Model, rng: np.random.Generator) -> Free:
    state = model.rest(COUNT)
    values = 0.3 * rng.normal(size=state.values.shape)
    values[:, :3] = 0.0
    values[:, model.layout["transl"]] = [0.1, 0.2, 3.0]
    upright = np.diag([1.0, -1.0, -1.0]) @ axis_angle_to_matrix(0.2 * rng.normal(size=(COUNT, 3)))
    return Free(upright, values)


def camera() -> Array:
    return intrinsics_of(np.array([[640, 480]] * COUNT), 500.0)


@pytest.mark.parametrize("skeleton", ["smplx55", "smplh52", "smpl24"])
def test_points_of_bodies_with_correctives(skeleton: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Joints, landmarks and contour of a body like official ones: as the body itself poses them, and how they move."""
    write_body(tmp_path / "body.npz", rng, skeleton=skeleton, columns=20 if skeleton == "smplx55" else 10)
    body = load_body(tmp_path / "body.npz")
    names = body.keypoint_names()
    vertices = np.arange(0, 400, 40)
    model = Model.of(body, names, VPoserPrior.load())
    state = somewhere(model, rng)
    at = model.at(state)
    assert at.d_points is not None
    params = model.params(state)
    given = body.own(params.asdict())
    np.testing.assert_allclose(at.points, body.camera_keypoints(names, **given), atol=2e-6)
    skin = PointModel.of_vertices(model.body, vertices)
    places, slopes = at.of(skin)
    np.testing.assert_allclose(places, body.vertices_at(vertices, **given), atol=2e-6)
    for i in range(2, model.layout.size, 11):
        delta = np.zeros(state.values.shape)
        delta[:, i] = STEP
        up, down = (model.at(state.step(sign * delta), derivatives=False) for sign in (1, -1))
        np.testing.assert_allclose(at.d_points[..., i], (up.points - down.points) / (2 * STEP), atol=1e-7)
        up, down = (model.at(state.step(sign * delta)).of(skin)[0] for sign in (1, -1))
        np.testing.assert_allclose(slopes[..., i], (up - down) / (2 * STEP), atol=1e-7)


def terms_at(model: Model, state: Free, rng: np.random.Generator) -> dict[str, Term]:
    """One of every term, whose gradients are anything but zero."""
    at, body = model.at(state, derivatives=False), model.body
    K, points = camera(), len(model.points.names)
    pixels = at.points[..., :2] / at.points[..., 2:] * 500.0 + K[:, None, :2, 2]
    target = pixels + rng.normal(0, 8, pixels.shape)
    skin = seen.skin_samples(body, 60)
    places, _ = model.at(state).of(skin)
    row, column = np.mgrid[0:480, 0:640]
    depth = 2.9 + 0.1 * np.sin(column / 90.0) + 0.1 * np.cos(row / 70.0)
    mask = np.hypot(column - 320 - 30, row - 240) < 90
    heads = PointModel.of(body, ["head", "left_wrist", "right_ankle"])
    common: dict[str, Term] = {
        "reprojection": Reprojection(target, rng.uniform(0.2, 1, (COUNT, points)), K, np.array([10.0, 100.0])),
        "bending": Bending(15.2),
        "betas": Quadratic("betas", "betas", np.full(10, 5.0)),
        "stature": Stature(1.8, stature(body)),
        "points3d": Points3D(heads, 3.0 + rng.normal(0, 0.1, (COUNT, 3, 3)), rng.uniform(1, 2, (COUNT, 3))),
        "relative": Points3D(heads, rng.normal(0, 0.3, (COUNT, 3, 3)), np.ones((COUNT, 3)), 0.3, True),
        "depth": seen.Depth(skin, seen.skin_samples(body, 60, 0.03), (depth, None), K),
        "silhouette": seen.Silhouette.of(skin, [mask, None], K, np.full(COUNT, 0.1), np.full(COUNT, 30.0)),
        "scan": seen.Scan(skin, (places[0, :9] + rng.normal(0, 0.01, (9, 3)), np.zeros((0, 3)))),
        "ground": seen.Ground(skin, np.array([[0.0, -1.0, 0.0, 0.9], [0.1, -0.99, 0.1, 0.6]])),
    }
    if model.vposer is None:
        return {**common, "mixture": Mixture(PoseMixture.load(), 4.78)}
    hands = model.body.hand_components["left_hand_pose"]
    return {
        **common,
        "code": Quadratic("body_pose", "pose", np.full(32, 4.78)),
        "hands": Quadratic("hands", "left_hand_pose", np.full(45, 4.78), hands),
        "expression": Quadratic("expression", "expression", np.full(10, 5.0)),
        "jaw": Quadratic("jaw", "jaw_pose", np.array([47.8, 478.0, 478.0])),
        "eyes": Quadratic("eyes", "left_eye_pose", np.full(3, 16.7)),
    }


def gradients(model: Model, state: Free, terms: Mapping[str, Term]) -> dict[str, tuple[Array, Array]]:
    """Analytic and numeric gradients (N,·) of every term, by every third unknown: some of each kind."""
    at = model.at(state)
    slopes = {name: np.zeros(state.values.shape) for name in terms}
    some = range(1, model.layout.size, 3)
    for i in some:
        delta = np.zeros(state.values.shape)
        delta[:, i] = STEP
        up, down = (model.at(state.step(sign * delta)) for sign in (1, -1))
        for name, term in terms.items():
            slopes[name][:, i] = (term.rows(up).cost - term.rows(down).cost) / (2 * STEP)
    found = {}
    for name, term in terms.items():
        rows = term.rows(at)
        whole = np.zeros(state.values.shape)
        columns = slice(None) if rows.columns is None else rows.columns
        whole[:, columns] = np.einsum("nrm,nr->nm", rows.jacobian, rows.residual)
        found[name] = whole[:, some], slopes[name][:, some]
    return found


@pytest.mark.parametrize("which", ["model", "plain"])
def test_gradients_of_all_terms(which: str, request: pytest.FixtureRequest, rng: np.random.Generator) -> None:
    model: Model = request.getfixturevalue(which)
    state = somewhere(model, rng)
    for name, (ours, numeric) in gradients(model, state, terms_at(model, state, rng)).items():
        scale = np.abs(numeric).max()
        assert scale > 0, name
        # tables are read between pixels, with a kink at each
        close = 1e-4 if name in ("depth", "silhouette") else 1e-6
        np.testing.assert_allclose(ours / scale, numeric / scale, atol=close, err_msg=name)


def at_rest(model: Model) -> tuple[Free, At]:
    state = model.rest(1)
    state.values[:, model.layout["transl"]] = [0.0, 0.0, 4.0]
    return state, model.at(state)


def test_reprojection_by_hand(model: Model) -> None:
    """One keypoint, 30 px off to the right and 100 px off downwards, κ 0.5, in a picture 500 px high."""
    _, at = at_rest(model)
    wrist = model.points.names.index("left_wrist")
    x, y, z = at.points[0, wrist]
    keypoints = np.zeros((1, 135, 3))
    keypoints[0, wrist] = 1000 * x / z + 250 - 30, 1000 * y / z + 250 - 100, 0.5
    views = Views(keypoints, "openpose135", np.array([[500, 500]]), intrinsics_of(np.array([[500, 500]]), 1000.0))
    term = terms_of(model, views, SMPLX, SMPLX.last, None)[0]
    rho = 1e4 * 900 / (1e4 + 900) + 1e4 * 1e4 / (1e4 + 1e4)
    np.testing.assert_allclose(term.rows(at).cost, 2.0**2 * 0.5**2 * rho, rtol=1e-9)


def test_priors_by_hand(model: Model) -> None:
    state, _ = at_rest(model)
    for name, value in (("betas", 2.0), ("pose", 1.0), ("jaw_pose", 0.1), ("left_eye_pose", 0.3), ("expression", 1.0)):
        state.values[:, model.layout[name]] = value
    state.values[:, model.layout["left_hand_pose"]] = np.eye(12)[0]
    views = Views(np.zeros((1, 135, 3)), "openpose135", np.array([[500, 500]]), camera()[:1])
    at = model.at(state)
    found = {}
    for term in terms_of(model, views, SMPLX, SMPLX.last, None):
        found[term.name] = found.get(term.name, 0.0) + term.rows(at).cost[0]
    hand = model.body.hand_components["left_hand_pose"][0]
    expected = {
        "reprojection": 0.0,
        "body_pose": 4.78**2 * 32,
        "betas": 25.0 * 10 * 4,
        "expression": 25.0 * 10,
        "hands": 4.78**2 * float(hand @ hand),
        "jaw": (47.8**2 + 2 * 478.0**2) * 0.01,
        "eyes": (5 / 0.3) ** 2 * 3 * 0.09,
    }
    pose = at.body_pose[0]
    signed = np.array([pose[52], -pose[55], -pose[9], -pose[12]])
    expected["bending"] = 3.17 * 4.78 * float(np.exp(2 * signed).sum())
    assert found == pytest.approx(expected, rel=1e-9)


def test_mixture_has_its_constants(plain: Model) -> None:
    state, _ = at_rest(plain)
    prior = PoseMixture.load()
    state.values[:, plain.layout["pose"]] = prior.means[3, :63]
    cost = Mixture(prior, 4.78).rows(plain.at(state)).cost
    pose = np.concatenate([prior.means[3, :63], np.zeros(6)])
    deviations = [np.sqrt(np.linalg.det(c)) for c in prior.covariances]
    energies = []
    for weight, mean, covariance, deviation in zip(
        prior.weights, prior.means, prior.covariances, deviations, strict=True
    ):
        off = pose - mean
        share = weight / ((2 * np.pi) ** 34.5 * deviation / min(deviations))
        energies.append(0.5 * off @ np.linalg.solve(covariance, off) - np.log(share))
    np.testing.assert_allclose(cost, 4.78**2 * min(energies), rtol=1e-8)


def test_bending_is_squared_in_smplify_only() -> None:
    assert SMPLX.last.bending == pytest.approx(15.15, abs=0.01)
    assert SMPLIFY.last.bending == pytest.approx(229.6, abs=0.1)
    assert schedule_for("smplx").stages[0].bending == pytest.approx(1280.7, abs=0.1)
    assert SMPLX.without_eyes().last.eyes == 0.0


def test_geman_mcclure() -> None:
    error = np.array([0.0, 100.0, 1e9])
    rho, weight = geman_mcclure(error, 100.0)
    np.testing.assert_allclose(rho, [0.0, 5000.0, 1e4], rtol=1e-9)
    np.testing.assert_allclose(weight[:2], [1.0, 0.25])


def test_who_counts_how_much() -> None:
    names = ("neck", "mid_hip", "left_hip", "right_hip", "left_wrist", "left_thumb2", "left_hand_root", "chin", "nose")
    assert [part_of(name) for name in names] == ["body"] * 5 + ["hand"] * 2 + ["face", "body"]
    confidence = np.full((2, len(names)), 0.5)
    confidence[1, 1] = 0.0  # no mid-hip: then the hips stand for it
    weights = joint_weights(names, confidence, SMPLX, SMPLX.last)
    np.testing.assert_allclose(weights[0], np.array([0, 1, 0, 0, 1, 4, 4, 4, 1]) * 0.25)
    np.testing.assert_allclose(weights[1], np.array([0, 0, 1, 1, 1, 4, 4, 4, 1]) * 0.25)


def test_scale_of_the_person() -> None:
    """A person twice as large in the picture costs the same, by the person's rule, if errors are twice as large."""
    keypoints = np.zeros((2, 25, 3))
    keypoints[:, :2, 2] = 1.0
    keypoints[0, 1, :2], keypoints[1, 1, :2] = [100, 400], [200, 800]
    views = Views(keypoints, "openpose25", np.array([[640, 480]]), camera())
    data, rho = pixel_scales(views, SMPLX, "person")
    assert data[0] == pytest.approx(4 * data[1])
    assert rho[1] == pytest.approx(2 * rho[0])
    data, rho = pixel_scales(views, SMPLX, "official")
    np.testing.assert_allclose(data, (1000 / 480) ** 2)
    np.testing.assert_allclose(rho, 100.0)


def test_interpenetration_falls_along_its_gradient(model: Model) -> None:
    """An arm let down into the hip: the term's gradient is that of its cost, for the pairs it was made with."""
    plain = Model.of(load_body("open"), "openpose25", None)
    state, _ = at_rest(plain)
    shoulder = plain.layout["pose"].start + 3 * 15
    state.values[:, shoulder : shoulder + 3] = [0.0, 0.0, -1.75]
    term = Interpenetration.at(plain, state, Collider.of(plain.body), 1.0, 0.05)
    rows = term.rows(plain.at(state))
    assert rows.cost[0] > 0
    gradient = np.einsum("nrm,nr->nm", rows.jacobian, rows.residual)
    delta = np.zeros(state.values.shape)
    for column in (shoulder + 2, shoulder + 8):
        delta[:] = 0.0
        delta[:, column] = 1e-6
        up, down = (term.rows(plain.at(state.step(sign * delta))).cost for sign in (1, -1))
        assert (up - down)[0] / 2e-6 == pytest.approx(gradient[0, column], rel=1e-3, abs=1e-4)


def test_capsules_of_arm_and_trunk(plain: Model) -> None:
    """Two spheres by hand, the gradient by differences, and capsules as thick as limbs are."""
    spheres = Spheres.of(plain.body)
    thickness = {
        name: float(spheres.radius[spheres.capsule == name][0]) for name in ("left_forearm", "left_thigh", "chest")
    }
    assert 0.02 < thickness["left_forearm"] < thickness["left_thigh"] < thickness["chest"] < 0.2
    state, _ = at_rest(plain)
    shoulder = plain.layout["pose"].start + 3 * 15
    state.values[:, shoulder : shoulder + 3] = [0.0, 0.0, -1.75]
    at = plain.at(state)
    term = Capsules(spheres, spheres.pairs(), 100.0)
    rows = term.rows(at)
    centres, _ = at.of(spheres.points)
    one, other = spheres.pairs().T
    squared = np.sum((centres[0, one] - centres[0, other]) ** 2, axis=1)
    spread = 0.09 * (spheres.radius[one] ** 2 + spheres.radius[other] ** 2)
    assert rows.cost[0] == pytest.approx(100.0 * np.exp(-squared / spread).sum(), rel=1e-9)
    assert rows.cost[0] > 1e-3
    gradient = np.einsum("nrm,nr->nm", rows.jacobian, rows.residual)
    for column in (shoulder, shoulder + 2):
        delta = np.zeros(state.values.shape)
        delta[:, column] = 1e-6
        up, down = (term.rows(plain.at(state.step(sign * delta))).cost for sign in (1, -1))
        assert (up - down)[0] / 2e-6 == pytest.approx(gradient[0, column], rel=1e-5)
    assert not gradient[:, plain.layout["betas"]].any()


@pytest.mark.parametrize("joint", ["pelvis", "neck", "head"])
@pytest.mark.parametrize("degrees", [-30.0, 30.0])
def test_contour_lies_on_the_outline_that_the_camera_sees(joint: str, degrees: float) -> None:
    """Turned either way, by whichever joint: the far cheek's points are where the head ends in the picture."""
    body = load_body("open")
    pose = np.zeros((1, 22, 3))
    upright = np.diag([1.0, -1.0, -1.0])
    pose[0, body.joint_names.index(joint), 1] = np.radians(degrees)
    root = matrix_to_axis_angle(upright @ axis_angle_to_matrix(pose[:, 0]))
    params = {"global_orient": root, "body_pose": pose[:, 1:].reshape(1, 63), "betas": np.zeros((1, 16))}
    far = [f"{'right' if degrees < 0 else 'left'}_contour{k}" for k in (1, 2, 3, 4)]
    skin = np.asarray(body(**params).vertices)[0, body.lbs_weights[:, body.joint_names.index("head")] > 0.9]
    side = -1.0 if degrees < 0 else 1.0

    def short_of_outline(points: np.ndarray) -> float:
        level = np.abs(skin[None, :, 1] - points[:, None, 1]) < 0.006
        outline = np.where(level, side * skin[None, :, 0], -np.inf).max(axis=1)
        return float(np.abs(outline - side * points[:, 0]).max())

    model = Model.of(body, far, None)
    state = model.rest(1)
    state.root[:] = axis_angle_to_matrix(root)
    state.values[:, model.layout["pose"]] = params["body_pose"]
    for points in (model.at(state).points[0], np.asarray(body.camera_keypoints(far, **params))[0]):
        assert short_of_outline(points) < 0.006
    if joint != "head":  # smplx leaves the head's own turn out
        assert short_of_outline(np.asarray(body.keypoints(far, **params))[0]) > 0.02
