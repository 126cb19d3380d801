"""VNect's losses say what they are said to, its truth lies where people are seen, and both networks learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small_people import write_synthetic  # noqa: E402

from monocap import nets  # noqa: E402
from monocap.assets.tensors import read_tensors  # noqa: E402
from monocap.data.augmentation import PUBLISHED, draw  # noqa: E402
from monocap.data.crop_families import crop_family  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.cameras import look_rotation  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix  # noqa: E402
from monocap.nets.vnect_maps import JOINTS, Looked, Maps  # noqa: E402
from monocap.skeletons import get, vnect  # noqa: E402
from monocap.synth import Sampler, SynthSettings  # noqa: E402
from monocap.train.feature_cache import CachePlan, write_features  # noqa: E402
from monocap.train.normalisation import take_statistics  # noqa: E402
from monocap.train.settings import RunOptions  # noqa: E402
from monocap.train.supervision import normalised  # noqa: E402
from monocap.train.tasks.vnect import VnectOptions, train_vnect  # noqa: E402
from monocap.train.tasks.vnect_light import LightVnectOptions, VnectPeople, train_light_vnect  # noqa: E402
from monocap.train.vnect_errors import mean_errors, vnect_errors  # noqa: E402
from monocap.train.vnect_losses import PARENTS, Targets, VnectLosses, as_targets, gaussians, vnect_losses  # noqa: E402
from monocap.train.vnect_supervision import supervise_vnect  # noqa: E402

SETTINGS = SynthSettings(seed=3, size=(96, 96), people=(1, 1), quality="fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features")
    write_features(CachePlan(SETTINGS, 10), out, workers=0)
    return out


@pytest.fixture
def targets() -> Targets:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.9, 0.9, (3, JOINTS, 2))
    points[0, 3] = [1.4, 0.0]
    return as_targets(points, rng.normal(0, 0.4, (3, JOINTS, 3)), 256)


def _true(targets: Targets, size: int = 32) -> Looked:
    heat = gaussians(targets.points, (size, size), 1.0) * targets.inside[..., None, None]
    flat = [targets.places[..., axis, None, None].expand(-1, -1, size, size) for axis in range(3)]
    steps = targets.places - targets.places[:, list(PARENTS)]
    deltas = torch.cat([steps[..., axis, None, None].expand(-1, -1, size, size) for axis in range(3)], dim=1)
    return Looked(Maps(heat, *flat), deltas, {})


def test_a_heatmap_peaks_where_the_joint_is() -> None:
    """The middle of the crop is half a cell before the middle cell; pixel (p + 0.5) / 8 − 0.5 is the cell."""
    targets = as_targets(np.array([[[0.0, 0.0], [20.0 / 128 - 1, 100.0 / 128 - 1]]]), np.zeros((1, 2, 3)), 256)
    heat = gaussians(targets.points, (32, 32), 1.0)[0]
    ahead = (heat * torch.arange(32.0)).sum((1, 2)) / heat.sum((1, 2))
    down = (heat * torch.arange(32.0)[:, None]).sum((1, 2)) / heat.sum((1, 2))
    assert torch.allclose(ahead, torch.tensor([128.5 / 8 - 0.5, 20.5 / 8 - 0.5]), atol=0.05)
    assert torch.allclose(down, torch.tensor([128.5 / 8 - 0.5, 100.5 / 8 - 0.5]), atol=0.05)


def test_the_truth_costs_nothing_and_has_no_error(targets: Targets) -> None:
    looked = _true(targets)
    total, parts = vnect_losses(VnectLosses(), looked, [looked.maps], targets, 0.0)
    assert set(parts) == {"heatmaps", "places", "deltas", "earlier"}
    assert float(total) < 1e-8
    errors = mean_errors([vnect_errors(looked.maps, targets)])
    assert errors["mpjpe_mm"] < 1e-3
    assert errors["missed_150"] == 0
    assert errors["crop_percent"] < 0.1


def test_a_decimetre_costs_one_and_only_where_the_joint_is(targets: Targets) -> None:
    looked = _true(targets)
    off = looked._replace(maps=looked.maps._replace(y=looked.maps.y + 0.1))
    _, parts = vnect_losses(VnectLosses(elsewhere=0.0), off, [], targets, 0.0)
    inside = float(targets.inside.mean())
    assert float(parts["places"]) == pytest.approx(inside, rel=0.15)  # Gaussians at the rim are cut
    far = targets.points[..., 0] < 0
    maps = looked.maps.x.clone()
    maps[..., :, 24:] += far[..., None, None] * 5.0  # the other side of the crop
    _, parts = vnect_losses(
        VnectLosses(elsewhere=0.0), looked._replace(maps=looked.maps._replace(x=maps)), [], targets, 0
    )
    assert float(parts["places"]) < 1e-3
    _, parts = vnect_losses(VnectLosses(), looked._replace(maps=looked.maps._replace(x=maps)), [], targets, 0)
    assert float(parts["places"]) > 1.0
    assert mean_errors([vnect_errors(off.maps, targets)])["mpjpe_mm"] < 1e-3  # the same for all joints: no error


def test_what_is_not_known_does_not_count(targets: Targets) -> None:
    looked = _true(targets)
    wrong = Looked(Maps(*(value + 1.0 for value in looked.maps)), looked.deltas + 1.0, {})
    zero = torch.zeros_like(targets.known)
    _, parts = vnect_losses(VnectLosses(), wrong, [], targets._replace(known=zero), 0.0)
    assert float(parts["places"]) == float(parts["deltas"]) == 0
    assert float(parts["heatmaps"]) > 1
    _, parts = vnect_losses(VnectLosses(), wrong, [], targets._replace(judged=zero), 0.0)
    assert float(parts["heatmaps"]) == 0
    _, parts = vnect_losses(VnectLosses(stage="2d"), wrong, [wrong.maps], targets, 0.0)
    assert set(parts) == {"heatmaps", "earlier"}


def test_earlier_maps_cost_less_and_less(targets: Targets) -> None:
    looked = _true(targets)
    earlier = [Maps(*(value + 0.3 for value in looked.maps))]
    losses = VnectLosses(faded=0.5)
    first, middle, late = (float(vnect_losses(losses, looked, earlier, targets, p)[0]) for p in (0.0, 0.25, 0.6))
    assert middle == pytest.approx(first / 2, rel=1e-3)
    assert late < 1e-8


def test_crops_and_truth_agree(folder: Path) -> None:
    """Straight through the crop, joints lie ahead as the picture shows them, whichever camera took it."""
    people = VnectPeople(folder)
    batch, truth = people.take(people.rows), people.people.truth
    places, points = batch.targets.places.numpy(), batch.targets.points.numpy()
    root = get(vnect.NAME).index("pelvis")
    assert np.abs(places[:, root]).max() < 1e-6
    assert np.allclose(vnect.knee_neck(places), vnect.KNEE_NECK, atol=1e-4)
    joints = vnect.on_body() @ truth.joints[people.rows].astype(np.float64)
    scale = vnect.knee_neck(joints) / vnect.KNEE_NECK
    rays = np.column_stack([truth.center / truth.focal[:, None], np.ones(len(truth.focal))])[people.rows]
    turn = look_rotation(rays)
    back = (places * scale[:, None, None]) @ np.swapaxes(turn, 1, 2) + joints[:, root : root + 1]
    focal, center, size = (getattr(truth, n)[people.rows] for n in ("focal", "center", "size"))
    flat = focal[:, None, None] * back[..., :2] / back[..., 2:]
    inside = (flat - center[:, None]) * (2 / size[:, None, None]) + 1 / 256
    assert np.abs(inside - points)[batch.targets.inside.numpy() > 0].max() < 1e-3


def test_the_truth_of_pictures_is_turned_and_mirrored_as_the_crop() -> None:
    sampler, strengths, family = Sampler(settings=SETTINGS), PUBLISHED["synthetic"], crop_family("vnect")
    mirrored = 0
    for number in range(6):
        for person in sampler.sample(number).samples():
            change = draw(strengths, np.random.default_rng(number))
            mirrored += change.flip
            crop = supervise_vnect(person, family, change)
            if crop is None:
                continue
            plain = supervise_vnect(person, family, draw(PUBLISHED["none"], np.random.default_rng(0)))
            assert plain is not None
            assert crop.image.shape == (368, 368, 3)
            assert crop.truth["known"].all()
            wanted = plain.truth["places"]
            if change.flip:
                wanted = wanted[list(get(vnect.NAME).flip)] * [-1.0, 1.0, 1.0]
            turn = axis_angle_to_matrix(np.array([0.0, 0.0, -change.rotation]))
            assert np.abs(crop.truth["places"] - wanted @ turn.T).max() < 1e-5
    assert mirrored


def test_statistics_are_those_of_the_weights_that_are_judged() -> None:
    """Of averaged weights the newest statistics are wrong; taken anew, evaluation is what training mode saw."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    batches = [2 + torch.randn(64, 3, 4, 4) for _ in range(4)]
    with torch.no_grad():
        assert float(net(batches[0]).mean().abs()) > 0.1
        take_statistics(net, batches)
        told = torch.cat([net(batch) for batch in batches])
    assert not net[1].training
    assert net[1].momentum == 0.1
    assert torch.allclose(told.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(told.std((0, 2, 3)), torch.ones(4), atol=0.02)
    before = net[1].running_mean.clone()
    take_statistics(net, [])
    assert torch.equal(net[1].running_mean, before)


def test_channels_are_in_the_networks_order() -> None:
    family = crop_family("vnect")
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 255  # red
    one = family.normalise(image)
    assert one[2].max() == pytest.approx(0.6)
    assert one[0].max() == pytest.approx(-0.4)
    assert np.allclose(normalised(torch.from_numpy(image[None]), family)[0].numpy(), one)


def test_the_light_one_learns_a_batch_by_heart(folder: Path, tmp_path: Path) -> None:
    options = LightVnectOptions(
        folder, folder, tmp_path, batch=4, learning_rate=3e-3, threads=1, run=RunOptions(overfit=30)
    )
    _, done = train_light_vnect(options)
    assert done.metrics["loss_after"] < 0.5 * done.metrics["loss_before"]


def test_the_light_one_is_written_read_and_gone_on_from(folder: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    path, done = train_light_vnect(
        LightVnectOptions(folder, folder, first, steps=2, batch=4, threads=1, upper_rate=0.0)
    )
    assert np.isfinite(list(done.metrics.values())).all()
    net = nets.load(path)
    published = net.encoder.upper.state_dict()
    for name, value in net.upper.state_dict().items():
        torch.testing.assert_close(value, published[name])  # upper_rate 0: as it was
    path, _ = train_light_vnect(LightVnectOptions(folder, folder, again, start=path, steps=2, batch=4, threads=1))
    assert read_tensors(path, "vnect-light").recipe["start"]["step"] == done.step
    with pytest.raises(InputError, match="upper_rate"):
        train_light_vnect(LightVnectOptions(folder, folder, tmp_path / "c", upper_rate=-1.0))


def test_the_published_one_learns_from_pictures_in_two_stages(tmp_path: Path) -> None:
    people = write_synthetic(tmp_path / "people", 6)
    common: dict[str, Any] = {
        "data": f"synth:{people}", "held": people, "workers": 0, "shrink": 4, "batch": 2, "threads": 1, "steps": 2,
    }  # fmt: skip
    _, done = train_vnect(VnectOptions(tmp_path / "flat", stage="2d", **common))
    assert set(done.metrics) == {"crop_percent"}
    started = tmp_path / "flat" / "vnect-training.safetensors"
    path, done = train_vnect(VnectOptions(tmp_path / "deep", start=started, **common))
    assert set(done.metrics) > {"mpjpe_mm", "auc"}
    assert read_tensors(path).recipe["losses"]["stage"] == "3d"
    written, trained = nets.load(path), nets.load(tmp_path / "deep" / "vnect-training.safetensors")
    assert sum(value.numel() for value in written.parameters()) == 14_615_680
    crop = 0.2 * torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(written(crop), trained(crop), strict=True):
            torch.testing.assert_close(a, b, rtol=0.05, atol=0.02 * float(b.abs().max()) + 1e-4)
