"""Training on pictures: one batch learned by heart, the same bits when resumed, data of both kinds, weights out."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

import small_networks  # noqa: E402, F401
from small_people import SETTINGS, write_coco, write_synthetic  # noqa: E402

from monocap import nets  # noqa: E402
from monocap.assets.tensors import read_tensors  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.nets.iterative import BodyOutput  # noqa: E402
from monocap.train.engine import LOG, train  # noqa: E402
from monocap.train.engine import TrainSettings as Settings  # noqa: E402
from monocap.train.settings import RunOptions  # noqa: E402
from monocap.train.supervision import collate  # noqa: E402
from monocap.train.tasks.pictures import PicturesOptions, _fill, build_task, train_pictures  # noqa: E402

RUN = Settings(steps=4, batch=4, learning_rate=1e-3, warmup=1, validate_every=2, average=0.9, accelerator="cpu",
               threads=1)  # fmt: skip


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="module")
def coco(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(synthetic, tmp_path_factory.mktemp("coco"))


def options(out: Path, data: str, **changes: Any) -> PicturesOptions:
    given: dict[str, Any] = {"model": "hmr-small", "out": out, "data": data, "augmentation": "none", "workers": 0,
                             "accelerator": "cpu", "threads": 1}  # fmt: skip
    return PicturesOptions(**{**given, **changes})


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / LOG).open(newline="") as handle:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(handle)]


@pytest.mark.parametrize("model", ["hmr-small", "cliff-small"])
def test_one_batch_is_learned_by_heart(synthetic: Path, tmp_path: Path, model: str) -> None:
    run = RunOptions(overfit=40)
    chosen = options(
        tmp_path, f"synth:{synthetic}", model=model, steps=40, batch=4, learning_rate=2e-3, run=run, losses=None
    )
    path, done = train_pictures(chosen)
    assert path.is_file()
    assert done.metrics["loss_after"] < 0.5 * done.metrics["loss_before"], done.metrics


def test_2d_and_3d_people_learn_together_and_weights_are_written(synthetic: Path, coco: Path, tmp_path: Path) -> None:
    chosen = options(
        tmp_path, f"synth:{synthetic}*0.5,coco:{coco}*0.5", steps=30, batch=6, learning_rate=2e-3, model="cliff-small"
    )
    path, done = train_pictures(chosen)
    log = rows(tmp_path)
    assert {"points", "joints", "rotations", "betas", "scale", "pa_mpjpe_mm", "mpjpe_mm", "pve_mm"} <= log[0].keys()
    assert log[0]["pictures_per_second"] > 0
    assert done.metrics["mpjpe_mm"] < 400
    stored = read_tensors(path)
    assert stored.arch["name"] == "cliff-small"
    assert stored.recipe["data"]["sources"] == {synthetic.name: 0.5, coco.name: 0.5}
    network = nets.load(path)
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(value, done.state[f"network.{name}"], rtol=1e-3, atol=1e-4)


def interrupted(task: Any, after: int) -> Any:
    """``task``, whose loss is asked for once too often."""
    own, count = task.loss, [0]

    def loss(*given: Any) -> Any:
        count[0] += 1
        if count[0] > after:
            raise KeyboardInterrupt
        return own(*given)

    task.loss = loss
    return task


def test_resumed_run_is_the_uninterrupted_one_with_a_discriminator(
    synthetic: Path, corpus: Path, tmp_path: Path
) -> None:
    def task() -> Any:
        torch.manual_seed(1)
        given = options(tmp_path, f"synth:{synthetic}", adversary=str(corpus), augmentation="spin", losses="hmr")
        return build_task(given, RUN.batch)

    whole = train(task(), RUN, tmp_path / "whole")
    assert {"adversarial", "discriminator"} <= rows(tmp_path / "whole")[0].keys()
    with pytest.raises(KeyboardInterrupt):
        train(interrupted(task(), 3), RUN, tmp_path / "parts")
    resumed = train(task(), RUN, tmp_path / "parts", resume=True)
    assert resumed.metrics == whole.metrics
    assert any(name.startswith("adversary.") for name in whole.state)
    assert all(torch.equal(value, resumed.state[name]) for name, value in whole.state.items())


def test_same_seed_same_bits(synthetic: Path, tmp_path: Path) -> None:
    given = {"steps": 3, "batch": 3, "learning_rate": 1e-3, "augmentation": "synthetic"}
    one = train_pictures(options(tmp_path / "1", f"synth:{synthetic}", **given))[1]
    two = train_pictures(options(tmp_path / "2", f"synth:{synthetic}", **given))[1]
    assert all(torch.equal(value, two.state[name]) for name, value in one.state.items())
    other = train_pictures(options(tmp_path / "3", f"synth:{synthetic}", seed=2, **given))[1]
    assert not all(torch.equal(value, other.state[name]) for name, value in one.state.items())


def test_encoder_can_be_taken_and_frozen(synthetic: Path, tmp_path: Path) -> None:
    data = f"synth:{synthetic}"
    first, _ = train_pictures(options(tmp_path / "first", data, steps=2, batch=2))
    chosen = options(tmp_path / "second", data, steps=2, batch=2, model="cliff-small", init=first, freeze_encoder=True)
    path, _ = train_pictures(chosen)
    before, after = nets.load(first).state_dict(), nets.load(path).state_dict()
    same = [name for name in after if name.startswith("encoder.")]
    assert same
    assert all(torch.equal(before[name], after[name]) for name in same)
    with pytest.raises(InputError, match="no network 'nobody'"):
        train_pictures(replace(chosen, model="nobody", out=tmp_path / "third"))


def test_rendered_on_the_way(synthetic: Path, tmp_path: Path) -> None:
    chosen = options(tmp_path, "", stream=SETTINGS, held=synthetic, steps=2, batch=2, model="cliff-small")
    path, done = train_pictures(chosen)
    assert path.is_file()
    assert np.isfinite(list(done.metrics.values())).all()


class Knowing(torch.nn.Module):
    """Answers with the truth of the people that a task is validated on."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        targets = collate(task._held, [0] * len(task._held)).targets
        depth = torch.full((len(targets.size),), 3.0)
        cam = torch.stack([2 * targets.focal / (targets.size * depth), 0 * depth, 0 * depth], dim=1)
        self.told = BodyOutput(targets.rotmats, targets.betas, cam)

    def forward(self, images: Any, place: Any) -> Any:
        assert len(images) == len(self.told.betas)
        return [self.told], None


def test_truth_is_measured_as_right(synthetic: Path, tmp_path: Path) -> None:
    """What remains are the betas beyond the tenth, which networks do not tell."""
    task = build_task(options(tmp_path, f"synth:{synthetic}", held=synthetic), 2)
    knowing = Knowing(task)
    measured = task.validate(knowing)
    assert measured["pa_mpjpe_mm"] < 8
    assert measured["mpjpe_mm"] < 12
    assert measured["pve_mm"] < 15
    turned = torch.eye(3).expand(len(knowing.told.rotmats), 3, 3).clone()
    turned[:, [0, 2], [0, 2]] = -1.0  # half a turn about the upright axis
    rotmats = knowing.told.rotmats.clone()
    rotmats[:, 0] = rotmats[:, 0] @ turned
    knowing.told = knowing.told._replace(rotmats=rotmats)
    wrong = task.validate(knowing)
    assert wrong["pa_mpjpe_mm"] == pytest.approx(measured["pa_mpjpe_mm"], abs=0.1)
    assert wrong["mpjpe_mm"] > 100
    assert wrong["pve_mm"] > 100


def test_16_bits(synthetic: Path, tmp_path: Path) -> None:
    run = RunOptions(precision="bf16-mixed")
    chosen = options(tmp_path, f"synth:{synthetic}", adversary="priors", steps=2, batch=2, model="cliff-small", run=run)
    assert np.isfinite(list(train_pictures(chosen)[1].metrics.values())).all()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hmr-resnet50", "hmr-resnet50v2", "cliff-resnet50", "hmr-light", "smpler-light",
                                   "smpler-w32"])  # fmt: skip
def test_networks_of_the_registry_are_trained(synthetic: Path, tmp_path: Path, model: str) -> None:
    if model not in nets.names():
        pytest.skip(f"{model} is not in the registry")
    path, done = train_pictures(options(tmp_path, f"synth:{synthetic}", steps=1, batch=2, model=model))
    assert np.isfinite(list(done.metrics.values())).all()
    assert read_tensors(path).arch["name"] == model


@pytest.mark.slow
def test_smpler_begins_with_its_first_stage(tmp_path: Path) -> None:
    """Backbone and first estimate are taken from a file of the first stage; the blocks are as they were."""
    few: dict[str, Any] = {"joints": 22, "width": 32, "blocks": 1, "units": 1, "predictor_width": 32}
    first, whole = nets.build("smpler-stage1-w32", **few), nets.build("smpler-w32", **few)
    nets.save(first, tmp_path / "first.safetensors")
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    _fill(whole, tmp_path / "first.safetensors")
    taken = first.state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, taken.get(name, before[name])), name
    assert any("blocks" in name for name in set(before) - set(taken))


def test_what_cannot_be_is_refused(synthetic: Path, coco: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="learns from features"):
        build_task(options(tmp_path, f"synth:{synthetic}", model="vibe"), 2)
    with pytest.raises(InputError, match="nothing to train on"):
        build_task(options(tmp_path, ""), 2)
    with pytest.raises(InputError, match="nobody to validate on"):
        build_task(options(tmp_path, f"coco:{coco}"), 2)
    with pytest.raises(InputError, match="shrink is 0"):
        build_task(options(tmp_path, f"synth:{synthetic}", shrink=0), 2)
    with pytest.raises(InputError, match="no losses of 'nobody'"):
        build_task(options(tmp_path, f"synth:{synthetic}", losses="nobody"), 2)
