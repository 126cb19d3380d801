"""A regression network by family, name or file: ONNX runs as it is, converted weights with the extra torch.

An ONNX file tells in its metadata what it is: ``arch``, and ``crop_family`` (a name of `data.crop_families`). Its
inputs tell the rest: one picture (n,3,h,w), and with a second one (n,3) it wants to know where the crop lies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from monocap.assets import manifest
from monocap.assets.sessions import open_network, session
from monocap.data.crop_families import crop_family
from monocap.errors import InputError
from monocap.perception.regressor import BodyRegressor, Manner

Family = Literal["hmr", "smpler"]
SHIPPED: dict[Family, str] = {"hmr": "hmr-light", "smpler": "smpler-light"}
OUTPUTS = ("rotmats", "betas", "cam")
_CROPS = {"hmr": "spin", "spin": "spin", "vibe": "vibe", "smpler": "smpler", "cliff": "cliff", "hmr2": "hmr2"}


def open_regressor(family: Family, weights: str | os.PathLike[str] | None = None) -> BodyRegressor:
    """The shipped network of a family, or another: ``weights`` is a name of the manifest or an ``.onnx`` file.

    Raises InputError for a name that is unknown, or a file that is no such network; AssetError for a damaged file.
    """
    name = SHIPPED[family] if weights is None else os.fspath(weights)
    path = Path(name)
    if not path.is_file():
        if path.suffix in (".onnx", ".safetensors"):
            raise InputError(f"{path}: no such file; expected weights of a regression network")
        return _of_session(name, session(manifest.find(name).name))
    if path.suffix != ".onnx":
        raise InputError(f"{path}: expected an .onnx file; monocap weights convert writes one of official weights")
    return _of_session(str(path), open_network(path))


def _of_session(name: str, network: Any) -> BodyRegressor:
    outputs = {output.name for output in network.get_outputs()}
    pictures = [i for i in network.get_inputs() if len(i.shape) == 4]
    numbers = [i for i in network.get_inputs() if len(i.shape) == 2 and i.shape[1] == 3]
    if not set(OUTPUTS) <= outputs or len(pictures) != 1 or len(pictures) + len(numbers) != len(network.get_inputs()):
        said = ", ".join(f"{i.name} {i.shape}" for i in network.get_inputs())
        raise InputError(
            f"{name}: no regression network: it takes {said} and gives {', '.join(sorted(outputs))}; expected to give "
            f"{', '.join(OUTPUTS)} for a picture (n,3,h,w) and maybe where the crop lies (n,3)"
        )
    told = dict(network.get_modelmeta().custom_metadata_map)
    arch = told.get("arch", "")
    light = bool(numbers) and "cliff" not in arch
    crop = crop_family(told.get("crop_family") or ("light" if light else _crop_of(arch)))
    shape = pictures[0].shape[2:]
    if all(isinstance(side, int) for side in shape) and tuple(shape) != crop.shape:
        raise InputError(f"{name}: takes pictures of {shape}; crop family {crop.name!r} gives {list(crop.shape)}")
    return BodyRegressor(
        network,
        crop,
        Manner(
            image=pictures[0].name,
            box=numbers[0].name if numbers else "",
            box_numbers="plain" if light else "cliff",
            view="picture" if numbers else "crop",
            shape="open" if light else "smpl",
        ),
    )


def _crop_of(arch: str) -> str:
    """The crop family of an architecture, by its first word."""
    return _CROPS.get(arch.partition("-")[0], "spin")
