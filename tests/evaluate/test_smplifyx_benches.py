"""The benchmarks of the published fit, in small, and the synthetic people that they measure."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.evaluate.smplifyx_truth import people


def test_people_are_seen_where_they_are(rng) -> None:
    body = load_body("open")
    for video in (False, True):
        truth = people(body, 60 if video else 12, rng, "openpose67", noise=0.0, video=video)
        points = body.keypoints("openpose67", **truth.parameters)
        pixels = truth.views.K[:, None, [0, 1], [0, 1]] * points[..., :2] / points[..., 2:] + [960, 540]
        np.testing.assert_allclose(pixels, truth.views.keypoints[..., :2], atol=1e-2)
        assert (points[..., 2] > 1).all()
        if video:
            np.testing.assert_allclose(truth.parameters["betas"], truth.parameters["betas"][:1].repeat(60, 0))
            assert np.abs(np.diff(points, axis=0)).max() < 0.5


def test_figures_of_the_optimiser(monkeypatch) -> None:
    pytest.importorskip("torch", reason="L-BFGS runs on torch")
    from monocap.evaluate import bench_lbfgs

    monkeypatch.setattr(bench_lbfgs, "SAMPLES", {"rosenbrock": 3, "quadratic": 1})
    monkeypatch.setattr(bench_lbfgs, "STAGES", (0,))
    figures = bench_lbfgs.bench_lbfgs(1)
    for name in ("rosenbrock", "quadratic", "smplifyx"):
        assert 0.98 <= float(figures[f"{name}_ratio_median"]) <= 1.02
        assert float(figures[f"{name}_ratio_worst"]) <= 1.15


def test_figures_of_both_fits() -> None:
    pytest.importorskip("torch", reason="the published fit runs on torch")
    from monocap.evaluate.bench_smplifyx import bench_smplifyx
    from monocap.fitting.lbfgs import Limits
    from monocap.fitting.smplifyx.faithful import Faithful

    figures = bench_smplifyx(1, images=2, frames=20, published=Faithful(limits=Limits(iterations=8)))
    assert all(isinstance(value, int | float | str) for value in figures.values())
    for name in ("faithful", "fast_image", "fast_video"):
        assert float(figures[f"{name}_cpu_s_per_frame"]) > 0
        assert 0 < float(figures[f"{name}_pa_v2v_mm"]) < 200
    ratio = float(figures["faithful_cpu_s_per_frame"]) / float(figures["fast_image_cpu_s_per_frame"])
    np.testing.assert_allclose(float(figures["fast_image_ratio"]), ratio, rtol=0.05)
    assert float(figures["energy_ratio"]) < 1.2
