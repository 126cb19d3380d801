"""SMPLify-X's own results, ``results/IMAGE/000.pkl`` and ``meshes/IMAGE/000.obj``, written; and its pickles read.

A pickle holds one person of one picture as arrays of one row: ``camera_rotation`` (1,3,3), ``camera_translation``
(1,3), ``betas``, ``global_orient``, ``left_hand_pose`` and ``right_hand_pose`` (1,12: coefficients of the hands'
principal components, without the mean), ``jaw_pose``, ``leye_pose``, ``reye_pose``, ``expression``, and ``body_pose``:
(1,32), VPoser's code. The camera looks along z with y down and stands in the origin; bodies have no translation of
their own. The code means what it says only to the VPoser it was fitted with, so that ours adds
``body_pose_axis_angle`` (1,63) and the camera: ``focal_length`` (1), ``camera_center`` (1,2), ``image_size`` (1,2).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monocap.assets.pickles import read_pickle
from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.files import replacing
from monocap.geometry.cameras import default_focal
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array, BodyParams, Camera, Motion

MAX_BYTES = 16 << 20
_OFFICIAL_FOCAL = 5000.0
_UNKNOWN_SIZE = 1000  # px: where a file does not tell its picture's size
_TURN = np.array([1.0, -1.0, -1.0])  # half a turn about x: y up, as the published meshes


@dataclass(frozen=True)
class OfficialResult:
    """One person of a pickle: ``params`` without batch axis, camera frame, hands as absolute angles; ``camera`` with
    the focal length and size that the file tells, or else the published default; ``notes`` for the user."""

    params: BodyParams
    camera: Camera
    notes: tuple[str, ...]


def write_official(
    path: str | os.PathLike[str],
    params: BodyParams,
    camera: Camera,
    latent: Array,
    hands: tuple[Array | None, Array | None] = (None, None),
) -> None:
    """Write one person (``params`` without batch axis); ``latent`` (32,), ``hands`` coefficients (n,) left and right.

    Protocol 2, plain float32 arrays: reads in any Python with numpy 1 or 2. Raises InputError for other sizes.
    """
    given = params.asdict()
    zeros = {"jaw_pose": 3, "left_eye_pose": 3, "right_eye_pose": 3, "expression": 10}
    values = {name: np.zeros(size) if given.get(name) is None else given[name] for name, size in zeros.items()}
    if np.shape(latent) != (32,) or np.shape(params.body_pose) != (63,):
        raise InputError(f"latent {np.shape(latent)}, body_pose {np.shape(params.body_pose)}; expected (32,) and (63,)")
    left, right = (np.zeros(12) if hand is None else hand for hand in hands)
    result = {
        "camera_rotation": np.eye(3),
        "camera_translation": params.transl,
        "betas": params.betas,
        "global_orient": params.global_orient,
        "left_hand_pose": left,
        "right_hand_pose": right,
        "jaw_pose": values["jaw_pose"],
        "leye_pose": values["left_eye_pose"],
        "reye_pose": values["right_eye_pose"],
        "expression": values["expression"],
        "body_pose": latent,
        "body_pose_axis_angle": params.body_pose,
        "camera_center": np.array([camera.cx, camera.cy]),
        "image_size": np.array([camera.width, camera.height]),
    }
    arrays = {name: np.ascontiguousarray(np.asarray(value, np.float32)[None]) for name, value in result.items()}
    arrays["focal_length"] = np.array([camera.fx], np.float32)
    data = pickle.dumps(arrays, protocol=2)
    # numpy 2 calls its core by a name that numpy 1 does not know; both know the old one
    data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def official_vertices(body: BodyModel, params: BodyParams) -> Array:
    """(V,3) m as in the published ``meshes``: without the camera's translation, turned y up."""
    given = {**body.own(params.asdict()), "transl": np.zeros(3)}
    return np.asarray(body(**given).vertices, np.float64) * _TURN


def write_mesh(path: str | os.PathLike[str], vertices: Array, faces: Array) -> None:
    """A plain OBJ of ``vertices`` (V,3) and ``faces`` (F,3) as they are: no normals, texture or names."""
    lines = [f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in np.asarray(vertices).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (np.asarray(faces) + 1).tolist()]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def is_official(path: str | os.PathLike[str]) -> bool:
    """Whether a file may be such a pickle: by its first byte, or its name."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(1) == b"\x80" or path.suffix.lower() in (".pkl", ".pickle")


def read_official(
    path: str | os.PathLike[str], body: BodyModel, vposer: str | os.PathLike[str] | None = None
) -> OfficialResult:
    """A result of SMPLify-X, ours or the published program's; nothing in the pickle is executed (`assets.pickles`).

    ``vposer``: weights that decode its code (`VPoserPrior.load`), by default the shipped ones, which are not those
    that the published program fitted with: a note says so. Hands' coefficients are turned to angles by ``body``.

    Raises InputError naming what is missing or of another size.
    """
    path = Path(path)
    content = read_pickle(path, MAX_BYTES)
    if isinstance(content, Mapping) and isinstance(content.get("result"), Mapping):  # a list of tries keeps each so
        content = content["result"]
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds {type(content).__name__}; expected the dictionary of an SMPLify-X result")
    notes: list[str] = []
    translation = _row(content, ("camera_translation", "camera_transl", "transl"), (3,), path)
    rotation = _row(content, ("camera_rotation",), (3, 3), path, np.eye(3))
    if not np.allclose(rotation, np.eye(3), atol=1e-4):
        raise InputError(f"{path}: its camera is turned, which the published program never writes; expected identity")
    betas = _row(content, ("betas",), (None,), path)
    if len(betas) > body.num_betas:
        raise InputError(f"{path}: {len(betas)} betas; the body {body.name!r} has {body.num_betas}. See --body")
    if body.name == "open" and "body_pose_axis_angle" not in content:  # not ours
        notes.append(
            "betas and expression are those of the body that the file was fitted with; on the open body they give "
            "another person. Give the official file with --body"
        )
    params = BodyParams(
        betas=betas,
        global_orient=_row(content, ("global_orient",), (3,), path),
        body_pose=_body_pose(content, path, vposer, notes),
        transl=translation,
        jaw_pose=_row(content, ("jaw_pose",), (3,), path, np.zeros(3)),
        left_eye_pose=_row(content, ("leye_pose", "left_eye_pose"), (3,), path, np.zeros(3)),
        right_eye_pose=_row(content, ("reye_pose", "right_eye_pose"), (3,), path, np.zeros(3)),
        left_hand_pose=_hand(content, "left", body, path),
        right_hand_pose=_hand(content, "right", body, path),
        expression=_expression(content, body, path),
    )
    return OfficialResult(params, _camera(content, path, notes), tuple(notes))


def motion_of_official(result: OfficialResult, body: BodyModel) -> Motion:
    """One person in one picture as a `Motion` (P = 1, T = 1); the world is the camera's, turned y up, its ground under
    the lowest point of the body."""
    given = body.own(result.params.asdict())
    out = body(**given)
    vertices, joints = np.asarray(out.vertices, np.float64), np.asarray(out.joints, np.float64)
    T_world_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    T_world_camera[1, 3] = vertices[:, 1].max()
    names = ("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose", "left_hand_pose")
    poses = {name: getattr(result.params, name)[None, None] for name in (*names, "right_hand_pose", "transl")}
    camera = result.camera
    return Motion(
        fps=1.0,
        frame_index=np.zeros(1, np.int64),
        time=np.zeros(1),
        image_size=np.array([camera.width, camera.height], np.int64),
        track_id=np.zeros(1, np.int64),
        valid=np.ones((1, 1), bool),
        confidence=np.ones((1, 1)),
        K=camera.K[None],
        T_world_camera=T_world_camera[None],
        betas=result.params.betas[None],
        expression=np.asarray(result.params.expression)[None, None],
        joints=joints[None, None],
        keypoints2d=np.zeros((1, 1, 0, 3)),
        joint_names=np.array(body.joint_names),
        keypoint_names=np.array([], dtype="U1"),
        body_model=body.name,
        **poses,
    )


def _body_pose(
    content: Mapping[str, Any], path: Path, vposer: str | os.PathLike[str] | None, notes: list[str]
) -> Array:
    if "body_pose_axis_angle" in content and vposer is None:
        return _row(content, ("body_pose_axis_angle",), (63,), path)
    pose = _row(content, ("body_pose",), (None,), path)
    if len(pose) in (63, 69):  # fitted without VPoser; SMPL's last two joints are its hands
        return pose[:63]
    if len(pose) != 32:
        raise InputError(f"{path}: body_pose has {len(pose)} numbers; expected 32 (VPoser's code) or 63 (angles)")
    if vposer is None:
        notes.append(
            "the pose is VPoser's code and was decoded with the shipped VPoser, which is not the one that the "
            "published program fits with: expect another pose. Give its weights with --vposer (monocap weights convert)"
        )
    return VPoserPrior.load("vposer" if vposer is None else vposer).decode(pose)


def _hand(content: Mapping[str, Any], side: str, body: BodyModel, path: Path) -> Array:
    name = f"{side}_hand_pose"
    pose = _row(content, (name,), (None,), path, np.zeros(45))
    if len(pose) == 45:
        return pose
    given = {"left_hand_pose": np.zeros(len(pose)), "right_hand_pose": np.zeros(len(pose)), name: pose}
    try:
        full = np.asarray(body.with_hands(num_pca_comps=len(pose), flat_hand_mean=False).full_pose(**given))
    except InputError as error:
        raise InputError(f"{path}: {name} has {len(pose)} coefficients ({error})") from error
    first = body.joint_names.index(f"{side}_index1")
    return np.asarray(full, np.float64).reshape(-1)[3 * first : 3 * first + 45]


def _expression(content: Mapping[str, Any], body: BodyModel, path: Path) -> Array:
    value = _row(content, ("expression",), (None,), path, np.zeros(body.num_expressions))
    if len(value) > body.num_expressions:
        if np.any(value[body.num_expressions :]):
            raise InputError(f"{path}: {len(value)} expression coefficients; {body.name!r} has {body.num_expressions}")
        value = value[: body.num_expressions]
    return np.concatenate([value, np.zeros(body.num_expressions - len(value))])


def _camera(content: Mapping[str, Any], path: Path, notes: list[str]) -> Camera:
    size = _row(content, ("image_size",), (2,), path, np.zeros(2))
    centre = _row(content, ("camera_center",), (2,), path, np.full(2, np.nan))
    if "focal_length" in content:
        focal = float(np.ravel(np.asarray(content["focal_length"], np.float64))[0])
    else:
        focal = _OFFICIAL_FOCAL
        notes.append(f"the file does not tell its camera; {focal:.0f} px taken, the published default")
    width, height = (int(v) for v in size)
    if not (width > 0 and height > 0):
        told = np.isfinite(centre).all() and (centre > 0).all()
        width, height = (int(2 * v) for v in centre) if told else (_UNKNOWN_SIZE, _UNKNOWN_SIZE)
    if not np.isfinite(focal) or focal <= 0:
        focal = default_focal(width, height)
    cx, cy = centre if np.isfinite(centre).all() else (width / 2, height / 2)
    return Camera(focal, focal, float(cx), float(cy), width, height)


def _row(
    content: Mapping[str, Any],
    names: tuple[str, ...],
    shape: tuple[int | None, ...],
    path: Path,
    default: Array | None = None,
) -> Array:
    """The one row of a field. Raises InputError if it is absent without a default, of another size, or not finite."""
    name = next((one for one in names if content.get(one) is not None), None)
    if name is None:
        if default is not None:
            return default
        raise InputError(f"{path}: lacks {names[0]}; it has {', '.join(map(str, list(content)[:12])) or 'nothing'}")
    try:
        value = np.asarray(content[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {name} is no array of numbers ({error})") from error
    if value.ndim == len(shape) + 1 and len(value) == 1:
        value = value[0]
    fits = value.ndim == len(shape) and all(want in (None, size) for size, want in zip(value.shape, shape, strict=True))
    if not fits or not np.isfinite(value).all() or value.size > 1000:
        wanted = ", ".join("n" if size is None else str(size) for size in shape)
        raise InputError(f"{path}: {name} has shape {value.shape}, or is not finite; expected (1, {wanted})")
    return value
