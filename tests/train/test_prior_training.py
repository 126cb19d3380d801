"""``monocap train prior`` on a small corpus: losses fall, files say what they are, priors load without torch."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training runs on torch")
pytest.importorskip("lightning_fabric", reason="the training loop is Lightning Fabric's")

from monocap.assets.tensors import read_tensors  # noqa: E402
from monocap.bodies import load_body  # noqa: E402
from monocap.cli import main  # noqa: E402
from monocap.data.pose_corpus import read_pose_corpus  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.files import read_npz, write_npz  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle  # noqa: E402
from monocap.nets.vposer import build_vposer  # noqa: E402
from monocap.priors.limits import PoseLimits  # noqa: E402
from monocap.priors.limits import mirrored as mirrored_numpy  # noqa: E402
from monocap.priors.tokenizer import TokenizerPrior  # noqa: E402
from monocap.priors.vposer import VPoserPrior  # noqa: E402
from monocap.train import pose_augmentation as augmentation  # noqa: E402
from monocap.train.body_points import BodyPoints  # noqa: E402
from monocap.train.prior_losses import (  # noqa: E402
    PUBLISHED,
    TokenizerWeights,
    VPoserWeights,
    beyond_limits,
    tokenizer_loss,
    vposer_loss,
)
from monocap.train.tasks.prior import PriorOptions, train_prior  # noqa: E402


def column(folder: Path, name: str) -> list[float]:
    with (folder / "log.csv").open(newline="") as handle:
        return [float(row[name]) for row in csv.DictReader(handle)]


@pytest.mark.parametrize(("kind", "steps", "rate"), [("vposer", 24, 2e-3), ("tokenizer", 60, 1e-3)])
def test_a_few_steps_bring_the_error_down(kind: Any, steps: int, rate: float, corpus: Path, tmp_path: Path) -> None:
    options = PriorOptions(
        kind, corpus, tmp_path, steps=steps, batch=32, learning_rate=rate, accelerator="cpu", threads=1
    )
    path, done = train_prior(options)
    errors = column(tmp_path, "joint_mm")
    assert errors[-1] < 0.85 * errors[0]
    stored = read_tensors(path)
    assert stored.recipe["held_out"]["joint_mm"] == pytest.approx(done.metrics["joint_mm"], abs=1e-3)
    assert stored.recipe["data"]["subjects"] == ["train person"]
    assert stored.recipe["settings"]["seed"] == 1
    assert "--data" in stored.recipe["command"]
    assert str(corpus.parent) not in json.dumps(stored.recipe)  # no paths of this machine
    pose = np.zeros((2, 63))
    again = (
        VPoserPrior.load(path).decode(VPoserPrior.load(path).encode(pose)[0])
        if kind == "vposer"
        else TokenizerPrior.load(path).decode(TokenizerPrior.load(path).encode(pose))
    )
    assert again.shape == (2, 63)
    assert np.abs(again).max() < np.pi


def test_command_resumes_to_the_same_weights(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command(out: str, *more: str) -> int:
        return main(["train", "prior", "vposer", "--data", str(corpus), "-o", str(tmp_path / out), "--batch", "16",
                     "--accelerator", "cpu", "--threads", "1", "--steps", "8", "--json", *more])  # fmt: skip

    assert command("a") == 0
    first = json.loads(capsys.readouterr().out)
    assert command("a") == 2  # refuses to overwrite
    assert "--resume" in capsys.readouterr().err
    assert command("a", "--resume") == 0  # nothing left to do: the same result again
    assert json.loads(capsys.readouterr().out)["joint_mm"] == first["joint_mm"]
    assert command("b", "--seed", "2") == 0
    one, other = (read_tensors(tmp_path / name / "vposer.safetensors").arrays for name in "ab")
    assert any(not np.array_equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", ["v1", "v2", "paper"])
def test_published_losses_go_down(name: str, corpus: Path, tmp_path: Path) -> None:
    arch = "vposer-v1" if name == "v1" else "vposer-v2"
    options = PriorOptions("vposer", corpus, tmp_path, steps=12, batch=32, arch=arch, loss=name, accelerator="cpu")
    train_prior(replace(options, learning_rate=1e-3, threads=1))
    losses = column(tmp_path, "loss")
    assert losses[-1] < losses[0]


@torch.no_grad()
def test_loss_terms_are_what_their_names_say() -> None:
    torch.manual_seed(0)
    net, body = build_vposer("vposer-v2", "matrix"), BodyPoints(count=40)
    pose = 0.3 * torch.randn(3, 63)
    out, target = net(pose), axis_angle_to_matrix(pose.reshape(3, 21, 3))
    every = VPoserWeights(1, 1, 1, 1, 1, 1, 1, 1, 1)
    total, parts = vposer_loss(every, net, out, target, body, 0.0)
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(out.mean, out.deviation), normal(0.0, 1.0)).sum(1).mean()
    assert float(parts["kl"]) == pytest.approx(float(kl), rel=1e-4)
    assert float(total) == pytest.approx(float(sum(parts.values())), rel=1e-5)
    _, exact = vposer_loss(every, net, out._replace(rotations=target), target, body, 0.0)
    for name in set(exact) - {"kl", "regularisation"}:
        assert float(exact[name]) < 1e-3, name
    turned = axis_angle_to_matrix(torch.tensor([0.0, 0.0, 0.4])) @ target
    _, off = vposer_loss(every, net, out._replace(rotations=turned), target, body, 0.0)
    assert float(off["geodesic"]) == pytest.approx(0.4, rel=1e-3)
    assert float(off["rotation"]) == pytest.approx(21 * 4 * (1 - np.cos(0.4)), rel=1e-3)
    scaled = out._replace(rotations=2 * target)
    _, big = vposer_loss(every, net, scaled, target, body, 0.0)
    assert float(big["orthogonality"]) == pytest.approx(21 * 27, rel=1e-3)
    assert float(big["determinant"]) == pytest.approx(21 * 7, rel=1e-3)
    late = vposer_loss(PUBLISHED["v2"], net, out, target, body, 0.5)[1]
    assert set(late) == {"kl", "vertices"}


def test_tokenizer_loss_has_the_official_weights() -> None:
    from monocap.nets.pose_tokenizer import TokenizerOutput

    body, target = BodyPoints(count=40), torch.eye(3).expand(2, 21, 3, 3)
    turned = axis_angle_to_matrix(torch.full((2, 21, 3), 0.1))
    out = TokenizerOutput(turned, torch.zeros(2, 40, dtype=torch.int64), torch.tensor(0.5))
    total, parts = tokenizer_loss(TokenizerWeights(), out, target, body)
    wanted = 20 * parts["rotation"] + 100 * parts["joints"] + 100 * parts["vertices"] + 0.5
    assert float(total) == pytest.approx(float(wanted), rel=1e-5)
    assert float(parts["rotation"]) == pytest.approx(float(((turned - target) ** 2).mean()), rel=1e-5)


def rotations_of(body_pose: Any) -> Any:
    return axis_angle_to_matrix(body_pose.reshape(-1, 21, 3))


def test_poses_beyond_their_limits_are_told_with_their_gradient(rng: np.random.Generator) -> None:
    limits = PoseLimits.load()
    inside = torch.from_numpy(limits.sample(5, rng))
    assert float(beyond_limits(rotations_of(inside), limits).max()) < 1e-6
    wild = torch.from_numpy(rng.normal(scale=1.5, size=(3, 63)))
    value = beyond_limits(rotations_of(wild), limits)
    np.testing.assert_allclose(value.numpy(), limits.excess(wild.numpy()), atol=1e-9)

    def total(turn: Any) -> Any:
        return beyond_limits(rotations_of(wild) @ axis_angle_to_matrix(turn), limits)

    turn = torch.full((3, 21, 3), 1e-8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (turn,), eps=1e-5, atol=1e-3)


def test_body_points_agree_with_the_body(rng: np.random.Generator) -> None:
    body = load_body("open")
    pose = rng.normal(0, 0.4, (2, 63)).astype(np.float32)
    points = BodyPoints(body, count=300, seed=1)
    joints, skin = points(axis_angle_to_matrix(torch.from_numpy(pose).reshape(2, 21, 3)))
    whole = body(body_pose=pose)
    np.testing.assert_allclose(joints, whole.joints[:, :22], atol=1e-5)
    nearest = np.linalg.norm(skin.numpy()[:, :, None] - whole.vertices[:, None], axis=-1).min(axis=2)
    assert nearest.max() < 2e-5


def test_augmentations() -> None:
    generator = torch.Generator().manual_seed(1)
    pose = 0.5 * torch.randn(400, 63, generator=generator)
    assert sorted(j for joints in augmentation.PARTS.values() for j in joints) == list(range(21))
    np.testing.assert_allclose(augmentation.mirrored(pose), mirrored_numpy(pose.numpy()), atol=1e-7)
    half = augmentation.mirror(pose, 0.5, generator)
    assert 0.4 < float((half != pose).any(1).float().mean()) < 0.6

    swapped = augmentation.exchange_limbs(pose, 0.5, generator).reshape(-1, 21, 3)
    changed = (swapped != pose.reshape(-1, 21, 3)).any(-1)
    sizes = {len(joints) for joints in augmentation.PARTS.values()}
    assert set(changed.sum(1).tolist()) == {0} | sizes
    known = {tuple(row) for row in pose.reshape(-1, 3).tolist()}
    assert all(tuple(row) in known for row in swapped.reshape(-1, 3).tolist())  # joints are exchanged, never invented

    six = torch.randn(400, 21, 6, generator=generator)
    invented = 9 + torch.randn(50, 63, generator=generator)
    mixed = augmentation.invent_limbs(pose, invented, 0.4, generator)
    touched = (mixed != pose).reshape(-1, 21, 3).any(-1)
    assert 0.3 < float(touched.any(1).float().mean()) < 0.5
    assert set(map(tuple, mixed.reshape(-1, 3)[touched.reshape(-1)].tolist())) <= set(
        map(tuple, invented.reshape(-1, 3).tolist())
    )
    noisy = augmentation.noisy_part(six, 0.1, 0.5, generator)
    moved = (noisy - six).abs()
    assert 0.09 < float(moved.max()) <= 0.1 + 1e-6
    assert set((moved > 0).any(-1).sum(1).tolist()) == {0} | sizes  # the official one never changed anything
    masked = augmentation.masked_part(six, 0.2, generator)
    assert 0.1 < float((masked == 0).all(-1).any(1).float().mean()) < 0.3

    jittered = augmentation.jitter(pose, 0.1, generator)
    assert 0.03 < float((jittered - pose).std()) < 0.09
    turned = geodesic_angle(*(axis_angle_to_matrix(x.reshape(-1, 3)) for x in (pose, jittered)))
    assert float(turned.mean()) > 0.03


def test_bad_corpora_are_named(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(InputError, match=r"no \.npz shards"):
        read_pose_corpus(tmp_path)
    good = read_npz(corpus / "train-00.npz")
    write_npz(tmp_path / "a.npz", {k: v for k, v in good.items() if k != "clip"})
    with pytest.raises(InputError, match="lacks clip"):
        read_pose_corpus(tmp_path)
    write_npz(tmp_path / "a.npz", good | {"body_pose": good["body_pose"][:, :60]})
    with pytest.raises(InputError, match=r"shape \(600, 60\); expected \(600, 63\)"):
        read_pose_corpus(tmp_path)
    write_npz(tmp_path / "a.npz", good | {"body_pose": np.full_like(good["body_pose"], np.nan)})
    with pytest.raises(InputError, match="not finite"):
        read_pose_corpus(tmp_path)
    write_npz(tmp_path / "a.npz", good | {"split": np.full(600, "test")})
    with pytest.raises(InputError, match="no split 'train'; it has test"):
        train_prior(PriorOptions("vposer", tmp_path, tmp_path / "out"))
    write_npz(tmp_path / "a.npz", good | {"weight": np.zeros(600)})
    with pytest.raises(InputError, match="weight 0"):
        train_prior(PriorOptions("vposer", tmp_path, tmp_path / "out"))
