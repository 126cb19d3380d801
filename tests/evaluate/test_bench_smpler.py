"""What the bench of SMPLer compares is the same attention, and counts as the textbook does."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from monocap.evaluate import bench_smpler  # noqa: E402
from monocap.evaluate.bench_smpler import TARGETS, attention_costs, multiplications  # noqa: E402
from monocap.nets.smpler.attention import Attention  # noqa: E402


def test_decoupled_grows_linearly_and_full_quadratically():
    steps = {
        kind: [multiplications(kind, 26, pixels) for pixels in (10_000, 20_000, 30_000)]
        for kind in ("full", "decoupled", "folded")
    }
    for kind, (a, b, c) in steps.items():
        assert (c - b == b - a) == (kind != "full")
        assert c - 2 * b + a == (2 * 10_000**2 * 2 * bench_smpler.WIDTH if kind == "full" else 0)
    many = [multiplications("decoupled", targets, 4165) for targets in TARGETS]
    assert many == sorted(many)


def test_folded_attention_is_the_decoupled_one():
    torch.manual_seed(0)
    attention = Attention(bench_smpler.WIDTH, bench_smpler.HEADS, 0.0).eval()
    tokens, image = torch.randn(1, 26, bench_smpler.WIDTH), torch.randn(1, 50, bench_smpler.WIDTH)
    with torch.no_grad():
        a, b = (f(attention, tokens, image) for f in (bench_smpler._folded, bench_smpler._decoupled))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_every_kind_is_measured(monkeypatch):
    monkeypatch.setattr(bench_smpler, "PIXELS", (4, 9))
    monkeypatch.setattr(bench_smpler, "TARGETS", {3: "few", 5: "more"})
    costs = attention_costs(1)
    kinds = {(3, "decoupled"), (3, "full"), (3, "folded"), (5, "decoupled")}
    assert {(c.targets, c.kind, c.pixels) for c in costs} == {(t, k, p) for t, k in kinds for p in (4, 9)}
    assert all(c.milliseconds >= 0 and c.mmacs > 0 for c in costs)
    figures = bench_smpler._attention(1)
    assert {name for name in figures if name.endswith("_power")} == {f"{k}_{t}_power" for t, k in kinds}
