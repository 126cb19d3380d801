"""Build the wardrobe: ``PYTHONPATH=src python -m tools.wardrobe.build --sources FOLDER`` in the repository (README.md).

Writes src/monocap/synth/data: clothes.npz, pictures of cloth and hair, bare skins, eyes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import KDTree
from tools.open_body.build import SKINS, WHEEL
from tools.open_body.skins import canvas
from tools.open_body.sources import Wheel

from monocap.bodies import BodyModel, load_body
from monocap.files import replacing, write_npz

from . import skins
from .sources import HAIR, ITEMS, SUITS, Package, Proxy
from .transfer import Bare, bare, to_open_body, triangles

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "src/monocap/synth/data"
UNIT = 1e-4  # metres: vertices are stored as whole tenths of a millimetre
WHOLE = (
    "male_casualsuit01",
    "male_elegantsuit01",
    "male_worksuit01",
)  # the others are also worn as top and bottom alone

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def pieces(faces: Index, count: int) -> Index:
    """(G,) connected piece of each vertex."""
    a, b = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    links = sparse.csr_matrix((np.ones(len(a)), (a, b)), (count, count))
    return sparse.csgraph.connected_components(links, directed=False)[1].astype(np.int64)


def hidden_below(proxy: Proxy, at: Array, from_: Bare, body: BodyModel) -> Index:
    """Open-body vertices that MakeHuman deletes below the garment."""
    ids = from_.number[proxy.hidden]
    return np.unique(ids[ids >= 0])


def entry(at: Array, faces: Index, uv: Array, uv_faces: Index, hidden: Index, count: int) -> dict[str, NDArray]:
    """A garment as stored, without vertices and texture corners that nothing uses."""
    used, own = np.unique(faces, return_inverse=True)
    used_uv, own_uv = np.unique(uv_faces, return_inverse=True)
    mask = np.zeros(count, bool)
    mask[hidden] = True
    return {
        "vertices": np.round(at[used] / UNIT).astype(np.int16),
        "faces": own.reshape(-1, 3).astype(np.uint16),
        "uv": np.round(np.clip(uv[used_uv], 0, 1) * 65535).astype(np.uint16),
        "uv_faces": own_uv.reshape(-1, 3).astype(np.uint16),
        "hidden": np.packbits(mask),
    }


def halves(at: Array, faces: Index, hidden: Index, body: BodyModel) -> dict[str, tuple[NDArray[np.bool_], Index]]:
    """``top`` and ``bottom`` of a suit: which faces, and which body vertices each of them hides."""
    piece = pieces(faces, len(at))
    middle = np.array([np.median(at[piece == p, 1]) for p in range(piece.max() + 1)])
    lower = (middle < -0.37)[piece]
    which = np.asarray(lower[faces].any(axis=1))
    tree = KDTree(at)
    _, nearest = tree.query(body.v_template[hidden])
    return {"top": (~which, hidden[~lower[nearest]]), "bottom": (which, hidden[lower[nearest]])}


def bleed(picture: NDArray[np.uint8], uv: Array, uv_faces: Index) -> NDArray[np.uint8]:
    """RGBA with what lies outside the garment's islands filled from inside, so that no seam shows."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    corners = np.stack([uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5], axis=1)
    cv2.fillPoly(mask, list(np.round(corners[uv_faces]).astype(np.int32)), (1,))
    inside = (mask > 0) & (picture[..., 3] > 40)
    rows, columns = np.asarray(ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True))
    out = picture.copy()
    out[..., :3] = picture[rows, columns][..., :3]
    return out


def save(path: Path, image: NDArray[np.uint8]) -> None:
    code = cv2.COLOR_RGBA2BGRA if image.ndim == 3 and image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    image = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, code), np.uint8)
    how = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 84], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 70],
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 9],
    }[path.suffix]  # fmt: skip
    packed = cv2.imencode(path.suffix, image, how)[1]
    with replacing(path) as temporary:
        temporary.write_bytes(packed.tobytes())


def clothes(folder: Path, out: Path, body: BodyModel) -> None:
    package, from_ = Package(folder / SKINS), bare(Wheel(folder / WHEEL), body)
    arrays: dict[str, NDArray] = {}
    for name, item in ITEMS.items():
        proxy = package.proxy(item)
        at, faces, uv_faces = to_open_body(proxy, from_, body), triangles(proxy.quads), triangles(proxy.uv_quads)
        hidden = hidden_below(proxy, at, from_, body)
        parts: dict[str, tuple[NDArray[np.bool_], Index]] = {"": (np.ones(len(faces), bool), hidden)}
        if name in SUITS and name not in WHOLE:
            parts = halves(at, faces, hidden, body)
        for part, (which, below) in parts.items():
            key = f"{name}_{part}" if part else name
            made = entry(at, faces[which], proxy.uv, uv_faces[which], below, len(body.v_template))
            arrays |= {f"{key}/{field}": value for field, value in made.items()}
            print(f"{key}: {len(made['vertices'])} vertices, {len(made['faces'])} triangles, hides {len(below)}")
        for number, picture in enumerate(item.pictures):
            image = bleed(package.picture(picture), proxy.uv, triangles(proxy.uv_quads))
            stem = name if not number else f"{name}_{number + 1}"
            save(out / "cloth" / f"{stem}.webp" if name in HAIR else out / "cloth" / f"{stem}.jpg",
                 image if name in HAIR else image[..., :3])  # fmt: skip
    write_npz(out / "clothes.npz", arrays)


def people(folder: Path, out: Path) -> None:
    on = canvas(folder)
    for name in skins.PICTURES:
        save(out / "skins" / f"{name}.jpg", skins.bare_skin(name, folder, on))
    for name in skins.IRISES:
        save(out / "eyes" / f"{name}.jpg", skins.eye_patch(name, folder, on))
    for name, mask in skins.masks(folder, on).items():
        save(out / "skins" / f"{name}.png", mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help=f"folder with {WHEEL} and {SKINS}")
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--only", choices=("clothes", "people"))
    options = parser.parse_args()
    for room in ("cloth", "skins", "eyes"):
        (options.out / room).mkdir(parents=True, exist_ok=True)
    if options.only != "people":
        clothes(options.sources, options.out, load_body("open"))
    if options.only != "clothes":
        people(options.sources, options.out)
    for path in sorted(options.out.rglob("*.*")):
        raw = path.read_bytes()
        print(f"{hashlib.sha256(raw).hexdigest()}  {path.relative_to(options.out)} {len(raw)}")


if __name__ == "__main__":
    main()
