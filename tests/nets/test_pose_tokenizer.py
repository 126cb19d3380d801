"""The tokenizer has the official shapes, its numpy twin agrees, and its codebook stays alive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from monocap.assets.tensors import Tensors  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import geodesic_angle, matrix_to_axis_angle  # noqa: E402
from monocap.nets.pose_tokenizer import (  # noqa: E402
    OFFICIAL,
    PoseTokenizer,
    Quantizer,
    TokenizerConfig,
    build_tokenizer,
    pose_to_6d,
)
from monocap.priors.tokenizer import TokenizerPrior, nearest_rows  # noqa: E402

TINY = TokenizerConfig(width=12, code_dim=8, codes=16, size_mul=2, size_div=3)


def lively(config: TokenizerConfig = TINY) -> PoseTokenizer:
    torch.manual_seed(5)
    net = PoseTokenizer(config).double().eval()
    torch.nn.init.normal_(net.quantizer.codebook, 0, 0.3)
    return net


def twin(net: PoseTokenizer) -> TokenizerPrior:
    return TokenizerPrior.from_tensors(Tensors({k: v.numpy() for k, v in net.state_dict().items()}, net.config))


def test_official_names_and_shapes(shared: Callable[[str], Path]) -> None:
    listed = json.loads(shared("reference/checkpoint_keys/tokenhmr_tokenizer_net.json").read_text())["tensors"]
    own = {name: list(value.shape) for name, value in PoseTokenizer(OFFICIAL).state_dict().items()}
    assert {name: entry["shape"] for name, entry in listed.items()}.items() <= own.items()
    assert set(own) - set(listed) == {"quantizer.code_sum", "quantizer.code_count", "quantizer.begun"}
    assert OFFICIAL.tokens == 160
    assert OFFICIAL.decoder_lengths == (125, 90, 55, 21)


@pytest.mark.parametrize("config", [TINY, TokenizerConfig(8, 4, 8, size_mul=4, size_div=4)])
def test_numpy_twin_agrees(config: TokenizerConfig, rng: np.random.Generator) -> None:
    net = lively(config)
    prior, pose = twin(net), rng.normal(0, 0.5, (2, 3, 63))
    with torch.no_grad():
        flat = torch.tensor(pose).reshape(-1, 63)
        latents, tokens = net.latents(pose_to_6d(flat)), net.tokenize(flat)
        decoded = net.decode(tokens)
    np.testing.assert_allclose(prior.latents(pose).reshape(latents.shape), latents, atol=1e-10)
    np.testing.assert_array_equal(prior.encode(pose).reshape(tokens.shape), tokens)
    np.testing.assert_allclose(prior.decode(tokens.numpy()), decoded, atol=1e-9)
    soft = rng.dirichlet(np.ones(config.codes), (2, config.tokens))
    np.testing.assert_allclose(prior.decode_soft(soft), net.decode_soft(torch.tensor(soft)).detach(), atol=1e-9)


def test_certain_soft_tokens_decode_like_hard_ones() -> None:
    prior = twin(lively())
    tokens = np.arange(prior.tokens)[None] % len(prior.codebook)
    np.testing.assert_allclose(prior.decode_soft(np.eye(len(prior.codebook))[tokens]), prior.decode(tokens))


@pytest.mark.parametrize(("size", "length"), [(21, 40), (40, 30), (160, 125), (125, 90), (90, 55), (55, 21), (40, 33)])
def test_resizing_picks_the_rows_that_torch_picks(size: int, length: int) -> None:
    rows = torch.nn.functional.interpolate(torch.arange(size, dtype=torch.float32)[None, None], size=length)
    np.testing.assert_array_equal(nearest_rows(size, length), rows[0, 0].long())


def test_decoder_derivatives_against_autograd(rng: np.random.Generator) -> None:
    net = lively()
    latents = rng.normal(0, 0.5, (2, TINY.tokens, TINY.code_dim))
    pose, jacobian = twin(net).decode_with_jacobian(latents)

    def decode(x: Any) -> Any:
        return matrix_to_axis_angle(net.rotations(x[None])[0]).reshape(63)

    for k in range(2):
        wanted = torch.autograd.functional.jacobian(decode, torch.tensor(latents[k]))
        np.testing.assert_allclose(jacobian[k], wanted, atol=1e-9)
        np.testing.assert_allclose(pose[k], decode(torch.tensor(latents[k])).detach(), atol=1e-9)
    _, pullback = twin(net).decode_with_pullback(latents)
    grad = rng.normal(size=(2, 63))
    np.testing.assert_allclose(pullback(grad), np.einsum("np,nptd->ntd", grad, jacobian), atol=1e-10)


def test_unused_codes_are_replaced_and_means_followed() -> None:
    torch.manual_seed(0)
    quantizer = Quantizer(32, 2).train()
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    draw = lambda: (centres.repeat(32, 1) + 0.05 * torch.randn(128, 2))[None]  # noqa: E731
    quantizer(draw())
    quantizer.codebook[8:] = 100.0  # dead: nothing is near
    quantizer.code_sum[8:], quantizer.code_count[8:] = 0.0, 0.0
    for _ in range(50):
        quantizer(draw())
    commitment = quantizer(draw())[2]
    assert float(quantizer.codebook.abs().max()) < 5
    assert float(commitment) < 0.05**2 * 2
    before = quantizer.codebook.clone()
    quantizer.eval()(draw())
    assert torch.equal(before, quantizer.codebook)  # evaluation must not move it


def test_codebook_is_not_started_anew_after_loading() -> None:
    torch.manual_seed(0)
    trained = PoseTokenizer(TINY).train()
    trained(torch.randn(4, 21, 6))
    resumed = PoseTokenizer(TINY)
    resumed.load_state_dict(trained.state_dict())
    assert bool(resumed.quantizer.begun)
    trained(x := torch.randn(4, 21, 6))
    torch.manual_seed(1)
    resumed.train()
    resumed(x)
    # one step of a running mean: codes move by hundredths, where a fresh start would draw them from the batch
    shift = (resumed.quantizer.codebook - trained.quantizer.codebook).norm(dim=1)
    assert float(shift.median()) < 1e-3


def test_fresh_decoder_starts_near_the_rest_pose() -> None:
    """Joints that start half a turn away can stay there in pairs that undo each other (two spine joints once did)."""
    torch.manual_seed(0)
    net = PoseTokenizer()
    turned = geodesic_angle(net.rotations(0.1 * torch.randn(50, 40, 128)), torch.eye(3))
    assert float(turned.detach().max()) < 1.0


def test_straight_through_gradient_reaches_the_encoder() -> None:
    torch.manual_seed(0)
    net = PoseTokenizer(TINY).train()
    net(torch.randn(4, 21, 6)).rotations.sum().backward()
    first = next(net.encoder.parameters()).grad
    assert first is not None
    assert float(first.abs().sum()) > 0


def test_bad_input_is_refused() -> None:
    prior = twin(lively())
    with pytest.raises(InputError, match=r"0…15"):
        prior.decode(np.full(prior.tokens, 16))
    with pytest.raises(InputError, match="integers"):
        prior.decode(np.zeros(prior.tokens))
    with pytest.raises(InputError, match="integers"):
        lively().decode(torch.zeros(1, TINY.tokens))
    with pytest.raises(InputError, match="widths"):
        build_tokenizer(widths=3)
    with pytest.raises(InputError, match="body_pose"):
        prior.encode(np.zeros(69))
