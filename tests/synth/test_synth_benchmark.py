"""synth-v1: what is frozen is made again, other rounding is told from other pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from monocap.data.mocap.corpus import CorpusOptions
from monocap.errors import InputError
from monocap.synth import benchmark
from monocap.synth.poses import PoseSource
from monocap.synth.shards import ShardPlan, write_shards
from monocap.types import BodyParams


def test_performers_are_those_that_no_network_has_seen() -> None:
    assert set(PoseSource(benchmark.poses_file(), "test").performers) <= set(CorpusOptions().test)
    with pytest.raises(InputError, match="no poses of split 'train'"):
        PoseSource(benchmark.poses_file(), "train")


def test_the_first_samples_are_those_that_were_frozen(tmp_path: Path) -> None:
    plan = benchmark.plan(2)
    assert plan.settings.split == "test"
    write_shards(plan, tmp_path, workers=0)
    checked = benchmark.verify(tmp_path)
    assert checked.wrong == ()
    assert checked.unknown == 0
    assert checked.identical + checked.alike == 2


def test_other_pictures_are_told_from_other_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dataclasses.replace(benchmark.plan().settings, size=(48, 48), quality="fast")
    write_shards(ShardPlan(settings, 3), tmp_path, workers=0)
    frozen = tmp_path / "prints.npz"
    benchmark.freeze(tmp_path, frozen)
    monkeypatch.setattr(benchmark, "prints_file", lambda: frozen)
    assert benchmark.verify(tmp_path).identical == 3
    samples = list(benchmark.read(tmp_path))

    def changed(number: int, **changes: object) -> benchmark.Checked:
        other = [dataclasses.replace(s, **changes) if s.number == number else s for s in samples]  # type: ignore[arg-type]
        monkeypatch.setattr(benchmark, "read", lambda folder: iter(other))
        return benchmark.verify(tmp_path)

    noisy = samples[1].image.copy()
    noisy[::7, ::5] = np.clip(noisy[::7, ::5].astype(int) + 1, 0, 255)  # as another processor rounds
    checked = changed(1, image=noisy)
    assert (checked.identical, checked.alike, checked.wrong) == (2, 1, ())
    assert changed(1, image=np.roll(samples[1].image, 9, axis=1)).wrong == (1,)
    values = samples[2].params.asdict()
    for name, shift in (("transl", 0.02), ("body_pose", 0.05)):
        moved = BodyParams(**{**values, name: values[name] + np.float32(shift)})
        assert changed(2, params=moved).wrong == (2,)
    assert changed(2, params=BodyParams(**{**values, "transl": values["transl"] + np.float32(1e-6)})).alike == 1
    monkeypatch.setattr(benchmark, "read", lambda folder: iter([dataclasses.replace(samples[0], about={"number": 77})]))
    assert benchmark.verify(tmp_path).unknown == 1


def test_there_are_a_thousand() -> None:
    assert benchmark.plan().count == 1000
    with pytest.raises(InputError, match="1 to 1000"):
        benchmark.plan(1001)
