"""A glTF file while it grows: nodes, accessors into one binary chunk, one animation; and its GLB container."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pygltflib as gl

from monocap.errors import InputError
from monocap.files import replacing
from monocap.types import Array

_NUMBER = {"float32": gl.FLOAT, "uint8": gl.UNSIGNED_BYTE, "uint16": gl.UNSIGNED_SHORT, "uint32": gl.UNSIGNED_INT}
_KIND = {(): gl.SCALAR, (2,): gl.VEC2, (3,): gl.VEC3, (4,): gl.VEC4, (4, 4): gl.MAT4}


@dataclass
class Parts:
    """The file while it grows: glTF lists, and the binary chunk they point into."""

    gltf: gl.GLTF2 = field(default_factory=gl.GLTF2)  # pyright: ignore[reportCallIssue,reportArgumentType]
    data: bytearray = field(default_factory=bytearray)

    def view(self, raw: bytes, target: int | None = None) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        self.gltf.bufferViews.append(
            gl.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(raw), target=target)
        )
        self.data.extend(raw)
        return len(self.gltf.bufferViews) - 1

    def accessor(self, array: Array, *, target: int | None = None, bounds: bool = False) -> int:
        array = np.ascontiguousarray(array)
        low = high = None
        if bounds:
            low, high = (np.atleast_1d(reduce(array, axis=0)).tolist() for reduce in (np.min, np.max))
        self.gltf.accessors.append(
            gl.Accessor(
                bufferView=self.view(array.tobytes(), target),
                componentType=_NUMBER[array.dtype.name],
                count=len(array),
                type=_KIND[array.shape[1:]],
                min=low,
                max=high,
            )
        )
        return len(self.gltf.accessors) - 1

    def sparse(self, rows: Array, values: Array, count: int) -> int:
        """An accessor of ``count`` vectors (3,) that are zero but for ``values`` (n,3) in ascending ``rows`` (n,)."""
        low = np.minimum(values.min(axis=0, initial=0.0), 0.0) if len(rows) < count else values.min(axis=0)
        high = np.maximum(values.max(axis=0, initial=0.0), 0.0) if len(rows) < count else values.max(axis=0)
        sparse = None
        if len(rows):
            small = count <= 65535
            indices = gl.AccessorSparseIndices(
                bufferView=self.view(rows.astype(np.uint16 if small else np.uint32).tobytes()),
                componentType=gl.UNSIGNED_SHORT if small else gl.UNSIGNED_INT,
            )
            stored = gl.AccessorSparseValues(bufferView=self.view(values.astype(np.float32).tobytes()))
            sparse = gl.Sparse(count=len(rows), indices=indices, values=stored)
        self.gltf.accessors.append(
            gl.Accessor(
                byteOffset=None,
                componentType=gl.FLOAT,
                count=count,
                type=gl.VEC3,
                min=low.astype(np.float32).tolist(),
                max=high.astype(np.float32).tolist(),
                sparse=sparse,
            )
        )
        return len(self.gltf.accessors) - 1

    def node(self, **fields: Any) -> int:
        self.gltf.nodes.append(gl.Node(**fields))
        return len(self.gltf.nodes) - 1


def write_container(path: str | os.PathLike[str], parts: Parts, scene_nodes: list[int], extras: dict[str, Any]) -> None:
    """Write the GLB of one scene; ``extras`` go into ``asset.extras.monocap``."""
    gltf = parts.gltf
    gltf.asset = gl.Asset(version="2.0", generator=f"monocap {_version()}")
    gltf.asset.extras = {"monocap": extras}
    gltf.scenes = [gl.Scene(name="scene", nodes=scene_nodes or None)]
    gltf.scene = 0
    with replacing(path) as temporary:
        temporary.write_bytes(_container(gltf, parts.data))


def _container(gltf: gl.GLTF2, data: bytearray) -> bytes:
    """The GLB of glTF lists and their binary chunk (pygltflib's own saving adds an invalid buffer to empty scenes)."""
    if data:
        data.extend(b"\0" * (-len(data) % 4))
        gltf.buffers = [gl.Buffer(byteLength=len(data))]
    text = json.dumps(json.loads(gltf.gltf_to_json()), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if data:
        chunks += struct.pack("<I4s", len(data), b"BIN\0") + bytes(data)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _version() -> str:
    try:
        return version("monocap")
    except PackageNotFoundError:  # run from a source tree
        return "development"


def animate(parts: Parts, times: Array, translations: dict[int, Array], rotations: dict[int, Array]) -> None:
    """Add channels to the one animation: nodes' translations (K,3) m and rotations (K,4) xyzw at times (K,) s."""
    if len(times) == 1:
        times = np.zeros(1)  # a pose, not a movement: shown from the start
    clock = parts.accessor(key_times(times), bounds=True)
    for path, moved in (("translation", translations), ("rotation", rotations)):
        for node, values in moved.items():
            channel(parts, node, path, clock, values)


def key_times(times: Array) -> Array:
    """Key times as the file has them, float32, which must still grow."""
    keys = np.asarray(times).astype(np.float32)
    if not (np.diff(keys) > 0).all():
        raise InputError(
            "frames are too close in time for a glTF file (float32 seconds); resample with a lower frame rate"
        )
    return keys


def channel(parts: Parts, node: int, path: str, clock: int, values: Array, how: str = gl.ANIM_LINEAR) -> None:
    if not parts.gltf.animations:
        parts.gltf.animations.append(gl.Animation(name="motion"))
    animation = parts.gltf.animations[0]
    output = parts.accessor(np.asarray(values, np.float32))
    animation.samplers.append(gl.AnimationSampler(input=clock, output=output, interpolation=how))
    target = gl.AnimationChannelTarget(node=node, path=path)
    animation.channels.append(gl.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))
