"""HMR 2.0, CameraHMR and TokenHMR: released names, shapes and sizes, and what their parts do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from torch import nn  # noqa: E402

from monocap.data.crop_families import crop_family  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import rotation_6d_to_matrix  # noqa: E402
from monocap.nets.backbones.vit import SIZES, Vit  # noqa: E402
from monocap.nets.hmr2 import CameraHmr, Hmr2, VitNetwork  # noqa: E402
from monocap.nets.iterative import mean_body  # noqa: E402
from monocap.nets.tokenhmr import TokenHmr  # noqa: E402

SMALL = {"width": 16, "code_dim": 8, "codes": 32}  # a tokenizer of 40 tokens


@pytest.mark.parametrize(
    ("make", "file", "parameters"),
    [
        (Hmr2, "hmr2_state_dict", 672_266_656 - 1_807_619),  # published with its discriminator
        (CameraHmr, "camerahmr_smpl", 670_712_053),
        (TokenHmr, "tokenhmr_state_dict", 681_199_967),
    ],
)
def test_networks_are_the_released_ones(
    shared: Callable[[str], Path], make: Callable[[], VitNetwork], file: str, parameters: int
) -> None:
    listed = json.loads(shared(f"reference/checkpoint_keys/{file}.json").read_text())["tensors"]
    with torch.device("meta"):
        net = make()
        given = net.example(2)
        (answer,) = net(*given.values())
    official = {own: tuple(v["shape"]) for name, v in listed.items() if (own := net.own_name(name)) is not None}
    assert {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.startswith("tokenizer.")} == official
    assert sum(p.numel() for k, p in net.named_parameters() if not k.startswith("tokenizer.")) == parameters
    assert tuple(answer.rotmats.shape) == (2, 24, 3, 3)
    assert tuple(given["image"].shape[2:]) == crop_family(net.crop).shape


def test_sizes_of_the_vision_transformer() -> None:
    with torch.device("meta"):
        counts = {size: sum(p.numel() for p in Vit(size).parameters()) for size in SIZES}
        assert tuple(Vit("B")(torch.empty(2, 3, 256, 192)).shape) == (2, 768, 16, 12)
    assert counts["H"] == 630_912_000
    assert 85e6 < counts["B"] < 87e6  # "86M" as published
    assert 21e6 < counts["S"] < 23e6
    with pytest.raises(InputError, match="size 'L'"):
        Vit("L")
    with pytest.raises(InputError, match=r"expected \(N, 3, 256, 192\)"):
        Vit("S")(torch.zeros(1, 3, 256, 256))


def test_a_block_is_a_transformer_layer() -> None:
    """Against torch's own pre-norm encoder layer with the same weights."""
    torch.manual_seed(1)
    block = Vit("S").blocks[0].eval()
    theirs = nn.TransformerEncoderLayer(
        384, 12, 4 * 384, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    names = {"norm1": "norm1", "norm2": "norm2", "attn.proj": "self_attn.out_proj"}
    names |= {"mlp.fc1": "linear1", "mlp.fc2": "linear2"}
    state = {f"{b}.{kind}": block.state_dict()[f"{a}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
    state |= {f"self_attn.in_proj_{kind}": block.state_dict()[f"attn.qkv.{kind}"] for kind in ("weight", "bias")}
    theirs.load_state_dict(state)
    x = torch.randn(2, 7, 384)
    with torch.no_grad():
        torch.testing.assert_close(block(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_the_place_of_the_class_token_is_added_to_all_others() -> None:
    torch.manual_seed(2)
    net = Vit("S").eval()
    image = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        before, shift = net(image), 0.5 * torch.randn(384)
        net.pos_embed[:, 0] += shift
        net.pos_embed[:, 1:] -= shift
        torch.testing.assert_close(net(image), before, atol=1e-4, rtol=1e-4)
        net.pos_embed[:, 0] += shift
        assert not torch.allclose(net(image), before, atol=1e-2)


def test_recomputed_activations_give_the_same_gradients() -> None:
    torch.manual_seed(3)
    plain, thrifty = Vit("S", drop_path=0.0), Vit("S", checkpointing=True, drop_path=0.0)
    thrifty.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 256, 192)
    for net in (plain, thrifty):
        net.train()(image).square().mean().backward()
    for a, b in zip(plain.parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)


def test_stochastic_depth_only_in_training() -> None:
    torch.manual_seed(4)
    block = Vit("S", drop_path=0.9).blocks[-1]
    x = torch.randn(64, 3, 384)
    with torch.no_grad():
        changed = (block.train()(x) != x).flatten(1).any(1).float().mean()
        assert 0.02 < float(changed) < 0.5  # 1 − 0.9² = 0.19 expected
        assert bool((block.eval()(x) != x).flatten(1).any(1).all())


def test_silent_readouts_say_the_mean_body_whatever_the_picture() -> None:
    torch.manual_seed(5)
    net = Hmr2("S").eval()
    for readout in (net.head.decpose, net.head.decshape, net.head.deccam):
        nn.init.zeros_(readout.weight)
        nn.init.zeros_(readout.bias)
    with torch.no_grad():
        answer = net.answer(torch.randn(2, 3, 256, 192))
    np.testing.assert_allclose(answer.rotmats, np.broadcast_to(mean_body().rotmats, (2, 24, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(answer.cam, [[0.9, 0, 0]] * 2)
    assert float(answer.betas.abs().max()) == 0


def test_camerahmr_hears_about_the_box_and_hmr2_does_not() -> None:
    torch.manual_seed(6)
    net = CameraHmr("S").eval()
    image = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        near, far = (net.answer(image, torch.tensor([[0.1, 0.0, size]])) for size in (0.9, 0.2))
    assert not torch.allclose(near.cam, far.cam, atol=1e-6)
    with pytest.raises(InputError, match="CameraHmr expects 3"):
        net(image)
    with torch.device("meta"), pytest.raises(InputError, match="Hmr2 expects 0"):
        Hmr2("S")(torch.empty(1, 3, 256, 192), torch.empty(1, 3))


def test_sure_tokens_are_decoded_as_the_tokenizer_does() -> None:
    """One code per token with certainty: the body is what the tokenizer decodes, plus the mean in 6D."""
    torch.manual_seed(7)
    net = TokenHmr("S", tokenizer=SMALL).eval()
    nn.init.normal_(net.tokenizer.quantizer.codebook)
    classifier = net.head.decpose.class_pred_layer
    nn.init.zeros_(classifier.weight)
    with torch.no_grad():
        classifier.bias.copy_(1e4 * nn.functional.one_hot(torch.tensor(5), 32))
        answer, likely = net.read(torch.randn(2, 3, 256, 192))
        codes = net.tokenizer.quantizer.codebook[torch.full((2, 40), 5)]
        body = net.tokenizer.rotation_6d(codes) + net.head.init_body_pose[:, 6:132].unflatten(1, (21, 6))
    assert bool((likely[..., 5] == 1).all())
    expected = rotation_6d_to_matrix(body, "contiguous_rows")
    torch.testing.assert_close(answer.rotmats[:, 1:22], expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_classifier_through_a_tokenizer_that_learns_nothing() -> None:
    torch.manual_seed(8)
    net = TokenHmr("S", tokenizer=SMALL).train()
    nn.init.normal_(net.tokenizer.quantizer.codebook)
    assert not net.tokenizer.training
    answer = net.answer(torch.randn(2, 3, 256, 192))
    (answer.rotmats[:, 1:22] * torch.randn(2, 21, 3, 3)).sum().backward()
    gradient = dict(net.head.decpose.named_parameters())["mixer_trans.ff.0.weight"].grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0
    assert all(p.grad is None for p in net.tokenizer.parameters())
    other = TokenHmr("S", tokenizer={**SMALL, "codes": 16})
    with pytest.raises(InputError, match="a tokenizer of"):
        net.load_tokenizer(other.tokenizer)
