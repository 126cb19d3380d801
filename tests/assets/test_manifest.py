"""The manifest tells the truth about the files that ship, and damage to them is told apart from health."""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path

import pytest

from monocap.assets import find, listing, locate, manifest, verify
from monocap.errors import AssetError, InputError

WEIGHTS = Path(manifest.__file__).parent / "weights"


@pytest.mark.parametrize("name", [asset.name for asset in listing()])
def test_shipped_file_is_whole(name: str) -> None:
    assert verify(name) == locate(name) == find(name).path


def test_every_weight_is_listed_and_all_fit_the_budget() -> None:
    shipped = {path for path in WEIGHTS.iterdir() if path.suffix == ".onnx"}
    assert shipped == {asset.path for asset in listing() if asset.path.parent == WEIGHTS}
    packed = sum(len(zlib.compress(path.read_bytes(), 6)) for path in shipped)
    assert packed < 76e6  # as they lie in the wheel: 46 MB of perception, 30 of networks of our own


def test_licence_texts_lie_beside_the_weights() -> None:
    notice = (WEIGHTS / "NOTICE").read_text()
    assert all(path.name in notice for path in WEIGHTS.glob("*.onnx"))
    assert "Apache License" in (WEIGHTS / "LICENSE-APACHE-2.0").read_text()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one weight in a package folder of its own, to be damaged."""
    asset = find("blazepose_lite")
    target = tmp_path / asset.file
    target.parent.mkdir(parents=True)
    target.write_bytes(asset.path.read_bytes())
    monkeypatch.setattr(manifest, "PACKAGE", tmp_path)
    return target


def test_one_flipped_bit_is_found(copy: Path) -> None:
    assert verify("blazepose_lite") == copy
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    assert locate("blazepose_lite") == copy  # the size still fits: only reading the file can tell
    with pytest.raises(AssetError, match=r"damaged.*pip install --force-reinstall"):
        verify("blazepose_lite")


def test_cut_file_is_found_by_its_size(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(AssetError, match=r"2755139 bytes, expected 2755140.*pip install"):
        locate("blazepose_lite")


def test_missing_file(copy: Path) -> None:
    copy.unlink()
    with pytest.raises(AssetError, match=r"missing.*pip install"):
        locate("blazepose_lite")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="blazepose_heavy"):
        find("blazepose_huge")


def test_broken_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "manifest.toml"
    monkeypatch.setattr(manifest, "MANIFEST", listed)
    with pytest.raises(AssetError, match="cannot be read"):
        listing()
    listed.write_text('[x]\nfile = "y"\n')
    with pytest.raises(AssetError, match="sha256"):
        listing()


def test_asset_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("blazepose_lite").bytes = 1  # type: ignore[misc]
