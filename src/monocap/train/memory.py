"""How much memory a run took at most, on the device that it runs on."""

from __future__ import annotations

import torch

from monocap.pipeline.memory import peak_resident_mb


def reset_peak(device: torch.device) -> None:
    """Start counting anew, where that is possible: on a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float | None:
    """Megabytes (1e6 bytes): on a GPU those of its tensors at their most since `reset_peak`; else those of
    `peak_resident_mb`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return peak_resident_mb()
