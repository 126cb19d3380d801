"""A regression network by family, name or file: ONNX runs as it is, converted weights with the extra torch.

An ONNX file tells in its metadata what it is: ``arch``, and ``crop_family`` (a name of `data.crop_families`). Its
inputs tell the rest: one picture (n,3,h,w), and with a second one (n,3) it wants to know where the crop lies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from monocap.assets import manifest
from monocap.assets.sessions import open_network, session
from monocap.data.crop_families import crop_family
from monocap.errors import InputError
from monocap.perception.regressor import BodyRegressor, Manner, Runnable

Family = Literal["hmr", "smpler"]
SHIPPED: dict[Family, str] = {"hmr": "hmr-light", "smpler": "smpler-light"}
OUTPUTS = ("rotmats", "betas", "cam")
# the crop family of an architecture by its first word, where a file does not tell
_CROPS = {"vibe": "vibe", "smpler": "smpler", "cliff": "cliff", "hmr2": "hmr2", "tokenhmr": "tokenhmr"}


def open_regressor(family: Family, weights: str | os.PathLike[str] | None = None) -> BodyRegressor:
    """The shipped network of a family, or another: ``weights`` is a name of the manifest, an ``.onnx`` file, or a
    ``.safetensors`` file of ``monocap weights convert``.

    Raises InputError for a name that is unknown, or a file that is no such network; AssetError for a damaged file;
    MissingDependencyError for a ``.safetensors`` file without torch.
    """
    name = SHIPPED[family] if weights is None else os.fspath(weights)
    path = Path(name)
    if path.suffix == ".safetensors":
        from monocap.nets.inference import open_session

        network = open_session(path)
        return _regressor(name, network, network.inputs, OUTPUTS, network.arch, network.crop)
    if path.suffix == ".onnx" or path.is_file():
        return _of_session(name, open_network(path))
    if weights is None and name not in {asset.name for asset in manifest.listing()}:
        raise InputError(
            f"no {family} network ships yet: give --weights FILE, of monocap train head {name}, or an official one "
            "of monocap weights convert"
        )
    return _of_session(name, session(manifest.find(name).name))


def _of_session(name: str, network: Any) -> BodyRegressor:
    told = dict(network.get_modelmeta().custom_metadata_map)
    inputs = {one.name: tuple(one.shape) for one in network.get_inputs()}
    outputs = [one.name for one in network.get_outputs()]
    return _regressor(name, network, inputs, outputs, told.get("arch", ""), told.get("crop_family", ""))


def _regressor(
    name: str, network: Runnable, inputs: Mapping[str, tuple[Any, ...]], outputs: Sequence[str], arch: str, crop: str
) -> BodyRegressor:
    pictures = [key for key, shape in inputs.items() if len(shape) == 4 and shape[1] == 3]
    numbers = [key for key, shape in inputs.items() if len(shape) == 2 and shape[1] == 3]
    if not set(OUTPUTS) <= set(outputs) or len(pictures) != 1 or len(numbers) != len(inputs) - 1 or len(numbers) > 1:
        said = ", ".join(f"{key} {list(shape)}" for key, shape in inputs.items())
        raise InputError(
            f"{name}: no regression network: it takes {said} and gives {', '.join(outputs)}; expected to give "
            f"{', '.join(OUTPUTS)} for a picture (n,3,h,w) and maybe where the crop lies (n,3)"
        )
    light = bool(numbers) and "cliff" not in arch
    family = crop_family(crop or ("light" if light else _CROPS.get(arch.partition("-")[0], "spin")))
    sides = inputs[pictures[0]][2:]
    if all(isinstance(side, int) for side in sides) and tuple(sides) != family.shape:
        raise InputError(f"{name}: takes pictures of {list(sides)}; crop family {family.name!r} has {family.shape}")
    return BodyRegressor(
        network,
        family,
        Manner(
            image=pictures[0],
            box=numbers[0] if numbers else "",
            box_numbers="plain" if light else "cliff",
            view="picture" if numbers else "crop",
            shape="open" if light else "smpl",
        ),
    )
