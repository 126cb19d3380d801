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
from monocap.nets.backbones.light import CHANNELS, SIZES  # noqa: E402
from monocap.nets.light_regressors import light_regressor  # noqa: E402
from monocap.synth import Sampler, SynthSettings  # noqa: E402
from monocap.train import feature_cache  # noqa: E402
from monocap.train.feature_cache import (  # noqa: E402
    CachePlan,
    Truth,
    crop_and_truth,
    read_features,
    upright_first,
    write_features,
)
from monocap.train.settings import RunOptions  # noqa: E402
from monocap.train.tasks.heads import Batch, HeadOptions, HeadTask, People, load_weights, train_head  # noqa: E402

SETTINGS = SynthSettings(seed=3, size=(96, 96), people=(1, 1), quality="fast")


def _one(found: dict) -> Truth:
    none = np.zeros(1, int)
    arrays = {name: np.asarray(value)[None] for name, value in found.items()}
    return Truth(**arrays, number=none, person=none, view=none)


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
            truth = _one(found)
            seen = training_view(person, crop_family("light"), change)
            assert seen.joints2d is not None
            known = seen.joints2d[:, 2] > 0
            assert np.abs(truth.points()[0] - seen.joints2d[:, :2])[known].max(initial=0) < 1e-5
    assert turned
    assert mirrored


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


def test_a_torso_is_upright_first() -> None:
    """Whoever bends or lies is turned, mirrored or not, up to the rotation that was drawn."""
    sampler, strengths, tilts = Sampler(settings=SETTINGS), PUBLISHED["aligned"], []
    for number in range(8):
        for person in sampler.sample(number).samples():
            change = upright_first(person, draw(strengths, np.random.default_rng(number)))
            found = crop_and_truth(person, change)[1]
            truth = _one(found)
            points = truth.points()[0]
            torso = points[[16, 17]].mean(axis=0) - points[[1, 2]].mean(axis=0)
            tilts.append(np.degrees(np.arctan2(torso[0], -torso[1])))
    assert np.abs(tilts).max() < 2.1 * np.degrees(strengths.rotation)
    assert np.ptp(tilts) > 1


@pytest.mark.parametrize("kind", ["hmr-light", "smpler-light"])
def test_a_head_learns_a_batch_by_heart(kind: str, folder: Path, tmp_path: Path) -> None:
    run = RunOptions(overfit=25)
    _, done = train_head(HeadOptions(kind, folder, folder, tmp_path, batch=4, learning_rate=1e-3, threads=1, run=run))
    first, last = list(done.metrics.values())[:2]
    assert last < 0.8 * first


def test_pieces_of_a_batch_cost_what_the_whole_costs(folder: Path) -> None:
    """However unevenly the joints within the crops are spread over them."""
    people = People(folder, ("f8", "f4", "f2"))
    task = HeadTask("hmr-light", people, people, 4, 0.0)
    task.module.eval()
    batch = people.take(people.rows[:5])
    batch = batch._replace(pelvis=batch.pelvis + torch.tensor([[2.0, 0, 0]] * 2 + [[0.0, 0, 0]] * 3))  # out of view

    def part(rows: slice) -> Batch:
        return Batch({name: value[rows] for name, value in batch.maps.items()}, *(value[rows] for value in batch[1:]))

    pieces = [part(slice(0, 2)), part(slice(2, 4))]
    amounts = torch.stack([task.amounts(piece) for piece in pieces])
    assert amounts[0] != amounts[1]
    cut = torch.stack([task.loss(task.module, piece, 0.0, (amounts.mean(dim=0), 2))[0] for piece in pieces]).mean()
    assert torch.allclose(cut, task.loss(task.module, part(slice(0, 4)), 0.0)[0], rtol=1e-5)


def test_weights_come_back_and_begin_another_head(folder: Path, tmp_path: Path) -> None:
    path, done = train_head(HeadOptions("hmr-light", folder, folder, tmp_path, steps=2, batch=4, threads=1))
    tensors = read_tensors(path, "hmr-light")
    assert tensors.recipe["data"]["crops"] > 0
    module = light_regressor("hmr-light")
    load_weights(module, path, "hmr-light")
    for name, value in module.state_dict().items():
        assert torch.allclose(value, done.state[name], rtol=1e-3, atol=1e-4), name
    with pytest.raises(InputError, match="expected"):
        load_weights(light_regressor("smpler-light"), path, "smpler-light")

    other = light_regressor("smpler-light")
    other.begin_with(module.state_dict())
    maps = {name: torch.randn(2, CHANNELS[name], SIZES[name], SIZES[name]) for name in ("f32", "f16")}
    box = torch.tensor([[0.1, 0.0, 0.4], [0.0, 0.2, 0.8]])
    with torch.no_grad():
        last, first = module.eval().read(maps, box)[-1], other.eval().read(maps, box)[0]
    assert torch.allclose(last.rotmats, first.rotmats, atol=1e-5)
    assert torch.allclose(last.cam, first.cam, atol=1e-5)
