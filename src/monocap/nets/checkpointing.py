"""Activation checkpointing: memory for time, with batch normalisation's running statistics counted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, *given: Any) -> Any:
    """``module(*given)`` whose inner activations are computed again on the way back instead of being kept.

    The second pass leaves the module's buffers as they are: otherwise running means would move twice per step.
    """
    return checkpoint(module, *given, use_reentrant=False, context_fn=lambda: (nullcontext(), _buffers_kept(module)))


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()] if module.training else []
    try:
        yield
    finally:  # the second pass ends by an exception of torch's own as soon as it has what it needs
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
