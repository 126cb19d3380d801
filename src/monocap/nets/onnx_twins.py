"""ONNX twins of the trained priors' decoders, for other programs: written node by node from the weight file.

``vposer``: ``latent`` (N,32) → ``rotations`` (N,21,3,3). ``tokenizer``: ``tokens`` (N,T) int64 → ``rotations``.
Every dimension but N is fixed; operators of set 17 only, so that any runtime since 2022 reads them.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from monocap.assets.tensors import Tensors
from monocap.errors import InputError, MissingDependencyError
from monocap.files import replacing
from monocap.priors.tokenizer import nearest_rows
from monocap.types import Array

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:  # pragma: no cover - exercised where it is absent
    raise MissingDependencyError("onnx", "train") from error

OPSET = 17
JOINTS = 21


class _Graph:
    """Nodes and constants in the order in which they are added; every method returns the name of its result."""

    def __init__(self, half: bool) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._half = half
        self._count = 0

    def constant(self, value: Array) -> str:
        """A constant; large ones are stored in half precision and widened when the graph is loaded."""
        name = self._name("c")
        if self._half and value.dtype == np.float32 and value.size > 1024:
            self.constants.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
            return self.add("Cast", f"{name}_half", to=TensorProto.FLOAT)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = self._name(kind.lower())
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def unit(self, x: str) -> str:
        """Vectors of length 1 along the last axis."""
        return self.add("Div", x, self.add("ReduceL2", x, axes=[-1], keepdims=1))

    def cross(self, a: str, b: str) -> str:
        """Cross products along the last axis (of 3)."""
        one, two = self.ints(1, 2, 0), self.ints(2, 0, 1)
        turned = [self.add("Gather", x, order, axis=-1) for x, order in ((a, one), (b, two), (a, two), (b, one))]
        return self.add("Sub", self.add("Mul", *turned[:2]), self.add("Mul", *turned[2:]))

    def rotations(self, first: str, second: str, axis: int) -> str:
        """Gram–Schmidt of (N,21,3) pairs; the results are stacked along ``axis`` of (N,21,3,3)."""
        b1 = self.unit(first)
        along = self.add("ReduceSum", self.add("Mul", b1, second), self.ints(-1), keepdims=1)
        b2 = self.unit(self.add("Sub", second, self.add("Mul", along, b1)))
        axes = [self.add("Unsqueeze", x, self.ints(axis)) for x in (b1, b2, self.cross(b1, b2))]
        return self.add("Concat", *axes, axis=axis)


def write_onnx(path: str | os.PathLike[str], tensors: Tensors, half: bool = True) -> None:
    """Write the decoder of a trained prior as ONNX; ``half`` stores its weights as float16 (computing stays float32).

    Raises InputError for an architecture that has no decoder here.
    """
    name = tensors.arch.get("name")
    graph = _Graph(half)
    if name in ("vposer-v1", "vposer-v2") and tensors.arch.get("output", "6d") == "6d":
        given = helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["N", 32])
        result = _vposer(graph, tensors.arrays, name)
    elif name == "pose-tokenizer":
        count = 20 * 2 ** (tensors.arch["size_mul"] - 1)
        given = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", count])
        result = _tokenizer(graph, tensors)
    else:
        raise InputError(f"architecture {tensors.arch}; expected vposer-v1, vposer-v2 or pose-tokenizer")
    graph.nodes.append(helper.make_node("Identity", [result], ["rotations"]))
    made = helper.make_tensor_value_info("rotations", TensorProto.FLOAT, ["N", JOINTS, 3, 3])
    model = helper.make_model(
        helper.make_graph(graph.nodes, str(name), [given], [made], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="monocap",
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        onnx.save(model, temporary)


def _vposer(graph: _Graph, arrays: dict[str, Array], name: str) -> str:
    layers, slope = ("bodyprior_dec_fc1", "bodyprior_dec_fc2", "bodyprior_dec_out"), 0.2
    if name == "vposer-v2":
        layers, slope = ("decoder_net.0", "decoder_net.3", "decoder_net.5"), 0.01
    x = "latent"
    for layer in layers:
        weight, bias = (graph.constant(arrays[f"{layer}.{part}"].astype(np.float32)) for part in ("weight", "bias"))
        x = graph.add("Gemm", x, weight, bias, transB=1)
        if layer != layers[-1]:
            x = graph.add("LeakyRelu", x, alpha=slope)
    pairs = graph.add("Reshape", x, graph.ints(-1, JOINTS, 3, 2))
    first, second = (graph.add("Gather", pairs, graph.constant(np.array(k, np.int64)), axis=3) for k in (0, 1))
    return graph.rotations(first, second, axis=3)


def _tokenizer(graph: _Graph, tensors: Tensors) -> str:
    arch, arrays = tensors.arch, tensors.arrays
    tokens, steps = 20 * 2 ** (arch["size_mul"] - 1), arch["size_div"]

    def convolve(x: str, layer: str, padding: int = 1, dilation: int = 1) -> str:
        weight, bias = (graph.constant(arrays[f"{layer}.{part}"].astype(np.float32)) for part in ("weight", "bias"))
        return graph.add("Conv", x, weight, bias, pads=[padding, padding], dilations=[dilation])

    codes = graph.add("Gather", graph.constant(arrays["quantizer.codebook"].astype(np.float32)), "tokens", axis=0)
    x = graph.add("Relu", convolve(graph.add("Transpose", codes, perm=[0, 2, 1]), "decoder.decoder.0"))
    size = tokens
    for step in range(steps):
        length = int(tokens + (JOINTS - tokens) * (step + 1) / steps)
        rows = graph.constant(nearest_rows(size, length))  # a gather leaves no doubt about rounding
        x = graph.add("Relu", convolve(graph.add("Gather", x, rows, axis=2), f"decoder.decoder.{3 * step + 3}"))
        size = length
    end = f"decoder.decoder.{3 * steps + 2}"
    for block in range(arch["depth"]):
        dilation = arch["dilation_rate"] ** (arch["depth"] - 1 - block)
        y = convolve(graph.add("Relu", x), f"{end}.0.model.{block}.conv1", dilation, dilation)
        x = graph.add("Add", x, convolve(graph.add("Relu", y), f"{end}.0.model.{block}.conv2", 0))
    x = convolve(convolve(x, f"{end}.1"), f"decoder.decoder.{3 * steps + 3}")
    numbers = graph.add("Transpose", x, perm=[0, 2, 1])  # (N,21,6)
    first, second = (graph.add("Gather", numbers, graph.ints(*range(k, k + 3)), axis=2) for k in (0, 3))
    return graph.rotations(first, second, axis=2)
