"""SMPLer as released: names, shapes and sizes of its checkpoints, what loading them does, and its own variants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from monocap.errors import InputError  # noqa: E402
from monocap.nets.smpler import SMPLER_W32  # noqa: E402
from monocap.nets.smpler.head import Predictor  # noqa: E402
from monocap.nets.smpler.network import Smpler, SmplerStage1  # noqa: E402
from monocap.nets.smpler.official import own_name, own_value  # noqa: E402

TINY: dict[str, Any] = {
    "width": 32,
    "blocks": 2,
    "units": 1,
    "predictor_width": 32,
}  # beside HRNet, which cannot shrink


def released(shared, name: str) -> dict:
    """A checkpoint of the released names and shapes, with nothing in it."""
    tensors = json.loads(shared(f"reference/checkpoint_keys/{name}.json").read_text())["tensors"]
    return {
        key: torch.empty(what["shape"], dtype=getattr(torch, what["dtype"]), device="meta")
        for key, what in tensors.items()
    }


@pytest.mark.parametrize(
    ("kind", "size", "name", "count"),
    [
        (Smpler, "w32", "smpler_w32", 37_355_950),
        (Smpler, "w48", "smpler_w48", 73_615_150),
        (SmplerStage1, "w32", "smpler_backbone_stage_w32", 29_305_536 + 1_634_461),
    ],
)
def test_names_shapes_and_sizes_are_the_released_ones(shared, kind, size, name, count):
    with torch.device("meta"):
        net = kind(size)
    named = ((own_name(key), value) for key, value in released(shared, name).items())
    theirs = {key: value for key, value in named if key is not None}
    ours = {key: value for key, value in net.state_dict().items() if not key.startswith("head.joints2d.")}
    assert {key: own_value(key, value).shape for key, value in theirs.items()} == {k: v.shape for k, v in ours.items()}
    assert {key: value.dtype for key, value in theirs.items()} == {k: v.dtype for k, v in ours.items()}
    assert sum(p.numel() for p in net.parameters()) == count


def filled(shared, name: str) -> dict:
    """The same with random numbers that a network survives."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, value in released(shared, name).items():
        if not value.is_floating_point():
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
        elif key.endswith("running_var"):
            state[key] = torch.ones(value.shape)
        else:
            fan = max(int(np.prod(value.shape[1:])), 16)
            state[key] = torch.randn(value.shape, generator=generator) / fan**0.5
    return state


@pytest.mark.slow
def test_released_weights_fill_the_network_and_place_its_joints(shared):
    state = filled(shared, "smpler_w32")
    net: Any = Smpler("w32")
    net.load_official({f"module.{key}": value for key, value in state.items()})
    assert not net.training
    body = {
        key.removeprefix("smpl_handler.smpl."): value for key, value in state.items() if "smpl_handler.smpl." in key
    }
    rest = body["J_regressor"].double() @ body["v_template"].double()
    torch.testing.assert_close(net.head.joints2d.rest, rest.float())
    betas = torch.randn(10)
    shaped = body["v_template"].double() + body["shapedirs"].double() @ betas.double()
    moved = net.head.joints2d.rest + net.head.joints2d.directions @ betas
    torch.testing.assert_close(moved, (body["J_regressor"].double() @ shaped).float(), atol=1e-4, rtol=1e-4)
    weight = state["transformer.1.raw_feat_projection_layer.2.0.weight"]
    assert torch.equal(net.head.blocks[1].projections["2"].linear.weight, weight[:, :, 0, 0])
    table = state["transformer.2.trans_block.trans_units.1.local_unit.relative_position_encoding_table.0"]
    assert torch.equal(net.head.blocks[2].units[1].bias_table, table)
    stages = net(torch.randn(1, 3, 224, 224))
    assert len(stages) == 4
    assert all(torch.isfinite(part).all() for stage in stages for part in stage)

    short = dict(state)
    del short["transformer.0.cam_predictor.bias"]
    with pytest.raises(InputError, match=r"missing head\.blocks\.0\.cam\.bias"):
        net.load_official(short)
    more = {"transformer.0.extra.weight": torch.zeros(1), "transformer.7.cam_predictor.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"unexpected head\.blocks\.7\.cam\.bias, transformer\.0\.extra\.weight"):
        net.load_official({**state, **more})
    bodiless = {key: value for key, value in state.items() if not key.startswith("smpl_handler.smpl.")}
    with pytest.raises(InputError, match="J_regressor, v_template, shapedirs are missing"):
        net.load_official(bodiless)


def test_first_estimate_is_not_affine():
    """Unlike SPIN's and CLIFF's regressors, since SMPLer put the ReLU back. It starts from scale 1."""
    torch.manual_seed(0)
    predictor = Predictor(replace(SMPLER_W32, predictor_width=32)).eval()
    assert predictor.init_cam.tolist() == [[1.0, 0.0, 0.0]]
    for decoder in (predictor.decpose, predictor.decshape, predictor.deccam):
        torch.nn.init.normal_(decoder.weight, std=0.1)
    a, b = torch.randn(2, 1, 256) * 3

    def numbers(g):
        return predictor(g)[-1].betas

    gap = (numbers(a) + numbers(b) - numbers((a + b) / 2) * 2).abs().amax()
    assert gap > 1e-3


def test_own_variant_and_settings_from_a_file():
    """Lists, as JSON has them, become tuples; unknown settings and sizes are told in a line."""
    with torch.device("meta"):
        net = Smpler("w32", own=True, global_scales=[1, 2], units=1)
    assert net.config.global_scales == (1, 2)
    assert (net.joints, net.config.box_info, net.config.border) == (22, 3, "ignore")
    assert list(net.example(2)) == ["image", "box_info"]
    with pytest.raises(InputError, match="no setting depth"):
        Smpler("w32", depth=3)
    with pytest.raises(InputError, match="size 'w64'"):
        Smpler("w64")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="17 joints"):
        Smpler("w32", joints=17)


@pytest.mark.slow
def test_own_variant_starts_from_its_first_stage_and_learns():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first = SmplerStage1("w32", own=True, **TINY).eval()
        net = Smpler("w32", own=True, **TINY).eval()
        net.load_stage1(first.state_dict())
        image, box = torch.randn(1, 3, 224, 224), torch.randn(1, 3)
        told, start = first(image, box)[-1], net(image, box)[0]
        for a, b in zip(told, start, strict=True):
            assert torch.equal(a, b)
        with pytest.raises(InputError, match="not SMPLer's first stage"):
            net.load_stage1({"fc1.weight": torch.zeros(1)})
        net.train()
        last = net(image.repeat(2, 1, 1, 1), box.repeat(2, 1))[-1]
        (
            last.rotmats.square().sum() * 0 + last.rotmats[:, 1:, 0, 1].sum() + last.betas.sum() + last.cam.sum()
        ).backward()
        assert not [name for name, p in net.named_parameters() if p.grad is None]
    finally:
        torch.set_num_threads(before)
