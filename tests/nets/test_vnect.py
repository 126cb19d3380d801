"""VNect's network is the published one, whatever file its weights come in; the light one answers in the same way."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch.nn import functional  # noqa: E402

from monocap import nets  # noqa: E402
from monocap.assets.manifest import locate  # noqa: E402
from monocap.assets.sessions import open_network  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.nets.inference import TorchSession  # noqa: E402
from monocap.nets.light_vnect import NEEDS, LightVnect  # noqa: E402
from monocap.nets.official_networks import import_official  # noqa: E402
from monocap.nets.onnx_export import export_network  # noqa: E402
from monocap.nets.registry import from_tensors  # noqa: E402
from monocap.nets.vnect import Vnect  # noqa: E402

DECONVOLUTIONS = ("res5c_branch1a", "res5c_branch2a")
BN = "bn5c_branch2a"


@pytest.fixture(scope="module")
def net() -> Vnect:
    torch.manual_seed(0)
    made = nets.build("vnect").eval()
    made.bn5c_branch2a.running_mean.normal_()
    made.bn5c_branch2a.running_var.uniform_(0.5, 2.0)
    return made


@pytest.fixture(scope="module")
def released(net: Vnect) -> dict[str, np.ndarray]:
    """The network's tensors by their names in the released Caffe model."""
    return {_official(name): value.numpy() for name, value in net.state_dict().items() if "num_batches" not in name}


def _official(name: str) -> str:
    layer, _, kind = name.removesuffix(".0").replace(".0.", ".").rpartition(".")
    layer = layer.replace(".", "_")
    return f"{layer}_new.{kind}" if layer.startswith(("res5a", "res5b")) else f"{layer}.{kind}"


def test_the_size_is_the_published_one(net: Vnect) -> None:
    assert sum(value.numel() for value in net.parameters()) == 14_615_680
    with torch.no_grad():
        maps = net(torch.zeros(1, 3, 368, 368))
    assert all(one.shape == (1, 21, 46, 46) for one in maps)


def _by_layers(w: dict[str, np.ndarray], crop):
    """The published graph, layer by layer, from tensors by official names: (N,84,h,w) as released."""
    t = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in w.items()}

    def conv(x, layer, stride=1):
        weight = t[f"{layer}.weight"]
        return functional.conv2d(x, weight, t.get(f"{layer}.bias"), stride, weight.shape[-1] // 2)

    x = functional.relu(conv(crop, "conv1", 2))
    x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-1e9), 3, 2)
    for block in ["2a", "2b", "2c", "3a", "3b", "3c", "3d", "4a", "4b", "4c", "4d", "4e", "4f", "5a"]:
        stride, new = (2 if block in ("3a", "4a") else 1), ("_new" if block == "5a" else "")
        y = functional.relu(conv(x, f"res{block}_branch2a{new}", stride))
        y = functional.relu(conv(y, f"res{block}_branch2b{new}"))
        y = conv(y, f"res{block}_branch2c{new}")
        x = functional.relu(y + (conv(x, f"res{block}_branch1{new}", stride) if block.endswith("a") else x))
    for layer in "abc":
        x = functional.relu(conv(x, f"res5b_branch2{layer}_new"))
    deltas, features = (functional.conv_transpose2d(x, t[f"{name}.weight"], None, 2, 1) for name in DECONVOLUTIONS)
    scale = (t[f"{BN}.weight"] / torch.sqrt(t[f"{BN}.running_var"] + 1e-5))[:, None, None]
    features = functional.relu(
        (features - t[f"{BN}.running_mean"][:, None, None]) * scale + t[f"{BN}.bias"][:, None, None]
    )
    dx, dy, dz = deltas.split(21, dim=1)
    x = torch.cat([features, dx, dy, dz, torch.sqrt(dx**2 + dy**2 + dz**2)], dim=1)
    return conv(functional.relu(conv(x, "res5c_branch2b")), "res5c_branch2c")


def test_it_is_wired_as_published(net: Vnect, released) -> None:
    """res2c's 3×3 as all others reads its own block; strides, pools and the joined features are where they belong."""
    crop = torch.randn(1, 3, 80, 80) * 0.2
    with torch.no_grad():
        maps, expected = net(crop), _by_layers(released, crop)
    heatmaps, *located = expected.split(21, dim=1)
    assert float(expected.abs().max()) > 1e-3
    torch.testing.assert_close(maps.heatmaps, heatmaps, rtol=1e-4, atol=1e-5)
    for one, told in zip(maps[1:], located, strict=True):
        torch.testing.assert_close(one, 0.1 * told, rtol=1e-4, atol=1e-6)  # × 100 mm


def test_normalisation_folds_into_the_weights() -> None:
    torch.manual_seed(1)
    net = nets.build("vnect", norm=True).eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2.0)
            part.weight.data.uniform_(0.5, 1.0)
            part.bias.data.normal_(0, 0.1)
    folded = net.folded()
    assert sum(value.numel() for value in folded.parameters()) == 14_615_680
    crop = torch.randn(1, 3, 64, 64) * 0.2
    with torch.no_grad():
        before, after = net(crop), folded(crop)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().max()))


# ------------------------------------------------------------------ released files
def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _blob(array: np.ndarray) -> bytes:
    shape = b"".join(_varint(size) for size in array.shape)
    return _message(7, _message(7, _message(1, shape)) + _message(5, array.astype("<f4").tobytes()))


def _caffemodel(released: dict[str, np.ndarray], scale: float = 999.98) -> bytes:
    layers: dict[str, list[np.ndarray]] = {}
    for name, value in released.items():
        layer, _, kind = name.rpartition(".")
        if layer == BN:
            continue
        layers.setdefault(layer, [value, value])[["weight", "bias"].index(kind)] = value
    for layer in (*DECONVOLUTIONS, "res5c_branch2c"):
        layers[layer] = layers[layer][:1]
    moments = [released[f"{BN}.running_mean"] * scale, released[f"{BN}.running_var"] * scale, np.array([scale])]
    layers |= {BN: moments, "scale5c_branch2a": [released[f"{BN}.weight"], released[f"{BN}.bias"]]}
    net = _message(1, b"VNect")
    for layer, blobs in layers.items():
        net += _message(100, _message(1, layer.encode()) + _message(2, b"Layer") + b"".join(map(_blob, blobs)))
    return net


def _ports(released: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {"weight": "weights", "bias": "biases"}
    of_bn = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    made = {}
    for name, value in released.items():
        layer, _, kind = name.rpartition(".")
        if layer == BN:
            made[f"{BN}/{of_bn[kind]}"] = value
        elif layer in (*DECONVOLUTIONS, "res5c_branch2c"):
            made[f"{layer}/kernel"] = value.transpose(2, 3, 1, 0)
        else:
            made[f"{layer}/{names[kind]}"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    return made


@pytest.mark.parametrize("suffix", ["caffemodel", "pkl", "npz"])
def test_released_files_fill_the_network(suffix: str, net: Vnect, released, tmp_path: Path) -> None:
    path = tmp_path / f"vnect.{suffix}"
    if suffix == "caffemodel":
        path.write_bytes(_caffemodel(released))
    elif suffix == "pkl":
        path.write_bytes(pickle.dumps(_ports(released), protocol=2))
    else:
        np.savez(path, **_ports(released))  # pyright: ignore[reportArgumentType]
    tensors = import_official(path)
    assert tensors.arch == {"name": "vnect"}
    read = from_tensors(tensors)
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(read.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_hostile_and_damaged_files_are_refused(released, tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    hostile = tmp_path / "hostile.pkl"
    hostile.write_bytes(pickle.dumps({"conv1/weights": Bad()}))
    with pytest.raises(InputError):
        import_official(hostile)
    assert not (tmp_path / "ran").exists()

    whole = _caffemodel({name: released[name] for name in ("conv1.weight", "conv1.bias")} | _others(released))
    cases = {
        "cut": whole[: len(whole) // 2],
        "text": b'name: "VNect" layer { name: "conv1" }',
        "empty": b"",
        "long": _message(100, b"\x0a\xff\xff\xff\xff\x0f"),
        "shape": _message(100, _message(1, b"conv1") + _message(7, _message(7, _message(1, _varint(1 << 40))))),
    }
    for name, data in cases.items():
        path = tmp_path / f"{name}.caffemodel"
        path.write_bytes(data)
        with pytest.raises(InputError, match=name):
            import_official(path)
    ports = _ports(released)
    ports["conv1/weights"] = ports["conv1/weights"][..., :32]
    np.savez(tmp_path / "small.npz", **ports)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"conv1\.0\.weight has shape"):
        import_official(tmp_path / "small.npz")


def _others(released: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    wanted = (*DECONVOLUTIONS, "res5c_branch2c", BN)
    return {name: value for name, value in released.items() if name.rpartition(".")[0] in wanted}


# ------------------------------------------------------------------ the light one, and both as ONNX
@pytest.fixture(scope="module")
def light() -> LightVnect:
    torch.manual_seed(0)
    made = nets.build("vnect-light")
    made.load_encoder(locate("blazepose_lite"))
    for part in made.head.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_var.uniform_(0.5, 2.0)
    return made.eval()


def test_the_light_ones_maps_come_from_the_encoders(light: LightVnect) -> None:
    """What training sees in cached features is what the whole network sees in the crop."""
    crop = light.example(2)["crop"]
    with torch.no_grad():
        maps = light.encoder(crop)
        looked, whole = light.read({name: maps[name] for name in NEEDS}), light(crop)
    assert all(one.shape == (2, 21, 32, 32) for one in whole)
    for a, b in zip(looked.maps, whole, strict=True):
        torch.testing.assert_close(a, b)
    assert looked.deltas.shape == (2, 63, 32, 32)
    assert {name: value.shape[1] for name, value in looked.taps.items()} == light.taps


def test_first_layers_are_fitted_to_their_maps(light: LightVnect) -> None:
    """A map a thousand times as large leaves a fresh head where it was."""
    with torch.no_grad():
        maps = {name: value + 1 for name, value in light.encoder(light.example(8)["crop"]).items()}
        fresh = nets.build("vnect-light")
        before = {name: 1000 * value for name, value in maps.items()}
        fresh.head.settle(before)
        told = fresh.head.glance(before["f2"].flatten(1))
    assert float(told.std()) < 10
    assert float(told.mean(0).abs().max()) < 0.1


@pytest.mark.parametrize("name", ["vnect", "vnect-light"])
def test_onnx_says_the_same_and_what_it_is(name: str, net, light, tmp_path: Path, monkeypatch) -> None:
    made = net if name == "vnect" else light
    if name == "vnect":
        monkeypatch.setattr(Vnect, "example", lambda self, count: {"crop": 0.25 * torch.randn(count, 3, 96, 96)})
    path = tmp_path / "net.onnx"
    assert export_network(path, made) < 1e-3
    session = open_network(path, 1)
    told = session.get_modelmeta().custom_metadata_map
    assert told["arch"] == name
    assert told["axes"] == {"vnect": "camera", "vnect-light": "crop"}[name]
    assert told["crop_family"] == made.crop
    assert [one.name for one in session.get_outputs()] == ["heatmaps", "x", "y", "z"]
    given = made.example(1)["crop"].numpy()
    asked = TorchSession(made)
    assert asked.told["axes"] == told["axes"]
    for a, b in zip(session.run(["z", "heatmaps"], {"crop": given}), asked.run(["z", "heatmaps"], {"crop": given}),
                    strict=True):  # fmt: skip
        assert np.abs(a - b).max() < 1e-3


def test_numbers_of_more_than_ten_bytes_end_reading(tmp_path: Path) -> None:
    path = tmp_path / "endless.caffemodel"
    path.write_bytes(b"\xff" * 64 + struct.pack("<f", 1.0))
    with pytest.raises(InputError, match="not a readable caffemodel"):
        import_official(path)
