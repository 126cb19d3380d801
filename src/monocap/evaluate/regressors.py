"""Joints from SMPL meshes by the H36M regressors, of which two families with exchanged legs are in use.

SPIN's ``J_regressor_h36m.npy`` (VIBE, HMR 2.0, TokenHMR, CameraHMR, BEDLAM) has the left leg in rows 1 to 3 and the
right one in 4 to 6; METRO's and SMPLer's ``J_regressor_h36m_correct.npy`` the other way round. Nothing in the files
says so, and the error of a mix-up hits the legs only; so the content decides, on the rest mesh, whose left side is +x.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from monocap import skeletons
from monocap.errors import InputError
from monocap.files import read_npz
from monocap.types import Array

Family = Literal["h36m-spin", "h36m-smpler"]

_LEGS = {"first": slice(1, 4), "second": slice(4, 7)}
_ARMS = {"left": slice(11, 14), "right": slice(14, 17)}
_CLEAR = 0.02  # m from the middle plane
_SWAPPED = (0, 4, 5, 6, 1, 2, 3, *range(7, 17))


def read_regressor(path: str | os.PathLike[str]) -> Array:
    """A regressor (17,V) from a ``.npy`` or ``.npz`` file. Raises InputError if it is anything else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a joint regressor (.npy)")
    if path.suffix == ".npz":
        arrays = list(read_npz(path).values())
        if len(arrays) != 1:
            raise InputError(f"{path}: {len(arrays)} arrays; expected one, the regressor (17, V)")
        matrix = arrays[0]
    else:
        try:
            matrix = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: not a readable .npy array ({error})") from error
    if matrix.ndim != 2 or matrix.shape[0] != 17 or not np.issubdtype(matrix.dtype, np.number):
        raise InputError(f"{path}: shape {matrix.shape}; expected (17, V), the 17 joints of Human3.6M from V vertices")
    if not np.allclose(matrix.sum(axis=1), 1.0, atol=0.02):
        raise InputError(f"{path}: rows do not sum to 1; expected weights of vertices")
    return matrix.astype(np.float64)


def family_of(regressor: Array, v_template: Array) -> Family:
    """Which family a regressor (17,V) is of, from the rest mesh (V,3): y up, left side at +x.

    Raises InputError for another mesh, or a regressor whose limbs lie on both sides (another joint order).
    """
    regressor, template = np.asarray(regressor, np.float64), np.asarray(v_template, np.float64)
    if regressor.ndim != 2 or regressor.shape != (17, len(template)):
        raise InputError(
            f"regressor of shape {regressor.shape} for a mesh of {len(template)} vertices; expected (17, V): is this "
            "the regressor of another body?"
        )
    side = (regressor @ template)[:, 0] - (regressor @ template)[0, 0]
    first, second = side[_LEGS["first"]], side[_LEGS["second"]]
    left, right = side[_ARMS["left"]], side[_ARMS["right"]]
    arms = bool((left > _CLEAR).all() and (right < -_CLEAR).all())
    if arms and (first > _CLEAR).all() and (second < -_CLEAR).all():
        return "h36m-spin"
    if arms and (first < -_CLEAR).all() and (second > _CLEAR).all():
        return "h36m-smpler"
    raise InputError("the regressor's limbs lie on neither known side: not one of the two H36M orders of 17 joints")


def require_family(regressor: Array, v_template: Array, wanted: str) -> Family:
    """The regressor's family. Raises InputError unless it is the ``wanted`` one ("h36m-spin" or "h36m-smpler")."""
    found = family_of(regressor, v_template)
    if found != wanted:
        raise InputError(
            f"this regressor is of the {found} family (rows 1 to 3 are the {_first_leg(found)} leg); the protocol is "
            f"defined with {wanted}. Pass that file, or choose the protocol that goes with this one"
        )
    return found


def regress(regressor: Array, vertices: Array, family: Family) -> Array:
    """Joints (…,17,3) of meshes (…,V,3) in the order of skeleton ``h36m17`` (right leg first), whatever the family."""
    if np.shape(vertices)[-2] != regressor.shape[1]:
        raise InputError(f"meshes of {np.shape(vertices)[-2]} vertices; the regressor is for {regressor.shape[1]}")
    joints = np.einsum("jv,...vc->...jc", regressor, np.asarray(vertices, np.float64))
    assert len(skeletons.get("h36m17")) == 17
    return joints[..., list(_SWAPPED), :] if family == "h36m-spin" else joints


def _first_leg(family: Family) -> str:
    return "LEFT" if family == "h36m-spin" else "RIGHT"
