"""Sessions: shared, bounded in threads, and clear about damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monocap.assets import find, listing, manifest, session, sessions
from monocap.errors import AssetError, InputError


def test_sessions_are_shared_per_thread_count() -> None:
    assert session("blazepose_lite", 1) is session("blazepose_lite", 1)
    assert session("blazepose_lite", 1) is not session("blazepose_lite", 2)


@pytest.mark.parametrize("name", [asset.name for asset in listing() if asset.path.suffix == ".onnx"])
def test_manifest_describes_inputs_and_outputs(name: str) -> None:
    network = session(name, 1)
    asset = find(name)
    assert all(one.name in asset.inputs for one in network.get_inputs())
    assert all(one.name in asset.outputs for one in network.get_outputs())


def test_thread_count_does_not_change_the_answer(rng: np.random.Generator) -> None:
    image = rng.random((1, 256, 256, 3), dtype=np.float32)
    one, two = (np.asarray(session("blazepose_lite", n).run(["landmarks"], {"image": image})[0]) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-2)


def test_no_threads() -> None:
    with pytest.raises(InputError, match="threads is 0"):
        session("blazepose_lite", 0)


def test_unreadable_network_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = find("blazepose_lite")
    target = tmp_path / asset.file
    target.parent.mkdir(parents=True)
    target.write_bytes(bytes(asset.bytes))
    monkeypatch.setattr(manifest, "PACKAGE", tmp_path)
    with pytest.raises(AssetError, match="monocap weights verify"):
        sessions.session("blazepose_lite", 3)
