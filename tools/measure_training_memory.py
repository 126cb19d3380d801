"""Memory that one training step of a network takes on a GPU, counted without one: ``measure_training_memory.py NAME…``

All tensors that are alive at once (weights, gradients, AdamW's two moments, the average of the weights, activations,
what layers need on the way) of a step on tensors without content, so it needs neither a GPU nor time. A GPU needs some
hundred megabytes more (CUDA itself, its libraries' working space). ``--judge`` runs the step in truth and compares
with what the process's memory grew by. Networks that run a compiled kernel (SMPLer's skeleton) cannot
be counted so.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import weakref
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from monocap import nets


class Alive(TorchDispatchMode):
    """Counts the bytes of all storages that operators return, and forgets those that are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            size = storage.nbytes()
            self._known[storage] = size
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.bytes -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return out


def count(name: str, batch: int, checkpointing: bool, mixed: bool, options: dict[str, str], real: bool = False) -> int:
    """Bytes at the peak of two steps of AdamW on what the network returns; 0 where the step is run in truth."""
    alive = Alive()
    with patch("torch.nn.init.trunc_normal_", lambda tensor, **_: tensor):  # it looks at numbers that are not there
        network, average = (nets.build(name, checkpointing=checkpointing, **options) for _ in range(2))
    average.requires_grad_(False)
    network.train()
    given = {key: torch.zeros(batch, *value.shape[1:]) for key, value in network.example(1).items()}
    optimiser = torch.optim.AdamW(network.parameters(), 1e-5)
    for tensor in (*network.parameters(), *network.buffers(), *average.parameters(), *given.values()):
        alive.add(tensor)
    with torch.autograd.set_grad_enabled(True) if real else alive:
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                out = network(**given)
            told = [value for value in tree_leaves(tuple(out) if isinstance(out, list) else out) if _learns(value)]
            loss = torch.stack([value.float().square().mean() for value in told]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            del loss, out, told
    return 0 if real else alive.peak


def _learns(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def judge(name: str, batch: int, options: dict[str, str]) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        counted = count(name, batch, False, False, options)
    nets.build(name, **options)  # what building needs besides
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    count(name, batch, False, False, options, real=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"{name}, batch {batch}: counted {counted / 1e9:.2f} GB; the process grew by {grown / 1e9:.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(nets.names()))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", help="of the vision transformer: S, B or H")
    parser.add_argument("--judge", action="store_true", help="run a step in truth, in whole numbers of 32 bits")
    options = parser.parse_args()
    given = {} if options.size is None else {"size": options.size}
    torch.set_num_threads(1)
    if options.judge:
        for name in options.names:
            judge(name, options.batch, given)
        return
    print(f"GB at the most, batch {options.batch}\n| network | 32 bits | again | bf16-mixed | again |")
    for name in options.names:
        found = []
        for mixed, again in itertools.product((False, True), (False, True)):
            with FakeTensorMode(allow_non_fake_inputs=True):
                found.append(count(name, options.batch, again, mixed, given) / 1e9)
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
