"""Statistics of batch normalisation for weights that are a mean of many steps' weights.

What a running mean has gathered is of the weights while they were learned. Averaged weights make other activations, and
judged with the newest statistics they do worse than they are: by a sixth, where learning is fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def take_statistics(module: nn.Module, batches: Iterable[Any]) -> None:
    """Set the running statistics of every batch normalisation in ``module`` to means over ``batches``, which it is
    called with one by one. Everything else stays, the mode (training or not) too; without batches nothing changes."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    kept = [(part.momentum, part.training) for part in norms]
    try:
        for number, batch in enumerate(batches):
            for part in norms if number == 0 else ():
                part.reset_running_stats()
                part.momentum = None  # the plain mean over batches
                part.train()
            module(batch)
    finally:
        for part, (momentum, training) in zip(norms, kept, strict=True):
            part.momentum = momentum
            part.train(training)
