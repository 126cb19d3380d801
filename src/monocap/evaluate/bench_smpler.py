"""What SMPLer costs beside its backbone, and what its attention costs beside attention of everything to everything."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from monocap.evaluate.stopwatch import Figures, milliseconds, one_torch_thread, race
from monocap.nets.onnx_export import export_network
from monocap.nets.registry import build
from monocap.nets.smpler.attention import Attention

WIDTH, HEADS = 128, 4
PIXELS = (49, 196, 784, 3136, 12544)  # maps of side 7, 14, 28, 56, as HRNet's at 224 px, and 112
TARGETS = {26: "24 joints, shape, camera", 431: "a coarse mesh", 6890: "SMPL's mesh"}


def bench_smpler(repeats: int) -> Figures:
    """SMPLer-W32 on one picture, one thread: milliseconds of the backbone alone (``backbone``), of the network in torch
    (``torch``) and as ONNX (``onnx``), their ratios by CPU time, and how far the answers differ.

    Then `attention_costs`: milliseconds of one layer's attention, and the power of the image's pixels with which
    they grow from 56² to 112².
    """
    with threadpool_limits(1), one_torch_thread(), torch.inference_mode():
        return {"repeats": repeats, **_network(repeats), **_attention(repeats)}


def _network(repeats: int) -> Figures:
    net = build("smpler-w32").eval()
    image = net.example(1)["image"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "smpler.onnx"
        difference = export_network(path, net)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    times = race(
        {
            "backbone": lambda: net.encoder(image),
            "torch": lambda: net.answer(image),
            "onnx": lambda: session.run(None, {"image": image.numpy()}),
        },
        repeats,
    )
    cpu = {name: seconds for name, (_, seconds) in times.items()}
    return {
        **milliseconds(times),
        "torch_over_backbone": round(cpu["torch"] / cpu["backbone"], 3),
        "torch_over_onnx": round(cpu["torch"] / cpu["onnx"], 3),
        "onnx_difference": float(f"{difference:.2g}"),
    }


@dataclass(frozen=True)
class Cost:
    """CPU ``milliseconds`` (median) and million multiplications ``mmacs`` of ``targets`` and an image of ``pixels``."""

    kind: str
    targets: int
    pixels: int
    milliseconds: float
    mmacs: float


def attention_costs(repeats: int) -> list[Cost]:
    """Attention of one layer, width 128, 4 heads, float32, without its feed-forward part, one thread.

    ``full``: targets and pixels together, each attending to all. ``decoupled``: targets attend to pixels, then to one
    another. ``folded``: the same numbers with keys and values never computed (`monocap.nets.smpler.attention`).
    """
    torch.manual_seed(0)
    attention = Attention(WIDTH, HEADS, 0.0).eval()
    costs = []
    with threadpool_limits(1), one_torch_thread(), torch.inference_mode():
        for pixels in PIXELS:
            image = torch.randn(1, pixels, WIDTH)
            for targets in TARGETS:
                tokens = torch.randn(1, targets, WIDTH)
                rivals = {"decoupled": partial(_decoupled, attention, tokens, image)}
                if targets == min(TARGETS):
                    together = torch.cat([tokens, image], dim=1)
                    rivals["full"] = partial(_textbook, attention, together, together)
                    rivals["folded"] = partial(_folded, attention, tokens, image)
                for kind, (_, cpu) in race(rivals, repeats, seconds=0.02).items():
                    costs.append(Cost(kind, targets, pixels, 1e3 * cpu, multiplications(kind, targets, pixels) / 1e6))
    return costs


def multiplications(kind: str, targets: int, pixels: int) -> int:
    """Multiplications of what `attention_costs` measures: projections, logits, weighted sums."""
    t, p, d = targets, pixels, WIDTH
    among = 3 * t * d * d + 2 * t * t * d
    if kind == "full":
        return 3 * (t + p) * d * d + 2 * (t + p) ** 2 * d
    if kind == "decoupled":
        return (t + 2 * p) * d * d + 2 * t * p * d + among
    return 3 * t * d * d + 2 * HEADS * t * p * d + among


def _textbook(attention: Attention, tokens: Tensor, features: Tensor) -> Tensor:
    layers = ((attention.query, tokens), (attention.key, features), (attention.value, features))
    q, k, v = (layer(x).unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2) for layer, x in layers)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _decoupled(attention: Attention, tokens: Tensor, image: Tensor) -> Tensor:
    seen = _textbook(attention, tokens, image)
    return _textbook(attention, seen, seen)


def _folded(attention: Attention, tokens: Tensor, image: Tensor) -> Tensor:
    seen = attention(tokens, image)[0]
    return _textbook(attention, seen, seen)


def _attention(repeats: int) -> Figures:
    figures: Figures = {}
    costs = attention_costs(repeats)
    for cost in costs:
        figures[f"{cost.kind}_{cost.targets}_of_{cost.pixels}_ms"] = round(cost.milliseconds, 3)
    small, large = PIXELS[-2:]
    for cost in (c for c in costs if c.pixels == large):
        before = next(c for c in costs if (c.kind, c.targets, c.pixels) == (cost.kind, cost.targets, small))
        grown = torch.tensor([cost.milliseconds / before.milliseconds, large / small]).log()
        figures[f"{cost.kind}_{cost.targets}_power"] = round(float(grown[0] / grown[1]), 2)
    return figures
