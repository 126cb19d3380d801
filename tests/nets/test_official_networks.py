"""Official checkpoints are told apart, loaded exactly and safely, and come back from our own files as they were."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")

from monocap import nets  # noqa: E402
from monocap.assets.tensors import Tensors, read_tensors, write_tensors  # noqa: E402
from monocap.cli import main  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.nets.official_networks import import_official, load_official_network, recognised  # noqa: E402

Shared = Callable[[str], Path]
State = dict[str, Any]


def released(shared: Shared, name: str, device: str = "meta") -> State:
    """Tensors with the names and shapes of a released checkpoint; small numbers where there are any."""
    listed = json.loads(shared(f"reference/checkpoint_keys/{name}.json").read_text())["tensors"]
    generator = torch.Generator().manual_seed(len(listed))
    state = {}
    for key, entry in listed.items():
        kind = getattr(torch, entry["dtype"])
        if device == "meta" or not kind.is_floating_point:
            state[key] = torch.zeros(entry["shape"], dtype=kind, device=device)
        else:
            state[key] = 0.02 * torch.randn(entry["shape"], generator=generator)
            if key.endswith("running_var"):
                state[key] = 1 + state[key].abs()
    return state


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("spin_model_checkpoint_model", "hmr-resnet50"),
        ("vibe_gen_state_dict", "vibe"),
        ("cliff_res50", "cliff-resnet50"),
        ("cliff_hr48", "cliff-hrnet48"),
        ("smpler_w32", "smpler-w32"),
        ("smpler_w48", "smpler-w48"),
        ("smpler_backbone_stage_w32", "smpler-stage1-w32"),
        ("hmr2_state_dict", "hmr2"),
        ("camerahmr_smpl", "camerahmr"),
        ("tokenhmr_state_dict", "tokenhmr"),
    ],
)
def test_files_are_told_apart_by_their_shapes(shared: Shared, file: str, name: str) -> None:
    assert recognised(released(shared, file)) == name


@pytest.mark.parametrize(
    "file",
    [
        "spin_model_checkpoint_model",
        "vibe_gen_state_dict",
        "cliff_res50",
        "cliff_hr48",
        "smpler_backbone_stage_w32",
        "hmr2_state_dict",
        "camerahmr_smpl",
        "tokenhmr_state_dict",
    ],
)
def test_nothing_is_missing_and_nothing_unexpected(shared: Shared, file: str) -> None:
    with torch.device("meta"):
        net = load_official_network({f"module.{k}": v for k, v in released(shared, file).items()})
    assert not net.training


def test_smplers_first_stage_is_there_in_both_sizes(shared: Shared) -> None:
    """Of W48 no list of names was released: it is what W32's has, with the shapes of the whole W48."""
    names = released(shared, "smpler_backbone_stage_w32")
    state = {
        name: value for name, value in released(shared, "smpler_w48").items() if not name.startswith("transformer")
    }
    state = {name: value for name, value in state.items() if name in names or name.startswith("backbone.")}
    with torch.device("meta"):
        net = load_official_network(state)
    assert net.arch == {"name": "smpler-stage1-w48"}


def test_what_is_not_converted_is_named(shared: Shared) -> None:
    with pytest.raises(InputError, match="none of SPIN"):
        recognised(released(shared, "camerahmr_humanfov_flnet"))


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch " + os.environ["MONOCAP_TEST_MARK"],)


def test_a_whole_official_file_goes_through_the_command_line(
    tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SPIN's file as it is: the network under "model", an optimiser, a numpy permutation; and something hostile."""
    mark = tmp_path / "mark"
    monkeypatch.setenv("MONOCAP_TEST_MARK", str(mark))
    state = released(shared, "spin_model_checkpoint_model", "cpu")
    beside = {"optimizer": {"state": {}}, "epoch": 3, "dataset_perm": np.arange(5), "hyper_parameters": _Evil()}
    torch.save({"model": state, **beside}, tmp_path / "model_checkpoint.pt")
    out = tmp_path / "spin.safetensors"
    assert main(["weights", "convert", str(tmp_path / "model_checkpoint.pt"), "-o", str(out)]) == 0
    assert not mark.exists()
    assert "hmr-resnet50" in capsys.readouterr().out
    stored = read_tensors(out)
    assert stored.arch == {"name": "hmr-resnet50"}
    assert stored.recipe["converted_from"] == "model_checkpoint.pt"
    net = nets.load(out)
    assert not net.training
    assert len(state) == len(net.state_dict())
    for official, value in state.items():
        assert torch.equal(net.state_dict()[net.own_name(official)], value)


@pytest.mark.slow
def test_smpler_goes_in_and_comes_back(tmp_path: Path, shared: Shared) -> None:
    """The licensed body's joints are taken from the file, its mesh is not kept."""
    from monocap.skeletons import get

    state = released(shared, "smpler_w32", "cpu")
    state["smpl_handler.smpl.parents"] = torch.tensor(get("smpl24").parents)
    torch.save(state, tmp_path / "SMPLer_h36m.pt")
    tensors = import_official(tmp_path / "SMPLer_h36m.pt")
    nets.save(load_official_network(state), tmp_path / "smpler.safetensors", tensors.recipe)
    net = nets.load(tmp_path / "smpler.safetensors")
    assert not any(value.size > 20_000 and "joints2d" in name for name, value in tensors.arrays.items())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(tensors.arrays[name], value)
    assert bool(torch.isfinite(net.answer(*net.example(1).values()).rotmats).all())


def test_vibe_is_found_beside_its_discriminator(tmp_path: Path, shared: Shared) -> None:
    generator = released(shared, "vibe_gen_state_dict", "cpu")
    judge = released(shared, "vibe_disc_motion_state_dict", "cpu")
    torch.save({"epoch": 1, "disc_motion_state_dict": judge, "gen_state_dict": generator}, tmp_path / "vibe.pth.tar")
    tensors = import_official(tmp_path / "vibe.pth.tar")
    assert tensors.arch == {"name": "vibe"}
    assert not any("smpl" in name for name in tensors.arrays)  # the licensed body stays outside
    np.testing.assert_array_equal(tensors.arrays["encoder.linear.weight"], generator["encoder.linear.weight"])


def test_tokenhmr_needs_its_tokenizer_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small: a vision transformer of size S, and a tokenizer of 40 tokens."""
    from monocap.nets import registry
    from monocap.nets.tokenhmr import TokenHmr

    sizes = {"width": 16, "code_dim": 8, "codes": 32}
    small = {"tokenhmr": ("monocap.nets.tokenhmr:TokenHmr", {"size": "S", "tokenizer": sizes})}
    monkeypatch.setattr(registry, "_BUILDERS", registry._BUILDERS | small)
    torch.manual_seed(3)
    net = TokenHmr("S", tokenizer=sizes)
    torch.nn.init.normal_(net.tokenizer.quantizer.codebook)
    official = {
        name.replace("encoder.", "backbone.", 1) if name.startswith("encoder.") else f"smpl_{name}": value
        for name, value in net.state_dict().items()
        if not name.startswith("tokenizer.")
    }
    extra = {"smpl.v_template": torch.zeros(10, 3), "initialized": torch.tensor(True)}
    torch.save({"state_dict": official | extra, "epoch": 2}, tmp_path / "tokenhmr.ckpt")
    with pytest.raises(InputError, match=r"put tokenizer\.pth beside"):
        import_official(tmp_path / "tokenhmr.ckpt")
    torch.save({"net": net.tokenizer.state_dict()}, tmp_path / "tokenizer.pth")
    tensors = import_official(tmp_path / "tokenhmr.ckpt")
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(tensors.arrays[name], value.detach())


def test_own_networks_are_saved_and_loaded_with_their_options(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = nets.build("vibe", joints=22, relu=True)
    nets.save(net, tmp_path / "own.safetensors", {"data": "none"})
    again = nets.load(tmp_path / "own.safetensors")
    assert again.arch == {"name": "vibe", "joints": 22, "relu": True}
    features = torch.randn(1, 4, 2048)
    with torch.no_grad():
        for a, b in zip(net.eval().answer(features), again.answer(features), strict=True):
            assert torch.equal(a, b)


def test_wrong_names_options_and_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network 'hmr3'; there are hmr-resnet50"):
        nets.build("hmr3")
    with pytest.raises(InputError, match=r"vibe: options \['layers'\] do not fit"):
        nets.build("vibe", layers=2)
    with pytest.raises(InputError, match="already"):
        nets.register("vibe", "somewhere:Else")
    with pytest.raises(InputError, match="no such file"):
        nets.load(tmp_path / "none.safetensors")
    write_tensors(tmp_path / "x.safetensors", Tensors({"a": np.zeros(2, np.float32)}, {"name": "vibe"}))
    with pytest.raises(InputError, match="missing encoder"):
        nets.load(tmp_path / "x.safetensors")
    write_tensors(tmp_path / "x.safetensors", Tensors({"a": np.zeros(2, np.float32)}, {"name": "hmr3"}))
    with pytest.raises(InputError, match="holds a 'hmr3' network"):
        nets.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["vposer", "tokenizer"])
def test_weights_that_ship_are_loaded_by_name(name: str) -> None:
    net = nets.load(name)
    assert not net.training
    assert net.arch == net.config


def test_networks_are_added_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from monocap.nets import registry

    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    nets.register("tiny-regressor", "monocap.nets.iterative:IterativeRegressor", features=8)
    net = nets.build("tiny-regressor", hidden=16)
    assert net.arch == {"name": "tiny-regressor", "hidden": 16}
    assert "tiny-regressor" in nets.names()
