"""Where does each joint look? Attention of a block as one picture per token, and networks that tell it in ONNX."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.nets.iterative import BodyOutput


@dataclass(frozen=True)
class Looks:
    """Where tokens looked, means over units and heads: ``scales`` (N,J+2,s,s) per attended map, ``window`` (N,J,4r²) at
    ``samples`` (N,J,4r²), pixel numbers on the local map."""

    scales: list[Tensor]
    window: Tensor | None
    samples: Tensor | None

    def density(self, side: int) -> Tensor:
        """(N,J+2,side,side), each sums to 1: the mean over maps, for joints averaged with the window, as tokens are.

        ``side`` is that of the map on which windows lie. Raises InputError where samples lie beyond it.
        """
        spread = []
        for weights in self.scales:
            image = nn.functional.interpolate(weights, (side, side), mode="nearest")
            spread.append(image / image.sum((2, 3), keepdim=True))
        far = torch.stack(spread).mean(0)
        if self.window is None or self.samples is None:
            return far
        joints = self.window.shape[1]
        near = torch.zeros_like(far[:, :joints]).flatten(2)
        if not torch.onnx.is_in_onnx_export() and int(self.samples.max()) >= side * side:
            raise InputError(f"windows reach pixel {int(self.samples.max())}; expected a map of {side}²")
        near = near.scatter_add(2, self.samples, self.window).unflatten(2, (side, side))
        return torch.cat([(far[:, :joints] + near) / 2, far[:, joints:]], dim=1)


class WithAttention(nn.Module):
    """A SMPLer network (with ``attention`` as `monocap.nets.smpler.network.Smpler` has it, and ``config``) that also
    tells `Looks.density` of its last block, after the body."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """rotmats, betas, cam, and attention (N,J+2,s,s) on the finest map."""
        outputs, looks = self.net.attention(*given)
        return (*outputs[-1], looks[-1].density(self.net.config.sizes[self.net.config.local_scale]))


def export_with_attention(path: str | os.PathLike[str], net: Any, half: bool = False) -> None:
    """Write ``net`` (built by the registry) as ONNX with outputs rotmats, betas, cam, attention; any batch size.

    ``net`` is in evaluation mode. Raises as `monocap.nets.onnx_export.write_traced`.
    """
    from monocap.nets.onnx_export import write_traced  # needs onnx

    metadata = {
        "arch": str(net.arch["name"]),
        "options": json.dumps({key: value for key, value in net.arch.items() if key != "name"}),
        "crop_family": net.crop,
        "joints": str(net.joints),
        "layout": net.layout,
    }
    write_traced(path, WithAttention(net).eval(), net.example(2), (*BodyOutput._fields, "attention"), metadata, half)
