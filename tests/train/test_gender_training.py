"""Training the gender network: crops and their truth, a short run of all of it, and the file that comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training")
pytest.importorskip("lightning_fabric", reason="the training loop")
pytest.importorskip("onnx", reason="the network's twin")

import torch

from monocap.assets.tensors import read_tensors
from monocap.bodies import load_body
from monocap.bodies.shapes import named_shape
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.nets import gender as nets_gender
from monocap.nets.gender import GenderNet, write_gender_onnx
from monocap.perception import gender as perception_gender
from monocap.perception.gender import INPUT, GenderNetwork
from monocap.skeletons import get
from monocap.train.gender_calibration import logistic, summary
from monocap.train.gender_crops import GenderCrops, clear_target, crops_of, read_crops, shape_axis
from monocap.train.tasks.gender import GenderOptions, GenderTask, augmented, calibrated, middle, train_gender

NUMBERS = {
    "body": 1.0, "body_bias": 0.0, "both_body": 0.5, "both_head": 0.5, "both_bias": 0.0, "threshold": 0.9
}  # fmt: skip


def some_crops(count: int = 8) -> GenderCrops:
    rng = np.random.default_rng(5)
    return GenderCrops(
        image=rng.integers(0, 256, (count, 108, 108, 3), dtype=np.uint8),
        points=rng.uniform(-0.8, 0.8, (count, 17, 3)).astype(np.float16),
        look=np.arange(count) % 2,
        axis=np.where(np.arange(count) % 2, 1.0, -1.0),
        face=np.full(count, 50.0),
        head=np.zeros(count, bool),
        number=np.arange(count),
        person=np.zeros(count, int),
    )


def test_the_axis_goes_from_woman_to_man() -> None:
    body = load_body("open")
    woman, man, child = (named_shape(body, name) for name in ("female", "male", "child"))
    assert shape_axis(body, np.stack([woman, man])) == pytest.approx([-1.0, 1.0])
    assert shape_axis(body, (woman + man) / 2) == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(shape_axis(body, child))


def test_only_clear_people_teach() -> None:
    look = np.array([0, 0, 1, 1, 2, 3])
    axis = np.array([-1.0, 0.2, 1.0, -0.1, 0.0, 0.5])
    np.testing.assert_array_equal(clear_target(look, axis), [1.0, np.nan, 0.0, np.nan, np.nan, 0.5])


def test_points_follow_the_picture_through_augmentation() -> None:
    """A spot painted at a keypoint is at the keypoint afterwards, whichever way it was moved or mirrored."""
    coco = get("coco17")
    wrist = coco.index("left_wrist")
    missed = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image = np.zeros((108, 108, 3), np.uint8)
        image[38:43, 68:73] = 255  # centre (70, 40)
        points = np.zeros((17, 3))
        points[wrist] = (*((2 * np.array([70.0, 40.0]) + 1) / 108 - 1) * 108 / INPUT, 1.0)
        out, told = augmented(rng, image, points)
        spot = told[wrist] if told[wrist, :2].any() and abs(told[wrist, 0]) > 0.1 else told[coco.flip[wrist]]
        light = out.astype(float).mean(axis=2)
        light = np.maximum(light - np.percentile(light, 97), 0) ** 2
        rows, columns = np.mgrid[:INPUT, :INPUT]
        near = np.hypot(columns - (spot[0] + 1) * INPUT / 2 + 0.5, rows - (spot[1] + 1) * INPUT / 2 + 0.5)
        missed.append((light * near).sum() / max(light.sum(), 1e-9))
    assert np.median(missed) < 3  # px; noise and covers spoil some


def test_the_network_says_which_crop_shows_what() -> None:
    """Small enough to be learned by heart: light crops female, dark ones male."""
    crops = some_crops(16)
    for i in range(16):
        crops.image[i] = 60 if crops.look[i] else 190
    torch.manual_seed(5)
    task = GenderTask(crops, crops, width=4, batch=12)
    optimiser = torch.optim.Adam(task.module.parameters(), 0.01)
    generator = torch.Generator().manual_seed(3)
    losses = []
    for _ in range(60):
        loss, _ = task.loss(task.module, task.batch(generator, torch.device("cpu")), 0.0)
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert np.median(losses[-10:]) < 0.8 * np.median(losses[:5])


def test_the_twin_answers_alike(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = GenderNet(width=4).eval()
    path = tmp_path / "gender.onnx"
    write_gender_onnx(path, module, NUMBERS)
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 256, (3, INPUT, INPUT, 3), dtype=np.uint8)
    points = rng.uniform(-1, 1, (3, 17, 3)).astype(np.float32)
    points[0, :6] = 0
    network = GenderNetwork(path, threads=1)
    with torch.no_grad():
        image = torch.from_numpy(np.moveaxis(crops, -1, 1).astype(np.float32) / 255)
        wanted = module(image, torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(network.run(crops, points), wanted, atol=2e-2 * max(1.0, float(np.abs(wanted).max())))
    assert network.side == INPUT
    assert network.calibration == NUMBERS


def test_both_sides_of_the_file_agree() -> None:
    assert (nets_gender.SIDE, nets_gender.SKELETON) == (INPUT, perception_gender.SKELETON)


def test_keypoints_are_drawn_where_they_are() -> None:
    net = GenderNet(width=4)
    points = torch.zeros(1, 17, 3)
    points[0, 0] = torch.tensor([0.5, -0.25, 0.8])  # the nose
    drawn = net.drawn(points, 96)[0]
    row, column = divmod(int(drawn[0].argmax()), 96)
    assert ((column + 0.5) / 48 - 1, (row + 0.5) / 48 - 1) == pytest.approx((0.5, -0.25), abs=0.011)
    assert float(drawn[0].max()) == pytest.approx(0.8, abs=0.02)
    assert not drawn[1:].any()


def test_calibration_finds_the_odds() -> None:
    rng = np.random.default_rng(0)
    answer = rng.normal(0, 2, 4000)
    target = (rng.random(4000) < 1 / (1 + np.exp(-(0.6 * answer + 0.4)))).astype(float)
    weight, bias = logistic(answer[:, None], target, np.array([1.0]))
    assert (weight, bias) == (pytest.approx(0.6, abs=0.07), pytest.approx(0.4, abs=0.12))
    nobody = logistic(np.zeros((0, 2)), np.zeros(0), np.array([0.5, 0.5]))
    np.testing.assert_array_equal(nobody, [0.5, 0.5, 0.0])


def test_both_looks_are_weighed() -> None:
    """Where heads tell more than bodies they count more."""
    rng = np.random.default_rng(1)
    people = 400
    female = rng.random(people) < 0.5
    body = np.where(female, 0.3, -0.3) + rng.normal(0, 1, people)
    head = np.where(female, 2.0, -2.0) + rng.normal(0, 1, people)
    one = some_crops(2 * people)
    crops = GenderCrops(
        one.image, one.points, np.tile(np.where(female, 0, 1), 2), np.tile(np.where(female, -1.0, 1.0), 2), one.face,
        np.repeat([False, True], people), np.tile(np.arange(people), 2), one.person,
    )  # fmt: skip
    numbers = calibrated(crops, np.concatenate([body, head]))
    assert numbers["both_head"] > 2 * numbers["both_body"] > 0


def test_the_summary_counts() -> None:
    p = np.array([0.95, 0.6, 0.3, 0.97, 0.5, 0.92])
    target = np.array([1.0, 1.0, 0.0, 0.0, 0.5, 0.5])
    found = summary(p, target)
    assert (found["people"], found["right"]) == (4, 0.75)
    assert found["accepted"]["0.90"] == {"share": 0.5, "right": 0.5, "children_neutral": 0.5}


@pytest.mark.slow
def test_crops_of_a_rendered_picture_show_its_people() -> None:
    from monocap.synth.sampler import Sampler, SynthSettings

    sampler = Sampler(settings=SynthSettings(seed=31, size=(96, 96), people=(1, 1), quality="fast"))
    found = [(sample, crops_of(sample)) for sample in (sampler.sample(n) for n in range(3))]
    assert any(crops for _, crops in found)
    for sample, crops in found:
        for one in crops:
            assert one["image"].shape == (108, 108, 3)
            seen = one["points"][one["points"][:, 2] > 0]
            if not one["head"]:
                assert np.abs(seen[:, :2].astype(float)).max() < 1
            assert one["look"] == ("female", "male", "neutral", "child").index(sample.about["people"][0]["look"])
    assert middle(found[0][1][0]["image"]).shape == (INPUT, INPUT, 3)


def write_chunk(folder: Path, split: str, people: int) -> None:
    """As `write_crops` leaves them: women in light crops, men in dark ones, some children, a head of every body."""
    rng = np.random.default_rng(people)
    look = np.repeat(rng.choice([0, 1, 3], people, p=[0.45, 0.45, 0.1]), 2)
    one = some_crops(2 * people)
    image = np.clip(rng.normal(np.array([180, 80, 0, 130])[look][:, None, None, None], 25, one.image.shape), 0, 255)
    arrays = {
        **vars(one), "image": image.astype(np.uint8), "look": look.astype(np.int8),
        "axis": np.where(look == 0, -1.0, 1.0).astype(np.float32), "face": np.full(2 * people, 50, np.float32),
        "head": np.tile([False, True], people), "number": np.repeat(2 * np.arange(people), 2),
        "person": np.zeros(2 * people, np.int8),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / f"{split}-000000.npz", arrays, compress=False)


def test_a_short_training_from_crops_to_a_network_that_fit_asks(tmp_path: Path) -> None:
    """The command's whole way but rendering, which is skipped since the crops are there."""
    for split, people in (("train", 40), ("test", 24)):
        write_chunk(tmp_path / "crops", split, people)
    options = GenderOptions(tmp_path, pictures=100, held_out=100, steps=30, batch=16, width=4, threads=1)
    before = torch.get_num_threads()
    try:
        path, done = train_gender(options)
        with pytest.raises(InputError, match="resume"):
            train_gender(options)
    finally:
        torch.set_num_threads(before)
    assert {"body_loss", "head_loss"} <= set(done.metrics)
    network = GenderNetwork(path, threads=1)
    assert network.calibration["threshold"] == 0.9
    held = read_crops(tmp_path / "crops", "test").take(np.arange(4))
    answers = network.run(np.stack([middle(one) for one in held.image]), held.points)
    assert np.isfinite(answers).all()
    recipe = read_tensors(tmp_path / "gender.safetensors").recipe
    assert recipe["held_out"]["people"] > 0
    assert set(recipe["calibration"]) == set(NUMBERS)
