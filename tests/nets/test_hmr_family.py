"""HMR, SPIN, CLIFF and VIBE: released names and shapes, sizes, and what their regressors can and cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from torch import Tensor, nn  # noqa: E402

from monocap.data.crop_families import crop_family  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.nets.cliff import Cliff  # noqa: E402
from monocap.nets.hmr import Hmr, Spin  # noqa: E402
from monocap.nets.iterative import IterativeRegressor, MeanBody, mean_body, whole_rotations  # noqa: E402
from monocap.nets.network import Network  # noqa: E402
from monocap.nets.pose_discriminator import PoseDiscriminator  # noqa: E402
from monocap.nets.pose_tokenizer import build_tokenizer  # noqa: E402
from monocap.nets.vibe import MotionDiscriminator, Vibe  # noqa: E402
from monocap.nets.vposer import build_vposer  # noqa: E402

Shared = Callable[[str], Path]
Shapes = dict[str, tuple[int, ...]]


def released(shared: Shared, name: str) -> Shapes:
    tensors = json.loads(shared(f"reference/checkpoint_keys/{name}.json").read_text())["tensors"]
    return {key: tuple(v["shape"]) for key, v in tensors.items()}


def shapes(module: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def mapped(net: Network, official: Shapes) -> Shapes:
    return {own: shape for name, shape in official.items() if (own := net.own_name(name)) is not None}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("make", "file", "parameters"),
    [
        (Spin, "spin_model_checkpoint_model", 26_977_501),
        (lambda: Cliff("resnet50"), "cliff_res50", 26_980_573),
        (lambda: Cliff("hrnet48"), "cliff_hr48", 78_893_405),
        # the published 21,314,845 count the licensed body's own betas, global_orient and body_pose for 64 people
        (Vibe, "vibe_gen_state_dict", 21_314_845 - 64 * (10 + 3 + 69)),
    ],
)
def test_networks_are_the_released_ones(
    shared: Shared, make: Callable[[], Network], file: str, parameters: int
) -> None:
    with torch.device("meta"):
        net = make()
    assert shapes(net) == mapped(net, released(shared, file))
    assert count(net) == parameters


def test_discriminators_are_the_released_ones(shared: Shared) -> None:
    with torch.device("meta"):
        motion, pose = MotionDiscriminator(), PoseDiscriminator()
    assert shapes(motion) == released(shared, "vibe_disc_motion_state_dict")
    assert count(motion) == 11_762_690
    prefix = "discriminator."
    hmr2 = released(shared, "hmr2_state_dict")
    assert shapes(pose) == {k.removeprefix(prefix): v for k, v in hmr2.items() if k.startswith(prefix)}
    assert count(pose) == 1_807_619


@pytest.mark.parametrize("make", [Hmr, Spin, lambda: Cliff("resnet50"), lambda: Cliff("hrnet48"), Vibe])
def test_outputs_have_the_promised_shapes(make: Callable[[], Network]) -> None:
    with torch.device("meta"):
        net = make()
        given = net.example(3)
        stages = net(*given.values())
    assert len(stages) == 3
    lead = (3,) if "image" in given else tuple(given["features"].shape[:2])
    for stage in stages:
        assert tuple(stage.rotmats.shape) == (*lead, 24, 3, 3)
        assert tuple(stage.betas.shape) == (*lead, 10)
        assert tuple(stage.cam.shape) == (*lead, 3)
    if "image" in given:
        assert tuple(given["image"].shape[2:]) == crop_family(net.crop).shape


def test_a_released_state_goes_in_and_a_foreign_one_does_not() -> None:
    torch.manual_seed(0)
    source, net = Vibe(), Vibe()
    state = {f"module.{k}": v for k, v in source.state_dict().items()} | {"regressor.smpl.faces_tensor": torch.zeros(2)}
    net.load_official(state)
    assert not net.training
    for name, value in source.state_dict().items():
        assert torch.equal(net.state_dict()[name], value)
    gone = state.pop("module.regressor.fc2.bias")
    with pytest.raises(InputError, match=r"missing regressor\.fc2\.bias; unexpected nothing"):
        net.load_official(state)
    with pytest.raises(InputError, match=r"unexpected regressor\.fc3\.bias"):
        net.load_official(state | {"regressor.fc2.bias": gone, "regressor.fc3.bias": gone})
    with pytest.raises(InputError, match=r"shape \(1023,\); expected \(1024,\)"):
        net.load_official(state | {"regressor.fc2.bias": gone[1:]})


def _told(regressor: IterativeRegressor, features: Tensor, box: Tensor | None) -> Tensor:
    """What an iteration adds to pose, betas and cam when it is repeated: everything before rotations are made."""
    kept: list[Tensor] = []
    corrections = regressor.corrections

    def listen(given: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        change = corrections(given, state)
        kept.append(torch.cat([state, torch.cat(change, dim=1)], dim=1))
        return change

    regressor.corrections = listen  # type: ignore[method-assign]
    try:
        regressor(features, box)
    finally:
        regressor.corrections = corrections  # type: ignore[method-assign]
    return kept[-1]


@pytest.mark.parametrize("box_numbers", [0, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_without_relu_the_regressor_is_affine(box_numbers: int, relu: bool) -> None:
    """f(a) + f(b) = f(a + b) + f(0): SPIN's and CLIFF's regressors keep to it through all three iterations."""
    torch.manual_seed(5)
    regressor = IterativeRegressor(16, box_info=box_numbers, relu=relu, gain=1.0, hidden=64).double().eval()
    given = torch.randn(2, 1, 16 + box_numbers, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        return _told(regressor, x[:, :16], x[:, 16:] if box_numbers else None)

    error = (f(given[0]) + f(given[1]) - f(given[0] + given[1]) - f(0 * given[0])).abs().max()
    assert (error < 1e-9) == (not relu)


@pytest.mark.parametrize("layout", ["interleaved_columns", "contiguous_columns", "contiguous_rows", "axis_angle"])
def test_untouched_regressors_say_the_mean_body(layout: str) -> None:
    """With decoders at zero every stage is the mean, whatever the picture and the layout of the numbers."""
    for joints in (22, 24):
        mean = mean_body(joints)
        regressor = IterativeRegressor(8, joints, layout=layout, hidden=16)  # type: ignore[arg-type]
        for decoder in (regressor.decpose, regressor.decshape, regressor.deccam):
            nn.init.zeros_(decoder.weight)
            nn.init.zeros_(decoder.bias)
        for stage in regressor(torch.randn(5, 8)):
            expected = np.broadcast_to(mean.rotmats, (5, joints, 3, 3))
            np.testing.assert_allclose(stage.rotmats.detach(), expected, atol=1e-5)
            assert stage.betas.abs().max() == 0
            np.testing.assert_allclose(stage.cam.detach(), [[0.9, 0, 0]] * 5)


@pytest.mark.parametrize("layout", ["interleaved_columns", "contiguous_columns", "contiguous_rows", "axis_angle"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_rotations_whole(layout: str, kind: Any) -> None:
    """Layers compute in 16 bits; what they say is added up, and turned into rotations, in 32."""
    torch.manual_seed(3)
    regressor = IterativeRegressor(32, layout=layout, gain=0.2, hidden=64).eval()  # type: ignore[arg-type]
    features = torch.randn(6, 32)
    exact = regressor(features)[-1]
    with torch.autocast("cpu", kind):
        mixed = regressor(features.to(kind))[-1]
        numbers = torch.randn(4, 24 * (3 if layout == "axis_angle" else 6)).to(kind)
        turned = whole_rotations(numbers, layout)  # type: ignore[arg-type]
    assert (mixed.betas - exact.betas).abs().max() > 0, "it was mixed"
    torch.testing.assert_close(mixed.rotmats, exact.rotmats, atol=0.1, rtol=0)
    for rotmats in (mixed.rotmats, turned):
        assert rotmats.dtype == torch.float32
        torch.testing.assert_close(rotmats @ rotmats.mT, torch.eye(3).expand_as(rotmats), atol=1e-5, rtol=0)
    assert mixed.betas.dtype == mixed.cam.dtype == torch.float32


def test_priors_rotations_are_whole_in_mixed_precision() -> None:
    torch.manual_seed(4)
    vposer, tokenizer = build_vposer("vposer-v2"), build_tokenizer(width=16, code_dim=8, codes=32)
    with torch.autocast("cpu", torch.bfloat16):
        told = vposer.decode_rotations(torch.randn(3, 32))
        spoken = tokenizer.rotations(torch.randn(3, tokenizer.sizes.tokens, 8))
    for rotmats in (told, spoken):
        assert rotmats.dtype == torch.float32
        torch.testing.assert_close(rotmats @ rotmats.mT, torch.eye(3).expand_as(rotmats), atol=1e-5, rtol=0)


def test_mean_body_stands_upright_before_the_camera() -> None:
    mean = mean_body()
    np.testing.assert_allclose(
        mean.rotmats @ np.swapaxes(mean.rotmats, -1, -2), np.tile(np.eye(3), (24, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(mean.rotmats[0] @ [0, 1, 0], [0, -1, 0])  # up is −y there
    np.testing.assert_allclose(mean.rotmats[0] @ [0, 0, 1], [0, 0, -1])  # the face looks at the camera
    with pytest.raises(InputError, match="23 joints"):
        mean_body(23)
    with pytest.raises(InputError, match=r"expected \(24, 3, 3\)"):
        IterativeRegressor(8, mean=MeanBody(np.eye(3), mean.betas, mean.cam))


def test_hmr_learns_its_mean_and_spin_does_not() -> None:
    with torch.device("meta"):
        hmr, spin = Hmr(), Spin()
    assert {"regressor.init_pose", "regressor.init_cam"} <= {name for name, _ in hmr.named_parameters()}
    assert not any("init" in name for name, _ in spin.named_parameters())
    assert tuple(hmr.regressor.init_pose.shape) == (1, 72)
    assert hmr.regressor.fc1.in_features == 2048 + 85


def test_start_of_the_decoders() -> None:
    """Xavier-uniform with the family's gain: a bound of gain · √(6 / (in + out))."""
    torch.manual_seed(1)
    for gain in (0.01, 0.1):
        weight = IterativeRegressor(8, gain=gain).decpose.weight
        bound = gain * (6 / (1024 + 144)) ** 0.5
        assert 0.98 * bound < weight.abs().max() <= bound


def test_inputs_that_do_not_fit_are_named() -> None:
    regressor = IterativeRegressor(8, box_info=3, hidden=16)
    with pytest.raises(InputError, match=r"features of shape \(2, 9\)"):
        regressor(torch.zeros(2, 9), torch.zeros(2, 3))
    with pytest.raises(InputError, match="box numbers none; expected 3"):
        regressor(torch.zeros(2, 8))


def test_the_picture_reaches_every_number_of_cliff() -> None:
    """Gradients come back from the answer to the crop and to where it sits."""
    torch.manual_seed(2)
    net = Cliff("resnet50", gain=1.0).eval()
    image, box = torch.randn(1, 3, 64, 64, requires_grad=True), torch.randn(1, 3, requires_grad=True)
    answer = net.answer(image, box)
    (answer.rotmats.square() * torch.randn_like(answer.rotmats)).sum().backward()
    assert image.grad is not None
    assert box.grad is not None
    assert float(image.grad.abs().max()) > 0
    assert bool((box.grad != 0).all())


def test_vibe_looks_back_only_and_keeps_people_apart() -> None:
    torch.manual_seed(4)
    encoder = Vibe().encoder.eval()
    x = torch.randn(2, 6, 2048)
    changed = x.clone()
    changed[0, 4] += 1
    with torch.no_grad():
        difference = (encoder(changed) - encoder(x)).abs().amax(-1)
    assert float(difference[0, :4].max()) == 0
    assert float(difference[0, 4:].min()) > 0
    assert float(difference[1].max()) == 0


def test_motion_discriminator_sees_order_in_time() -> None:
    torch.manual_seed(6)
    judge = MotionDiscriminator().eval()
    motion = torch.randn(3, 16, 69)
    with torch.no_grad():
        assert tuple(judge(motion).shape) == (3, 1)
        assert not torch.allclose(judge(motion), judge(motion.flip(1)), atol=1e-5)


@pytest.mark.parametrize("joints", [21, 23])
def test_pose_discriminator_judges_joints_apart(joints: int) -> None:
    """A joint's own number depends on that joint alone; the number for all on every one; the shape's on betas alone."""
    torch.manual_seed(7)
    hmr, hmr2 = PoseDiscriminator(joints, "hmr"), PoseDiscriminator(joints, "hmr2")
    hmr2.load_state_dict(hmr.state_dict())
    rotmats, betas = torch.randn(2, joints, 3, 3), torch.randn(2, 10)
    turned = rotmats.clone()
    turned[:, 5] = torch.randn(2, 3, 3)
    with torch.no_grad():
        said, other = hmr(rotmats, betas), hmr(turned, betas)
        fatter = hmr(rotmats, betas + 1)
        swapped = hmr2(rotmats, betas)
    changed = (said != other).all(0)
    assert changed.nonzero()[:, 0].tolist() == [5, joints]
    assert (said != fatter).any(0).nonzero()[:, 0].tolist() == [joints + 1]
    assert torch.equal(swapped, torch.cat([said[:, :joints], said[:, joints + 1 :], said[:, joints : joints + 1]], 1))
    with pytest.raises(InputError, match="expected \\(N, "):
        hmr(rotmats[:, 1:], betas)
