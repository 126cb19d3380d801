"""Networks by name: build one, or load weights that say which network they are.

A family adds itself by a line in the table, or by `register`; its module is imported when it is built.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monocap.assets import manifest
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.errors import InputError
from monocap.nets.network import fill

# name: where its builder is, and what it is called with
_BUILDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "hmr-resnet50": ("monocap.nets.hmr:Spin", {}),
    "hmr-resnet50v2": ("monocap.nets.hmr:Hmr", {}),
    "cliff-resnet50": ("monocap.nets.cliff:Cliff", {"encoder": "resnet50"}),
    "cliff-hrnet48": ("monocap.nets.cliff:Cliff", {"encoder": "hrnet48"}),
    "vibe": ("monocap.nets.vibe:Vibe", {}),
    "smpler-w32": ("monocap.nets.smpler.network:Smpler", {"size": "w32"}),
    "smpler-w48": ("monocap.nets.smpler.network:Smpler", {"size": "w48"}),
    "smpler-stage1-w32": ("monocap.nets.smpler.network:SmplerStage1", {"size": "w32"}),
    "smpler-stage1-w48": ("monocap.nets.smpler.network:SmplerStage1", {"size": "w48"}),
    "hmr2": ("monocap.nets.hmr2:Hmr2", {}),
    "hmr2-b": ("monocap.nets.hmr2:Hmr2", {"size": "B"}),
    "camerahmr": ("monocap.nets.hmr2:CameraHmr", {}),
    "tokenhmr": ("monocap.nets.tokenhmr:TokenHmr", {}),
    "vnect": ("monocap.nets.vnect:Vnect", {}),
    "vnect-light": ("monocap.nets.light_vnect:LightVnect", {}),
    "vposer-v1": ("monocap.nets.vposer:build_vposer", {"name": "vposer-v1"}),
    "vposer-v2": ("monocap.nets.vposer:build_vposer", {"name": "vposer-v2"}),
    "pose-tokenizer": ("monocap.nets.pose_tokenizer:build_tokenizer", {}),
    "hmr-light": ("monocap.nets.light_regressors:light_regressor", {"name": "hmr-light"}),
    "smpler-light": ("monocap.nets.light_regressors:light_regressor", {"name": "smpler-light"}),
}


def register(name: str, builder: str, **options: Any) -> None:
    """Add a network: ``builder`` is "module:callable", called with ``options`` and what `build` is given."""
    if name in _BUILDERS:
        raise InputError(f"there is already a network {name!r}")
    _BUILDERS[name] = (builder, options)


def names() -> tuple[str, ...]:
    """Every network that can be built."""
    return tuple(_BUILDERS)


def build(name: str, **options: Any) -> Any:
    """A network with fresh weights; ``net.arch`` says how to build it again.

    Raises InputError for an unknown name or options that the network does not have.
    """
    if name not in _BUILDERS:
        raise InputError(f"no network {name!r}; there are {', '.join(_BUILDERS)}")
    where, fixed = _BUILDERS[name]
    module, _, attribute = where.partition(":")
    try:
        net = getattr(import_module(module), attribute)(**fixed, **options)
    except TypeError as error:
        raise InputError(f"{name}: options {sorted(options)} do not fit ({error})") from error
    net.arch = {"name": name, **options}
    return net


def load(source: str | os.PathLike[str]) -> Any:
    """A network with weights, ready for inference, from a safetensors file or the name of one that ships.

    Raises InputError for a file that is missing, damaged, not a network's, or does not fill its network exactly.
    """
    shipped = {asset.name: asset for asset in manifest.listing() if asset.path.suffix == ".safetensors"}
    asset = shipped.get(str(source))
    return from_tensors(read_tensors(source if asset is None else manifest.locate(asset)), str(source))


def from_tensors(tensors: Tensors, source: str = "weights") -> Any:
    """The network that ``tensors.arch`` describes, filled. Raises InputError as `load`."""
    arch = dict(tensors.arch)
    name = arch.pop("name")
    if name not in _BUILDERS:
        raise InputError(f"{source}: holds a {name!r} network; expected one of {', '.join(_BUILDERS)}")
    net = build(name, **arch)
    return fill(net, {key: torch.from_numpy(value) for key, value in tensors.arrays.items()})


def to_tensors(net: nn.Module, recipe: Mapping[str, Any] | None = None) -> Tensors:
    """A network's weights with its architecture, ready to be written. ``net`` comes from `build` or `load`."""
    arch = getattr(net, "arch", None)
    if not isinstance(arch, dict):
        raise InputError(f"{type(net).__name__} does not say how to build it again; make it with nets.build")
    arrays = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    return Tensors(arrays, arch, dict(recipe or {}))


def save(net: nn.Module, path: str | os.PathLike[str], recipe: Mapping[str, Any] | None = None) -> None:
    """Write a network's weights as safetensors, the architecture inside."""
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: expected a name ending in .safetensors")
    write_tensors(path, to_tensors(net, recipe))
