"""A small body file with the keys and shapes of SMPL-X, random but structured: the format without licensed files."""

import numpy as np
from numpy.typing import DTypeLike

from monocap.skeletons import get


def write_body(path, rng, vertices=400, columns=20, poses=True, skeleton="smplx55", dtype: DTypeLike = np.float64):
    """Write an npz that both smplx and `load_body` open; returns its arrays."""
    joints = len(get(skeleton))
    parents = np.array(get(skeleton).parents)
    rest = np.zeros((joints, 3))
    for i in range(1, joints):
        rest[i] = rest[parents[i]] + rng.normal(0, 0.12, 3)
    owner = rng.integers(0, joints, vertices)
    template = rest[owner] + rng.normal(0, 0.05, (vertices, 3))
    weights = np.zeros((vertices, joints))
    weights[np.arange(vertices), owner] = rng.uniform(0.3, 1, vertices)
    weights[np.arange(vertices), np.maximum(parents[owner], 0)] += rng.uniform(0, 0.7, vertices)
    weights /= weights.sum(1, keepdims=True)
    regressor = np.zeros((joints, vertices))
    for j in range(joints):
        ids = rng.choice(vertices, 6, replace=False)
        regressor[j, ids] = rng.dirichlet(np.ones(6))
    size = 9 * (joints - 1)
    posedirs = rng.normal(0, 0.002, (vertices, 3, size)) if poses else np.zeros((vertices, 3, size))
    arrays = {
        "v_template": template.astype(dtype),
        "f": rng.integers(0, vertices, (600, 3)).astype(np.int64),
        "shapedirs": rng.normal(0, 0.02, (vertices, 3, columns)).astype(dtype),
        "posedirs": posedirs.astype(dtype),
        "J_regressor": regressor.astype(dtype),
        "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)]).astype(np.int64),
        "weights": weights.astype(dtype),
        "hands_meanl": rng.normal(0, 0.2, 45),
        "hands_meanr": rng.normal(0, 0.2, 45),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "lmk_faces_idx": rng.integers(0, 600, 51),
        "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, 600, (79, 17)),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
        "vt": rng.uniform(0, 1, (50, 2)),
        "ft": rng.integers(0, 50, (600, 3)),
    }
    np.savez_compressed(path, **arrays)
    return arrays


def random_parameters(rng, *lead, betas=10, expressions=10, dtype: DTypeLike = np.float64):
    """Parameters of an SMPL-X body, of any leading shape."""
    sizes = {
        **{"betas": betas, "expression": expressions, "global_orient": 3, "body_pose": 63, "transl": 3, "jaw_pose": 3},
        **{"left_eye_pose": 3, "right_eye_pose": 3, "left_hand_pose": 45, "right_hand_pose": 45},
    }
    return {name: rng.normal(0, 0.5, (*lead, size)).astype(dtype) for name, size in sizes.items()}
