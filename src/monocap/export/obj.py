"""Posed bodies as Wavefront OBJ: the plainest mesh file, for photos and for tools that know nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monocap.errors import InputError, MediaError
from monocap.files import replacing
from monocap.render import vertex_normals

_UPRIGHT = {"camera": (1, -1, -1), "world": (1, 1, 1)}


def write_obj(
    path: str | os.PathLike[str],
    vertices: Any,
    faces: Any,
    uv: Any = None,
    uv_faces: Any = None,
    *,
    names: Sequence[str] | None = None,
    texture: str | os.PathLike[str] | bytes | None = None,
    frame: Literal["camera", "world"] = "camera",
) -> None:
    """Write one body (V,3) or P bodies (P,V,3) in one OBJ file, upright in every viewer.

    ``vertices`` in metres, camera frame (y down, z forward), which the file turns y up (x, -y, -z), or, with ``frame``
    world, y up already. ``faces`` (F,3), shared by all; ``uv`` (Vt,2) with v upwards and ``uv_faces`` (F,3) as bodies
    carry them; ``names`` of the P objects (``person_00``… by default). With a ``texture`` (JPEG or PNG, path or bytes)
    a material ``STEM.mtl`` and a copy ``STEM_skin.jpg`` (or .png) are written beside the OBJ. P = 0 gives a file
    without objects.

    Raises InputError for shapes that do not fit, MediaError for a texture that is missing.
    """
    path = Path(path)
    vertices = np.asarray(vertices, np.float64)
    faces = np.asarray(faces, np.int64)
    if vertices.ndim == 2:
        vertices = vertices[None]
    if vertices.ndim != 3 or vertices.shape[2] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError(f"vertices {vertices.shape}, faces {faces.shape}; expected (V, 3) or (P, V, 3), and (F, 3)")
    if not np.isfinite(vertices).all():
        raise InputError("vertices contain nan or infinity; leave out people that are not valid")
    if len(faces) and (faces.min() < 0 or faces.max() >= vertices.shape[1]):
        raise InputError(f"faces point at vertex {faces.max()}, but a body has {vertices.shape[1]}")
    names = [f"person_{p:02d}" for p in range(len(vertices))] if names is None else [str(n) for n in names]
    if len(names) != len(vertices):
        raise InputError(f"{len(names)} names for {len(vertices)} bodies")
    lines = ["# monocap: metres, y up"]
    if texture is not None and uv is not None:
        lines.append(f"mtllib {_write_material(path, texture)}")
    if uv is not None:
        uv = np.asarray(uv, np.float64)
        uv_faces = faces if uv_faces is None else np.asarray(uv_faces, np.int64)
        if uv_faces.shape != faces.shape or (len(faces) and uv_faces.max() >= len(uv)):
            raise InputError(f"uv_faces {uv_faces.shape} do not fit faces {faces.shape} and uv {uv.shape}")
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv.tolist()]
    for p, name in enumerate(names if vertices.shape[1] else []):
        points = vertices[p] * _UPRIGHT[frame]
        lines.append(f"o {name}")
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points.tolist()]
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertex_normals(points, faces).tolist()]
        if texture is not None and uv is not None:
            lines.append("usemtl skin")
        corner = faces + 1 + p * vertices.shape[1]
        if uv is None:
            lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in corner.tolist()]
        else:
            both = np.concatenate([corner, np.asarray(uv_faces) + 1], axis=1).tolist()
            lines += [f"f {a}/{s}/{a} {b}/{t}/{b} {c}/{u}/{c}" for a, b, c, s, t, u in both]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_material(path: Path, texture: str | os.PathLike[str] | bytes) -> str:
    """Write texture and material beside the OBJ; returns the material's file name."""
    if not isinstance(texture, bytes):
        if not Path(texture).is_file():
            raise MediaError(f"{texture}: no such texture file")
        texture = Path(texture).read_bytes()
    stem = "_".join(path.stem.split())  # many readers end a file name at the first blank
    image = path.with_name(f"{stem}_skin" + (".png" if texture.startswith(b"\x89PNG") else ".jpg"))
    material = path.with_name(f"{stem}.mtl")
    with replacing(image) as temporary:
        temporary.write_bytes(texture)
    with replacing(material) as temporary:
        text = f"newmtl skin\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {image.name}\n"
        temporary.write_text(text, encoding="utf-8")
    return material.name
