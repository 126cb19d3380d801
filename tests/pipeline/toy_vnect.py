"""A network of a few nodes with VNect's outputs: everybody stands in the middle of the square, facing the camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from monocap.bodies import BodyModel
from monocap.fitting.vnect_body import rest_points
from monocap.perception.vnect import ROOT
from monocap.skeletons.vnect import normalised

CELLS = 32


def standing(body: BodyModel) -> np.ndarray:
    """(21,3) m about the pelvis, camera axes: arms half down, as the body's rest pose has them, a little turned."""
    points = rest_points(body) * [1.0, -1.0, -1.0]
    return np.asarray(normalised(points - points[ROOT]))


def write_toy(path: Path, body: BodyModel, side: int = 256, **metadata: str) -> Path:
    points = standing(body)
    flat = points[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = CELLS / 1.25 / (high - low).max()
    cells = (flat - (low + high) / 2) * scale + (CELLS - 1) / 2
    y, x = np.mgrid[:CELLS, :CELLS]
    heat = 0.9 * np.exp(-((x - cells[:, :1, None]) ** 2 + (y - cells[:, 1:, None]) ** 2) / 2)
    maps = {"heatmaps": heat} | {
        axis: np.broadcast_to(points[:, k, None, None], heat.shape) for k, axis in enumerate("xyz")
    }
    constants = {f"{name}_of_one": value[None].astype(np.float32) for name, value in maps.items()}
    constants["none"] = np.zeros(1, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["crop"], ["colour"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["colour", "none"], ["nothing"]),
        *(helper.make_node("Add", ["nothing", f"{name}_of_one"], [name]) for name in maps),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 21, CELLS, CELLS]) for name in maps],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"arch": "vnect-light", "crop_family": "light", "axes": "crop", **metadata})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
