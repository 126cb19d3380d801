"""Random bodies in files of the exact structure of the official ones, of any size: every kind, every variant."""

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import scipy.sparse

from monocap import skeletons
from monocap.bodies.kinds import KINDS

COLUMNS = {"smpl": 10, "smplh": 16, "smplx": 400, "mano": 10, "flame": 400}
JOINTS = {kind.name: joints for joints, kind in KINDS.items()}


def official(kind, rng, vertices=300, columns=None, betas=20):
    """Arrays of a body by their official names, float64; at most 4 weights a vertex, 6 vertices a joint.

    Columns of shape beyond ``betas`` are small, as in the real files, where they fade.
    """
    joints = JOINTS[kind]
    parents = np.array(skeletons.get(KINDS[joints].skeleton).parents)
    rest = np.zeros((joints, 3))
    for i in range(1, joints):
        rest[i] = rest[parents[i]] + rng.normal(0, 0.12, 3)
    owner = rng.integers(0, joints, vertices)
    weights = np.zeros((vertices, joints))
    near = [owner, np.maximum(parents[owner], 0), *rng.integers(0, joints, (2, vertices))]
    for column, share in zip(near, rng.dirichlet((6, 3, 1, 1), vertices).T, strict=True):
        np.add.at(weights, (np.arange(vertices), column), share)
    regressor = np.zeros((joints, vertices))
    for j in range(joints):
        regressor[j, rng.choice(vertices, 6, replace=False)] = rng.dirichlet(np.ones(6))
    columns = columns or COLUMNS[kind]
    faces = rng.permuted(np.tile(np.arange(vertices), (600, 1)), axis=1)[:, :3] if vertices < 2000 else None
    arrays = {
        "v_template": rest[owner] + rng.normal(0, 0.05, (vertices, 3)),
        "f": (rng.integers(0, vertices, (600, 3)) if faces is None else faces).astype(np.uint32),
        "shapedirs": rng.normal(0, 0.02, (vertices, 3, columns)) * np.where(np.arange(columns) % 300 < betas, 1, 0.01),
        "posedirs": rng.normal(0, 0.002, (vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor,
        "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)]).astype(np.int64),
        "weights": weights,
    }
    if kind == "smplx":
        arrays |= {"vt": rng.uniform(0, 1, (50, 2)), "ft": rng.integers(0, 50, (600, 3))}
    if kind in ("smplh", "smplx"):
        for side in "lr":
            arrays[f"hands_mean{side}"] = rng.normal(0, 0.2, 45)
            arrays[f"hands_components{side}"] = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    if kind == "mano":
        arrays |= {"hands_mean": rng.normal(0, 0.2, 45), "hands_components": np.linalg.qr(rng.normal(size=(45, 45)))[0]}
    if kind == "smplx":
        arrays |= landmarks(rng)
    return arrays


def landmarks(rng):
    return {
        "lmk_faces_idx": rng.integers(0, 600, 51),
        "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, 600, (79, 17)),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
    }


def save_npz(path: Path, arrays) -> Path:
    """As the SMPL-X and AMASS archives, with the objects that those hold beside the arrays."""
    parts = np.array({"pelvis": 0}, dtype=object)
    np.savez(path, joint2num=parts, bs_style=np.array("lbs"), **arrays)  # type: ignore[arg-type]
    return path


def save_pkl(path: Path, arrays, chumpy=False, protocol=2) -> Path:
    """As the SMPL and MANO pickles: scipy's sparse regressor; with ``chumpy`` also its arrays and selections."""
    content = {**arrays, "bs_style": "lbs", "bs_type": "lrotmin"}
    content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    if not chumpy:
        path.write_bytes(pickle.dumps(content, protocol))
        return path
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}

    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

    class Select(Ch):
        pass

    for kind, module in ((Ch, "chumpy.ch"), (Select, "chumpy.reordering")):
        kind.__module__, kind.__qualname__ = module, kind.__name__
        setattr(modules[module], kind.__name__, kind)
    content["v_template"] = Ch(x=arrays["v_template"], _dirty_vars=set())
    order = np.arange(arrays["shapedirs"].size)[::-1]
    shuffled = Ch(x=np.ascontiguousarray(arrays["shapedirs"].ravel()[::-1]))
    content["shapedirs"] = Select(a=shuffled, idxs=order, preferred_shape=arrays["shapedirs"].shape)
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(content, protocol))
    finally:
        for name in modules:
            del sys.modules[name]
    # scipy was called scipy.sparse.csc.csc_matrix when the official files were written
    return path
