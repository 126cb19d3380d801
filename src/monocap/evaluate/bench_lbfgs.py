"""The batched L-BFGS beside ``torch.optim.LBFGS`` with strong Wolfe, sample by sample, on the same energies."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from monocap.bodies import load_body
from monocap.evaluate.smplifyx_truth import people
from monocap.evaluate.stopwatch import Figures, one_torch_thread
from monocap.fitting.lbfgs import Energy, Limits, minimise
from monocap.fitting.smplifyx import faithful_energy
from monocap.fitting.smplifyx.schedule import schedule_for
from monocap.fitting.smplifyx.state import Model
from monocap.geometry.rotations import matrix_to_axis_angle
from monocap.priors.vposer import VPoserPrior

SAMPLES = {"rosenbrock": 40, "quadratic": 20}
STAGES = (0, 2, 4)


def bench_lbfgs(pictures: int) -> Figures:
    """Final energy of ours divided by torch's (median, least and largest over the samples), evaluations of both, CPU
    seconds.

    ``rosenbrock`` in 10 dimensions; a bent ``quadratic`` of condition 10⁶ in 40; ``smplifyx``: three of the published
    stages (the first, the third, the last) for ``pictures`` people, each from where ours left the one before.
    Energies near 0 are compared with 10⁻⁶ added.
    """
    generator = torch.Generator().manual_seed(4)
    figures: Figures = {}
    with threadpool_limits(1), one_torch_thread():
        for name, energy, size in (("rosenbrock", _rosenbrock, 10), ("quadratic", _quadratic(40, generator), 40)):
            x0 = 1.3 * torch.randn(SAMPLES[name], size, generator=generator, dtype=torch.float64)
            figures |= _figures(name, _both(energy, x0)[1:])
        figures |= _smplifyx(pictures)
    return figures


def _smplifyx(pictures: int) -> Figures:
    body = load_body("open")
    truth = people(body, pictures, np.random.default_rng(21), "openpose118")
    model, schedule = Model.of(body, "openpose118", VPoserPrior.load()), schedule_for("smplx")
    energy = faithful_energy.Energy(model, truth.views, schedule)
    x = torch.zeros(pictures, model.layout.size, dtype=torch.float64)
    x[:, model.layout["transl"]] = torch.from_numpy(truth.parameters["transl"])
    x[:, model.layout["root"]] = torch.from_numpy(matrix_to_axis_angle(np.diag([1.0, -1.0, -1.0])))
    found = []
    for number in STAGES:
        x, *rest = _both(energy.stage(schedule.stages[number]), x)
        found.append(rest)
    return _figures("smplifyx", [np.concatenate(part) for part in zip(*found, strict=True)])


def _both(energy: Energy, x0: Tensor) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where ours ended; values and evaluations of both, and CPU seconds per sample of ours and torch's (2,)."""
    begun = time.process_time()
    ours = minimise(energy, x0)
    middle = time.process_time()
    others = [_torchs(energy, x0[i : i + 1], i) for i in range(len(x0))]
    seconds = np.array([middle - begun, time.process_time() - middle])[None]
    values, evaluations = (np.array(part) for part in zip(*others, strict=True))
    return ours.x, ours.value.numpy(), ours.evaluations, values, evaluations, seconds


def _figures(name: str, parts: list[np.ndarray] | tuple[np.ndarray, ...]) -> Figures:
    ours, mine, others, theirs, seconds = parts
    ratio = (ours + 1e-6) / (others + 1e-6)
    spent = seconds.sum(axis=0)
    return {
        f"{name}_samples": len(ours),
        f"{name}_ratio_median": round(float(np.median(ratio)), 6),
        f"{name}_ratio_least": round(float(ratio.min()), 6),
        f"{name}_ratio_worst": round(float(ratio.max()), 6),
        f"{name}_evaluations": float(np.median(mine)),
        f"{name}_torch_evaluations": float(np.median(theirs)),
        f"{name}_cpu_s_per_sample": round(float(spent[0]) / len(ours), 5),
        f"{name}_torch_cpu_s_per_sample": round(float(spent[1]) / len(ours), 5),
        f"{name}_evaluations_per_cpu_s": round(float(mine.sum() / spent[0]), 1),
        f"{name}_torch_evaluations_per_cpu_s": round(float(theirs.sum() / spent[1]), 1),
    }


def _torchs(energy: Energy, x0: Tensor, sample: int) -> tuple[float, int]:
    """As the published outer loop: up to 30 steps of 30 iterations, until a step changes too little."""
    limits = Limits()
    x, index = x0.clone().requires_grad_(), torch.tensor([sample])
    optimiser = torch.optim.LBFGS([x], max_iter=30, history_size=limits.history, line_search_fn="strong_wolfe",
                                  tolerance_grad=limits.gradient, tolerance_change=limits.move)  # fmt: skip
    count, before = 0, None

    def closure() -> Tensor:
        nonlocal count
        count += 1
        optimiser.zero_grad()
        value = energy(x, index).sum()
        value.backward()
        return value

    for _ in range(30):
        value = float(optimiser.step(closure).detach())  # type: ignore[arg-type,union-attr]
        if before is not None and before - value <= limits.change * max(abs(before), abs(value), 1.0):
            break
        before = value
    return float(energy(x.detach(), index)[0]), count


def _rosenbrock(x: Tensor, _: Tensor) -> Tensor:
    return torch.sum(100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2, dim=1)


def _quadratic(size: int, generator: torch.Generator) -> Callable[[Tensor, Tensor], Tensor]:
    scale = torch.logspace(0, 6, size, dtype=torch.float64)
    centre = torch.randn(SAMPLES["quadratic"], size, generator=generator, dtype=torch.float64)

    def energy(x: Tensor, samples: Tensor) -> Tensor:
        off = x - centre[samples]
        return 1 + torch.sum(0.5 * scale * off**2 + 1e-3 * off**4, dim=1)

    return energy
