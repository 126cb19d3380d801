"""Official checkpoints of networks for people, told apart by their shapes, into our own files.

The files are their authors', most of them for research only, and never shipped; a user who has them converts them once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from monocap.assets.tensors import Tensors
from monocap.errors import InputError
from monocap.nets.checkpoints import read_checkpoint, state_dict_of
from monocap.nets.official_priors import is_prior, load_official
from monocap.nets.pose_tokenizer import PoseTokenizer
from monocap.nets.registry import build, to_tensors
from monocap.nets.tokenhmr import TokenHmr
from monocap.nets.vnect import is_vnect
from monocap.nets.vnect_files import SUFFIXES, read_released

ENTRIES = ("gen_state_dict", "state_dict", "net", "model")
"""Where official files keep their state dicts; beside them lie optimisers, and VIBE's motion discriminator."""

_FIRST_LAYERS = {  # of the regressor, whose width says what it is told
    ("fc1.weight", (1024, 2205)): "hmr-resnet50",
    ("regressor.fc1.weight", (1024, 2205)): "vibe",
    ("fc1.weight", (1024, 2208)): "cliff-",
    ("SMPL_predictor.fc1.weight", (1024, 413)): "smpler-w32",
    ("SMPL_predictor.fc1.weight", (1024, 541)): "smpler-w48",
}
_TOKEN = "smpl_head.transformer.to_token_embedding.weight"  # of the HMR 2.0 family
_TOKENS = {1: "hmr2", 160: "camerahmr"}
_TOKENIZER = "tokenizer.pth"


def import_official(path: str | os.PathLike[str]) -> Tensors:
    """Weights of an official network or prior, ready to be written, the architecture inside.

    VNect's are a ``.caffemodel`` or its ports' pickle or ``.npz`` (`vnect_files`), the others torch's. Nothing in the
    file is executed. TokenHMR's tokenizer is a second file, ``tokenizer.pth`` beside it. Raises
    InputError for a file that cannot be read, is none that is known, or does not fill its network exactly.
    """
    path = Path(path)
    released = path.suffix in SUFFIXES
    state = read_released(path) if released else state_dict_of(read_checkpoint(path), *ENTRIES)
    with path.open("rb") as stream:
        recipe = {"converted_from": path.name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
    if is_prior(state):
        prior = load_official(state)
        arrays = {name: value.detach().cpu().numpy() for name, value in prior.state_dict().items()}
        return Tensors(arrays, prior.config, recipe)
    net = load_official_network(state)
    if isinstance(net, TokenHmr):
        net.load_tokenizer(_tokenizer_beside(path))
    return to_tensors(net, recipe)


def _tokenizer_beside(path: Path) -> PoseTokenizer:
    beside = path.with_name(_TOKENIZER)
    if not beside.is_file():
        raise InputError(f"{path}: TokenHMR needs its tokenizer too; put {_TOKENIZER} beside this file")
    state = state_dict_of(read_checkpoint(beside), "net")
    tokenizer = load_official(state) if is_prior(state) else None
    if not isinstance(tokenizer, PoseTokenizer):
        raise InputError(f"{beside}: not TokenHMR's tokenizer")
    return tokenizer


def load_official_network(state: Mapping[str, Tensor]) -> Any:
    """A network in evaluation mode filled with an official state dict. Raises InputError as `import_official`."""
    net = build(recognised(state))
    net.load_official(state)
    return net


def recognised(state: Mapping[str, Tensor]) -> str:
    """The registry's name of the network that a state dict belongs to. Raises InputError if it is none."""
    if is_vnect(state):
        return "vnect"
    shapes = {name.removeprefix("module."): tuple(value.shape) for name, value in state.items()}
    for (layer, shape), name in _FIRST_LAYERS.items():
        if shapes.get(layer) != shape:
            continue
        if name == "cliff-":  # the same regressor on two encoders, told apart by their stems
            return "cliff-hrnet48" if "encoder.conv2.weight" in shapes else "cliff-resnet50"
        if name.startswith("smpler-") and not any(other.startswith("transformer.") for other in shapes):
            return name.replace("smpler-", "smpler-stage1-")  # backbone and first estimate alone
        return name
    if _TOKEN in shapes:
        if "smpl_head.decpose.class_pred_layer.weight" in shapes:
            return "tokenhmr"
        given = shapes[_TOKEN][1]
        if given not in _TOKENS:
            raise InputError(f"a network of HMR 2.0's family whose token is given {given} numbers: not supported")
        return _TOKENS[given]
    raise InputError(
        "none of SPIN, VIBE, CLIFF, SMPLer, VNect, HMR 2.0, CameraHMR, TokenHMR and its tokenizer, VPoser v1 and v2; "
        f"it holds {', '.join(list(state)[:4])} …"
    )
