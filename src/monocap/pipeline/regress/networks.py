"""A regression network by family, name or file: ONNX runs as it is, converted weights with the extra torch.

An ONNX file tells in its metadata what it is: ``arch``, and ``crop_family`` (a name of `data.crop_families`). Inputs
and outputs tell the rest: one picture (n,3,h,w); a second one (n,3) wants to know where the crop lies, called ``box``
in plain numbers, ``box_info`` in CLIFF's; rotations of 22 joints are of networks that learned from the open body.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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
BOX_NUMBERS: dict[str, Literal["plain", "cliff"]] = {"box": "plain", "box_info": "cliff"}
OPEN_JOINTS = 22  # of rotations; SMPL's networks tell 24
# m: SMPL's body is not drawn about its pelvis, which is above the point that a camera tells the place of (y is down);
# to the centimetre that shapes differ by. Networks of the open body learn the pelvis's place.
_SMPL_PELVIS = (0.0, -0.22, 0.03)
# the crop family of an architecture by the beginning of its name, where a file does not tell; the first that fits
_CROPS = {
    "hmr-light": "light", "smpler-light": "light", "hmr-resnet50v2": "hmr", "hmr2": "hmr2", "vibe": "vibe",
    "smpler": "smpler", "cliff": "cliff", "tokenhmr": "tokenhmr", "camerahmr": "camerahmr",
}  # fmt: skip


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
        outputs: dict[str, tuple[Any, ...]] = dict.fromkeys(OUTPUTS, ())
        outputs["rotmats"] = ("n", network.joints, 3, 3)
        return _regressor(name, network, network.inputs, outputs, network.arch, network.crop)
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
    outputs = {one.name: tuple(one.shape) for one in network.get_outputs()}
    return _regressor(name, network, inputs, outputs, told.get("arch", ""), told.get("crop_family", ""))


def _regressor(
    name: str,
    network: Runnable,
    inputs: Mapping[str, tuple[Any, ...]],
    outputs: Mapping[str, tuple[Any, ...]],
    arch: str,
    crop: str,
) -> BodyRegressor:
    pictures = [key for key, shape in inputs.items() if len(shape) == 4 and shape[1] == 3]
    boxes = [key for key, shape in inputs.items() if key in BOX_NUMBERS and len(shape) == 2 and shape[1] == 3]
    if not set(OUTPUTS) <= set(outputs) or len(pictures) != 1 or len(boxes) != len(inputs) - 1 or len(boxes) > 1:
        said = ", ".join(f"{key} {list(shape)}" for key, shape in inputs.items())
        raise InputError(
            f"{name}: no regression network: it takes {said} and gives {', '.join(outputs)}; expected to give "
            f"{', '.join(OUTPUTS)} for a picture (n,3,h,w) and maybe where the crop lies, "
            f"{' or '.join(BOX_NUMBERS)} (n,3)"
        )
    family = crop_family(crop or _crop_of(arch))
    own = tuple(outputs["rotmats"])[1:2] == (OPEN_JOINTS,)
    sides = inputs[pictures[0]][2:]
    if all(isinstance(side, int) for side in sides) and tuple(sides) != family.shape:
        raise InputError(f"{name}: takes pictures of {list(sides)}; crop family {family.name!r} has {family.shape}")
    return BodyRegressor(
        network,
        family,
        Manner(
            image=pictures[0],
            box=boxes[0] if boxes else "",
            box_numbers=BOX_NUMBERS[boxes[0]] if boxes else "plain",
            view="picture" if boxes else "crop",
            shape="open" if own else "smpl",
            pelvis=(0.0, 0.0, 0.0) if own else _SMPL_PELVIS,
        ),
    )


def _crop_of(arch: str) -> str:
    return next((family for beginning, family in _CROPS.items() if arch.startswith(beginning)), "spin")
