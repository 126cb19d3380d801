"""Any network as ONNX for the torch-free core and for other programs: traced, described, checked against torch.

Inputs and outputs keep their names; the first axis of each is the batch, of any size. The metadata say which network
it is (``arch``, and its ``options`` as JSON), which crops it wants (``crop_family``), how many ``joints`` its rotations
have and in which ``layout`` its 6D numbers were. Operators of set 17.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monocap.errors import InputError, MissingDependencyError
from monocap.files import replacing
from monocap.nets.network import Network

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:  # pragma: no cover - exercised where it is absent
    raise MissingDependencyError("onnx", "train") from error

OPSET = 17
LIMIT = 2_000_000_000  # bytes: one protobuf message holds less than 2 GiB
_HALF_FROM = 1024  # numbers: smaller tensors are not worth a Cast


class _Answer(nn.Module):
    """The last stage as a plain tuple."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.net.answer(*given))


def export_network(path: str | os.PathLike[str], net: Network, half: bool = False) -> float:
    """Write ``net``'s last answer, outputs ``rotmats, betas, cam`` (or ``net.outputs``), and run it once beside torch.

    ``half`` stores weights as float16 (computing stays float32). Returns the largest difference between the two on
    random inputs, in units of the answer where that exceeds 1; with ``half`` what rounding costs is in it. Raises
    InputError for a network that does not say how to build it again, or is too large for one file.
    """
    arch = getattr(net, "arch", None)
    if not isinstance(arch, dict):
        raise InputError(f"{type(net).__name__} does not say how to build it again; make it with nets.build")
    described = {
        "arch": str(arch["name"]),
        "options": json.dumps({key: value for key, value in arch.items() if key != "name"}),
        "crop_family": net.crop,
        "joints": str(net.joints),
        "layout": net.layout or "axis_angle",
        **net.described(),
    }
    was_training = net.training
    net.eval()
    try:
        given = net.example(2)
        write_traced(path, _Answer(net).eval(), given, net.outputs, described, half, net.second_axis)
        return _difference(path, net)
    finally:
        net.train(was_training)


def write_traced(
    path: str | os.PathLike[str],
    module: nn.Module,
    given: Mapping[str, Tensor],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    half: bool = False,
    second_axis: str | None = None,
) -> None:
    """Write ``module`` (in evaluation mode), traced with ``given`` tensors by name, their first axis becoming dynamic.

    ``second_axis`` names a second dynamic axis of all inputs and outputs, such as frames. ``half`` stores large float
    weights as float16 and widens them when the graph is loaded. Raises InputError if the file would exceed 2 GB.
    """
    size = sum(p.numel() for p in module.parameters()) * 4
    if size > LIMIT:
        raise InputError(f"{size / 1e9:.1f} GB of weights; one ONNX file holds at most {LIMIT / 1e9:.0f} GB")
    axes = {0: "N"} if second_axis is None else {0: "N", 1: second_axis}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter needs nothing but torch; torch says that a newer one exists
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            module, tuple(given.values()), plain, input_names=list(given), output_names=list(outputs),
            dynamic_axes=dict.fromkeys((*given, *outputs), axes), opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        model = onnx.load(plain)
    if half:
        _halve(model)
    helper.set_model_props(model, dict(metadata))
    model.producer_name, model.producer_version = "monocap", ""
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        onnx.save(model, temporary)


def _halve(model: Any) -> None:
    """Store large float tensors in half precision, with a Cast in front of everything else."""
    widened = []
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size > _HALF_FROM:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
            widened.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*widened, *rest])


def _difference(path: str | os.PathLike[str], net: Network) -> float:
    """Largest difference of the file's answers from torch's, for another batch size than it was traced with."""
    import onnxruntime

    given = net.example(3)
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    made = session.run(None, {name: value.numpy() for name, value in given.items()})
    with torch.no_grad():
        wanted = [value.numpy() for value in net.answer(*given.values())]
    pairs = zip(wanted, made, strict=True)
    return max(float(np.max(np.abs(a - np.asarray(b)) / np.maximum(1, np.abs(a)))) for a, b in pairs)
