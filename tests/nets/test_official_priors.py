"""Official weights are recognised, loaded exactly and safely; ONNX twins decode alike."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")
pytest.importorskip("onnx", reason="ONNX twins are written with onnx")

from monocap.assets.tensors import Tensors, write_tensors  # noqa: E402
from monocap.cli import main  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix  # noqa: E402
from monocap.nets.checkpoints import read_checkpoint  # noqa: E402
from monocap.nets.official_networks import import_official  # noqa: E402
from monocap.nets.official_priors import load_official  # noqa: E402
from monocap.nets.onnx_twins import write_onnx  # noqa: E402
from monocap.priors.tokenizer import TokenizerPrior  # noqa: E402
from monocap.priors.vposer import VPoserPrior  # noqa: E402

# Names and shapes of the released vposer_v1_0 and V02_05 state dicts (spec of the issue: layer lists of both).
_NORM = {"weight": (512,), "bias": (512,), "running_mean": (512,), "running_var": (512,)}


def _linear(out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {"weight": (out, into), "bias": (out,)}


V1: dict[str, dict[str, tuple[int, ...]]] = {
    "bodyprior_enc_bn1": dict.fromkeys(_NORM, (63,)),
    "bodyprior_enc_fc1": _linear(512, 63),
    "bodyprior_enc_bn2": _NORM,
    "bodyprior_enc_fc2": _linear(512, 512),
    "bodyprior_enc_mu": _linear(32, 512),
    "bodyprior_enc_logvar": _linear(32, 512),
    "bodyprior_dec_fc1": _linear(512, 32),
    "bodyprior_dec_fc2": _linear(512, 512),
    "bodyprior_dec_out": _linear(126, 512),
}
V2: dict[str, dict[str, tuple[int, ...]]] = {
    "vp_model.encoder_net.1": dict.fromkeys(_NORM, (63,)),
    "vp_model.encoder_net.2": _linear(512, 63),
    "vp_model.encoder_net.4": _NORM,
    "vp_model.encoder_net.6": _linear(512, 512),
    "vp_model.encoder_net.7": _linear(512, 512),
    "vp_model.encoder_net.8.mu": _linear(32, 512),
    "vp_model.encoder_net.8.logvar": _linear(32, 512),
    "vp_model.decoder_net.0": _linear(512, 32),
    "vp_model.decoder_net.3": _linear(512, 512),
    "vp_model.decoder_net.5": _linear(126, 512),
}


def random_state(layers: dict[str, dict[str, tuple[int, ...]]]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(11)
    state = {}
    for layer, tensors in layers.items():
        for name, shape in tensors.items():
            value = 0.05 * torch.randn(shape, generator=generator)
            state[f"{layer}.{name}"] = value.abs() + 0.5 if name == "running_var" else value
    return state


@pytest.mark.parametrize(("layers", "wrap"), [(V1, None), (V2, "state_dict")])
def test_vposer_files_are_read(tmp_path: Path, layers: dict, wrap: str | None, rng: np.random.Generator) -> None:
    state = random_state(layers)
    state |= {} if wrap is None else {"bm_train.v_template": torch.zeros(1, 10, 3)}
    torch.save(state if wrap is None else {wrap: state, "epoch": 13}, tmp_path / "official.pt")
    prior = VPoserPrior.from_tensors(import_official(tmp_path / "official.pt"))
    # the decoder by hand, from the released names
    names = [name for name in layers if "dec" in name]
    z = x = rng.normal(size=(3, 32))
    for name in names:
        x = x @ state[f"{name}.weight"].double().numpy().T + state[f"{name}.bias"].double().numpy()
        x = x if name == names[-1] else np.where(x > 0, x, x * (0.2 if layers is V1 else 0.01))
    pairs = x.reshape(3, 21, 3, 2)
    first = pairs[..., 0] / np.linalg.norm(pairs[..., 0], axis=-1, keepdims=True)
    matrices = axis_angle_to_matrix(prior.decode(z).reshape(3, 21, 3))
    np.testing.assert_allclose(matrices[..., 0], first, atol=1e-6)


def test_tokenizer_file_with_foreign_objects_is_read(
    tmp_path: Path, shared: Callable[[str], Path], rng: np.random.Generator
) -> None:
    listed = json.loads(shared("reference/checkpoint_keys/tokenhmr_tokenizer_net.json").read_text())["tensors"]
    torch.manual_seed(0)
    net = {name: 0.02 * torch.randn(entry["shape"]) for name, entry in listed.items()}
    net["decoder.body_model.v_template"] = torch.zeros(3)
    torch.save({"net": net, "hparams": _Config(CODE_DIM=256)}, tmp_path / "tokenizer.pth")
    tensors = import_official(tmp_path / "tokenizer.pth")
    prior = TokenizerPrior.from_tensors(tensors)
    assert prior.tokens == 160
    assert prior.codebook.shape == (2048, 256)
    tokens = prior.encode(rng.normal(0, 0.3, (1, 63)))
    own = load_official({k: v for k, v in net.items() if "body_model" not in k})
    np.testing.assert_allclose(prior.decode(tokens), own.decode(torch.tensor(tokens)).detach(), atol=1e-4)


class _Config(dict):
    """Stands for yacs' configuration node: a class that torch's weights-only reader refuses."""

    def __init__(self, **entries: int) -> None:
        super().__init__(entries)


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch " + os.environ["MONOCAP_TEST_MARK"],)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("MONOCAP_TEST_MARK", str(mark))
    state = {"a": torch.arange(3.0), "evil": _Evil()}
    torch.save(state, tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    content = read_checkpoint(tmp_path / "evil.pt")
    assert torch.equal(content["a"], state["a"])
    assert not mark.exists()


def test_wrong_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"not a checkpoint at all")
    with pytest.raises(InputError, match="not a readable torch checkpoint"):
        import_official(tmp_path / "junk.pt")
    with pytest.raises(InputError, match="neither VPoser"):
        load_official({"fc.weight": torch.zeros(2, 2)})
    state = random_state(V1)
    missing = state.pop("bodyprior_dec_out.bias")
    with pytest.raises(InputError, match=r"missing bodyprior_dec_out\.bias"):
        load_official(state)
    with pytest.raises(InputError, match=r"shape \(125,\); expected \(126,\)"):
        load_official(state | {"bodyprior_dec_out.bias": missing[:-1]})
    with pytest.raises(InputError, match="unexpected bodyprior_extra"):
        load_official(state | {"bodyprior_dec_out.bias": missing, "bodyprior_extra": missing})


def test_convert_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(random_state(V1), tmp_path / "v1.pt")
    out = tmp_path / "v1.safetensors"
    assert main(["weights", "convert", str(tmp_path / "v1.pt"), "-o", str(out)]) == 0
    assert "vposer-v1" in capsys.readouterr().out
    assert VPoserPrior.load(out).sample(2, np.random.default_rng(0)).shape == (2, 63)
    assert main(["weights", "convert", str(tmp_path / "none.pt"), "-o", str(out)]) == 2


@pytest.mark.parametrize("half", [True, False])
def test_onnx_twin_of_vposer(tmp_path: Path, half: bool, rng: np.random.Generator) -> None:
    for layers in (V1, V2):
        net = load_official(random_state(layers))
        arrays = {k: v.numpy() for k, v in net.state_dict().items()}
        if half:  # the same rounding for both: what is compared is the graph
            arrays = {k: v.astype(np.float16).astype(np.float32) if v.ndim > 1 else v for k, v in arrays.items()}
        tensors = Tensors(arrays, net.config)
        write_onnx(tmp_path / "v.onnx", tensors, half)
        latent = rng.normal(size=(5, 32)).astype(np.float32)
        (made,) = onnxruntime.InferenceSession(tmp_path / "v.onnx").run(None, {"latent": latent})
        wanted = axis_angle_to_matrix(VPoserPrior.from_tensors(tensors).decode(latent).reshape(5, 21, 3))
        np.testing.assert_allclose(np.asarray(made), wanted, atol=1e-4)


def test_onnx_twin_of_tokenizer(tmp_path: Path, rng: np.random.Generator) -> None:
    from monocap.nets.pose_tokenizer import PoseTokenizer, TokenizerConfig

    torch.manual_seed(2)
    net = PoseTokenizer(TokenizerConfig(width=16, code_dim=8, codes=20, size_mul=2, size_div=2)).eval()
    torch.nn.init.normal_(net.quantizer.codebook)
    tensors = Tensors({k: v.numpy() for k, v in net.state_dict().items()}, net.config)
    write_tensors(tmp_path / "t.safetensors", tensors)
    write_onnx(tmp_path / "t.onnx", tensors, half=False)
    tokens = rng.integers(0, 20, (4, 40))
    (made,) = onnxruntime.InferenceSession(tmp_path / "t.onnx").run(None, {"tokens": tokens})
    decoded = TokenizerPrior.load(tmp_path / "t.safetensors").decode(tokens)
    np.testing.assert_allclose(np.asarray(made), axis_angle_to_matrix(decoded.reshape(4, 21, 3)), atol=1e-4)


def test_onnx_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected vposer-v1"):
        write_onnx(tmp_path / "x.onnx", Tensors({}, {"name": "hmr"}))
