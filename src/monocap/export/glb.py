"""A `Motion` as one GLB file: every person a skinned, animated body that viewers, engines and Blender open.

The body's shape is baked into the rest mesh, linear blend skinning carries the pose; pose-dependent correctives of
official SMPL files cannot be expressed in glTF and are left out. Faces that were captured are morph targets under
ARKit's names, on the open body; jaw and eyes then rest, since the shapes move them. Axes are glTF's own: metres,
right-handed, y up, as in monocap's world frame.

Who is not there is not shown: the node that holds a person's joints is scaled to nothing, which is what glTF 2.0 offers
for it ("when the scale is zero on all three axes …, this provides a mechanism to animate visibility").
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gl
from PIL import Image

from monocap.bodies import BodyModel
from monocap.bodies.arkit import arkit_shapes
from monocap.errors import InputError, MediaError
from monocap.export.faces import face_weights
from monocap.export.gltf import Parts, animate, channel, key_times, write_container
from monocap.export.person import PersonClip, SkinnedBody, even_times, person_clip, present, shown
from monocap.export.skin import skin_texture
from monocap.render import person_colour, vertex_normals
from monocap.types import ARKIT, Array, Motion

Texture = str | os.PathLike[str] | bytes | np.ndarray


def write_glb(
    path: str | os.PathLike[str],
    motion: Motion,
    body: SkinnedBody,
    *,
    texture: Texture | None = None,
    people: Sequence[int] | None = None,
    fps: float | None = None,
) -> None:
    """Write all people of a motion as one GLB with one animation named ``motion``.

    Per person: a node ``person_NN`` (NN = track id) that holds the joint nodes, named as the motion's joints, and a
    skinned mesh ``person_NN_body``. At each key a joint node's global position is ``T_world_camera @ joints``. Keys
    are the motion's frames (or ``fps`` a second) in which the person is there: seen, or in a gap of at most
    `person.GAP` seconds. At other times, half a frame from the nearest key, the person is scaled to nothing. The
    nodes rest in the first key's pose, so viewers that play nothing show it too. A person without a valid frame is
    left out; without people the file is a valid empty scene. ``people`` are the indices to write, by default all.

    ``texture`` is a JPEG or PNG (path or its bytes) or an RGB array for the body's uv; by default `skin_texture`
    of the body where it has one, else a plain colour per person.

    Raises InputError if motion and body do not fit each other, or values are not finite.
    """
    parts = Parts()
    wanted = present(motion) if people is None else [p for p in present(motion) if p in people]
    clips = {p: person_clip(motion, p, body) for p in wanted}
    if fps is not None:
        sampled = {p: clip.at(even_times(motion, fps)[0]) for p, clip in clips.items()}
        clips = {p: clip for p, clip in sampled.items() if shown(clip).any()}  # at few frames a second, none may hit
    scene_nodes: list[int] = []
    if clips:
        image = _image_bytes(skin_texture(body) if texture is None else texture)
        surface = _Surface.of(body)
        shared = _shared_accessors(parts, surface)
        faces = _faces(parts, motion, body, surface)
        materials: dict[Any, int] = {}
        for p, clip in clips.items():
            key = "skin" if image else person_colour(clip.track_id)
            if key not in materials:
                materials[key] = _material(parts, image, person_colour(clip.track_id))
            face = None if faces is None else _weights(motion, p, clip, faces)
            scene_nodes += _person(parts, clip, motion.betas[p], body, surface, shared, materials[key], face)
    extras = {"body_model": motion.body_model, "fps": float(motion.fps), "people": len(clips)}
    write_container(path, parts, scene_nodes, extras)


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


def _shared_accessors(parts: Parts, surface: _Surface) -> dict[str, int]:
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


@dataclass(frozen=True)
class _Faces:
    """Morph targets: accessor of each shape, shared by all people, and its name."""

    targets: list[int]
    names: tuple[str, ...]


def _faces(parts: Parts, motion: Motion, body: SkinnedBody, surface: _Surface) -> _Faces | None:
    """The open body's face shapes, if the motion holds weights of them."""
    if motion.arkit is None or not isinstance(body, BodyModel) or body.name != "open":
        return None
    shapes = arkit_shapes(body)
    targets = []
    for name in shapes.names:
        ids, offset = shapes.of(name)
        moved = np.full(shapes.count, -1)
        moved[ids] = np.arange(len(ids))
        own = moved[surface.source]
        rows = np.flatnonzero(own >= 0)
        targets.append(parts.sparse(rows, offset[own[rows]], len(surface.source)))
    return _Faces(targets, shapes.names)


def _weights(motion: Motion, person: int, clip: PersonClip, faces: _Faces) -> tuple[_Faces, Array]:
    """Weights (K,52), 0–1, at the clip's moments."""
    return faces, face_weights(motion, person, clip.times)[:, [ARKIT.index(name) for name in faces.names]]


def _person(
    parts: Parts,
    clip: PersonClip,
    betas: Array,
    body: SkinnedBody,
    surface: _Surface,
    shared: dict[str, int],
    material: int,
    face: tuple[_Faces, Array] | None = None,
) -> list[int]:
    """Append one person; returns the two nodes that belong to the scene."""
    gltf, label = parts.gltf, f"person_{clip.track_id:02d}"
    shapedirs = np.asarray(body.shapedirs, np.float64)[..., : len(betas)]
    rest = np.asarray(body.v_template, np.float64) + shapedirs @ np.asarray(betas, np.float64)
    rest_joints, parents = clip.rest_joints, clip.parents

    mesh_attributes = {
        "POSITION": parts.accessor(rest[surface.source].astype(np.float32), target=gl.ARRAY_BUFFER, bounds=True),
        "NORMAL": parts.accessor(_unit_normals(rest, surface), target=gl.ARRAY_BUFFER),
        **{name: index for name, index in shared.items() if name != "indices"},
    }
    primitive = gl.Primitive(attributes=gl.Attributes(**mesh_attributes), indices=shared["indices"], material=material)
    mesh = gl.Mesh(name=f"{label}_body", primitives=[primitive])
    visible = shown(clip)
    local = clip.local[visible]
    weights = np.zeros((0, 0), np.float32)
    if face is not None:
        shapes, weights = face[0], face[1][visible]
        primitive.targets = [gl.Attributes(POSITION=target) for target in shapes.targets]
        mesh.weights = weights[0].tolist()
        mesh.extras = {"targetNames": list(shapes.names)}
        still = [j for j, name in enumerate(clip.joint_names) if name in ("jaw", "left_eye", "right_eye")]
        local = local.copy()
        local[:, still] = (1.0, 0.0, 0.0, 0.0)
    gltf.meshes.append(mesh)

    rotations, pelvis = local[..., [1, 2, 3, 0]], clip.pelvis[visible]
    offsets = clip.offsets
    first = len(gltf.nodes) + 1
    children: list[list[int]] = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(first + joint)
    person = parts.node(name=label, children=[first], extras={"track_id": clip.track_id})
    for joint, name in enumerate(clip.joint_names):
        parts.node(
            name=name,
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
    animate(parts, clip.times[visible], {first: pelvis}, dict(enumerate(rotations.swapaxes(0, 1), start=first)))
    if face is not None:
        keys = clip.times[visible] if visible.sum() > 1 else np.zeros(1)
        channel(parts, mesh_node, "weights", parts.accessor(key_times(keys), bounds=True), weights.reshape(-1))
    _show(parts, person, clip.times, visible)
    return [person, mesh_node]


def _unit_normals(rest: Array, surface: _Surface) -> Array:
    normals = vertex_normals(rest, surface.faces).astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0.5, normals / np.maximum(length, 1e-9), (0.0, 1.0, 0.0))  # a lonely vertex has none
    return normals[surface.source].astype(np.float32)


def _show(parts: Parts, node: int, times: Array, visible: Array) -> None:
    """Scale a node to nothing where its person is not there: half a frame from the moments that it is."""
    changes = np.flatnonzero(np.diff(visible.astype(np.int8)))
    if visible.all():
        return
    halfway = (times[changes] + times[changes + 1]) / 2
    keys = key_times(np.concatenate([times[:1], halfway, times[-1:]]))
    state = np.concatenate([visible[:1], visible[changes + 1], visible[-1:]]).astype(np.float32)
    fresh = np.r_[True, np.diff(keys) > 0]
    scale = np.repeat(state[fresh][:, None], 3, axis=1)
    channel(parts, node, "scale", parts.accessor(keys[fresh], bounds=True), scale, gl.ANIM_STEP)


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


def _material(parts: Parts, image: bytes | None, colour: tuple[float, float, float]) -> int:
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
