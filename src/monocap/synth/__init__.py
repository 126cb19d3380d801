"""Synthetic people: pictures with exact truth. Start with `sampler`; the rest is imported when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monocap.data.synthetic import SynthSample
    from monocap.synth.sampler import Sampler, SynthSettings
    from monocap.synth.shards import ShardPlan, read, write_shards
    from monocap.synth.streaming import stream

__all__ = ["Sampler", "ShardPlan", "SynthSample", "SynthSettings", "read", "stream", "write_shards"]

_HOMES = {
    "SynthSample": "monocap.data.synthetic",
    "Sampler": "monocap.synth.sampler",
    "SynthSettings": "monocap.synth.sampler",
    "ShardPlan": "monocap.synth.shards",
    "read": "monocap.synth.shards",
    "write_shards": "monocap.synth.shards",
    "stream": "monocap.synth.streaming",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'monocap.synth' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
