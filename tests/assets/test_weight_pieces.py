"""Weights in pieces: no piece too large, the same arrays back, nothing mixed, nothing run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from monocap.assets.pieces import index_of
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.errors import InputError

LIMIT = 50_000


@pytest.fixture
def tensors(rng: np.random.Generator) -> Tensors:
    sizes = {"a": (100, 30), "large": (700, 50), "b.weight": (64, 3, 3, 3), "long": (40_000,), "steps": ()}
    arrays: dict[str, np.ndarray] = {k: np.asarray(rng.normal(size=v), dtype=np.float32) for k, v in sizes.items()}
    arrays["count"] = np.arange(12)
    return Tensors(arrays, {"name": "some net", "width": 3}, {"seed": 1})


def pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-of-*.safetensors"))


def test_the_same_comes_back(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_tensors(path, tensors, piece_bytes=LIMIT)
    assert not path.exists()
    found = pieces(tmp_path)
    total = sum(value.nbytes for value in tensors.arrays.values())
    assert total / LIMIT < len(found) <= 2 * total / LIMIT
    assert found[0].name == f"net-00001-of-{len(found):05d}.safetensors"
    assert max(piece.stat().st_size for piece in found) <= LIMIT
    for name in (path, index_of(path)):
        back = read_tensors(name, "some net")
        assert back.arch == tensors.arch
        assert back.recipe == tensors.recipe
        assert back.arrays.keys() == tensors.arrays.keys()
        for key, value in tensors.arrays.items():
            np.testing.assert_array_equal(back.arrays[key], value)
            assert back.arrays[key].shape == value.shape


def test_other_programs_find_their_way(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_tensors(path, tensors, half=True, piece_bytes=LIMIT)
    index = json.loads(index_of(path).read_text())
    assert index["metadata"]["total_size"] == sum(
        value.nbytes for piece in pieces(tmp_path) for value in load_file(piece).values()
    )
    for name, piece in index["weight_map"].items():
        assert name in load_file(tmp_path / piece)
    assert read_tensors(path).arrays["a"].dtype == np.float32
    np.testing.assert_allclose(read_tensors(path).arrays["large"], tensors.arrays["large"], rtol=1e-3, atol=1e-6)


def test_one_name_is_one_set_of_weights(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    (tmp_path / "net-2-00001-of-00001.safetensors").touch()  # of somebody else
    write_tensors(path, tensors)
    write_tensors(path, tensors, piece_bytes=LIMIT)
    many = len(pieces(tmp_path))
    other = Tensors({"a": np.zeros((3, 3), np.float32)}, tensors.arch)
    write_tensors(path, other, piece_bytes=LIMIT)
    assert len(pieces(tmp_path)) == 2 < many
    assert read_tensors(path).arrays.keys() == {"a"}
    write_tensors(path, tensors)
    assert [piece.name for piece in pieces(tmp_path)] == ["net-2-00001-of-00001.safetensors"]
    assert not index_of(path).exists()
    assert read_tensors(path).arrays.keys() == tensors.arrays.keys()


def test_pieces_of_two_trainings_are_not_mixed(tensors: Tensors, tmp_path: Path) -> None:
    for seed in (1, 2):
        moved = {name: value + seed for name, value in tensors.arrays.items()}
        write_tensors(tmp_path / str(seed) / "net.safetensors", Tensors(moved, tensors.arch), piece_bytes=LIMIT)
    one, other = pieces(tmp_path / "1"), pieces(tmp_path / "2")
    one[2].write_bytes(other[2].read_bytes())
    with pytest.raises(InputError, match=r"-00003-of-.*copy all"):
        read_tensors(tmp_path / "1" / "net.safetensors")
    other[1].unlink()
    with pytest.raises(InputError, match="not beside it"):
        read_tensors(tmp_path / "2" / "net.safetensors")


def test_a_strange_index(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "net.safetensors"
    write_tensors(path, tensors, piece_bytes=LIMIT)
    index = json.loads(index_of(path).read_text())
    first = pieces(path.parent)[0]
    (tmp_path / first.name).write_bytes(first.read_bytes())
    strange = [
        "no json",
        "[]",
        json.dumps({**index, "sha256": {f"../{first.name}": index["sha256"][first.name]}}),
        json.dumps({**index, "weight_map": {**index["weight_map"], "more": first.name}}),
        json.dumps({**index, "joined": {"large": ["unheard of"]}}),
        json.dumps({**index, "metadata": {}}),
    ]
    for content in strange:
        index_of(path).write_text(content)
        with pytest.raises(InputError):
            read_tensors(path)
    with pytest.raises(InputError, match="10000 or more"):
        write_tensors(path, tensors, piece_bytes=100)
    wide = Tensors({"wide": np.zeros((2, 9000), np.float32)}, tensors.arch)
    with pytest.raises(InputError, match="too small for a row"):
        write_tensors(path, wide, piece_bytes=20_000)
    with pytest.raises(InputError, match="no such file"):
        read_tensors(tmp_path / "other.safetensors")
