"""A `Motion` as one GLB file: every person a skinned, animated body that viewers, engines and Blender open.

The body's shape is baked into the rest mesh, linear blend skinning carries the pose; pose-dependent correctives of
official SMPL files cannot be expressed in glTF and are left out, as are expressions. Axes are glTF's own: metres,
right-handed, y up, as in monocap's world frame.
"""

from __future__ import annotations

import io
import json
import os
import struct
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pygltflib as gl
from PIL import Image

from monocap.errors import InputError, MediaError
from monocap.export.skin import skin_texture
from monocap.files import replacing
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_quaternion
from monocap.render import person_colour, vertex_normals
from monocap.types import Array, Motion

Texture = str | os.PathLike[str] | bytes | np.ndarray

_NUMBER = {"float32": gl.FLOAT, "uint8": gl.UNSIGNED_BYTE, "uint16": gl.UNSIGNED_SHORT, "uint32": gl.UNSIGNED_INT}
_KIND = {(): gl.SCALAR, (2,): gl.VEC2, (3,): gl.VEC3, (4,): gl.VEC4, (4, 4): gl.MAT4}


class SkinnedBody(Protocol):
    """What an exporter asks of a body: see `monocap.bodies`. ``uv`` and ``uv_faces`` may be None."""

    @property
    def v_template(self) -> Any: ...
    @property
    def shapedirs(self) -> Any: ...
    @property
    def faces(self) -> Any: ...
    @property
    def parents(self) -> Any: ...
    @property
    def joint_names(self) -> Any: ...
    @property
    def lbs_weights(self) -> Any: ...
    @property
    def uv(self) -> Any: ...
    @property
    def uv_faces(self) -> Any: ...

    def rest_joints(self, betas: Any) -> Any: ...


def write_glb(
    path: str | os.PathLike[str], motion: Motion, body: SkinnedBody, *, texture: Texture | None = None
) -> None:
    """Write all people of a motion as one GLB with one animation named ``motion``.

    Per person: a node ``person_NN`` (NN = track id) that holds the joint nodes, named as the motion's joints, and a
    skinned mesh ``person_NN_body``. At each key a joint node's global position is ``T_world_camera @ joints``. Keys
    are the person's valid frames at the motion's times (linear in between; a gap is bridged by its two ends); the
    nodes rest in the first key's pose, so viewers that play nothing show it too. A person without a valid frame is
    left out; without people the file is a valid empty scene.

    ``texture`` is a JPEG or PNG (path or its bytes) or an RGB array for the body's uv; by default `skin_texture`
    of the body where it has one, else a plain colour per person.

    Raises InputError if motion and body do not fit each other, or values are not finite.
    """
    names = [str(name) for name in motion.joint_names]
    missing = [str(name) for name in body.joint_names if str(name) not in names]
    if missing:
        raise InputError(
            f"the motion has no joint {', '.join(missing[:3])} of this body; use the body it was made with"
        )
    parts = _Parts()
    people = [p for p in range(motion.people) if np.asarray(motion.valid[p]).any()]
    scene_nodes: list[int] = []
    if people:
        image = _image_bytes(skin_texture(body) if texture is None else texture)
        surface = _Surface.of(body)
        shared = _shared_accessors(parts, surface)
        materials: dict[Any, int] = {}
        for p in people:
            key = "skin" if image else person_colour(motion.track_id[p])
            if key not in materials:
                materials[key] = _material(parts, image, person_colour(motion.track_id[p]))
            scene_nodes += _person(parts, motion, p, body, surface, shared, materials[key], names)
    gltf = parts.gltf
    gltf.asset = gl.Asset(version="2.0", generator=f"monocap {_version()}")
    gltf.asset.extras = {"monocap": {"body_model": motion.body_model, "fps": float(motion.fps), "people": len(people)}}
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


@dataclass
class _Parts:
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

    def node(self, **fields: Any) -> int:
        self.gltf.nodes.append(gl.Node(**fields))
        return len(self.gltf.nodes) - 1


@dataclass(frozen=True)
class _Surface:
    """The body's triangles with one texture coordinate per vertex: vertices on a seam of the uv map are repeated."""

    source: Array  # (W,) vertex of the body behind each vertex of the file
    triangles: Array  # (F,3) into source
    uv: Array | None  # (W,2), v downwards as in glTF
    joints: Array  # (W,4) uint8
    weights: Array  # (W,4) float32
    faces: Array  # (F,3) into the body's own vertices

    @classmethod
    def of(cls, body: SkinnedBody) -> _Surface:
        faces = np.asarray(body.faces, np.int64)
        weights = np.asarray(body.lbs_weights, np.float64)
        uv = None if body.uv is None else np.asarray(body.uv, np.float64)
        if uv is None:
            source, triangles = np.arange(len(weights)), faces
        else:
            uv_faces = faces if body.uv_faces is None else np.asarray(body.uv_faces, np.int64)
            if uv_faces.shape != faces.shape or uv_faces.max() >= len(uv):
                raise InputError(f"uv_faces {uv_faces.shape} do not fit faces {faces.shape} and uv {uv.shape}")
            corner, inverse = np.unique(faces * len(uv) + uv_faces, return_inverse=True)
            source, triangles = corner // len(uv), inverse.reshape(faces.shape)
            uv = uv[corner % len(uv)] * (1, -1) + (0, 1)
        strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
        kept = np.take_along_axis(weights, strongest, axis=1)
        total = kept.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise InputError(f"{int((total <= 0).sum())} vertices of the body have no skinning weight")
        strongest = np.where(kept > 0, strongest, 0)  # an unused slot must name joint 0
        if weights.shape[1] > 255:
            raise InputError(f"{weights.shape[1]} joints; glTF export handles up to 255")
        kept = (kept / total).astype(np.float32)
        return cls(source, triangles, uv, strongest[source].astype(np.uint8), kept[source], faces)


def _shared_accessors(parts: _Parts, surface: _Surface) -> dict[str, int]:
    """What all people have in common is stored once."""
    small = len(surface.source) <= 65535
    indices = surface.triangles.reshape(-1).astype(np.uint16 if small else np.uint32)
    shared = {
        "indices": parts.accessor(indices, target=gl.ELEMENT_ARRAY_BUFFER),
        "JOINTS_0": parts.accessor(surface.joints, target=gl.ARRAY_BUFFER),
        "WEIGHTS_0": parts.accessor(surface.weights, target=gl.ARRAY_BUFFER),
    }
    if surface.uv is not None:
        shared["TEXCOORD_0"] = parts.accessor(surface.uv.astype(np.float32), target=gl.ARRAY_BUFFER)
    return shared


def _person(
    parts: _Parts,
    motion: Motion,
    p: int,
    body: SkinnedBody,
    surface: _Surface,
    shared: dict[str, int],
    material: int,
    names: list[str],
) -> list[int]:
    """Append one person; returns the two nodes that belong to the scene."""
    gltf, label = parts.gltf, f"person_{int(motion.track_id[p]):02d}"
    betas = np.asarray(motion.betas[p], np.float64)
    shapedirs = np.asarray(body.shapedirs, np.float64)
    if len(betas) > shapedirs.shape[-1]:
        raise InputError(f"{len(betas)} betas, but the body has {shapedirs.shape[-1]}; use the body it was made with")
    rest = np.asarray(body.v_template, np.float64) + shapedirs[..., : len(betas)] @ betas
    rest_joints = np.asarray(body.rest_joints(betas), np.float64)
    parents = [int(i) for i in np.asarray(body.parents)]

    mesh_attributes = {
        "POSITION": parts.accessor(rest[surface.source].astype(np.float32), target=gl.ARRAY_BUFFER, bounds=True),
        "NORMAL": parts.accessor(_unit_normals(rest, surface), target=gl.ARRAY_BUFFER),
        **{name: index for name, index in shared.items() if name != "indices"},
    }
    primitive = gl.Primitive(attributes=gl.Attributes(**mesh_attributes), indices=shared["indices"], material=material)
    gltf.meshes.append(gl.Mesh(name=f"{label}_body", primitives=[primitive]))

    times, rotations, pelvis = _keys(motion, p, names, [str(n) for n in body.joint_names], rest_joints[0])
    offsets = rest_joints - rest_joints[np.maximum(parents, 0)]
    first = len(gltf.nodes) + 1
    children: list[list[int]] = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(first + joint)
    person = parts.node(name=label, children=[first], extras={"track_id": int(motion.track_id[p])})
    for joint, name in enumerate(body.joint_names):
        parts.node(
            name=str(name),
            children=children[joint],
            translation=(pelvis[0] if joint == 0 else offsets[joint]).tolist(),
            rotation=rotations[0, joint].tolist(),
        )
    bind = np.tile(np.eye(4, dtype=np.float32), (len(parents), 1, 1))
    bind[:, 3, :3] = -rest_joints  # glTF stores columns first
    gltf.skins.append(
        gl.Skin(
            name=label,
            skeleton=first,
            joints=[first + joint for joint in range(len(parents))],
            inverseBindMatrices=parts.accessor(bind),
        )
    )
    # a skinned mesh stands in its joints' frame whatever its own node says, so the node belongs to the scene's root
    mesh_node = parts.node(name=f"{label}_body", mesh=len(gltf.meshes) - 1, skin=len(gltf.skins) - 1)
    _animate(parts, first, times, rotations, pelvis)
    return [person, mesh_node]


def _unit_normals(rest: Array, surface: _Surface) -> Array:
    normals = vertex_normals(rest, surface.faces).astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0.5, normals / np.maximum(length, 1e-9), (0.0, 1.0, 0.0))  # a lonely vertex has none
    return normals[surface.source].astype(np.float32)


def _keys(
    motion: Motion, p: int, names: list[str], wanted: list[str], rest_pelvis: Array
) -> tuple[Array, Array, Array]:
    """Times (K,) float32 s, local rotations (K,J,4) xyzw and pelvis positions (K,3), world frame, of valid frames."""
    valid = np.flatnonzero(np.asarray(motion.valid[p]))
    times = np.asarray(motion.time, np.float64)[valid]
    if len(valid) == 1:
        times = np.zeros(1)  # a pose, not a movement: shown from the start
    times = times.astype(np.float32)
    if not (np.diff(times) > 0).all() or times[0] < 0:
        raise InputError("motion.time must grow from frame to frame and not be negative; repair the times first")
    fields = ("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose")
    hands = ("left_hand_pose", "right_hand_pose")
    pose = np.concatenate([np.asarray(getattr(motion, f)[p], np.float64)[valid] for f in fields + hands], axis=-1)
    transl = np.asarray(motion.transl[p], np.float64)[valid]
    T_world_camera = np.asarray(motion.T_world_camera, np.float64)[valid]
    if not (np.isfinite(pose).all() and np.isfinite(transl).all() and np.isfinite(T_world_camera).all()):
        raise InputError(f"person {int(motion.track_id[p])} has nan or infinity in frames that are marked valid")
    local = axis_angle_to_matrix(pose.reshape(len(valid), -1, 3))
    local = local[:, [names.index(name) for name in wanted]]
    local[:, 0] = T_world_camera[:, :3, :3] @ local[:, 0]
    # the root turns about the rest pelvis, which is not the body's origin
    pelvis = np.einsum("kab,kb->ka", T_world_camera[:, :3, :3], rest_pelvis + transl) + T_world_camera[:, :3, 3]
    quaternions = matrix_to_quaternion(local)
    turned = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True) < 0
    quaternions[1:] *= np.cumprod(np.where(turned, -1.0, 1.0), axis=0)  # the short way round, key to key
    return times, quaternions[..., [1, 2, 3, 0]].astype(np.float32), pelvis.astype(np.float32)


def _animate(parts: _Parts, first: int, times: Array, rotations: Array, pelvis: Array) -> None:
    if not parts.gltf.animations:
        parts.gltf.animations.append(gl.Animation(name="motion"))
    animation = parts.gltf.animations[0]
    clock = parts.accessor(times, bounds=True)

    def channel(node: int, path: str, values: Array) -> None:
        sampler = gl.AnimationSampler(input=clock, output=parts.accessor(values), interpolation=gl.ANIM_LINEAR)
        animation.samplers.append(sampler)
        target = gl.AnimationChannelTarget(node=node, path=path)
        animation.channels.append(gl.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    channel(first, "translation", pelvis)
    for joint in range(rotations.shape[1]):
        channel(first + joint, "rotation", rotations[:, joint])


def _image_bytes(texture: Texture | None) -> bytes | None:
    """The texture file as it is, or an RGB array as JPEG."""
    if texture is None or isinstance(texture, bytes):
        return texture
    if isinstance(texture, np.ndarray):
        packed = io.BytesIO()
        Image.fromarray(texture).save(packed, "JPEG", quality=90)
        return packed.getvalue()
    path = Path(texture)
    if not path.is_file():
        raise MediaError(f"{path}: no such texture file")
    return path.read_bytes()


def _material(parts: _Parts, image: bytes | None, colour: tuple[float, float, float]) -> int:
    gltf = parts.gltf
    roughness: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.7}
    if image is None:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        pbr = gl.PbrMetallicRoughness(baseColorFactor=[*linear, 1.0], **roughness)
    else:
        kinds = {b"\xff\xd8\xff": "image/jpeg", b"\x89PN": "image/png"}
        kind = kinds.get(image[:3])
        if kind is None:
            raise InputError("the texture is neither JPEG nor PNG; glTF allows only these")
        gltf.images.append(gl.Image(name="skin", mimeType=kind, bufferView=parts.view(image)))
        gltf.samplers.append(
            gl.Sampler(magFilter=gl.LINEAR, minFilter=gl.LINEAR_MIPMAP_LINEAR, wrapS=gl.REPEAT, wrapT=gl.REPEAT)
        )
        gltf.textures.append(gl.Texture(source=len(gltf.images) - 1, sampler=len(gltf.samplers) - 1))
        pbr = gl.PbrMetallicRoughness(baseColorTexture=gl.TextureInfo(index=len(gltf.textures) - 1), **roughness)
    name = "body" if image is None else "skin"
    gltf.materials.append(gl.Material(name=name, pbrMetallicRoughness=pbr, alphaMode=gl.OPAQUE, alphaCutoff=None))
    return len(gltf.materials) - 1
