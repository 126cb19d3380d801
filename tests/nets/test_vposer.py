"""VPoser in torch has the released shapes, and in numpy computes the same with exact derivatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from monocap.assets.tensors import Tensors, read_tensors, write_tensors  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix  # noqa: E402
from monocap.nets.vposer import VPoser, build_vposer  # noqa: E402
from monocap.priors.vposer import VPoserPrior  # noqa: E402

ARCHS = ("vposer-v1", "vposer-v2")


def lively(arch: str) -> VPoser:
    """A network with random weights and batch-norm statistics that are not the identity, in double precision."""
    torch.manual_seed(3)
    net = build_vposer(arch).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                assert tensor is not None
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return net.eval()


def twin(net: VPoser) -> VPoserPrior:
    return VPoserPrior.from_tensors(Tensors({k: v.numpy() for k, v in net.state_dict().items()}, net.config))


@pytest.mark.parametrize(("arch", "total"), [("vposer-v1", 673_596), ("vposer-v2", 936_252)])
def test_number_of_weights_is_that_of_the_release(arch: str, total: int) -> None:
    net = build_vposer(arch)
    assert sum(p.numel() for p in net.parameters()) == total
    if arch == "vposer-v2":
        decoder = [p.numel() for name, p in net.named_parameters() if name.startswith("decoder_net")]
        assert sum(decoder) == 344_190


@pytest.mark.parametrize("arch", ARCHS)
def test_numpy_twin_agrees(arch: str, rng: np.random.Generator) -> None:
    net = lively(arch)
    prior, pose = twin(net), rng.normal(0, 0.5, (4, 5, 63))
    mean, deviation = prior.encode(pose)
    with torch.no_grad():
        wanted = net.encode(torch.tensor(pose).reshape(-1, 63))
        decoded = net.decode(wanted[0])
    np.testing.assert_allclose(mean.reshape(-1, 32), wanted[0], atol=1e-10)
    np.testing.assert_allclose(deviation.reshape(-1, 32), wanted[1], atol=1e-10)
    np.testing.assert_allclose(prior.decode(mean).reshape(-1, 63), decoded, atol=1e-9)


@pytest.mark.parametrize("arch", ARCHS)
def test_decoder_jacobian_against_autograd(arch: str, rng: np.random.Generator) -> None:
    net = lively(arch)
    latent = rng.normal(0, 2.0, (3, 32))
    pose, jacobian = twin(net).decode_with_jacobian(latent)
    for k in range(3):
        wanted = torch.autograd.functional.jacobian(lambda z: net.decode(z[None])[0], torch.tensor(latent[k]))
        np.testing.assert_allclose(jacobian[k], wanted, atol=1e-9)
    np.testing.assert_allclose(pose, net.decode(torch.tensor(latent)).detach(), atol=1e-9)


def test_encoder_jacobian_against_autograd(rng: np.random.Generator) -> None:
    net = lively("vposer-v2")
    pose = rng.normal(0, 0.5, 63)
    _, jacobian = twin(net).encode_with_jacobian(pose)
    wanted = torch.autograd.functional.jacobian(lambda x: net.encode(x[None])[0][0], torch.tensor(pose))
    np.testing.assert_allclose(jacobian, wanted, atol=1e-10)


def test_interpolation_ends_at_the_reconstructions(rng: np.random.Generator) -> None:
    net = lively("vposer-v2")
    start, end = rng.normal(0, 0.3, (2, 63))
    between = net.interpolate(torch.tensor(start), torch.tensor(end), 5).detach()
    np.testing.assert_allclose(twin(net).interpolate(start, end, 5), between, atol=1e-9)
    again = net.decode(net.encode(torch.tensor(np.stack([start, end])))[0]).detach()
    np.testing.assert_allclose(between[[0, -1]], again, atol=1e-12)


def test_samples_are_rotations_and_follow_the_seed() -> None:
    net = lively("vposer-v1")
    one, other = (net.sample(6, torch.Generator().manual_seed(7)).detach() for _ in range(2))
    assert torch.equal(one, other)
    matrices = axis_angle_to_matrix(one.reshape(-1, 3))
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(len(matrices), dtype=torch.float64))


def test_free_matrices_of_the_paper_become_rotations_on_decoding() -> None:
    torch.manual_seed(0)
    net = build_vposer("vposer-v2", "matrix").double().eval()
    latent = torch.randn(4, 32, dtype=torch.float64)
    free = net.decode_rotations(latent)
    assert not torch.allclose(torch.linalg.det(free), torch.ones(4, 21, dtype=torch.float64), atol=0.1)
    angles = net.decode(latent).reshape(-1, 3).norm(dim=1)
    assert bool((angles <= np.pi + 1e-9).all())


def test_file_round_trip_at_half_precision(tmp_path: Path, rng: np.random.Generator) -> None:
    net = build_vposer("vposer-v2").eval()
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    write_tensors(tmp_path / "a.safetensors", Tensors(arrays, net.config, {"seed": 1}), half=True)
    stored = read_tensors(tmp_path / "a.safetensors")
    assert stored.recipe == {"seed": 1}
    assert (tmp_path / "a.safetensors").stat().st_size < 2e6
    pose = rng.normal(0, 0.3, (8, 63))
    loaded = VPoserPrior.load(tmp_path / "a.safetensors")
    np.testing.assert_allclose(loaded.encode(pose)[0], VPoserPrior.from_tensors(stored).encode(pose)[0])
    np.testing.assert_allclose(loaded.encode(pose)[0], twin(net).encode(pose)[0], atol=5e-3)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vposer-v1, vposer-v2"):
        build_vposer("vposer-v3")
    prior = twin(build_vposer("vposer-v2"))
    with pytest.raises(InputError, match=r"expected \(…,63\)"):
        prior.encode(np.zeros(69))
    with pytest.raises(InputError, match=r"expected \(…,32\)"):
        prior.decode(np.zeros((2, 31)))
    (tmp_path / "b.safetensors").write_bytes(b"12345678{")
    with pytest.raises(InputError, match="not a readable safetensors"):
        VPoserPrior.load(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="no such file"):
        VPoserPrior.load(tmp_path / "c.safetensors")
    net = build_vposer("vposer-v2")
    arrays = {name: value.numpy() for name, value in net.state_dict().items() if "mu" not in name}
    with pytest.raises(InputError, match="lack"):
        VPoserPrior.from_tensors(Tensors(arrays, net.config))
