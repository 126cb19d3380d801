"""Threshold-adaptive loss scaling: what lies below its threshold counts 1/20, exact truth is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monocap.data.tals_thresholds import TalsThresholds, read_tals_thresholds
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.skeletons import get
from monocap.train.body_losses import Estimate, Targets, body_losses, project, recipe
from monocap.train.posed_body import POINTS
from monocap.train.tals import Tals, loosened

K, J = len(POINTS), 22
HMR2 = recipe("hmr2")


def thresholds() -> TalsThresholds:
    names = get("smplx55").joint_names[:J]
    return TalsThresholds(
        {name: 0.006 + 0.0001 * i for i, name in enumerate(POINTS)},
        {name: 0.10 + 0.001 * i for i, name in enumerate(POINTS)},
        {name: 0.20 + 0.01 * i for i, name in enumerate(names)},
    )


def scene(people: int = 2) -> tuple[Estimate, Targets]:
    """An estimate that agrees with the truth in everything."""
    points = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (people, K, 3)).astype(np.float32))
    eye = torch.eye(3).expand(people, J, 3, 3).clone()
    cam = torch.tensor([[0.9, 0.05, -0.02]]).repeat(people, 1)
    estimate = Estimate(eye, torch.zeros(people, 10), cam, points)
    blank = Targets(
        points=torch.zeros(people, K, 2), seen=torch.ones(people, K), joints=points.clone(),
        known=torch.ones(people, K), rotmats=eye.clone(), turned=torch.ones(people, J),
        betas=torch.ones(people, 10), shaped=torch.ones(people), share=torch.ones(people),
        center=torch.zeros(people, 2), size=torch.full((people,), 256.0), focal=torch.full((people,), 1000.0),
    )  # fmt: skip
    return estimate, replace(blank, points=project("hmr2", points, cam, blank))


NOBODY, EVERYBODY = torch.tensor([False, False]), torch.tensor([True, True])


@pytest.mark.parametrize("form", ["code", "paper"])
def test_crossing_a_2d_threshold_switches_the_loss_by_one_over_alpha(form: str) -> None:
    estimate, targets = scene()
    tals = Tals.of(thresholds(), form=form)  # type: ignore[arg-type]
    k = POINTS.index("left_wrist")
    limit = float(tals.points[k]) ** (0.5 if form == "code" else 1.0)  # crop widths, along one axis
    losses = []
    for factor in (0.999, 1.001):
        moved = targets.points.clone()
        moved[0, k, 0] += 2 * factor * limit  # −1…1 is two crop widths' halves
        shifted = replace(targets, points=moved)
        loose = loosened(tals, HMR2, estimate, shifted, NOBODY)
        losses.append(float(body_losses(HMR2, [estimate], loose)[1]["points"]))
        plain = float(body_losses(HMR2, [estimate], shifted)[1]["points"])
    assert losses[1] / losses[0] == pytest.approx(20 * 1.001 / 0.999, rel=1e-3)
    assert losses[1] == pytest.approx(plain, rel=1e-3)


def test_2d_of_exact_data_is_loosened_by_the_code_but_not_by_the_paper() -> None:
    estimate, targets = scene()
    moved = replace(targets, points=targets.points + 0.01)
    code = loosened(Tals.of(thresholds()), HMR2, estimate, moved, EVERYBODY)
    paper = loosened(Tals.of(thresholds(), form="paper"), HMR2, estimate, moved, EVERYBODY)
    assert torch.allclose(code.seen, torch.full_like(code.seen, 0.05))
    assert torch.equal(paper.seen, targets.seen)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_crossing_an_angle_switches_and_exact_truth_is_exempt(form: str) -> None:
    estimate, targets = scene()
    tals = Tals.of(thresholds(), form=form)  # type: ignore[arg-type]
    j = get("smplx55").joint_names.index("right_elbow")
    weights = []
    for factor in (0.99, 1.01):
        angle = np.zeros(3)
        angle[1] = factor * float(tals.rotations[j])
        turned = targets.rotmats.clone()
        turned[:, j] = torch.from_numpy(axis_angle_to_matrix(angle)).float()
        loose = loosened(tals, HMR2, estimate, replace(targets, rotmats=turned), torch.tensor([False, True]))
        weights.append(loose.turned[:, j].tolist())
    assert weights[0] == pytest.approx([0.05, 1.0])
    assert weights[1] == pytest.approx([1.0, 1.0])


def test_pseudo_truth_whose_2d_is_good_has_no_3d_and_no_betas() -> None:
    estimate, targets = scene()
    moved = targets.points.clone()
    moved[:, 3] += 1.0  # far off: strong
    loose = loosened(Tals.of(thresholds()), HMR2, estimate, replace(targets, points=moved), torch.tensor([False, True]))
    assert loose.known[0].nonzero().flatten().tolist() == [3]
    assert torch.equal(loose.known[1], targets.known[1])
    assert loose.shaped.tolist() == [0.0, 1.0]
    paper = loosened(Tals.of(thresholds(), form="paper"), HMR2, estimate, replace(targets, points=moved), NOBODY)
    assert torch.equal(paper.known, targets.known)
    assert torch.equal(paper.shaped, targets.shaped)


def test_what_is_unknown_stays_unknown_and_may_be_nan() -> None:
    estimate, targets = scene()
    targets.points[0, 5] = float("nan")
    targets.seen[0, 5] = 0.0
    targets.rotmats[1, 4] = float("nan")
    targets.turned[1, 4] = 0.0
    loose = loosened(Tals.of(thresholds()), HMR2, estimate, targets, NOBODY)
    assert loose.seen[0, 5] == 0
    assert loose.turned[1, 4] == 0
    assert torch.isfinite(loose.seen).all()


def test_gradients_of_the_loss_pass_and_none_passes_through_the_switch() -> None:
    estimate, targets = scene()
    points = estimate.points.clone().requires_grad_()
    moved = replace(targets, points=targets.points + 0.3)
    mine = replace(estimate, points=points)
    loose = loosened(Tals.of(thresholds()), HMR2, mine, moved, NOBODY)
    assert not loose.seen.requires_grad
    body_losses(HMR2, [mine], loose)[0].backward()
    assert points.grad is not None
    assert points.grad.abs().sum() > 0


def test_a_file_of_thresholds_comes_back_and_others_are_refused(tmp_path) -> None:
    path = tmp_path / "tals.json"
    thresholds().write(path)
    back = read_tals_thresholds(path)
    assert back.points == pytest.approx(dict(thresholds().points))
    assert back.of_points(("left_wrist", "no such point"))[1] == pytest.approx(np.median(list(back.points.values())))
    for text in ("[]", "{}", '{"schema": "other"}', path.read_text().replace("0.2,", "-0.2,", 1), "\0"):
        path.write_text(text)
        with pytest.raises(InputError, match="monocap evaluate tals"):
            read_tals_thresholds(path)
    with pytest.raises(InputError, match="no such file"):
        read_tals_thresholds(tmp_path / "missing.json")
