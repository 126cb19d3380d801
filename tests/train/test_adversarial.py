"""Adversarial priors: each player learns from its own loss only, and one optimiser is two in turn."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from monocap.bodies import load_body  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import matrix_to_axis_angle  # noqa: E402
from monocap.nets.pose_discriminator import PoseDiscriminator  # noqa: E402
from monocap.nets.vibe import MotionDiscriminator  # noqa: E402
from monocap.priors import PoseLimits  # noqa: E402
from monocap.train.adversarial import Adversary, RealPoses, discriminator_loss, joined, network_loss  # noqa: E402

OPEN = load_body("open")


class Judge(torch.nn.Module):
    """A small discriminator of the interface (N,J−1,3,3), (N,10) to (N,S)."""

    def __init__(self, joints: int = 21) -> None:
        super().__init__()
        self.layer = torch.nn.Sequential(
            torch.nn.Linear(9 * joints + 10, 48), torch.nn.ReLU(), torch.nn.Linear(48, joints + 2)
        )

    def forward(self, rotations: Any, betas: Any) -> Any:
        return self.layer(torch.cat([rotations.flatten(1), betas], dim=1))


def test_losses_are_least_squares() -> None:
    scores, others = torch.tensor([[0.0, 2.0], [1.0, 0.5]]), torch.tensor([[1.0, 1.0]])
    assert float(network_loss(scores)) == pytest.approx((1 + 1 + 0 + 0.25) / 2)
    assert float(discriminator_loss(others, scores)) == pytest.approx((0 + 4 + 1 + 0.25) / 2)
    assert float(network_loss(others)) == 0.0


def test_each_player_learns_from_its_own_loss() -> None:
    torch.manual_seed(0)
    adversary = Adversary(Judge())
    turns, betas = torch.randn(6, 21, 3, 3, requires_grad=True), torch.randn(6, 10, requires_grad=True)
    scores = adversary((torch.randn(9, 21, 3, 3), torch.randn(9, 10)), (turns, betas))
    assert scores.network.shape == scores.fake.shape == (6, 23)
    assert torch.equal(scores.network.detach(), scores.fake.detach())
    weights = list(adversary.parameters())
    network = torch.autograd.grad(
        scores.losses(1.0)["adversarial"], [turns, betas, *weights], retain_graph=True, allow_unused=True
    )
    assert all(float(value.abs().sum()) > 0 for value in network[:2])
    assert all(value is None for value in network[2:])
    judge = torch.autograd.grad(scores.losses(1.0)["discriminator"], [turns, betas, *weights], allow_unused=True)
    assert all(value is None for value in judge[:2])
    assert all(float(value.abs().sum()) > 0 for value in judge[2:])


class Poser(torch.nn.Module):
    """Estimates rotations and betas from noise."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 22 * 9 + 10)

    def forward(self, noise: Any) -> tuple[Any, Any]:
        out = self.layer(noise)
        return out[:, :198].reshape(-1, 22, 3, 3), out[:, 198:]


def test_real_discriminators_fit() -> None:
    """HMR's of poses, VIBE's of motions."""
    poses = Adversary(PoseDiscriminator(21))
    scores = poses((torch.randn(3, 21, 3, 3), torch.randn(3, 10)), (torch.randn(2, 21, 3, 3), torch.randn(2, 10)))
    assert (scores.real.shape, scores.fake.shape) == ((3, 23), (2, 23))
    motions = Adversary(MotionDiscriminator().eval())
    fake = torch.randn(2, 5, 69, requires_grad=True)
    scores = motions((torch.randn(3, 5, 69),), (fake,))
    assert scores.network.shape == (2, 1)
    scores.losses(0.5)["adversarial"].backward()
    assert float(fake.grad.abs().sum()) > 0
    assert all(value.grad is None for value in motions.parameters())


def test_one_optimiser_is_two_in_turn() -> None:
    """Network first, then the discriminator on the estimates of before: HMR 2.0's order."""
    torch.manual_seed(3)
    network, judge = Poser(), Judge()
    theirs, other = copy.deepcopy(network), copy.deepcopy(judge)
    adversary = Adversary(judge)
    together = torch.optim.AdamW(
        [{"params": network.parameters(), "lr": 1e-3}, {"params": adversary.parameters(), "lr": 1e-2}]
    )
    first = torch.optim.AdamW(theirs.parameters(), 1e-3)
    second = torch.optim.AdamW(other.parameters(), 1e-2)
    for _ in range(10):
        noise, real = torch.randn(5, 8), (torch.randn(5, 21, 3, 3), torch.randn(5, 10))
        losses = adversary(real, joined([network(noise)])).losses(1.0)
        together.zero_grad()
        (losses["adversarial"] + losses["discriminator"]).backward()
        together.step()

        fake = joined([theirs(noise)])
        first.zero_grad()
        network_loss(other(*fake)).backward()
        first.step()
        second.zero_grad()
        discriminator_loss(other(*real), other(*(value.detach() for value in fake))).backward()
        second.step()
    for mine, wanted in zip([*network.parameters(), *judge.parameters()],
                            [*theirs.parameters(), *other.parameters()], strict=True):  # fmt: skip
        assert torch.equal(mine, wanted)


@pytest.fixture(scope="module")
def real() -> RealPoses:
    return RealPoses.of_priors(OPEN)


def test_discriminator_tells_human_poses_from_nonsense(real: RealPoses) -> None:
    torch.manual_seed(1)
    adversary = Adversary(Judge())
    optimiser = torch.optim.Adam(adversary.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def nonsense(count: int) -> tuple[Any, Any]:
        q, _ = torch.linalg.qr(torch.randn(count, 21, 3, 3, generator=generator))
        return q, 2 * torch.randn(count, 10, generator=generator)

    for step in range(60):
        loss = adversary(real.draw(32, step), nonsense(32)).losses(1.0)["discriminator"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        scores = adversary(real.draw(200, 1000), nonsense(200))
    assert float(scores.real.mean()) > 0.8
    assert float(scores.fake.mean()) < 0.2


def test_all_stages_are_shown() -> None:
    stages = [(torch.randn(4, 22, 3, 3), torch.randn(4, 10)) for _ in range(3)]
    turns, betas = joined(stages)
    assert turns.shape == (12, 21, 3, 3)
    assert torch.equal(turns[4:8], stages[1][0][:, 1:])
    assert torch.equal(betas[8:], stages[2][1])


def test_real_poses_of_priors_are_human_and_repeatable(real: RealPoses) -> None:
    assert len(real.poses) > 1000
    assert PoseLimits.load().allows(real.poses, 0.06).all()
    turns, betas = real.draw(64, 7)
    assert turns.shape == (64, 21, 3, 3)
    assert torch.equal(turns, real.draw(64, 7)[0])
    assert not torch.equal(turns, real.draw(64, 8)[0])
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand_as(turns), atol=1e-5, rtol=0)
    assert torch.linalg.det(turns).min() > 0.99
    assert 0.3 < float(betas.std()) < 2


def test_real_poses_of_a_corpus(corpus: Path) -> None:
    real = RealPoses.of_corpus(corpus, OPEN, joints=23)
    turns, _ = real.draw(50, 0)
    assert turns.shape == (50, 23, 3, 3)
    assert torch.equal(turns[:, 21:], torch.eye(3).expand(50, 2, 3, 3))
    pose = matrix_to_axis_angle(turns[:, :21].double().numpy()).reshape(50, 63)
    same = np.abs(pose[:, None] - real.poses[None]).max(axis=-1).min(axis=1) < 1e-4
    assert 0.2 < np.mean(same) < 0.8  # the others are mirrored
    with pytest.raises(InputError, match="21, or SMPL's 23"):
        RealPoses(real.poses, np.ones(len(real.poses)), real.shapes, joints=22)
    with pytest.raises(InputError, match="weight 0"):
        RealPoses(real.poses, np.zeros(len(real.poses)), real.shapes)
