"""A regression network of a few nodes, with the shipped ones' inputs and outputs, written as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from monocap.geometry.rotations import axis_angle_to_matrix

FACING = np.array([np.pi, 0.0, 0.0])  # upright in front of the camera, facing it
SIZE = 0.75  # s: what of the square a person of two metres fills


def write_toy(
    path: Path,
    pose: np.ndarray | None = None,
    side: int = 256,
    box: str = "box",
    width: int | None = None,
    **metadata: str,
) -> Path:
    """Says of everybody: stands in ``pose`` (J,3), in the middle of the square; betas are the crop's mean colour.
    ``side`` px, and ``width`` where it is another; ``box``: what its second input is called."""
    pose = np.concatenate([FACING[None], np.zeros((21, 3))]) if pose is None else pose
    constants = {
        "body": axis_angle_to_matrix(pose)[None].astype(np.float32),
        "camera": np.array([[SIZE, 0.0, 0.0]], np.float32),
        "spread": np.eye(3, 10, dtype=np.float32),
        "none": np.zeros((3, 3), np.float32),
        "form": np.array([-1, 1, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["crop"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "spread"], ["betas"]),
        helper.make_node("MatMul", [box, "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "camera"], ["cam"]),
        helper.make_node("ReduceMax", ["nothing"], ["row"], axes=[1], keepdims=1),
        helper.make_node("Reshape", ["row", "form"], ["rows"]),
        helper.make_node("Add", ["rows", "body"], ["rotmats"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["n", 3, side, width or side]),
            helper.make_tensor_value_info(box, TensorProto.FLOAT, ["n", 3]),
        ],
        [
            helper.make_tensor_value_info("rotmats", TensorProto.FLOAT, ["n", len(pose), 3, 3]),
            helper.make_tensor_value_info("betas", TensorProto.FLOAT, ["n", 10]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["n", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"arch": "hmr-light", "crop_family": "light", **metadata})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
