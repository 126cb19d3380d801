"""VNect's released weights: Caffe's own file, or the dictionary of arrays that its TensorFlow ports keep.

Both hold the same layers. The ports' names are LAYER/weights and /biases of convolutions, /kernel of those without
bias, /moving_mean, /moving_variance, /gamma, /beta of bn5c; their kernels are (h,w,in,out), transposed ones
(h,w,out,in). Caffe's normalisation keeps sums: mean and variance are to be divided by its third blob.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monocap.assets.caffe import read_caffemodel
from monocap.assets.pickles import read_pickle
from monocap.errors import InputError
from monocap.files import read_npz

SUFFIXES = (".caffemodel", ".pkl", ".pickle", ".npz")
_NORM, _SCALE = "bn5c_branch2a", "scale5c_branch2a"
_TF = {
    "weights": "weight", "kernel": "weight", "biases": "bias", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def read_released(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by official names ("res2a_branch2a.weight" …), as torch shapes them, for `Vnect.load_official`.

    Nothing in the file is executed. Raises InputError for a file that cannot be read or holds no arrays by name.
    """
    path = Path(path)
    if path.suffix == ".caffemodel":
        found = _of_caffe(read_caffemodel(path))
    else:
        content = read_npz(path) if path.suffix == ".npz" else read_pickle(path)
        if not isinstance(content, Mapping):
            raise InputError(f"{path}: holds a {type(content).__name__}; expected a dictionary of arrays by layer")
        found = _of_ports(content)
    if not found:
        raise InputError(f"{path}: no arrays by layer (LAYER/weights …) in it")
    return {name: torch.from_numpy(np.array(value, np.float32, order="C")) for name, value in found.items()}


def _of_caffe(layers: Mapping[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for layer, blobs in layers.items():
        if layer == _NORM and len(blobs) == 3:
            count = float(blobs[2].reshape(-1)[0]) if blobs[2].size else 0.0
            scale = 1.0 / count if count else 0.0
            found[f"{_NORM}.running_mean"], found[f"{_NORM}.running_var"] = blobs[0] * scale, blobs[1] * scale
            continue
        name = _NORM if layer == _SCALE else layer
        for kind, blob in zip(("weight", "bias"), blobs, strict=False):
            found[f"{name}.{kind}"] = blob
    return found


def _of_ports(content: Mapping[object, object]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for key, value in content.items():
        layer, _, last = str(key).removesuffix(":0").rpartition("/")
        if layer and last in _TF and isinstance(value, np.ndarray) and value.dtype.kind == "f":
            name = _NORM if layer == _SCALE else layer
            found[f"{name}.{_TF[last]}"] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    return found
