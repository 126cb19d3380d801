"""Official VPoser and TokenHMR tokenizer weights, told apart by their names and shapes, into our own files.

The files themselves are non-commercial and never shipped; a user who has them converts them once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from monocap.assets.tensors import Tensors
from monocap.errors import InputError
from monocap.nets.checkpoints import read_checkpoint, state_dict_of
from monocap.nets.pose_tokenizer import PoseTokenizer, TokenizerConfig
from monocap.nets.vposer import VPoser, VPoserV1, VPoserV2

_Net = TypeVar("_Net", bound=nn.Module)
_STATISTICS = ("quantizer.code_sum", "quantizer.code_count", "quantizer.begun")  # the official file lacks them


def import_prior(path: str | os.PathLike[str]) -> Tensors:
    """Weights of VPoser v1 (``snapshots/*.pt``), VPoser v2 (``*.ckpt``) or TokenHMR's ``tokenizer.pth``.

    Raises InputError, naming keys or shapes, for anything else; nothing in the file is executed.
    """
    path = Path(path)
    net = load_official(state_dict_of(read_checkpoint(path), "net", "state_dict", "model"))
    arrays = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Tensors(arrays, net.config, {"converted_from": path.name, "sha256": digest})


def load_official(state: Mapping[str, Tensor]) -> VPoser | PoseTokenizer:
    """A network in evaluation mode filled with an official state dict, recognised by its names.

    Raises InputError if it is none of the three, or if names or shapes are missing, unexpected or different.
    """
    if any(name.startswith("bodyprior_") for name in state):
        return _fill(VPoserV1(), state, extra=())
    if any(name.startswith("vp_model.") for name in state):
        # beside the network, the Lightning checkpoint may hold buffers of the licensed body
        own = {name.removeprefix("vp_model."): v for name, v in state.items() if name.startswith("vp_model.")}
        return _fill(VPoserV2(), own, extra=())
    if "encoder_net.1.weight" in state:
        return _fill(VPoserV2(), state, extra=())
    if "quantizer.codebook" in state:
        kept = {name: value for name, value in state.items() if "body_model" not in name}
        net = _fill(PoseTokenizer(_sizes(kept)), kept, extra=_STATISTICS)
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


def _fill(net: _Net, state: Mapping[str, Tensor], extra: tuple[str, ...]) -> _Net:
    """Load by name, exactly; what batch normalisation only counts with, and ``extra``, may be missing."""
    own = net.state_dict()
    free = {name for name in own if name.endswith("num_batches_tracked") or name in extra}
    missing, unexpected = set(own) - free - set(state), set(state) - set(own)
    if missing or unexpected:
        raise InputError(
            f"{type(net).__name__}: missing {', '.join(sorted(missing)) or 'nothing'}; "
            f"unexpected {', '.join(sorted(unexpected)) or 'nothing'}"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise InputError(f"{name} has shape {tuple(value.shape)}; expected {tuple(own[name].shape)}")
    net.load_state_dict(dict(state), strict=False)
    return net.eval()
