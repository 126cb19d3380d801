"""Read a body from its file: the one that ships with the package, or an official SMPL-family ``.npz``."""

from __future__ import annotations

import os
import zipfile
import zlib
from importlib import resources
from pathlib import Path

import numpy as np

from monocap.bodies.model import BodyModel
from monocap.bodies.parameters import PARTS
from monocap.errors import AssetError, InputError
from monocap.files import read_npz
from monocap.skeletons import get

SKELETONS = {24: "smpl24", 52: "smplh52", 55: "smplx55"}

_POINTS = ("nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
EXTRA_POINTS = (*_POINTS, *(f"{side}{f}" for side in "lr" for f in ("thumb", "index", "middle", "ring", "pinky")))
"""Names (smplx's) of single vertices that keypoint sets refer to, in smplx's order."""

# Vertex numbers of the official meshes; the open body has the same numbers at the same places as SMPL-X.
_SMPL_POINTS = (
    *(332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787),
    *(2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133),
)
_SMPLX_POINTS = (
    *(9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635),
    *(5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022),
)

_NEEDED = ("v_template", "f", "shapedirs", "weights", "kintree_table", "J_regressor")
_OPTIONAL = ("posedirs", "vt", "ft", "hands_meanl", "hands_meanr")


def load_body(body: str | os.PathLike[str] = "open", flat_hand_mean: bool = True) -> BodyModel:
    """The body that ships with the package (``"open"``), or one from an SMPL, SMPL-H or SMPL-X ``.npz`` file.

    Hand poses are absolute; with ``flat_hand_mean=False`` the file's mean hand is added to them, as smplx does.
    Nothing in the file is executed (no pickle). Raises InputError for a file that is no such body, AssetError if
    the shipped one is missing.
    """
    if str(body) == "open":
        path = Path(str(resources.files("monocap.bodies") / "data" / "open.npz"))
        if not path.is_file():
            raise AssetError(f"{path}: the open body is missing; reinstall monocap")
        return _read(path, "open", flat_hand_mean)
    path = Path(body)
    if path.suffix != ".npz":
        raise InputError(f"body {str(body)!r}; expected 'open' or an .npz file of SMPL, SMPL-H or SMPL-X")
    return _read(path, path.stem, flat_hand_mean)


def _read(path: Path, name: str, flat_hand_mean: bool) -> BodyModel:
    skip = {"posedirs"} if _is_zero(path, "posedirs") else set()
    data = read_npz(path, keys=set(_NEEDED) | set(_OPTIONAL) - skip)
    missing = [key for key in _NEEDED if key not in data]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; expected an SMPL, SMPL-H or SMPL-X npz file")
    vertices, joints = data["v_template"].shape[0], data["weights"].shape[-1]
    if joints not in PARTS:
        raise InputError(f"{path}: {joints} joints; expected 24 (SMPL), 52 (SMPL-H) or 55 (SMPL-X)")
    expected = {
        **{"v_template": (vertices, 3), "weights": (vertices, joints), "kintree_table": (2, joints)},
        "J_regressor": (joints, vertices),
    }
    for key, shape in expected.items():
        if data[key].shape != shape:
            raise InputError(f"{path}: {key} has shape {data[key].shape}; expected {shape}")
    directions = data["shapedirs"]
    if directions.ndim != 3 or directions.shape[:2] != (vertices, 3):
        raise InputError(f"{path}: shapedirs has shape {directions.shape}; expected ({vertices}, 3, n)")

    shape_columns, expression_columns = _columns(directions, joints == 55)
    posedirs = data.get("posedirs")
    if posedirs is not None and posedirs.shape != (vertices, 3, 9 * (joints - 1)):
        raise InputError(f"{path}: posedirs has shape {posedirs.shape}; expected ({vertices}, 3, {9 * (joints - 1)})")
    template = data["v_template"].astype(np.float32)
    shapedirs = np.ascontiguousarray(directions[..., shape_columns], dtype=np.float32)
    exprdirs = np.ascontiguousarray(directions[..., expression_columns], dtype=np.float32)
    parents = data["kintree_table"][0].astype(np.int64)
    parents[0] = -1  # files hold 2**32 - 1 there
    rest, rest_dirs = _rest(
        data["J_regressor"].astype(np.float64), template, np.concatenate([shapedirs, exprdirs], axis=2)
    )
    hand_mean = None
    if not flat_hand_mean:
        if "hands_meanl" not in data or "hands_meanr" not in data:
            raise InputError(f"{path}: has no mean hands; use flat_hand_mean=True")
        hand_mean = np.concatenate([data["hands_meanl"], data["hands_meanr"]]).astype(np.float32)
    return BodyModel(
        name=name,
        v_template=template,
        faces=np.ascontiguousarray(data["f"], dtype=np.int32),
        shapedirs=shapedirs,
        exprdirs=exprdirs,
        posedirs=None if posedirs is None else np.ascontiguousarray(posedirs, dtype=np.float32),
        parents=parents,
        joint_names=get(SKELETONS[joints]).joint_names,
        lbs_weights=data["weights"].astype(np.float32),
        J_template=rest,
        J_shapedirs=rest_dirs,
        uv=data["vt"].astype(np.float32) if "vt" in data else None,
        uv_faces=data["ft"].astype(np.int32) if "ft" in data else None,
        extra_vertex_ids=_extra_points(joints, vertices),
        hand_mean=hand_mean,
    )


def _columns(directions: np.ndarray, smplx: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which columns are shape and which expression, by smplx's rule, without zero columns at the end of either.

    Fewer than 300 columns: 10 betas; fewer than 400: expression from column 10; else 300 betas, then expression.
    """
    count = directions.shape[2]
    if not smplx:
        blocks = (0, count), (0, 0)
    elif count < 300:
        blocks = (0, min(10, count)), (10, min(20, count))
    elif count < 400:
        blocks = (0, 300), (10, 20)
    else:
        blocks = (0, 300), (300, 400)
    used = _nonzero_columns(directions)
    first, second = (np.arange(a, max(a, b)) for a, b in blocks)
    return _trimmed(first, used), _trimmed(second, used)


def _trimmed(columns: np.ndarray, used: np.ndarray) -> np.ndarray:
    kept = np.flatnonzero(used[columns])
    return columns[: kept[-1] + 1] if len(kept) else columns[:0]


def _nonzero_columns(directions: np.ndarray) -> np.ndarray:
    """(n,) bool: a sample of rows decides most columns cheaply; only those zero there are read whole."""
    used: np.ndarray = np.asarray(np.any(directions[::97] != 0, axis=(0, 1)))
    doubtful = np.flatnonzero(~used)
    if len(doubtful):
        used[doubtful] = np.any(directions[..., doubtful] != 0, axis=(0, 1))
    return used


def _rest(regressor: np.ndarray, template: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rest joints (J,3) and their directions (J,3,B+E): both are linear, so the regressor is applied once, here."""
    rows, columns = np.nonzero(regressor)
    values = regressor[rows, columns]
    rest, dirs = np.zeros((len(regressor), 3)), np.zeros((len(regressor), 3, directions.shape[2]))
    np.add.at(rest, rows, values[:, None] * template[columns])
    np.add.at(dirs, rows, values[:, None, None] * directions[columns])
    return rest.astype(np.float32), dirs.astype(np.float32)


def _extra_points(joints: int, vertices: int) -> dict[str, int]:
    ids = _SMPLX_POINTS if joints == 55 else _SMPL_POINTS
    return dict(zip(EXTRA_POINTS, ids, strict=True)) if vertices > max(ids) else {}


def _is_zero(path: Path, key: str) -> bool:
    """True if array ``key`` holds only zero bytes, told from the archive's checksum without unpacking it."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{key}.npy")
            if info.compress_size * 200 > info.file_size:  # zeros shrink a thousandfold
                return False
            with archive.open(info) as member:
                if np.lib.format.read_magic(member) != (1, 0):
                    return False
                np.lib.format.read_array_header_1_0(member)
                header_size = member.tell()
            with archive.open(info) as member:
                checksum = zlib.crc32(member.read(header_size))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False
    left, block = info.file_size - header_size, bytes(1 << 20)
    while left > 0:
        checksum = zlib.crc32(block[: min(left, len(block))], checksum)
        left -= len(block)
    return checksum == info.CRC
