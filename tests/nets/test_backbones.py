"""Backbones have the released checkpoints' names and shapes; recomputing activations changes nothing but memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from torch import nn  # noqa: E402

from monocap.nets.backbones.hrnet import ClassHead, HRNet  # noqa: E402
from monocap.nets.backbones.resnet import ResNetV2, resnet18, resnet50  # noqa: E402
from monocap.nets.checkpointing import recomputed  # noqa: E402

Shared = Callable[[str], Path]


def released(shared: Shared, name: str, prefix: str) -> dict[str, tuple[int, ...]]:
    """Shapes by name below ``prefix`` in a released checkpoint."""
    tensors = json.loads(shared(f"reference/checkpoint_keys/{name}.json").read_text())["tensors"]
    return {key.removeprefix(prefix): tuple(v["shape"]) for key, v in tensors.items() if key.startswith(prefix)}


def shapes(*modules: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for module in modules for name, value in module.state_dict().items()}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(("width", "name"), [(32, "smpler_w32"), (48, "smpler_w48")])
def test_hrnet_is_that_of_smpler(shared: Shared, width: int, name: str) -> None:
    with torch.device("meta"):
        assert shapes(HRNet(width)) == released(shared, name, "backbone.")


def test_backbones_of_cliff(shared: Shared) -> None:
    with torch.device("meta"):
        wide = HRNet(48)
        head = ClassHead(wide.channels)
        assert shapes(wide, head) == released(shared, "cliff_hr48", "encoder.")
        assert count(wide, head) == 75_420_864
        assert shapes(resnet50()) == released(shared, "cliff_res50", "encoder.")


def test_sizes_of_residual_networks() -> None:
    with torch.device("meta"):
        assert count(resnet50()) == 23_508_032
        assert count(resnet18()) == 11_176_512  # as published, without the classifier's 513,000
        assert count(ResNetV2()) == 23_519_360


@pytest.mark.parametrize(
    ("make", "strides"),
    [
        (lambda: HRNet(32), (4, 8, 16, 32)),
        (resnet50, (4, 8, 16, 32)),
        (resnet18, (4, 8, 16, 32)),
        (ResNetV2, (8, 16, 32, 32)),
    ],
)
def test_four_maps_of_the_promised_shape(make: Callable[[], nn.Module], strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        net = make()
        maps = net(torch.empty(2, 3, 256, 192))
    channels: tuple[int, ...] = net.channels  # type: ignore[assignment]
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 256 // s, 192 // s) for c, s in zip(channels, strides, strict=True)
    ]


def test_version_2_adds_nothing_after_the_sum() -> None:
    """In a pre-activation network with its last convolutions at 0, what enters a stage leaves it through shortcuts."""
    net = ResNetV2().eval()
    block = net.layer1[1]
    nn.init.zeros_(block.conv3.weight)
    nn.init.zeros_(block.conv3.bias)
    x = torch.randn(1, 256, 8, 8)
    assert torch.equal(block(x), x)  # also where x < 0, which a ReLU after the sum would remove


def test_recomputed_activations_give_the_same_gradients_and_statistics() -> None:
    torch.manual_seed(3)
    plain, thrifty = HRNet(4), HRNet(4, checkpointing=True)
    thrifty.load_state_dict(plain.state_dict())
    image = torch.randn(2, 3, 32, 32)
    for net in (plain, thrifty):
        torch.stack([m.square().mean() for m in net.train()(image)]).sum().backward()
    gradients = {name: parameter.grad for name, parameter in thrifty.named_parameters()}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-6, rtol=1e-4)
    buffers = dict(thrifty.named_buffers())
    for name, value in plain.named_buffers():
        torch.testing.assert_close(buffers[name], value)


def test_recomputing_keeps_less() -> None:
    """Bytes that autograd holds between the two passes shrink to what enters each block."""
    kept = {}
    net = resnet18().layer1.train()
    x = torch.randn(1, 64, 32, 32, requires_grad=True)
    for name, call in (("plain", net), ("recomputed", lambda t: recomputed(net, t))):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):  # noqa: B023
            call(x)
        kept[name] = sum(sizes)
    assert kept["recomputed"] < kept["plain"] / 5
