"""A reader of GLB of our own, from the specification alone (struct and json): no line is shared with the writer."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    def __init__(self, path: Path) -> None:
        raw = Path(path).read_bytes()
        magic, version, length = struct.unpack_from("<4sII", raw)
        assert (magic, version, length) == (b"glTF", 2, len(raw))
        size, kind = struct.unpack_from("<I4s", raw, 12)
        assert kind == b"JSON"
        self.json: dict[str, Any] = json.loads(raw[20 : 20 + size])
        self.binary = raw[20 + size + 8 :] if len(raw) > 20 + size else b""

    def accessor(self, index: int) -> np.ndarray:
        a = self.json["accessors"][index]
        view = self.json["bufferViews"][a["bufferView"]]
        count = a["count"] * _WIDTHS[a["type"]]
        start = view.get("byteOffset", 0) + a.get("byteOffset", 0)
        return np.frombuffer(self.binary, _DTYPES[a["componentType"]], count, start).reshape(a["count"], -1)

    def node_matrices(self, time: float | None = None) -> np.ndarray:
        """Global (N,4,4) of all nodes at a time of the animation, or as the nodes stand in the file."""
        nodes = [dict(node) for node in self.json.get("nodes", [])]
        if time is not None:
            for channel in self.json["animations"][0]["channels"]:
                sampler = self.json["animations"][0]["samplers"][channel["sampler"]]
                keys = self.accessor(sampler["input"])[:, 0].astype(float)
                values = self.accessor(sampler["output"]).astype(float)
                t = np.clip(time, keys[0], keys[-1])
                b = int(np.clip(np.searchsorted(keys, t), 1, max(len(keys) - 1, 1))) if len(keys) > 1 else 0
                a = max(b - 1, 0)
                s = (t - keys[a]) / (keys[b] - keys[a]) if b > a else 0.0
                if sampler["interpolation"] == "STEP":
                    s = float(t >= keys[b])
                value = (1 - s) * values[a] + s * values[b]
                if channel["target"]["path"] == "rotation":
                    value /= np.linalg.norm(value)
                nodes[channel["target"]["node"]][channel["target"]["path"]] = value
        out = np.tile(np.eye(4), (len(nodes), 1, 1))

        def descend(index: int, above: np.ndarray) -> None:
            node = nodes[index]
            x, y, z, w = node.get("rotation", (0, 0, 0, 1))
            local = np.eye(4)
            local[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
            local[:3, :3] *= node.get("scale", (1, 1, 1))
            local[:3, 3] = node.get("translation", (0, 0, 0))
            out[index] = above @ local
            for child in node.get("children", []):
                descend(child, out[index])

        for root in self.json["scenes"][0].get("nodes", []):
            descend(root, np.eye(4))
        return out

    def joints(self, person: int, time: float | None = None) -> np.ndarray:
        """(J,3) global positions of a skin's joints."""
        return self.node_matrices(time)[self.json["skins"][person]["joints"], :3, 3]

    def skinned(self, person: int, time: float | None = None) -> np.ndarray:
        """(W,3) vertices as a viewer draws them."""
        skin = self.json["skins"][person]
        node = next(n for n in self.json["nodes"] if n.get("skin") == person)
        attributes = self.json["meshes"][node["mesh"]]["primitives"][0]["attributes"]
        bind = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = self.node_matrices(time)[skin["joints"]] @ bind
        position = np.c_[self.accessor(attributes["POSITION"]), np.ones(self.json_count(attributes["POSITION"]))]
        weights, joints = self.accessor(attributes["WEIGHTS_0"]), self.accessor(attributes["JOINTS_0"])
        return np.einsum("vk,vkab,vb->va", weights, matrices[joints], position)[:, :3]

    def json_count(self, accessor: int) -> int:
        return self.json["accessors"][accessor]["count"]
