"""VNect's network: the shipped one, or a file. ONNX runs as it is, converted weights with the extra torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from monocap.assets import manifest
from monocap.assets.sessions import open_network, session
from monocap.data.crop_families import crop_family
from monocap.errors import InputError
from monocap.perception.regressor import Runnable
from monocap.perception.vnect import OUTPUTS, Axes, VNect

SHIPPED = "vnect_light"
SCALES = {"vnect": (1.0, 0.7)}  # by crop family; others look once
TURNED = ("light",)  # crop families whose networks have learned from people turned upright


def open_vnect(
    weights: str | os.PathLike[str] | None = None,
    scales: tuple[float, ...] | None = None,
    threads: int | None = None,
) -> VNect:
    """The shipped network, or ``weights``: a name of the manifest, an ``.onnx`` file, or a ``.safetensors`` file of
    ``monocap weights convert``. ``scales`` None: as its family is used.

    Raises InputError for a name that is unknown, or a file that is no such network; AssetError for a damaged file;
    MissingDependencyError for a ``.safetensors`` file without torch.
    """
    name = SHIPPED if weights is None else os.fspath(weights)
    path = Path(name)
    if path.suffix == ".safetensors":
        from monocap.nets.inference import open_session

        network = open_session(path)
        told = {**network.told, "crop_family": network.crop}
        return _vnect(name, network, network.inputs, network.outputs, told, scales)
    if path.suffix == ".onnx" or path.is_file():
        return _of_session(name, open_network(path, threads), scales)
    if weights is None and name not in {asset.name for asset in manifest.listing()}:
        raise InputError(
            "no vnect network ships yet: give --weights FILE, of monocap train vnect, or the published one of monocap "
            "weights convert"
        )
    return _of_session(name, session(manifest.find(name).name, threads), scales)


def _of_session(name: str, network: Any, scales: tuple[float, ...] | None) -> VNect:
    told = dict(network.get_modelmeta().custom_metadata_map)
    inputs = {one.name: tuple(one.shape) for one in network.get_inputs()}
    return _vnect(name, network, inputs, [one.name for one in network.get_outputs()], told, scales)


def _vnect(
    name: str,
    network: Runnable,
    inputs: Mapping[str, tuple[Any, ...]],
    outputs: Sequence[str],
    told: Mapping[str, str],
    scales: tuple[float, ...] | None,
) -> VNect:
    pictures = [key for key, shape in inputs.items() if len(shape) == 4 and shape[1] == 3]
    if not set(OUTPUTS) <= set(outputs) or len(pictures) != 1 or len(inputs) != 1:
        said = ", ".join(f"{key} {list(shape)}" for key, shape in inputs.items())
        raise InputError(
            f"{name}: no VNect network: it takes {said} and gives {', '.join(outputs)}; expected to give "
            f"{', '.join(OUTPUTS)} for a picture (n,3,h,w)"
        )
    family = crop_family(told.get("crop_family") or "vnect")
    sides = inputs[pictures[0]][2:]
    if all(isinstance(side, int) for side in sides) and tuple(sides) != family.shape:
        raise InputError(f"{name}: takes pictures of {list(sides)}; crop family {family.name!r} has {family.shape}")
    axes = told.get("axes") or ("camera" if family.name == "vnect" else "crop")
    return VNect(network, family, pictures[0], cast(Axes, axes), scales or SCALES.get(family.name, (1.0,)))
