"""OBJ files read back line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_body import TinyBody, tiny_body

from monocap.errors import InputError
from monocap.export.obj import write_obj
from monocap.types import Array


def read(path: Path) -> tuple[dict[str, Array], list[str]]:
    rows: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    corners, other = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        key, *rest = line.split()
        if key in rows:
            rows[key].append([float(x) for x in rest])
        elif key == "f":
            corners.append([[int(i) if i else 0 for i in corner.split("/")] for corner in rest])
        else:
            other.append(line)
    return {**{k: np.array(v) for k, v in rows.items()}, "f": np.array(corners)}, other


@pytest.fixture
def body(rng: np.random.Generator) -> TinyBody:
    return tiny_body(rng)


def test_two_textured_people(body: TinyBody, rng: np.random.Generator, tmp_path: Path) -> None:
    vertices = np.stack([body.v_template, body.v_template + np.array([1, 2, 3])])
    path = tmp_path / "two people.obj"
    write_obj(path, vertices, body.faces, body.uv, body.uv_faces, texture=b"\xff\xd8\xff image")
    got, other = read(path)
    count, faces = len(body.v_template), len(body.faces)
    flipped = vertices * (1, -1, -1)  # y up, so that viewers show it upright
    np.testing.assert_allclose(got["v"], flipped.reshape(-1, 3), atol=1e-6)
    np.testing.assert_array_equal(got["f"][:faces, :, 0], body.faces + 1)
    np.testing.assert_array_equal(got["f"][faces:, :, 0], body.faces + 1 + count)
    np.testing.assert_array_equal(got["f"][:faces, :, 1], body.uv_faces + 1)
    np.testing.assert_allclose(got["vt"], body.uv, atol=1e-6)
    corners = got["v"][got["f"][..., 0] - 1]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fa,fca->fc", outward, got["vn"][got["f"][..., 2] - 1]) > 0).mean() > 0.95
    assert "o person_00" in other
    assert "o person_01" in other
    assert "mtllib two_people.mtl" in other
    assert "map_Kd two_people_skin.jpg" in (tmp_path / "two_people.mtl").read_text()
    assert (tmp_path / "two_people_skin.jpg").read_bytes() == b"\xff\xd8\xff image"


def test_plain_and_empty(body: TinyBody, tmp_path: Path) -> None:
    write_obj(tmp_path / "a.obj", body.v_template, body.faces, names=["anna"])
    got, other = read(tmp_path / "a.obj")
    assert got["f"].shape == (len(body.faces), 3, 3)
    assert (got["f"][..., 1] == 0).all()
    assert other[1:] == ["o anna"]
    write_obj(tmp_path / "b.obj", np.zeros((0, 330, 3)), body.faces)
    assert read(tmp_path / "b.obj")[0]["v"].size == 0


def test_bad_input(body: TinyBody, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vertex"):
        write_obj(tmp_path / "a.obj", body.v_template[:5], body.faces)
    with pytest.raises(InputError, match="nan"):
        write_obj(tmp_path / "a.obj", body.v_template * np.nan, body.faces)
    with pytest.raises(InputError, match="names"):
        write_obj(tmp_path / "a.obj", body.v_template, body.faces, names=["a", "b"])
    with pytest.raises(InputError, match="uv_faces"):
        write_obj(tmp_path / "a.obj", body.v_template, body.faces, body.uv, body.faces + 1000)
    assert not (tmp_path / "a.obj").exists()
