"""A network in torch, asked as an ONNX session is: arrays by name in, arrays by name out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from monocap.errors import InputError
from monocap.nets.network import Network
from monocap.nets.registry import load
from monocap.types import Array


class TorchSession:
    """``inputs``: shape (n, …) by name; names of ``outputs``; ``arch``, ``crop`` and ``joints`` as the network says,
    ``told``: what its exported file would say beside them; see `run`."""

    def __init__(self, net: Network) -> None:
        self.inputs = {name: tuple(value.shape) for name, value in net.example(1).items()}
        self.arch, self.crop, self.joints = str(net.arch["name"]), net.crop, net.joints
        self.outputs, self.told = net.outputs, net.described()
        self._net = net.eval()

    def run(self, names: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        """Some of ``outputs``, of the last stage, for float32 inputs by name. Raises InputError for other names."""
        unknown = set(names) - set(self.outputs)
        if unknown:
            raise InputError(f"{self.arch} gives {', '.join(self.outputs)}, not {', '.join(sorted(unknown))}")
        with torch.inference_mode():
            said = self._net.answer(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in self.inputs))
        told: dict[str, torch.Tensor] = dict(zip(self.outputs, said, strict=True))
        return [told[name].numpy() for name in names]


def open_session(path: str | os.PathLike[str]) -> TorchSession:
    """The network of a safetensors file. Raises InputError for anything but a network that looks at one crop."""
    net = load(path)
    if not isinstance(net, Network) or not any(len(value.shape) == 4 for value in net.example(1).values()):
        raise InputError(f"{path}: holds {type(net).__name__}, which does not answer to the crop of a person")
    return TorchSession(net)
