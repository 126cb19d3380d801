"""Features computed once: the same whoever computes them, resumed, and their truth projects into the crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from monocap.assets.tensors import read_tensors  # noqa: E402
from monocap.data.augmentation import PUBLISHED, draw  # noqa: E402
from monocap.data.crop_families import crop_family  # noqa: E402
from monocap.data.training_view import training_view  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.synth import Sampler, SynthSettings  # noqa: E402
from monocap.train import feature_cache  # noqa: E402
from monocap.train.feature_cache import CachePlan, Truth, crop_and_truth, read_features, write_features  # noqa: E402
from monocap.train.tasks.heads import HeadOptions, load_weights, train_head  # noqa: E402

SETTINGS = SynthSettings(seed=3, size=(96, 96), people=(1, 1), quality="fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features")
    write_features(CachePlan(SETTINGS, 12), out, workers=0)
    return out


def test_the_truth_projects_into_the_crop() -> None:
    """Turned, mirrored and shifted crops: one camera of the same focal length says where the joints are."""
    sampler, strengths = Sampler(settings=SETTINGS), PUBLISHED["synthetic"]
    turned = mirrored = 0
    for number in range(8):
        for person in sampler.sample(number).samples():
            change = draw(strengths, np.random.default_rng(number))
            turned += abs(change.rotation) > 0.1
            mirrored += change.flip
            found = crop_and_truth(person, change)[1]
            truth = Truth(**{name: np.asarray(value)[None] for name, value in found.items()}, number=0, person=0, view=0)
            seen = training_view(person, crop_family("light"), change)
            known = seen.joints2d[:, 2] > 0
            assert np.abs(truth.points()[0] - seen.joints2d[:, :2])[known].max(initial=0) < 1e-5
    assert turned and mirrored


def test_the_same_again_and_only_what_is_missing(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(feature_cache, "PER_CHUNK", 6)
    write_features(CachePlan(SETTINGS, 12), tmp_path, workers=0)
    maps, truth = read_features(tmp_path)
    whole, expected = read_features(folder)
    for name, value in whole.items():
        assert np.array_equal(np.concatenate(maps[name]), np.concatenate(value))
    assert np.array_equal(truth.joints, expected.joints)
    kept = tmp_path / "chunk-00000000" / "truth.npz"
    before = kept.stat().st_mtime_ns
    for file in (tmp_path / "chunk-00000006").iterdir():
        file.unlink()
    (tmp_path / "chunk-00000006").rmdir()
    write_features(CachePlan(SETTINGS, 12), tmp_path, workers=0)
    assert kept.stat().st_mtime_ns == before
    assert np.array_equal(read_features(tmp_path)[1].joints, expected.joints)


def test_other_settings_and_empty_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        write_features(CachePlan(SETTINGS, 12, views=1), folder, workers=0)
    with pytest.raises(InputError, match="no features"):
        read_features(tmp_path)


@pytest.mark.parametrize("kind", ["hmr-light", "smpler-light"])
def test_a_head_learns_a_handful_of_people(kind: str, folder: Path, tmp_path: Path) -> None:
    done = []
    for steps in (4, 60):
        options = HeadOptions(kind, folder, folder, tmp_path / str(steps), steps=steps, batch=8, rate=1e-3, threads=1)
        path, trained = train_head(options)
        done.append(trained.metrics["mpjpe_mm"])
    assert done[1] < 0.8 * done[0]
    tensors = read_tensors(path, kind)
    assert tensors.recipe["data"]["crops"] > 0
    net = trained.state
    from monocap.nets.light_regressors import light_regressor

    module = light_regressor(kind)
    load_weights(module, path, kind)
    assert all(torch.allclose(value, net[name], atol=2e-3) for name, value in module.state_dict().items())
    with pytest.raises(InputError, match="expected"):
        load_weights(module, path, "hmr-light" if kind != "hmr-light" else "smpler-light")
