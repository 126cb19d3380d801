"""Batched L-BFGS: as good as torch's own on each sample alone, and no sample touches another."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from monocap.errors import InputError  # noqa: E402
from monocap.fitting.lbfgs import Limits, minimise  # noqa: E402

DOUBLE = torch.float64


def rosenbrock(x, samples):
    return torch.sum(100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2, dim=1)


class Valley:
    """Ill-conditioned (10⁴), bent by fourth powers, least (1) at ``centre``, which each sample has for itself."""

    def __init__(self, count: int, size: int) -> None:
        generator = torch.Generator().manual_seed(3)
        self.centre = torch.randn(count, size, generator=generator, dtype=DOUBLE)
        self.scale = torch.logspace(0, 4, size, dtype=DOUBLE)

    def __call__(self, x, samples):
        off = x - self.centre[samples].to(x.dtype)
        return 1 + torch.sum(0.5 * self.scale.to(x.dtype) * off**2 + 1e-4 * off**4, dim=1)


def robust(x, samples):
    """Geman–McClure of a curved map: many valleys, as in the fit."""
    seed = torch.linspace(-2, 2, x.shape[1] * 12, dtype=x.dtype).reshape(x.shape[1], 12)
    error = torch.sin(x @ seed.cos() * 1.3) + 0.3 * (x @ seed.sin()) - 0.1 * (samples[:, None] % 5 + 1)
    return torch.sum(error**2 / (1 + error**2), dim=1) + 0.01 * torch.sum(x**2, dim=1) + 0.1


def torchs_own(energy, x0, sample: int) -> float:
    x = x0[sample : sample + 1].clone().requires_grad_()
    own = torch.optim.LBFGS(
        [x], max_iter=900, max_eval=1110, history_size=100, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure():
        own.zero_grad()
        value = energy(x, torch.tensor([sample])).sum()
        value.backward()
        return value

    for _ in range(3):
        own.step(closure)
    return float(energy(x.detach(), torch.tensor([sample])))


@pytest.mark.parametrize("name", ["rosenbrock", "valley", "robust"])
def test_reaches_what_torchs_own_reaches(name: str) -> None:
    generator = torch.Generator().manual_seed(7)
    start = {"rosenbrock": (10, 6), "valley": (4, 24), "robust": (10, 16)}[name]
    energy = {"rosenbrock": rosenbrock, "valley": Valley(*start), "robust": robust}[name]
    x0 = 1.2 * torch.randn(start, generator=generator, dtype=DOUBLE)
    found = minimise(energy, x0)
    own = np.array([torchs_own(energy, x0, i) for i in range(len(x0))])
    ratio = (found.value.numpy() + 1e-3) / (own + 1e-3)  # Rosenbrock's least value is 0
    assert 0.98 <= np.median(ratio) <= 1.02
    assert ratio.max() <= 1.15
    assert found.converged.all()
    np.testing.assert_allclose(energy(found.x, torch.arange(len(x0))), found.value)


def test_a_sample_alone_goes_the_same_way() -> None:
    generator = torch.Generator().manual_seed(1)
    x0 = 1.2 * torch.randn(5, 20, generator=generator, dtype=DOUBLE)
    energy = Valley(5, 20)
    together = minimise(energy, x0, Limits(iterations=40))
    for i in range(5):
        alone = minimise(lambda x, samples, i=i: energy(x, samples + i), x0[i : i + 1], Limits(iterations=40))
        np.testing.assert_allclose(alone.x[0], together.x[i], rtol=1e-6, atol=1e-9)
        assert alone.evaluations[0] == together.evaluations[i]


def test_only_samples_that_search_are_evaluated() -> None:
    calls = []

    def energy(x, samples):
        calls.append(samples.tolist())
        return torch.sum((1 + 1000.0 * (samples[:, None] == 1) * torch.arange(4)) * x**2 + x**4, dim=1)

    found = minimise(energy, torch.stack([torch.zeros(4), torch.full((4,), 2.0)]).double())
    assert calls[0] == [0, 1]
    assert all(call == [1] for call in calls[1:])  # the first starts where it should end
    np.testing.assert_array_equal(found.evaluations, [1, len(calls)])


def test_walls_of_nan_stop_nobody_else() -> None:
    """Left of 0.9 the third energy is not a number, at once for sample 2, on the way for sample 1."""

    def energy(x, samples):
        value = torch.sum(x**2 + (x - 0.4) ** 4, dim=1)
        return torch.where((samples > 0) & (x[:, 0] < 0.9), torch.nan, value)

    x0 = torch.tensor([[3.0, 1.0], [3.0, 1.0], [0.1, 1.0]], dtype=DOUBLE)
    found = minimise(energy, x0, trace=True)
    free = minimise(lambda x, samples: energy(x, 0 * samples), x0[:1])
    np.testing.assert_allclose(found.x[0], free.x[0], atol=1e-9)
    assert 0.9 <= found.x[1, 0] < 1.5
    assert found.value[1] < 10  # it went down to the wall
    assert torch.isfinite(found.value[:2]).all()
    np.testing.assert_array_equal(found.x[2], x0[2])
    np.testing.assert_array_equal(found.failed, [False, found.failed[1], True])
    assert found.trace is not None
    assert (np.diff(found.trace[:2], axis=1) <= 1e-12).all()  # values never rise


def test_never_above_the_start_in_single_precision() -> None:
    energy = Valley(8, 30)
    x0 = torch.randn(8, 30, generator=torch.Generator().manual_seed(5))
    found = minimise(energy, x0, Limits(iterations=300))
    assert found.x.dtype == torch.float32
    assert (found.value <= energy(x0, torch.arange(8))).all()
    assert found.value.median() < 1.01


def test_caps_hold() -> None:
    x0 = torch.zeros(3, 8, dtype=DOUBLE)
    found = minimise(rosenbrock, x0, Limits(iterations=7))
    np.testing.assert_array_equal(found.iterations, 7)
    assert not found.converged.any()
    few = minimise(rosenbrock, x0, Limits(evaluations=9))
    assert (few.evaluations <= 9 + Limits().search).all()
    assert (few.value < rosenbrock(x0, None)).all()


def test_histories_longer_than_their_capacity() -> None:
    energy = Valley(2, 20)
    x0 = torch.randn(2, 20, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    found = minimise(energy, x0, Limits(history=6, change=1e-4))
    assert (found.value < 1.01).all()


def test_nothing_to_minimise_and_wrong_starts() -> None:
    assert minimise(rosenbrock, torch.zeros(0, 4)).x.shape == (0, 4)
    with pytest.raises(InputError, match="expected floating point"):
        minimise(rosenbrock, torch.zeros(4))
