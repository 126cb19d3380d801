"""Truth follows the crop exactly; batches are functions of their seed; data sets are mixed as told."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from PIL import Image  # noqa: E402
from small_people import SETTINGS, write_coco, write_synthetic  # noqa: E402

from monocap.bodies import load_body  # noqa: E402
from monocap.data.augmentation import Change  # noqa: E402
from monocap.data.crop_families import crop_family  # noqa: E402
from monocap.data.synthetic import read_synthetic  # noqa: E402
from monocap.errors import InputError, MonocapError  # noqa: E402
from monocap.geometry.cameras import full_to_crop_weak  # noqa: E402
from monocap.train.body_losses import Estimate, body_losses, project, recipe, rootless  # noqa: E402
from monocap.train.people_batches import (  # noqa: E402
    BatchPlan,
    PeopleBatches,
    Source,
    _one,
    _some,
    load,
    parse_sources,
    shares,
)
from monocap.train.posed_body import POINTS, PosedBody  # noqa: E402
from monocap.train.supervision import Batch, collate, normalised, supervise  # noqa: E402

OPEN = load_body("open")
CHANGES = (Change(), Change(flip=True), Change(rotation=0.5, scale=1.2, shift=(0.05, -0.1)),
           Change(flip=True, rotation=-0.7, scale=0.8))  # fmt: skip


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="module")
def coco(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(synthetic, tmp_path_factory.mktemp("coco"))


def same(a: Batch, b: Batch) -> bool:
    tables = (vars(a.targets), vars(b.targets))
    equal = all(torch.equal(value, tables[1][name]) for name, value in tables[0].items() if value is not None)
    return equal and torch.equal(a.images, b.images) and torch.equal(a.source, b.source)


@pytest.mark.parametrize("change", CHANGES)
def test_true_body_projects_onto_its_keypoints(synthetic: Path, change: Change) -> None:
    """Rotations and betas, posed, seen by the whole picture's camera: the annotated points of the crop, to a pixel."""
    family = crop_family("cliff")
    people = [s for s in read_synthetic(synthetic) if s.in_protocol]
    crops = [supervise(sample, family, change) for sample in people]
    batch = collate([crop for crop in crops if crop is not None], range(len(crops)))
    t = batch.targets
    points, _ = PosedBody(OPEN, skin=0, betas=10)(t.rotmats, t.betas)
    hips = ("left_hip", "right_hip")
    apart = rootless(points, POINTS, hips)[0] - rootless(t.joints, POINTS, hips)[0]
    assert float(apart[:, :22].norm(dim=-1).mean()) < 0.012  # the six betas that are left out
    # the camera that puts the pelvis where it is: joints of the sample, turned with the crop
    turn = torch.tensor([[np.cos(change.rotation), np.sin(change.rotation)],
                         [-np.sin(change.rotation), np.cos(change.rotation)]]).float()  # fmt: skip
    pelvis = torch.stack([torch.tensor(s.camera_joints()[0]).float() for s in people])
    pelvis = pelvis * torch.tensor([-1.0 if change.flip else 1.0, 1.0, 1.0])
    pelvis[:, :2] = pelvis[:, :2] @ turn.T
    cam = full_to_crop_weak(pelvis, t.center, t.size, torch.zeros_like(t.center), t.focal)
    joints = t.joints - t.joints[:, :1]
    flat = project("full", joints, cam, t)
    missed = ((flat - t.points).norm(dim=-1) * (t.seen > 0)) * 128
    assert float(missed.max()) < 0.02
    total, parts = body_losses(recipe("cliff"), [Estimate(t.rotmats, t.betas, cam, joints)], t)
    assert float(total) < 0.02, parts


def test_keypoints_alone_are_masked(coco: Path, synthetic: Path) -> None:
    batches = PeopleBatches(BatchPlan((Source(coco, "coco", points=0.5),), 4, "spin", "none"))
    t = batches.make(3).targets
    for name in ("known", "turned", "shaped"):
        assert float(getattr(t, name).abs().max()) == 0.0
    assert (t.share == 0.5).all()
    seen = (t.seen > 0).any(dim=0)
    wrong = [POINTS[i] for i in torch.nonzero(seen)[:, 0] if POINTS[i] in ("left_hip", "right_hip", "pelvis", "neck")]
    assert not wrong  # COCO's hips lie elsewhere
    assert int(seen.sum()) >= 10
    exact = PeopleBatches(BatchPlan((Source(synthetic, "synth"),), 4, "spin", "none")).make(3).targets
    assert (exact.turned == 1).all()
    assert (exact.known == 1).all()
    assert (exact.focal != t.focal).all()


def test_batches_are_functions_of_their_seed(synthetic: Path, coco: Path) -> None:
    plan = BatchPlan((Source(synthetic, "synth", 0.5), Source(coco, "coco", 0.5)), 6, "light", "synthetic")
    one, other = PeopleBatches(plan), PeopleBatches(plan)
    first = [one.make(seed) for seed in (2**62 + 7, 8, 9)]
    for seed, batch in ((9, first[2]), (2**62 + 7, first[0])):
        assert same(other.make(seed), batch)
    assert not same(first[0], first[1])
    assert first[0].images.shape == (6, 256, 256, 3)
    assert first[0].images.dtype == torch.uint8


@pytest.mark.slow
def test_workers_change_nothing(synthetic: Path) -> None:
    plan = BatchPlan((Source(synthetic, "synth"),), 3, "spin", "spin")
    seeds = [11, 12, 13]
    alone = list(load(PeopleBatches(plan), seeds, 0))
    with_one = list(load(PeopleBatches(plan), seeds, 1))
    assert len(alone) == 3
    assert all(same(a, b) for a, b in zip(alone, with_one, strict=True))


def test_rendered_on_the_way(synthetic: Path) -> None:
    plan = BatchPlan((Source(stream=SETTINGS, share=0.5), Source(synthetic, "synth")), 4, "spin", views=2)
    batch = PeopleBatches(plan).make(5)
    assert same(batch, PeopleBatches(plan).make(5))
    rendered = batch.targets.turned[batch.source == 0]
    assert len(rendered)
    assert (rendered == 1).all()


def test_shares_are_kept(synthetic: Path, coco: Path) -> None:
    plan = BatchPlan((Source(synthetic, "synth", 3.0), Source(coco, "coco", 1.0)), 16, "spin", "none")
    batches = PeopleBatches(plan)
    assert batches.shares == [0.75, 0.25]
    drawn = torch.cat([batches.make(seed).source for seed in range(4)]).float().mean()
    assert 0.1 < float(drawn) < 0.4


def test_every_sample_has_the_same_chance() -> None:
    """Also where sequences are of very different length."""
    ranges, found = [range(0, 2), range(2, 40), range(40, 50)], np.zeros(50)
    for seed in range(4000):
        rng = np.random.default_rng(seed)
        some = _some(ranges, rng)
        for _ in range(3):
            found[_one(some, rng)] += 1
    expected = found.sum() / 50
    assert [abs(found[list(r)].mean() / expected - 1) < 0.15 for r in ranges] == [True] * 3


def test_published_mix() -> None:
    sources = [Source(Path(kind), kind) for kind in ("human3.6m", "lsp", "mpii", "coco", "mpi-inf-3dhp")]
    sizes = [1000, 10, 30, 60, 500]
    assert shares(sources, sizes, "spin") == pytest.approx([0.3, 0.06, 0.18, 0.36, 0.1])
    assert shares(sources[:2], sizes[:2], "spin") == pytest.approx([1 / 3, 2 / 3])
    assert shares(sources, sizes) == pytest.approx(np.array(sizes) / 1600)
    with pytest.raises(InputError, match="knows no synth"):
        shares([Source(Path("x"), "synth")], [5], "spin")
    with pytest.raises(InputError, match="no mix 'nobody'"):
        shares(sources, sizes, "nobody")
    with pytest.raises(InputError, match="between 0 and 1"):
        shares([Source(), sources[0]], [None, 5])
    assert shares([Source(share=0.4), *sources], [None, *sizes], "spin")[:3] == pytest.approx([0.4, 0.18, 0.036])
    with pytest.raises(InputError, match="or none"):
        shares([replace(sources[0], share=0.5), sources[1]], sizes[:2])


def test_held_out_people_are_not_drawn(synthetic: Path) -> None:
    count = len(read_synthetic(synthetic))
    plan = BatchPlan((Source(synthetic, "synth", held=count - 2),), 8, "spin", "none")
    batches = PeopleBatches(plan)
    assert batches.sizes == [2]
    names = {sample.name for sample in batches.held(0, 100)}
    people = list(read_synthetic(synthetic))
    assert names == {sample.name for sample in people[2:] if sample.in_protocol}
    known = {tuple(np.round(np.asarray(s.params.betas[:10], np.float32), 4)) for s in people[:2] if s.params}
    drawn = {tuple(np.round(row.numpy(), 4)) for row in batches.make(1).targets.betas}
    assert drawn <= known


def test_pictures_are_normalised_as_at_inference(synthetic: Path) -> None:
    family = crop_family("hmr2")
    images = PeopleBatches(BatchPlan((Source(synthetic, "synth"),), 2, "hmr2", "none")).make(0).images
    wanted = np.stack([family.normalise(image.numpy()) for image in images])
    np.testing.assert_allclose(normalised(images, family).numpy(), wanted, atol=1e-6)


def test_words_are_understood(synthetic: Path, coco: Path) -> None:
    found = parse_sources(f"synth:{synthetic}*0.7, coco:{coco}*0.3")
    assert [(s.kind, s.path, s.share) for s in found] == [("synth", synthetic, 0.7), ("coco", coco, 0.3)]
    assert parse_sources(str(synthetic))[0].kind == "synth"
    for wrong, match in (("synth:/nowhere", "no such file"), (f"synth:{synthetic}*-1", "above 0"), (" , ", "no data")):
        with pytest.raises(InputError, match=match):
            parse_sources(wrong)


def test_bad_data_is_one_clear_error(tmp_path: Path, synthetic: Path) -> None:
    with pytest.raises(InputError, match="no augmentation 'wild'"):
        BatchPlan((), 2, "spin", "wild")
    with pytest.raises(InputError, match="no crop family"):
        BatchPlan((), 2, "nobody")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(pictures / "a.png")
    bare = PeopleBatches(BatchPlan((Source(pictures, "folder"),), 2, "spin"))
    assert isinstance(bare[0], MonocapError)
    with pytest.raises(InputError, match="none has a picture, a box"):
        next(iter(load(bare, [0], 0)))
    with pytest.raises(InputError, match="held out"):
        PeopleBatches(BatchPlan((Source(synthetic, "synth", held=1000),), 2, "spin")).make(0)
    with pytest.raises(InputError, match="workers is -1"):
        next(iter(load(bare, [0], -1)))


def test_batches_can_be_sent(synthetic: Path) -> None:
    batches = PeopleBatches(BatchPlan((Source(synthetic, "synth"),), 2, "spin"))
    here: Any = batches.make(4)
    assert same(copy.copy(batches).make(4), here)
