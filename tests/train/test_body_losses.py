"""Losses of the regression networks: the published numbers, what is not known does not count, 2D teaches alone too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from monocap.bodies import load_body  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix  # noqa: E402
from monocap.train.body_losses import (  # noqa: E402
    LSP,
    RECIPES,
    Estimate,
    Projection,
    Targets,
    Term,
    amounts,
    body_losses,
    project,
    recipe,
    rootless,
)
from monocap.train.posed_body import POINTS, PosedBody  # noqa: E402

K = len(POINTS)
OPEN = load_body("open")


@pytest.fixture
def reference(shared: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads(shared("reference/reference_values.json").read_text())


def people(count: int, seed: int = 0, joints: int = 22) -> tuple[Any, Any]:
    """Rotations (N,J,3,3) and betas (N,10) of random people."""
    rng = np.random.default_rng(seed)
    turns = axis_angle_to_matrix(rng.normal(0, 0.3, (count, joints, 3)))
    return torch.tensor(turns).float(), torch.tensor(rng.normal(0, 0.8, (count, 10))).float()


def scene(count: int = 4, seed: int = 0) -> tuple[Estimate, Targets, PosedBody]:
    """A true body before a camera, and an estimate that is exactly it."""
    body = PosedBody(OPEN, skin=64)
    rotmats, betas = people(count, seed)
    points, skin = body(rotmats, betas)
    generator = torch.Generator().manual_seed(seed)
    size, focal = 180 + 40 * torch.rand(count, generator=generator), torch.full((count,), 600.0)
    center = 200 * (torch.rand(count, 2, generator=generator) - 0.5)
    t = torch.cat([0.3 * (torch.rand(count, 2, generator=generator) - 0.5), torch.full((count, 1), 4.0)], dim=1)
    s = 2 * focal / (size * t[:, 2])
    cam = torch.cat([s[:, None], t[:, :2] - 2 * center / (size * s)[:, None]], dim=1)
    at = points + t[:, None]
    flat = (focal[:, None, None] * at[..., :2] / at[..., 2:] - center[:, None]) * (2 / size[:, None, None])
    ones = torch.ones(count, K)
    targets = Targets(
        flat, ones, at, ones, rotmats, torch.ones(count, 22), betas, torch.ones(count), torch.ones(count), center, size,
        focal, (points, skin),
    )  # fmt: skip
    return Estimate(rotmats, betas, cam, points, skin), targets, body


def test_points_are_the_bodys_own(rng: np.random.Generator) -> None:
    for origin in ("pelvis", "body"):
        posed = PosedBody(OPEN, skin="all", origin=origin)
        rotvec, betas = rng.normal(0, 0.4, (3, 22, 3)), rng.normal(0, 1, (3, 10))
        points, skin = posed(torch.tensor(axis_angle_to_matrix(rotvec)), torch.tensor(betas))
        pose = {"global_orient": rotvec[:, 0], "body_pose": rotvec[:, 1:].reshape(3, 63), "betas": betas}
        wanted, mesh = OPEN.keypoints(POINTS, **pose), OPEN(**pose).vertices
        shift = OPEN.joints_only(**pose)[:, :1] if origin == "pelvis" else 0.0
        np.testing.assert_allclose(points.numpy(), wanted - shift, atol=2e-6)
        np.testing.assert_allclose(skin.numpy(), mesh - shift, atol=2e-6)


def test_points_have_gradients() -> None:
    posed = PosedBody(OPEN, skin=8)
    rotmats, betas = people(2)
    for value in (rotmats, betas):
        value.requires_grad_()
    points, skin = posed(rotmats, betas)
    (points.square().sum() + skin.square().sum()).backward()
    assert float(rotmats.grad.abs().sum()) > 0
    assert float(betas.grad.abs().sum()) > 0


def test_hmr2_numbers(reference: dict[str, Any]) -> None:
    given = {name: torch.tensor(value) for name, value in reference["hmr2_losses"].items() if name != "note"}
    flat, true = given["pred2d"], given["gt2d"]
    which = recipe("hmr2")
    value = replace(which.points, weight=1.0)(flat, true[..., :2], true[..., 2])
    assert float(value) == pytest.approx(float(given["kp2d_l1_sum"]), rel=1e-5)
    pelvis = 39
    mine, wanted = given["pred3d"], given["gt3d"]
    value = replace(which.joints, weight=1.0)(
        mine - mine[:, pelvis : pelvis + 1], wanted[..., :3] - wanted[:, pelvis : pelvis + 1, :3], wanted[..., 3]
    )
    assert float(value) == pytest.approx(float(given["kp3d_l1_sum_pelvis39"]), rel=1e-5)


def test_projections(reference: dict[str, Any]) -> None:
    _, targets, _ = scene(1)
    ways: tuple[tuple[Projection, str, float], ...] = (
        ("spin", "spin_projection", 1.0),
        ("hmr2", "hmr2_projection", 0.5),
    )
    cam = torch.tensor(reference["spin_projection"]["cam"])
    for name, key, unit in ways:
        given = reference[key]
        points = torch.tensor(given["X"])
        wanted = given["kp2d_norm"] if name == "spin" else given["kp2d (units of crop width, 0=centre)"]
        np.testing.assert_allclose(unit * project(name, points, cam, targets).numpy(), wanted, atol=1e-5)
    weak = project("weak", torch.tensor(reference["spin_projection"]["X"]), cam, targets)
    np.testing.assert_allclose(weak.numpy(), reference["spin_projection"]["weak_persp_s(X+t)"], atol=1e-5)


def test_whole_pictures_camera_is_exact() -> None:
    estimate, targets, _ = scene()
    flat = project("full", estimate.points, estimate.cam, targets)
    np.testing.assert_allclose(flat.numpy(), targets.points.numpy(), atol=1e-5)


def test_means_go_over_what_the_codes_take() -> None:
    estimate, truth = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[5.0, 5.0], [5.0, 5.0]]]), torch.zeros(2, 2, 2)
    confidence = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    assert float(Term(2.0, "l1", "sum")(estimate, truth, confidence)) == pytest.approx(2 * (3 + 0.5 * 3))
    assert float(Term(2.0, "l1", "visible")(estimate, truth, confidence)) == pytest.approx(2 * 4.5 / 4)
    half = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert float(Term(1.0, "l2", "entries")(estimate, truth, half)) == pytest.approx((5 + 100) / 8)
    assert float(Term(1.0, "l2", "entries")(estimate, truth, confidence)) == pytest.approx((5 + 0.5 * 9) / 4)
    share = torch.tensor([0.25, 1.0])
    assert float(Term(1.0, "l1", "visible")(estimate, truth, half, share)) == pytest.approx((0.25 * 3 + 20) / 6)


@pytest.mark.parametrize("family", RECIPES)
def test_truth_costs_nothing_and_error_costs(family: str) -> None:
    estimate, targets, body = scene()
    which = replace(recipe(family), projection="full", scale=0.0)
    total, parts = body_losses(which, [estimate], targets)
    assert float(total) < 1e-4 * which.times, parts
    rotmats, betas = people(4, seed=9)
    points, skin = body(rotmats, betas)
    wrong = Estimate(rotmats, betas, estimate.cam * 1.2, points, skin)
    total, parts = body_losses(which, [wrong], targets)
    assert all(float(value) > 1e-4 for value in parts.values()), parts
    assert float(total) == pytest.approx(sum(float(value) for value in parts.values()), rel=1e-5)


def test_weights_are_the_published_ones() -> None:
    estimate, targets, body = scene()
    rotmats, betas = people(4, seed=5)
    points, skin = body(rotmats, betas)
    wrong = Estimate(rotmats, betas, estimate.cam, points, skin)
    turned = (rotmats - targets.rotmats).reshape(4, -1)
    shaped = betas - targets.betas
    parts = body_losses(recipe("spin"), [wrong], targets)[1]
    assert float(parts["rotations"]) == pytest.approx(60 * float(turned.square().mean()), rel=1e-4)
    assert float(parts["betas"]) == pytest.approx(60 * 1e-3 * float(shaped.square().mean()), rel=1e-4)
    assert float(parts["scale"]) == pytest.approx(60 * float(torch.exp(-20 * wrong.cam[:, 0]).mean()), rel=1e-4)
    parts = body_losses(recipe("smpler"), [wrong], targets)[1]
    assert float(parts["rotations"]) == pytest.approx(50 * float(turned.abs().mean()), rel=1e-4)
    assert "betas" not in parts
    hips = [POINTS.index("left_hip"), POINTS.index("right_hip")]
    true, true_skin = targets.body  # type: ignore[misc]
    apart = (skin - points[:, hips].mean(1, keepdim=True)) - (true_skin - true[:, hips].mean(1, keepdim=True))
    assert float(parts["vertices"]) == pytest.approx(100 * float(apart.abs().mean()), rel=1e-4)
    lsp = [i for i, name in enumerate(POINTS) if name in LSP]
    mine, wanted = rootless(points, POINTS, ("left_hip", "right_hip"))[0], rootless(targets.joints, POINTS, LSP[4:6])[0]
    error = (mine - wanted)[:, lsp].square().mean()
    assert float(parts["joints"]) == pytest.approx(1000 * float(error), rel=1e-4)
    both = torch.cat([turned[:, :216], torch.zeros(4, 0)], dim=1)
    parts = body_losses(recipe("hmr"), [wrong], targets)[1]
    assert float(parts["rotations"]) == pytest.approx(30 * 216 / 226 * float(both.square().mean()), rel=0.2)
    parts = body_losses(recipe("hmr2"), [wrong], targets)[1]
    assert float(parts["rotations"]) == pytest.approx(1e-3 * float(turned.square().sum()), rel=1e-4)


def unlabelled(targets: Targets) -> Targets:
    """The same pictures with 2D keypoints alone; what is not known is not even a number."""
    nothing = float("nan")
    return replace(
        targets,
        joints=torch.full_like(targets.joints, nothing), known=torch.zeros_like(targets.known),
        rotmats=torch.full_like(targets.rotmats, nothing), turned=torch.zeros_like(targets.turned),
        betas=torch.full_like(targets.betas, nothing), shaped=torch.zeros_like(targets.shaped),
    )  # fmt: skip


@pytest.mark.parametrize("family", RECIPES)
def test_without_3d_truth_its_terms_are_exactly_zero(family: str) -> None:
    estimate, targets, body = scene()
    rotmats, betas = people(4, seed=2)
    for value in (rotmats, betas):
        value.requires_grad_()
    points, skin = body(rotmats, betas)
    _, parts = body_losses(recipe(family), [Estimate(rotmats, betas, estimate.cam, points, skin)], unlabelled(targets))
    three = [value for name, value in parts.items() if name not in ("points", "scale")]
    assert len(three) >= 2
    for value in three:
        assert float(value.detach()) == 0.0
        for gradient in torch.autograd.grad(value, (rotmats, betas), retain_graph=True, allow_unused=True):
            assert gradient is None or float(gradient.abs().max()) == 0.0
    assert float(parts["points"].detach()) > 0


def test_2d_alone_moves_the_body_and_both_kinds_learn_together() -> None:
    """A batch of half labelled people: both halves come nearer, the unlabelled one in the picture."""
    _, targets, body = scene(6)
    labelled = torch.tensor([1.0, 1, 1, 0, 0, 0])
    mixed = replace(
        targets, known=targets.known * labelled[:, None], turned=targets.turned * labelled[:, None],
        shaped=targets.shaped * labelled,
    )  # fmt: skip
    rotvec = torch.zeros(6, 22, 3, requires_grad=True)
    betas, cam = torch.zeros(6, 10, requires_grad=True), torch.tensor([[1.2, 0.0, 0.0]]).repeat(6, 1).requires_grad_()
    optimiser = torch.optim.Adam([rotvec, betas, cam], lr=0.03)
    errors: list[tuple[Any, Any]] = []
    for _ in range(120):
        rotmats = axis_angle_to_matrix(rotvec)
        points, skin = body(rotmats, betas)
        total, _ = body_losses(recipe("cliff"), [Estimate(rotmats, betas, cam, points, skin)], mixed)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        flat = project("full", points, cam, targets).detach()
        apart = rootless(points.detach(), POINTS, ("pelvis",))[0] - rootless(targets.joints, POINTS, ("pelvis",))[0]
        errors.append(((flat - targets.points).norm(dim=-1).mean(1), apart.norm(dim=-1).mean(1)))
    assert (errors[-1][0] < 0.25 * errors[0][0]).all()
    assert (errors[-1][1][:3] < 0.25 * errors[0][1][:3]).all()
    assert errors[-1][1][3:].mean() > 2 * errors[-1][1][:3].mean()  # 2D alone leaves depth open


@pytest.mark.parametrize("family", RECIPES)
def test_pieces_of_a_batch_cost_what_the_whole_costs(family: str) -> None:
    """However unevenly what is known is spread over them: loss and gradients of the pieces' mean, to 1e-5."""
    _, targets, body = scene(6)
    generator = torch.Generator().manual_seed(1)
    seen = targets.seen * (torch.rand(targets.seen.shape, generator=generator) < torch.linspace(0.1, 1, 6)[:, None])
    labelled = torch.tensor([0.0, 0, 0, 1, 0, 1])
    mixed = replace(
        targets, seen=seen, known=targets.known * labelled[:, None], turned=targets.turned * labelled[:, None],
        shaped=targets.shaped * labelled,
    )  # fmt: skip
    which = replace(recipe(family), projection="full")
    rotmats, betas = people(6, seed=8)
    given = [value.requires_grad_() for value in (rotmats, betas, torch.tensor([[1.2, 0.1, 0.0]]).repeat(6, 1))]

    def cost(rows: Any, whole: Any = None) -> tuple[Any, Any]:
        of, some = [value[rows] for value in given], take(mixed, rows)
        estimate = Estimate(of[0], of[1], of[2], *body(of[0], of[1]))
        return body_losses(which, [estimate], some, whole=whole)[0], amounts(which, some)

    pieces = [torch.arange(0, 3), torch.arange(3, 6)]
    mean = torch.stack([cost(rows)[1] for rows in pieces]).mean(dim=0)
    total = torch.stack([cost(rows, (mean, 2))[0] for rows in pieces]).mean()
    alone = cost(torch.arange(6))[0]
    torch.testing.assert_close(total, alone, rtol=1e-5, atol=0)
    for ours, wanted in zip(torch.autograd.grad(total, given), torch.autograd.grad(alone, given), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    unweighed = torch.stack([cost(rows)[0] for rows in pieces]).mean()
    apart = (unweighed - alone).detach()
    assert abs(float(apart)) > 1e-3 * float(alone.detach()), "so the pieces differ"


def take(targets: Targets, rows: Any) -> Targets:
    """Some of the people."""
    some = {name: value[rows] for name, value in vars(targets).items() if name != "body" and value is not None}
    assert targets.body is not None
    return Targets(**some, body=(targets.body[0][rows], targets.body[1][rows]))


def test_all_stages_or_the_last() -> None:
    estimate, targets, body = scene()
    rotmats, betas = people(4, seed=3)
    wrong = Estimate(rotmats, betas, estimate.cam, *body(rotmats, betas))
    last = replace(recipe("cliff"), scale=0.0)
    assert float(body_losses(last, [wrong, estimate], targets)[0]) < 1e-2
    alone = float(body_losses(last, [wrong], targets)[0])
    both = float(body_losses(replace(last, stages="all"), [wrong, estimate], targets)[0])
    assert both == pytest.approx(alone / 2, rel=1e-3)


def test_data_sets_weigh() -> None:
    estimate, targets, body = scene()
    shifted = replace(estimate, cam=estimate.cam + 0.1)
    full = body_losses(recipe("cliff"), [shifted], targets)[1]["points"]
    less = body_losses(recipe("cliff"), [shifted], replace(targets, share=0.5 * targets.share))[1]["points"]
    assert float(less) == pytest.approx(0.5 * float(full), rel=1e-5)
    assert body.names == POINTS


def test_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match="there are hmr, spin"):
        recipe("nobody")
