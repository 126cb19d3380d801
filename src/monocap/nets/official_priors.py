"""Official VPoser and TokenHMR tokenizer weights, told apart by their names and shapes, into our own files.

The files themselves are non-commercial and never shipped; a user who has them converts them once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from monocap.errors import InputError
from monocap.nets.network import fill
from monocap.nets.pose_tokenizer import PoseTokenizer, TokenizerConfig
from monocap.nets.vposer import VPoser, VPoserV1, VPoserV2

_MARKS = ("encoder_net.1.weight", "quantizer.codebook")
_STATISTICS = ("quantizer.code_sum", "quantizer.code_count", "quantizer.begun")  # the official file lacks them


def is_prior(state: Mapping[str, Tensor]) -> bool:
    """Whether `load_official` is for this state dict."""
    return any(name.startswith(("bodyprior_", "vp_model.")) or name in _MARKS for name in state)


def load_official(state: Mapping[str, Tensor]) -> VPoser | PoseTokenizer:
    """A network in evaluation mode filled with an official state dict, recognised by its names.

    Raises InputError if it is none of the three, or if names or shapes are missing, unexpected or different.
    """
    if any(name.startswith("bodyprior_") for name in state):
        return fill(VPoserV1(), state)
    if any(name.startswith("vp_model.") for name in state):
        # beside the network, the Lightning checkpoint may hold buffers of the licensed body
        own = {name.removeprefix("vp_model."): v for name, v in state.items() if name.startswith("vp_model.")}
        return fill(VPoserV2(), own)
    if "encoder_net.1.weight" in state:
        return fill(VPoserV2(), state)
    if "quantizer.codebook" in state:
        kept = {name: value for name, value in state.items() if "body_model" not in name}
        net = fill(PoseTokenizer(_sizes(kept)), kept, free=_STATISTICS)
        if "quantizer.begun" not in kept:
            with torch.no_grad():
                # each code as if seen once: training goes on from here and does not start the codebook anew
                net.quantizer.code_sum.copy_(net.quantizer.codebook)
                net.quantizer.begun.fill_(True)
        return net
    raise InputError(
        "neither VPoser v1 (bodyprior_…), VPoser v2 (vp_model.…) nor a TokenHMR tokenizer (quantizer.codebook); "
        f"it holds {', '.join(list(state)[:4])} …"
    )


def _sizes(state: Mapping[str, Tensor]) -> TokenizerConfig:
    """Sizes of a tokenizer from its shapes; the spacing of layer numbers gives how often it resizes."""

    def resizes(side: str) -> int:
        numbers = [int(name.split(".")[2]) for name in state if name.startswith(f"{side}.{side}.")]
        return (max(numbers, default=3) - 3) // 3

    codes, code_dim = state["quantizer.codebook"].shape
    first = state.get("encoder.encoder.0.weight", state.get("decoder.decoder.0.weight"))
    if first is None:
        raise InputError("a tokenizer without its first layers; is the file whole?")
    end = 3 * resizes("encoder") + 2
    depth = sum(name.startswith(f"encoder.encoder.{end}.1.model.") and "conv1.weight" in name for name in state)
    return TokenizerConfig(first.shape[0], code_dim, codes, resizes("encoder"), resizes("decoder"), depth)
