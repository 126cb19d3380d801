"""A body from its file: the one that ships with the package, an official one, or one that was added before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from monocap.bodies import store
from monocap.bodies.keypoints import Landmarks
from monocap.bodies.kinds import EXTRA_POINTS, KINDS
from monocap.bodies.model import BodyModel
from monocap.bodies.read import read_arrays, read_flame_landmarks, read_kid_template, read_mean_hands
from monocap.errors import AssetError, InputError
from monocap.skeletons import get

__all__ = ["EXTRA_POINTS", "build", "load_body"]


def load_body(
    body: str | os.PathLike[str] = "open",
    flat_hand_mean: bool = True,
    *,
    num_pca_comps: int | None = None,
    num_betas: int | None = None,
    kid_template: str | os.PathLike[str] | None = None,
    hands: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
) -> BodyModel:
    """A body by name or file.

    ``body``: ``"open"``, which ships with the package; a name from ``monocap bodies list``; or a ``.npz`` or ``.pkl``
    file of SMPL, SMPL-H, SMPL-X, MANO or FLAME, told apart by content. Hand poses are absolute angles; with
    ``flat_hand_mean=False`` the file's mean hand is added to them, and with ``num_pca_comps`` they are so many
    coefficients of its components, as smplx does by default (both). ``num_betas`` keeps only the leading ones.
    ``kid_template``: SMIL's template, which appends one more beta, from adult 0 to child 1 (after 10 betas unless
    ``num_betas`` says otherwise). ``hands``: MANO's left and right file, for an SMPL-H file that comes without mean
    hands and components.

    Meshes are held in float32, as smplx does (the files' float64 says no more), rest joints in float64.
    Nothing in the file is executed. Raises InputError for a file that is no such body, AssetError if the shipped one is
    missing.
    """
    official: Mapping[str, np.ndarray] | None = None
    if str(body) == "open":
        path = Path(str(resources.files("monocap.bodies") / "data" / "open.npz"))
        if not path.is_file():
            raise AssetError(f"{path}: the open body is missing; reinstall monocap")
        model = build(read_arrays(path), "open", str(path))
    else:
        path = store.find(body)
        if store.is_converted(path):
            model = store.open_converted(path)
            if hands is not None:
                raise InputError(f"{path}: hands are merged when a body is added: monocap bodies add FILE --hands …")
        else:
            arrays = read_arrays(path)
            if hands is not None:
                arrays |= read_mean_hands(*hands)
            if arrays["weights"].shape[1] == 5 and "lmk_faces_idx" not in arrays:
                arrays |= read_flame_landmarks(path)
            model, official = build(arrays, path.stem, str(path)), arrays
    if kid_template is not None:
        model = _with_child(model, official, kid_template, num_betas or 10)
    elif num_betas is not None:
        model = model.with_betas(num_betas)
    if num_pca_comps is not None or not flat_hand_mean:
        model = model.with_hands(num_pca_comps, flat_hand_mean)
    return model


def build(data: Mapping[str, np.ndarray], name: str, where: str) -> BodyModel:
    """A body from the arrays that `read_arrays` returned; ``where`` is used in messages."""
    joints = data["weights"].shape[1]
    kind = KINDS[joints]
    columns = _columns(data["shapedirs"], kind.has_expression)
    shapedirs, exprdirs = (_first(data["shapedirs"][..., block]) for block in columns)
    template = data["v_template"].astype(np.float32)
    parents = data["kintree_table"][0].astype(np.int64)
    parents[0] = -1  # files hold 2**32 - 1 there
    rest, rest_dirs = _rest(data["J_regressor"], template, [shapedirs, exprdirs])
    posedirs = data.get("posedirs")
    faces = np.ascontiguousarray(data["f"], dtype=np.int32)
    hand_data: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for hand in kind.hands:
        side = {"left_hand_pose": "l", "right_hand_pose": "r"}.get(hand, "")
        mean, components = data.get(f"hands_mean{side}"), data.get(f"hands_components{side}")
        if mean is not None and components is not None:
            hand_data[hand] = mean.astype(np.float64), components.astype(np.float64)
    return BodyModel(
        name=name,
        v_template=template,
        faces=faces,
        shapedirs=shapedirs,
        exprdirs=exprdirs,
        posedirs=None if posedirs is None else _first(posedirs),
        parents=parents,
        joint_names=get(kind.skeleton).joint_names,
        lbs_weights=data["weights"].astype(np.float32),
        J_template=rest,
        J_shapedirs=rest_dirs,
        uv=data["vt"].astype(np.float32) if "vt" in data and "ft" in data else None,
        uv_faces=data["ft"].astype(np.int32) if "vt" in data and "ft" in data else None,
        extra_vertex_ids=_extra_points(kind.extra_points, len(template)),
        hand_data=hand_data,
        landmarks=_landmarks(data, "", faces, where),
        contour=_landmarks(data, "dynamic_", faces, where) if kind.neck is not None else None,
        licence=_licence(data, kind.licence),
    )


def _first(array: np.ndarray) -> np.ndarray:
    """The same array, float32, but contiguous with the last axis first in memory, as posing reads it."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32), 0, -1)


def _licence(data: Mapping[str, np.ndarray], otherwise: str) -> str:
    text = data.get("licence")
    return str(text)[:200] if text is not None and text.dtype.kind == "U" and text.shape == () else otherwise


def _landmarks(data: Mapping[str, np.ndarray], prefix: str, faces: np.ndarray, where: str) -> Landmarks | None:
    numbers, weights = data.get(f"{prefix}lmk_faces_idx"), data.get(f"{prefix}lmk_bary_coords")
    if numbers is None or weights is None:
        return None
    if weights.shape != (*numbers.shape, 3) or (numbers.size and not 0 <= numbers.min() <= numbers.max() < len(faces)):
        raise InputError(f"{where}: {prefix}lmk_faces_idx and {prefix}lmk_bary_coords do not fit its triangles")
    return Landmarks(faces[numbers.astype(np.int64)], weights.astype(np.float64))


def _columns(directions: np.ndarray, has_expression: bool) -> tuple[slice, slice]:
    """Which columns are shape and which expression, by smplx's rule, without zero columns at the end of either.

    Fewer than 300 columns: 10 betas; fewer than 400: expression from column 10; else 300 betas, then expression.
    """
    count = directions.shape[2]
    if not has_expression:
        blocks = slice(0, min(count, 300)), slice(0, 0)
    elif count < 300:
        blocks = slice(0, min(10, count)), slice(10, max(10, min(20, count)))
    elif count < 400:
        blocks = slice(0, 300), slice(10, 20)
    else:
        blocks = slice(0, 300), slice(300, 400)
    used = _nonzero_columns(directions)

    def trimmed(block: slice) -> slice:
        kept = np.flatnonzero(used[block])
        return slice(block.start, block.start + (int(kept[-1]) + 1 if len(kept) else 0))

    return trimmed(blocks[0]), trimmed(blocks[1])


def _nonzero_columns(directions: np.ndarray) -> np.ndarray:
    """(n,) bool, told from the bits of all rows joined by "or", which is quicker than comparing numbers."""
    if directions.dtype.kind != "f":
        return np.asarray(directions.any(axis=(0, 1)))
    flat = np.ascontiguousarray(directions).reshape(-1, directions.shape[2])
    bits = flat.view(f"u{flat.dtype.itemsize}")
    return np.asarray(np.bitwise_or.reduce(bits, axis=0) << 1 != 0)  # without the sign: there is a negative zero


def _rest(regressor: np.ndarray, template: np.ndarray, blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rest joints (J,3) and their directions (J,3,B+E): both are linear, so the regressor is applied once, here."""
    rest = np.zeros((len(regressor), 3))
    dirs = np.zeros((len(regressor), 3, sum(block.shape[2] for block in blocks)))
    for joint, row in enumerate(regressor.astype(np.float32)):
        used = np.flatnonzero(row)
        shares = row[used].astype(np.float64)
        rest[joint] = shares @ template[used]
        near = np.concatenate([block[used] for block in blocks], axis=2)
        dirs[joint] = np.tensordot(shares, near.astype(np.float64), axes=1)
    return rest, dirs


def _extra_points(points: Mapping[str, int], vertices: int) -> dict[str, int]:
    return dict(points) if points and vertices > max(points.values()) else {}


def _with_child(
    model: BodyModel, official: Mapping[str, np.ndarray] | None, path: str | os.PathLike[str], count: int
) -> BodyModel:
    """One more beta: from the body's template to SMIL's, as AGORA and BEDLAM use it."""
    if official is None:
        raise InputError(f"body {model.name!r} takes no kid_template; give it with the official file")
    template = read_kid_template(path)
    if template.shape != model.v_template.shape:
        raise InputError(f"{path}: template of shape {template.shape}; the body has {model.v_template.shape}")
    model = model.with_betas(min(count, model.num_betas))
    column = (template - template.mean(axis=0) - official["v_template"])[..., None].astype(np.float32)
    _, moved = _rest(official["J_regressor"], model.v_template, [column])
    n = model.num_betas
    return replace(
        model,
        shapedirs=_first(np.concatenate([model.shapedirs, column], axis=2)),
        J_shapedirs=np.concatenate([model.J_shapedirs[..., :n], moved, model.J_shapedirs[..., n:]], axis=2),
    )
