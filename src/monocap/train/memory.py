"""How much memory a run took at most."""

from __future__ import annotations

import sys

import torch


def reset_peak(device: torch.device) -> None:
    """Start counting anew, where that is possible: on a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float | None:
    """Megabytes (1e6 bytes): on a GPU those of its tensors at their most since `reset_peak`; on a processor the largest
    resident size of the whole process so far, libraries and data included; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
