"""What the engine offers beside the loop: frozen parts, own rates, batches made ahead, less memory, overfitting."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from torch.utils.checkpoint import checkpoint  # noqa: E402

from monocap.errors import InputError  # noqa: E402
from monocap.train.distributed import launch  # noqa: E402
from monocap.train.engine import CHECKPOINT, LOG, Group, Seeds, TrainSettings, train  # noqa: E402
from monocap.train.logs import EVENTS, has_tensorboard  # noqa: E402
from monocap.train.overfit import OVERFIT_LOG, NotLearningError  # noqa: E402
from monocap.train.settings import RunOptions  # noqa: E402
from monocap.train.stepping import Stepper  # noqa: E402

SETTINGS = TrainSettings(
    steps=8, batch=8, learning_rate=0.01, warmup=1, validate_every=4, average=0.9, accelerator="cpu", threads=1
)


class Block(torch.nn.Module):
    """A wide layer that can be computed again instead of kept."""

    def __init__(self) -> None:
        super().__init__()
        self.checkpointing = False
        self.wide = torch.nn.Sequential(torch.nn.Linear(6, 500), torch.nn.Tanh(), torch.nn.Linear(500, 6))
        self.seen: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.seen.append(x.dtype)
        if self.checkpointing and self.training:
            return x + checkpoint(self.wide, x, use_reentrant=False)
        return x + self.wide(x)


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.5))
        self.blocks = torch.nn.Sequential(Block(), Block())
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.encoder(x)))

    def read(self, x: Any) -> Any:
        """Another way in, as networks that return their stages have."""
        return self(x)


class Regression:
    """Learns sin(x) from noise-free samples."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = Network()
        self.given: list[Group] = []

    def groups(self) -> list[Group]:
        return self.given

    def batch(self, generator: Any, device: Any) -> Any:
        return torch.randn(8, 3, generator=generator).to(device)

    def loss(self, module: Any, batch: Any, progress: float) -> tuple[Any, dict[str, Any]]:
        error = ((module(batch) - torch.sin(batch[:, :2])) ** 2).mean()
        return error, {"error": error}

    def validate(self, module: Any) -> dict[str, float]:
        return {"norm": float(sum(value.norm() for value in module.parameters()))}


def states(out: Path) -> dict[str, Any]:
    return torch.load(out / CHECKPOINT, weights_only=True)


def test_frozen_parts_are_left_as_they_are(tmp_path: Path) -> None:
    task = Regression()
    task.module.encoder.requires_grad_(False)
    before = {name: value.clone() for name, value in task.module.state_dict().items()}
    done = train(task, SETTINGS, tmp_path)
    for name, value in before.items():
        assert torch.equal(done.state[name], value) == name.startswith("encoder."), name
    kept = states(tmp_path)
    trained = sum(value.requires_grad for value in task.module.parameters())
    assert len(kept["optimiser"]["state"]) == trained == len(list(task.module.parameters())) - 4
    assert equal_states(kept["averaged"], kept["module"], "encoder.")
    with torch.no_grad():
        task.module.requires_grad_(False)
    with pytest.raises(InputError, match="all are frozen"):
        train(task, SETTINGS, tmp_path / "none")


def equal_states(one: dict[str, Any], other: dict[str, Any], prefix: str) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items() if name.startswith(prefix))


def test_frozen_weights_are_held_once() -> None:
    task = Regression()
    task.module.encoder.requires_grad_(False)
    stepper = Stepper(task, SETTINGS, launch(SETTINGS))
    assert stepper.averaged is not None
    pairs = zip(stepper.averaged.parameters(), task.module.parameters(), strict=True)
    shared = [mean.data_ptr() == value.data_ptr() for mean, value in pairs]
    assert sum(shared) == 4


def test_groups_have_their_own_rate(tmp_path: Path) -> None:
    task = Regression()
    task.given = [Group("encoder.", rate=0.1, weight_decay=0.0), Group("blocks.", rate=0.5)]
    train(task, replace(SETTINGS, weight_decay=0.02), tmp_path)
    head, encoder, blocks = states(tmp_path)["optimiser"]["param_groups"]
    assert encoder["lr"] == pytest.approx(0.1 * head["lr"])
    assert blocks["lr"] == pytest.approx(0.5 * head["lr"])
    assert [group["weight_decay"] for group in (head, encoder, blocks)] == [0.02, 0.0, 0.02]
    assert [len(group["params"]) for group in (head, encoder, blocks)] == [2, 4, 8]
    task.given = [Group("backbone.")]
    with pytest.raises(InputError, match=r"backbone\."):
        train(task, SETTINGS, tmp_path / "other")


class Ahead(Regression):
    """The same batches from their seeds alone, three of them ahead."""

    def batches(self, seeds: Seeds, device: Any) -> Iterator[Any]:
        ahead: list[Any] = []
        assert len(pickle.loads(pickle.dumps(seeds))) == len(seeds), "workers get them"
        for seed in seeds:
            ahead.append(self.batch(torch.Generator().manual_seed(seed), device))
            if len(ahead) > 3:
                yield ahead.pop(0)
        yield from ahead


@pytest.mark.parametrize("accumulate", [1, 2])
def test_batches_made_ahead_are_the_same(accumulate: int, tmp_path: Path) -> None:
    settings = replace(SETTINGS, accumulate=accumulate)
    one = train(Regression(), settings, tmp_path / "one")
    train(Ahead(), replace(settings, steps=4), tmp_path / "other")
    other = train(Ahead(), settings, tmp_path / "other", resume=True)
    whole = train(Ahead(), settings, tmp_path / "whole")
    assert equal_states(one.state, whole.state, "")
    assert other.metrics.keys() == whole.metrics.keys()
    seeds = Seeds(seed=1, first=0, end=4, pieces=2)
    assert list(seeds)[4:] == list(Seeds(seed=1, first=2, end=4, pieces=2))
    halves = [list(Seeds(1, 0, 4, begin=rank)) for rank in range(2)]
    assert list(seeds)[0::2] == halves[0]
    assert list(seeds)[1::2] == halves[1]
    assert len(set(seeds)) == 8


def test_computing_again_keeps_less_and_changes_nothing(tmp_path: Path) -> None:
    kept: dict[bool, int] = {}
    states_of: dict[bool, dict[str, Any]] = {}
    for again in (False, True):
        count = 0

        def pack(tensor: Any) -> Any:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            states_of[again] = train(Regression(), replace(SETTINGS, checkpointing=again), tmp_path / str(again)).state
        kept[again] = count
    assert equal_states(states_of[False], states_of[True], "")
    assert kept[True] < 0.8 * kept[False]
    plain = Regression()
    plain.module.blocks = torch.nn.Sequential()
    with pytest.raises(InputError, match="--checkpointing"):
        train(plain, replace(SETTINGS, checkpointing=True), tmp_path / "plain")


@pytest.mark.parametrize("way", ["call", "method"])
def test_sixteen_bits_inside_whole_numbers_outside(way: str, tmp_path: Path) -> None:
    task, inside = Regression(), []
    task.module.head.register_forward_hook(lambda layer, given, out: inside.append(out.dtype))
    task.module.encoder[0].register_forward_pre_hook(lambda layer, given: inside.append(given[0].dtype))
    if way == "method":
        task.methods = ("read",)  # type: ignore[attr-defined]
    outside = []

    def loss(module: Any, batch: Any, progress: float) -> Any:
        out = module.read(batch) if way == "method" else module(batch)
        outside.append(out.dtype)
        return (out**2).mean(), {}

    task.loss = loss  # type: ignore[method-assign]
    train(task, replace(SETTINGS, precision="bf16-mixed", steps=2), tmp_path)
    assert inside == [torch.float32, torch.bfloat16] * 2, "what goes in is not rounded, layers compute in 16 bits"
    assert outside == [torch.float32] * 2
    assert all(value.dtype == torch.float32 for value in task.module.parameters())


def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    seen: list[float] = []
    task = Regression()
    task.module.encoder = torch.nn.Linear(3, 6)  # type: ignore[assignment]
    settings = replace(SETTINGS, overfit=60, accumulate=2)
    done = train(task, settings, tmp_path, progress=lambda step, steps, named: seen.append(named["loss"]))
    assert done.metrics["loss_after"] < 0.3 * done.metrics["loss_before"]
    assert len(seen) == 60
    with (tmp_path / OVERFIT_LOG).open(newline="") as handle:
        assert [float(row["loss"]) for row in csv.DictReader(handle)] == pytest.approx(seen, rel=1e-4)
    assert not (tmp_path / CHECKPOINT).exists()
    train(task, SETTINGS, tmp_path)  # nothing is in the way of the run itself


def test_what_cannot_learn_is_told(tmp_path: Path) -> None:
    task = Regression()
    task.loss = (
        lambda module, batch, progress: (  # type: ignore[method-assign]
            ((module(batch).detach() - torch.sin(batch[:, :2])) ** 2).mean() + 0 * module(batch).sum(),
            {},
        )
    )
    with pytest.raises(NotLearningError, match="should fall"):
        train(task, replace(SETTINGS, overfit=20), tmp_path)
    assert (tmp_path / OVERFIT_LOG).is_file()
    with pytest.raises(InputError, match="overfit"):
        train(task, replace(SETTINGS, overfit=3), tmp_path)


def test_memory_and_rate_are_in_the_log(tmp_path: Path) -> None:
    task = Regression()
    task.unit = "crops"  # type: ignore[attr-defined]
    done = train(task, SETTINGS, tmp_path)
    with (tmp_path / LOG).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert done.rate > 0
    assert all(float(row["crops_per_second"]) > 0 for row in rows)
    if done.memory_mb is not None:
        assert 50 < float(rows[-1]["memory_mb"]) <= done.memory_mb + 0.1
    assert (tmp_path / EVENTS).exists() == has_tensorboard()


def test_events_hold_what_the_log_holds(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(Regression(), replace(SETTINGS, steps=4), tmp_path)
    train(Regression(), SETTINGS, tmp_path, resume=True)
    events = EventAccumulator(str(tmp_path / EVENTS))
    events.Reload()
    assert [event.step for event in events.Scalars("norm")] == [4, 8]
    with (tmp_path / LOG).open(newline="") as handle:
        logged = [float(row["norm"]) for row in csv.DictReader(handle)]
    assert [event.value for event in events.Scalars("norm")] == pytest.approx(logged, rel=1e-5)


def test_a_batch_that_cannot_be_cut(tmp_path: Path) -> None:
    assert replace(SETTINGS, devices=2, nodes=2, accumulate=2).share == 1
    with pytest.raises(InputError, match="6 equal parts"):
        train(Regression(), replace(SETTINGS, accumulate=6), tmp_path)
    for wrong in ({"devices": 0}, {"nodes": 0}, {"accumulate": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            train(Regression(), replace(SETTINGS, **wrong), tmp_path)


def test_options_of_any_run() -> None:
    assert RunOptions().given() == {}
    options = RunOptions(devices="auto", precision="bf16-mixed", overfit=50, pieces=True)
    settings = replace(SETTINGS, **options.given())
    assert (settings.devices, settings.precision, settings.overfit) == ("auto", "bf16-mixed", 50)
    assert RunOptions().piece_bytes is None
    assert options.piece_bytes == 15_000_000


class Adversary(Regression):
    """Trains something of its own beside the network."""

    def setup(self, fabric: Any) -> None:
        self.other = torch.nn.Linear(2, 1)
        torch.nn.init.ones_(self.other.weight)
        self.optimiser = torch.optim.Adam(self.other.parameters(), 0.01)

    def loss(self, module: Any, batch: Any, progress: float) -> Any:
        out = module(batch)
        self.optimiser.zero_grad()
        ((self.other(out.detach()) - 1) ** 2).mean().backward()
        self.optimiser.step()
        return (self.other(out) ** 2).mean(), {}

    def state_dict(self) -> dict[str, Any]:
        return {"other": self.other.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.other.load_state_dict(state["other"])
        self.optimiser.load_state_dict(state["optimiser"])


def test_a_task_with_a_state_of_its_own_goes_on(tmp_path: Path) -> None:
    train(Adversary(), SETTINGS, tmp_path / "whole")
    stopped = Adversary()
    calls = iter(range(100))
    learned = stopped.loss

    def loss(*given: Any) -> Any:
        if next(calls) == 6:
            raise KeyboardInterrupt
        return learned(*given)

    stopped.loss = loss  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(stopped, SETTINGS, tmp_path / "parts")
    train(Adversary(), SETTINGS, tmp_path / "parts", resume=True)
    whole, parts = states(tmp_path / "whole"), states(tmp_path / "parts")
    assert equal_states(whole["module"], parts["module"], "")
    assert equal_states(whole["task"]["other"], parts["task"]["other"], "")


class Planted:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path(__file__).with_name("never-made"),))


def test_checkpoints_of_strangers_run_nothing(tmp_path: Path) -> None:
    torch.save({"settings": {}, "module": Planted()}, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="cannot be read"):
        train(Regression(), SETTINGS, tmp_path, resume=True)
    assert not Path(__file__).with_name("never-made").exists()
    for content in (b"", b"PK\x03\x04 not a zip", b"\x80\x02nonsense"):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            train(Regression(), SETTINGS, tmp_path, resume=True)
    other = Regression()
    train(other, SETTINGS, tmp_path / "other")
    small = Regression()
    small.module.head = torch.nn.Linear(6, 3)
    with pytest.raises(InputError, match="another network"):
        train(small, SETTINGS, tmp_path / "other", resume=True)
