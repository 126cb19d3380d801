"""SMPLer's head: the published window, bias and correction rules, and what its switches switch."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from monocap.bodies import load_body  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix  # noqa: E402
from monocap.nets.smpler import SmplerConfig, SmplerHead, WeakJoints  # noqa: E402
from monocap.nets.smpler.attention import Attention, Window, take  # noqa: E402
from monocap.nets.smpler.looks import Looks, WithAttention  # noqa: E402

PARENTS = (-1, 0, 0, 0, 1, 2)
SMALL = SmplerConfig(
    channels=(8, 12, 16),
    sizes=(16, 8, 4),
    width=32,
    joints=6,
    global_scales=(0, 1, 2),
    predictor_width=64,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def joints2d(config: SmplerConfig = SMALL) -> WeakJoints:
    return WeakJoints(0.3 * torch.randn(config.joints, 3), 0.02 * torch.randn(config.joints, 3, 10), PARENTS)


def head_of(config: SmplerConfig = SMALL, spread: float = 0.2) -> Any:
    """A head in evaluation whose outputs really depend on everything."""
    head: Any = SmplerHead(config, joints2d(config), torch.eye(3).repeat(config.joints, 1, 1)).eval()
    with torch.no_grad():
        for name, value in head.named_parameters():
            if name.endswith(("pose.weight", "shape.weight", "cam.weight", "decpose.weight")):
                value.copy_(spread * torch.randn_like(value) / value.shape[1] ** 0.5)
    return head


def features_of(config: SmplerConfig = SMALL, count: int = 3) -> list:
    return [torch.randn(count, c, s, s) for c, s in zip(config.channels, config.sizes, strict=True)]


def flat(outputs) -> list:
    return [torch.cat([o.rotmats.flatten(1), o.betas, o.cam], dim=1) for o in outputs]


@pytest.fixture
def window_reference(shared):
    return json.loads(shared("reference/reference_values.json").read_text())["smpler_local_window"]


def test_window_reads_the_published_pixels(window_reference):
    ref = window_reference
    image = torch.arange(56 * 56, dtype=torch.float32).reshape(1, 56 * 56, 1)
    window = Window(torch.tensor(ref["joints2d"]), 56, ref["radius"])
    assert take(image, window.samples)[0, :, :, 0].tolist() == ref["sampled_feat (1,1,2,64)"][0][0]
    at_joint = (window.blend * take(image, window.corners)[..., 0]).sum(-1)
    np.testing.assert_allclose(at_joint, ref["joint_feat_bilinear"][0], rtol=1e-6)
    relative = window.relative[0, 0] / ref["radius"]
    pairs = torch.stack(torch.meshgrid(relative[0], relative[1], indexing="ij"), dim=-1).reshape(-1, 2)[:10]
    want = ref["relative_xy_in_table_units (first 10 samples of joint 0)"]
    np.testing.assert_allclose(pairs, want, atol=2e-6)


@pytest.mark.parametrize(("side", "radius"), [(56, 4), (32, 2), (16, 3)])
def test_window_agrees_with_grid_sample(side, radius):
    """Also for joints at the border and outside: interpolation and bias as torch's own sampler gives them."""
    points = torch.rand(2, 30, 2) * 2.6 - 1.3
    window = Window(points, side, radius)
    image = torch.randn(2, 5, side, side)
    want = torch.nn.functional.grid_sample(image, points[:, None], align_corners=True)[:, :, 0].transpose(1, 2)
    read = take(image.flatten(2).transpose(1, 2), window.corners)
    torch.testing.assert_close((window.blend[..., None] * read).sum(2), want, atol=1e-4, rtol=1e-4)
    table = torch.randn(1, 4, 2 * radius + 1, 2 * radius + 1)
    x, y = (window.samples % side).float(), (window.samples // side).float()
    at = (points + 1) / 2 * (side - 1)
    grid = torch.stack([x - at[..., :1], y - at[..., 1:]], dim=-1) / radius
    want = torch.nn.functional.grid_sample(table.expand(2, -1, -1, -1), grid, align_corners=True)
    torch.testing.assert_close(window.bias(table), want.permute(0, 2, 1, 3), atol=1e-4, rtol=1e-4)


def test_attention_is_the_textbook_one():
    """Projections paid per token give what projecting every feature gives, gradients included."""
    attention = Attention(32, 4, 0.0).double()
    tokens = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    features = torch.randn(2, 40, 32, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 5, 4, 40, dtype=torch.float64)

    def textbook():
        q, k, v = (
            layer(x).unflatten(-1, (4, 8)).transpose(1, 2)
            for layer, x in ((attention.query, tokens), (attention.key, features), (attention.value, features))
        )
        result = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.transpose(1, 2))
        return result.transpose(1, 2).flatten(2)

    inputs = [tokens, features, *attention.parameters()]
    probe = torch.randn(2, 5, 32, dtype=torch.float64)
    ours, theirs = attention(tokens, features, bias)[0], textbook()
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    for a, b in zip(
        torch.autograd.grad((ours * probe).sum(), inputs),
        torch.autograd.grad((theirs * probe).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("count", [22, 24])
def test_joints_of_the_open_body_lie_about_its_pelvis(count):
    """As a body says them, whatever its shape and pose; the camera's t is where the pelvis goes."""
    body = load_body("open")
    joints = WeakJoints.of(body, 22) if count == 22 else WeakJoints.smpl()
    pose, betas = 0.4 * torch.randn(2, 22, 3), torch.randn(2, 10)
    rotmats = torch.eye(3).repeat(2, count, 1, 1)
    rotmats[:, :22] = axis_angle_to_matrix(pose)
    cam = torch.tensor([[0.8, 0.1, -0.2], [1.1, 0.0, 0.3]])
    said = joints(rotmats, betas, cam)
    torch.testing.assert_close(said[:, 0], cam[:, :1] * cam[:, 1:])
    turns = {"global_orient": pose[:, 0].numpy(), "body_pose": pose[:, 1:].flatten(1).numpy()}
    posed = body.joints_only(betas=betas.numpy(), **turns)[:, :22]
    places = (posed - posed[:, :1])[..., :2] + cam[:, None, 1:].numpy()
    np.testing.assert_allclose(said[:, :22], cam[:, None, :1].numpy() * places, atol=1e-5)


def test_zero_heads_leave_the_first_estimate():
    head = head_of()
    identity = torch.tensor([0.1, 0, 0, 0.1, 0, 0])
    for block in head.blocks:
        for layer in (block.pose, block.shape, block.cam):
            torch.nn.init.zeros_(layer.weight)
        assert torch.equal(block.pose.bias, identity)
    first, *rest = flat(head(features_of()))
    assert len(rest) == SMALL.blocks
    for stage in rest:
        assert torch.equal(stage, first)


def test_every_stage_moves_and_stays_a_rotation():
    outputs = head_of()(features_of())
    stages = flat(outputs)
    for a, b in itertools.pairwise(stages):
        assert (a - b).abs().amax() > 1e-3
    eye = torch.eye(3).expand_as(outputs[-1].rotmats)
    torch.testing.assert_close(outputs[-1].rotmats @ outputs[-1].rotmats.mT, eye, atol=1e-5, rtol=0)


def test_mixed_precision_keeps_rotations_whole():
    head, features = head_of(spread=0.02), features_of()
    exact = head(features)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(features)[-1]
    assert all(part.dtype == torch.float32 for part in mixed)
    eye = torch.eye(3).expand_as(mixed.rotmats)
    torch.testing.assert_close(mixed.rotmats @ mixed.rotmats.mT, eye, atol=1e-5, rtol=0)
    assert (mixed.betas - exact.betas).abs().amax() > 0  # it was mixed
    torch.testing.assert_close(mixed.rotmats, exact.rotmats, atol=0.05, rtol=0)


def test_zero_bias_table_has_no_effect_and_another_has():
    head, features = head_of(spread=0.02).double(), [f.double() for f in features_of()]
    outputs = head(features)
    assert all(head.joints2d(*stage).abs().amax() < 1 for stage in outputs)
    plain = flat(outputs)[-1]
    tables = [unit.bias_table for block in head.blocks for unit in block.units]
    assert all(not table.any() for table in tables)
    with torch.no_grad():
        for table in tables:
            table.add_(3.0)  # the same for all samples of a joint in the picture: softmax does not see it
    inside = flat(head(features))[-1]
    torch.testing.assert_close(inside, plain, atol=1e-10, rtol=0)
    with torch.no_grad():
        for table in tables:
            table.copy_(3 * torch.randn_like(table))
    assert (flat(head(features))[-1] - plain).abs().amax() > 1e-4


def test_position_embedding_is_not_seen_by_the_local_branch():
    head, features = head_of(), features_of()
    block = head.blocks[0]
    seen = {}
    unit = block.units[0]
    unit.local_layer.register_forward_pre_hook(lambda _, args: seen.update(local=args[1].clone()))
    unit.global_layers[0].register_forward_pre_hook(lambda _, args: seen.update(far=args[1].clone()))
    head(features)
    before = dict(seen)
    with torch.no_grad():
        block.positions[0].add_(1.0)
    head(features)
    assert torch.equal(seen["local"], before["local"])
    torch.testing.assert_close(seen["far"], before["far"] + 1, atol=1e-5, rtol=0)


def test_pooled_position_is_halved_from_scale_to_scale():
    block = head_of().blocks[0]
    embedding = block.positions[0]
    for k in range(3):
        torch.testing.assert_close(block.position(k), embedding.flatten(2).transpose(1, 2), atol=1e-6, rtol=0)
        embedding = torch.nn.functional.avg_pool2d(embedding, 2)


def test_what_lies_outside_can_be_ignored():
    """At a corner 25 of 64 samples are in the picture; repeated, the corner pixel counts 16 times."""
    window = Window(torch.tensor([[[-1.0, -1.0], [0.1, 0.0], [5.0, 5.0]]]), 16, 4)
    table = torch.randn(1, 4, 9, 9)
    kept = torch.softmax(window.bias(table, ignore_outside=True), -1) > 0
    assert kept.sum(-1)[0].tolist() == [[25] * 4, [64] * 4, [64] * 4]  # wholly outside: nothing to prefer
    assert window.samples[0, 0][kept[0, 0, 0]].unique().numel() == 25
    repeated = torch.softmax(window.bias(table), -1) > 0
    assert repeated.all()


@pytest.mark.parametrize(
    "changes",
    [
        {"border": "ignore"},
        {"local": False},
        {"pooled_position": False},
        {"blocks": 1},
        {"global_scales": (2,)},
        {"global_scales": (1, 2)},
        {"units": 1, "box_info": 3, "global_feature": 20, "points": "stop"},
    ],
)
def test_switches(changes):
    config = replace(SMALL, **changes)
    head = head_of(config).train()
    g = torch.randn(3, config.g) if config.global_feature else None
    box = torch.randn(3, 3) if config.box_info else None
    outputs = head(features_of(config), g, box)
    assert len(outputs) == config.blocks + 1
    torch.cat(flat(outputs)).sum().backward()
    without = [name for name, p in head.named_parameters() if p.grad is None]
    assert not without, f"parameters that nothing reaches: {without}"


def test_windows_are_alike_whether_the_map_is_projected_whole_or_where_joints_are():
    maps = [torch.randn(3, side * side, c) for c, side in zip(SMALL.channels, SMALL.sizes, strict=True)]
    tokens, points = torch.randn(3, SMALL.tokens, SMALL.width), torch.rand(3, SMALL.joints, 2) * 2 - 1
    seen, weights = [], None
    for scales in ((0, 1, 2), (1, 2)):
        block = head_of(replace(SMALL, global_scales=scales)).blocks[0]
        weights = weights or block.projections["0"].state_dict()
        block.projections["0"].load_state_dict(weights)
        block.units[0].local_layer.register_forward_pre_hook(lambda _, args: seen.append(args[1].clone()))
        block(tokens, maps, points)
    torch.testing.assert_close(*seen, atol=1e-6, rtol=0)


def test_looks_are_weights_over_the_image():
    head = head_of()
    outputs, looks = head.stages(features_of(), look=True)
    assert len(looks) == SMALL.blocks == len(outputs) - 1
    for look in looks:
        assert [s.shape for s in look.scales] == [(3, SMALL.tokens, side, side) for side in SMALL.sizes]
        assert look.window.shape == look.samples.shape == (3, SMALL.joints, 64)
        for weights in (*(s.flatten(2) for s in look.scales), look.window):
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_density_puts_every_weight_where_it_was():
    """Windows on their pixels of the fine map, coarse weights spread over their square; each sums to 1."""
    scale = torch.zeros(1, 4, 2, 2)
    scale[0, :, 1, 1] = 1.0
    samples = torch.tensor([[[0, 5, 5], [15, 15, 2]]])
    window = torch.tensor([[[0.5, 0.25, 0.25], [0.4, 0.4, 0.2]]])
    density = Looks([scale], window, samples).density(4)
    far = torch.zeros(4, 4)
    far[2:, 2:] = 0.25
    near = torch.zeros(2, 16)
    near[0, [0, 5]], near[1, [15, 2]] = torch.tensor([0.5, 0.5]), torch.tensor([0.8, 0.2])
    torch.testing.assert_close(density[0, :2], (far + near.reshape(2, 4, 4)) / 2)
    torch.testing.assert_close(density[0, 2:], far.repeat(2, 1, 1))
    with pytest.raises(InputError, match="expected a map of 2²"):
        Looks([scale], window, samples).density(2)
    for side in (16, 6):
        torch.testing.assert_close(Looks([scale], None, None).density(side).sum((2, 3)), torch.ones(1, 4))


def test_head_as_onnx_agrees_for_any_batch(tmp_path):
    """With attention, own variant, box numbers: two crops traced, five answered."""
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx_export = pytest.importorskip("monocap.nets.onnx_export")
    config = replace(SMALL, blocks=2, units=1, box_info=3, border="ignore", global_scales=(1, 2))

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.head = config, head_of(config)

        def attention(self, a, b, c, box):
            return self.head.stages([a, b, c], None, box, look=True)

    def inputs(count):
        return {**dict(zip("abc", features_of(config, count), strict=True)), "box": torch.randn(count, 3)}

    net = WithAttention(Net()).eval()
    names = ("rotmats", "betas", "cam", "attention")
    onnx_export.write_traced(tmp_path / "head.onnx", net, inputs(2), names, {"crop": "smpler"})
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx", providers=["CPUExecutionProvider"])
    given = inputs(5)
    made = session.run(list(names), {name: value.numpy() for name, value in given.items()})
    with torch.no_grad():
        wanted = net(*given.values())
    assert made[3].shape == (5, config.tokens, 16, 16)
    for a, b in zip(wanted, made, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_wrong_inputs_are_refused_in_a_line():
    head, features = head_of(), features_of()
    with pytest.raises(InputError, match="expected \\[\\(8, 16, 16\\)"):
        head(features[::-1])
    with pytest.raises(InputError, match="0 … 2"):
        replace(SMALL, global_scales=(3,))
    with pytest.raises(InputError, match="3 numbers about the box; expected 0"):
        head(features, None, torch.zeros(3, 3))
