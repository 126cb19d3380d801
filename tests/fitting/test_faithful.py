"""SMPLify-X as published: its energy is the one that the analytic solver minimises, and it finds people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from monocap import skeletons  # noqa: E402
from monocap.bodies import BodyModel, load_body  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.evaluate.smplifyx_truth import STRANGE, strange  # noqa: E402
from monocap.fitting.collision import Collider  # noqa: E402
from monocap.fitting.lbfgs import Limits  # noqa: E402
from monocap.fitting.smplifyx import faithful_energy  # noqa: E402
from monocap.fitting.smplifyx.energy import terms_of  # noqa: E402
from monocap.fitting.smplifyx.faithful import Faithful, fit_faithful, guess_depth  # noqa: E402
from monocap.fitting.smplifyx.faithful_energy import Energy, Interpenetration  # noqa: E402
from monocap.fitting.smplifyx.problem import Views, intrinsics_of  # noqa: E402
from monocap.fitting.smplifyx.recipe import Options, fit  # noqa: E402
from monocap.fitting.smplifyx.schedule import schedule_for  # noqa: E402
from monocap.fitting.smplifyx.solver import linear_system  # noqa: E402
from monocap.fitting.smplifyx.state import Free, Model  # noqa: E402
from monocap.geometry import rotations  # noqa: E402
from monocap.priors.gmm import PoseMixture  # noqa: E402
from monocap.priors.vposer import VPoserPrior  # noqa: E402

SIZE = np.array([1920.0, 1080.0])
SKELETON = {"smplx": "openpose135", "smplh": "openpose67", "smpl": "openpose25"}


def smaller(body: BodyModel, kind: str) -> BodyModel:
    """The open body's mesh with the joints of SMPL-H or SMPL: what they lack, their parents carry."""
    if kind == "smplx":
        return body
    own = skeletons.get({"smplh": "smplh52", "smpl": "smpl24"}[kind]).joint_names
    fingers = {"left_hand": "left_middle1", "right_hand": "right_middle1"}  # SMPL's last two joints
    names = [fingers.get(name, name) for name in own]
    kept = [body.joint_names.index(name) for name in names]
    owner = {}
    for joint in range(len(body.parents)):
        at = joint
        while at not in kept:
            at = int(body.parents[at])
        owner[joint] = kept.index(at)
    weights = np.zeros((len(body.lbs_weights), len(kept)), body.lbs_weights.dtype)
    for joint, to in owner.items():
        weights[:, to] += body.lbs_weights[:, joint]
    parents = np.array([-1, *(owner[int(body.parents[joint])] for joint in kept[1:])])
    return replace(
        body, name=kind, parents=parents, joint_names=own, lbs_weights=weights, J_template=body.J_template[kept],
        J_shapedirs=body.J_shapedirs[kept][..., : body.num_betas], exprdirs=body.exprdirs[..., :0],
        landmarks=None, contour=None, hand_data=body.hand_data if kind == "smplh" else {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


def posed(body: BodyModel, count: int, rng: np.random.Generator, skeleton: str) -> tuple[dict, Views]:
    """Plausible people some metres away, and their keypoints with 2 px of noise."""
    K = intrinsics_of(np.tile(SIZE, (count, 1)))
    turn = rotations.axis_angle_to_matrix(rng.normal(0, [0.1, 0.6, 0.1], (count, 3)))
    truth = {
        "betas": rng.normal(0, 0.7, (count, 10)),
        "global_orient": rotations.matrix_to_axis_angle(np.diag([1.0, -1.0, -1.0]) @ turn),
        "body_pose": PoseMixture.load().sample(count, rng)[:, :63],
        "transl": np.array([0.0, 0.2, 4.0]) + rng.normal(0, 0.1, (count, 3)),
    }
    if body.kind.name == "smpl":
        truth["body_pose"] = np.pad(truth["body_pose"], ((0, 0), (0, 6)))
    points = np.asarray(body.camera_keypoints(skeleton, **truth))
    pixels = K[:, None, [0, 1], [0, 1]] * points[..., :2] / points[..., 2:] + SIZE / 2
    pixels += rng.normal(0, 2.0, pixels.shape)
    keypoints = np.concatenate([pixels, rng.uniform(0.5, 0.95, (*pixels.shape[:2], 1))], axis=-1)
    return truth, Views(keypoints, skeleton, SIZE, K)


def corrected(body: BodyModel, rng: np.random.Generator) -> BodyModel:
    """With random pose correctives, which the open body has none of."""
    size = (len(body.v_template), 3, 9 * (len(body.parents) - 1))
    return replace(body, posedirs=0.01 * rng.standard_normal(size, dtype=np.float32))


@pytest.mark.parametrize("kind", ["smplx", "smplh", "smpl", "corrected smpl"])
@pytest.mark.parametrize("prior", ["vposer", "mixture"])
def test_autograd_agrees_with_the_analytic_energy(body, rng, kind: str, prior: str) -> None:
    """Every term, and the gradient by every unknown, at random states with unseen points among the keypoints."""
    *with_correctives, kind = kind.split()
    count, own = 3, smaller(body, kind)
    if with_correctives:
        own = corrected(own, rng)
    _, views = posed(own, count, rng, SKELETON[kind])
    keypoints = views.keypoints.copy()
    keypoints[0, rng.random(keypoints.shape[1]) < 0.3, 2] = 0.0
    views = replace(views, keypoints=keypoints)
    mixture = PoseMixture.load() if prior == "mixture" else None
    model = Model.of(own, views.skeleton, None if mixture else VPoserPrior.load())
    schedule = schedule_for(kind)
    free = Free(
        rotations.axis_angle_to_matrix(rng.normal([np.pi - 0.5, 0, 0], 1.0, (count, 3))),
        rng.normal(0, 0.3, (count, model.layout.size)),
    )
    free.values[:, model.layout["transl"]] += [0.0, 0.0, 4.0]
    free.values[:, :3] = 0.0
    root = rotations.matrix_to_axis_angle(free.root)
    flat = free.values.copy()
    flat[:, model.layout["root"]] = root
    x, samples = torch.tensor(flat, requires_grad=True), torch.arange(count)
    energy = Energy(model, views, schedule, mixture)
    for stage in (schedule.stages[-1], schedule.stages[-2]):
        at = model.at(free)
        analytic = terms_of(model, views, schedule, stage, mixture)
        costs: dict[str, np.ndarray] = {}
        for term in analytic:
            costs[term.name] = costs.get(term.name, 0.0) + term.rows(at).cost
        found = energy.terms(x, samples, replace(stage, collision=0.0))
        for name, value in found.items():
            np.testing.assert_allclose(value.detach().numpy(), costs.pop(name, 0.0), rtol=1e-6, atol=1e-9, err_msg=name)
        assert not costs
        total = energy.stage(replace(stage, collision=0.0), free_camera=True)(x, samples)
        gradient = torch.autograd.grad(total.sum(), x)[0].numpy()
        expected = linear_system(at, analytic).gradient
        # the analytic side turns the root from the left; here its axis-angle vector is the unknown
        left = rotations.left_jacobian_so3(root)
        expected[:, :3] = np.einsum("nij,ni->nj", left, expected[:, :3])
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_interpenetration_by_differences(body, rng) -> None:
    """The gradient of the collision term by the pose, through the mesh: an arm pressed into the side."""
    model = Model.of(body, "openpose25", None)
    schedule = schedule_for("smplx")
    _, views = posed(body, 1, rng, "openpose25")
    hits = Interpenetration(Collider.of(body), exponent=4.0, sigma=0.02)
    energy = Energy(model, views, schedule, PoseMixture.load(), hits)
    x = np.zeros((1, model.layout.size))
    x[:, model.layout["transl"]] = [0.0, 0.0, 4.0]
    pose = model.layout["pose"].start
    shoulder = pose + 3 * (body.joint_names.index("left_shoulder") - 1) + 2
    x[0, shoulder] = -1.8

    def value(vector):
        return energy.terms(vector, torch.zeros(1, dtype=torch.int64), schedule.last)["collision"][0]

    start = torch.tensor(x, requires_grad=True)
    assert value(start) > 0.01
    gradient = torch.autograd.grad(value(start), start)[0][0]
    for column in (shoulder, shoulder - 1, model.layout["betas"].start):
        step = np.zeros_like(x)
        step[0, column] = 1e-7
        slope = (value(torch.tensor(x + step)) - value(torch.tensor(x - step))) / 2e-7
        np.testing.assert_allclose(gradient[column].numpy(), slope.numpy(), rtol=2e-2, atol=1e-4)


def test_people_are_found(body, rng) -> None:
    truth, views = posed(body, 2, rng, "openpose67")
    fitted = fit_faithful(body, views, Faithful(limits=Limits(iterations=60, evaluations=80)))
    assert fitted.found.all()
    assert (fitted.residual_px < 8).all()
    assert fitted.latent is not None
    joints = body.joints_only(**truth)[:, :22]
    found = body.joints_only(**fitted.params.asdict())[:, :22]
    off = np.linalg.norm((found - found[:, :1]) - (joints - joints[:, :1]), axis=-1).mean(axis=1)
    assert np.median(off) < 0.12
    np.testing.assert_allclose(fitted.energy, fitted.trace[-1][1][-1], rtol=1e-9)
    for _, values in fitted.trace:
        assert (np.diff(values, axis=0) <= 1e-9 * np.abs(values[:-1])).all()
    assert fitted.evaluations is not None
    assert (fitted.evaluations >= fitted.iterations).all()
    # what comes out is the body whose keypoints were compared
    points = body.with_betas(10).keypoints("openpose67", **fitted.params.asdict())
    pixels = views.K[:, None, [0, 1], [0, 1]] * points[..., :2] / points[..., 2:] + SIZE / 2
    weight = views.keypoints[..., 2]
    square = np.sum((pixels - views.keypoints[..., :2]) ** 2, axis=-1)
    again = np.sqrt(np.sum(weight * square, axis=1) / weight.sum(axis=1))
    np.testing.assert_allclose(again, fitted.residual_px, rtol=1e-4)


@pytest.mark.parametrize(("kind", "prior"), [("smplh", "vposer"), ("smpl", "vposer"), ("smpl", "mixture")])
def test_other_bodies_and_priors(body, rng, kind: str, prior) -> None:
    own = smaller(body, kind)
    _, views = posed(own, 1, rng, SKELETON[kind])
    fitted = fit_faithful(own, views, Faithful(prior=prior, limits=Limits(iterations=8)))
    stages = [name for name, _ in fitted.trace]
    assert len(stages) == {"smplh": 6, "smpl": 5}[kind]  # the camera's among them
    assert (fitted.latent is None) == (prior == "mixture")
    assert fitted.params.body_pose.shape == (1, 63 if kind == "smplh" else 69)
    assert fitted.params.expression is None
    assert fitted.trace[-1][1][-1] < fitted.trace[-1][1][0]
    assert np.isfinite(own.with_betas(10)(**own.own(fitted.params.asdict())).vertices).all()


def test_a_side_view_starts_twice_and_the_lower_energy_wins(body, rng) -> None:
    _, views = posed(body, 1, rng, "openpose25")
    keypoints = views.keypoints.copy()
    names = skeletons.get("openpose25").joint_names
    keypoints[0, names.index("left_shoulder"), :2] = keypoints[0, names.index("right_shoulder"), :2] + 5
    views = replace(views, keypoints=keypoints)
    short = Limits(iterations=6)
    both = fit_faithful(body, views, Faithful(limits=short))
    never = replace(schedule_for("smplx"), side_view=0.0)
    one = fit_faithful(body, views, Faithful(limits=short, schedule=never))
    assert both.energy[0] <= one.energy[0] * (1 + 1e-9)
    if both.start[0] == 0:
        np.testing.assert_allclose(both.params.body_pose, one.params.body_pose)
    else:
        assert both.energy[0] < one.energy[0]


def test_strange_keypoints_never_break_a_batch(body) -> None:
    """All-zero, single points, lines, exchanged sides, noise, huge coordinates, few points: finite, or not found."""
    rng = np.random.default_rng(11)
    _, views = posed(body, len(STRANGE) + 1, rng, "openpose25")
    wild = strange(views.keypoints, rng)
    fitted = fit_faithful(body, replace(views, keypoints=wild), Faithful(limits=Limits(iterations=6, evaluations=9)))
    assert not fitted.found[[0, 1, 2, -1]].any()  # nothing, one point, one place, nothing again
    assert fitted.found[6:9].all()
    for name, value in fitted.params.asdict().items():
        assert np.isfinite(value).all(), name
    assert np.isfinite(fitted.energy).all()
    assert np.isfinite(fitted.residual_px).all()
    assert (fitted.energy[~fitted.found] == 0).all()


def test_undetected_torsos_have_a_depth(body, rng) -> None:
    truth, views = posed(body, 2, rng, "openpose25")
    names = skeletons.get("openpose25").joint_names
    rest = body.keypoints("openpose25", body_pose=np.zeros(63))
    keypoints = views.keypoints.copy()
    seen = np.ones(keypoints.shape[:2], dtype=bool)
    whole = guess_depth(views, rest, seen)
    hidden = [names.index(name) for name in ("left_hip", "right_hip")]
    keypoints[:, hidden] = 0.0
    seen[:, hidden] = False
    without = guess_depth(replace(views, keypoints=keypoints), rest, seen)
    depth = truth["transl"][:, 2]
    assert (np.abs(whole / depth - 1) < 0.6).all()
    assert (np.abs(without / depth - 1) < 0.8).all()


def test_single_precision_and_official_latents(body, rng) -> None:
    _, views = posed(body, 1, rng, "openpose25")
    fitted = fit_faithful(body, views, Faithful(dtype="float32", limits=Limits(iterations=5)))
    assert np.isfinite(fitted.energy).all()
    assert fitted.latent is not None
    np.testing.assert_allclose(VPoserPrior.load().decode(fitted.latent), fitted.params.body_pose, atol=1e-6)
    assert fitted.left_hand_pca is not None
    assert fitted.params.left_hand_pose is not None
    np.testing.assert_allclose(
        body.with_hands(12, False).full_pose(left_hand_pose=fitted.left_hand_pca)[:, 25:40].reshape(1, 45),
        fitted.params.left_hand_pose,
        atol=1e-9,
    )


def test_both_ways_to_angles_agree(rng) -> None:
    """The closed form that the CPU takes, and the lines that run elsewhere."""
    numbers = torch.tensor(rng.normal(size=(4, 126)), requires_grad=True)
    matrices = rotations.rotation_6d_to_matrix(numbers.reshape(-1, 21, 6), "interleaved_columns")
    plain = rotations.matrix_to_axis_angle(matrices).reshape(4, 63)
    quick = faithful_energy._AxisAngle.apply(numbers)
    np.testing.assert_allclose(quick.detach(), plain.detach(), atol=1e-12)
    weight = torch.tensor(rng.normal(size=(4, 63)))
    slopes = [torch.autograd.grad(torch.sum(weight * angles), numbers)[0] for angles in (quick, plain)]
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-7, atol=1e-9)


def test_bad_requests(body) -> None:
    views = Views(np.zeros((1, 25, 3)), "openpose25", SIZE, intrinsics_of(SIZE))
    hand = replace(body, parents=np.arange(-1, 15), joint_names=skeletons.get("mano16").joint_names)
    with pytest.raises(InputError, match="is MANO"):
        fit_faithful(hand, views)
    with pytest.raises(InputError, match="knows no height"):
        fit(views, body, Options(faithful=True, height=1.8))
    with pytest.raises(InputError, match="dtype is 'half'"):
        Faithful(dtype="half")  # type: ignore[arg-type]
