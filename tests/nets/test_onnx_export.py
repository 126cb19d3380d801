"""Networks as ONNX agree with torch for any batch size, say what they are, and halve where asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch modules")
pytest.importorskip("onnx", reason="ONNX files are written with onnx")

from torch import Tensor, nn  # noqa: E402

from monocap import nets  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.geometry.rotations import axis_angle_to_matrix, rotation_6d_to_matrix  # noqa: E402
from monocap.nets.hmr import Spin  # noqa: E402
from monocap.nets.onnx_export import export_network, write_traced  # noqa: E402
from monocap.nets.pose_tokenizer import Quantizer  # noqa: E402


def unsettled(name: str, **options: Any) -> Any:
    """A network whose normalisations and decoders have something to do."""
    torch.manual_seed(9)
    net = nets.build(name, **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
        elif isinstance(module, Quantizer):
            nn.init.normal_(module.codebook)
    return net


SMALL = {"size": "S"}
SLOW: list[tuple[str, dict[str, Any]]] = [
    ("hmr-resnet50v2", {}),
    ("cliff-resnet50", {}),
    ("cliff-hrnet48", {}),
    ("hmr2", SMALL),
    ("camerahmr", SMALL),
    ("smpler-w32", {}),
    ("smpler-w48", {"own": True}),
    ("smpler-stage1-w32", {}),
    ("hmr-light", {}),
    ("smpler-light", {}),
    ("tokenhmr", {**SMALL, "tokenizer": {"width": 16, "code_dim": 8, "codes": 32}}),
]


@pytest.mark.parametrize(
    ("name", "options"),
    [("vibe", {}), ("hmr-resnet50", {}), *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW)],
)
def test_graphs_agree_with_torch(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """`export_network` traces two people and compares three; here another count runs once more."""
    net = unsettled(name, **options).train()
    path = tmp_path / "net.onnx"
    assert export_network(path, net) < 1e-4
    assert net.training  # as it was before
    session = onnxruntime.InferenceSession(path)
    one = {key: value.numpy() for key, value in net.example(1).items()}
    rotmats, betas, cam = (np.asarray(x) for x in session.run(None, one))
    assert rotmats.shape[-4:] == (*rotmats.shape[:-3][-1:], net.joints, 3, 3)
    assert rotmats.shape[0] == betas.shape[0] == cam.shape[0] == 1
    np.testing.assert_allclose(np.linalg.det(rotmats), 1, atol=1e-4)
    described = session.get_modelmeta().custom_metadata_map
    assert described["arch"] == name
    assert json.loads(described["options"]) == options
    assert described["crop_family"] == net.crop
    assert described["joints"] == str(net.joints)
    assert net.joints == (22 if "own" in options or name.endswith("-light") else 24)
    assert described["layout"] == (net.layout or "axis_angle")
    assert [x.name for x in session.get_outputs()] == ["rotmats", "betas", "cam"]


def test_vibe_takes_any_number_of_frames(tmp_path: Path) -> None:
    net = unsettled("vibe", joints=22).eval()
    export_network(tmp_path / "v.onnx", net)
    features = torch.randn(1, 5, 2048)
    made = onnxruntime.InferenceSession(tmp_path / "v.onnx").run(None, {"features": features.numpy()})
    with torch.no_grad():
        wanted = net.answer(features)
    for a, b in zip(made, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, atol=1e-4)


class _Decode(nn.Module):
    """Rotations of 6D numbers in all layouts, and of axis-angle vectors: the geometry that graphs contain."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        six = x.unflatten(-1, (4, 6))
        layouts = ("interleaved_columns", "contiguous_columns", "contiguous_rows")
        return (*(rotation_6d_to_matrix(six, layout) for layout in layouts), axis_angle_to_matrix(six[..., :3]))


def test_rotations_are_traced_for_any_batch(tmp_path: Path) -> None:
    """Traced with two rows, run with one and seven: nothing of the batch is baked in."""
    outputs = ("a", "b", "c", "r")
    write_traced(tmp_path / "r.onnx", _Decode().eval(), {"x": torch.randn(2, 24)}, outputs, {})
    session = onnxruntime.InferenceSession(tmp_path / "r.onnx")
    for count in (1, 7):
        x = torch.randn(count, 24)
        for made, wanted in zip(session.run(None, {"x": x.numpy()}), _Decode()(x), strict=True):
            np.testing.assert_allclose(np.asarray(made), wanted.numpy(), atol=1e-6)


class _Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def test_half_the_size_and_the_rounding_of_weights_only(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = _Wide().eval()
    x = torch.randn(5, 64)
    for half in (False, True):
        write_traced(tmp_path / f"{half}.onnx", net, {"x": torch.randn(2, 64)}, ("y",), {"of": "test"}, half)
    session = onnxruntime.InferenceSession(tmp_path / "True.onnx")
    assert session.get_modelmeta().custom_metadata_map == {"of": "test"}
    made = np.asarray(session.run(None, {"x": x.numpy()})[0])
    wanted = x @ net.linear.weight.detach().half().float().T + net.linear.bias.detach()
    np.testing.assert_allclose(made, wanted, atol=1e-5)
    sizes = [os.path.getsize(tmp_path / f"{half}.onnx") for half in (False, True)]
    assert sizes[1] < sizes[0] - 64 * 64  # two bytes less for each weight, less what a Cast takes


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with torch.device("meta"):
        anonymous = Spin()
        huge = nn.Linear(30_000, 30_000)
    with pytest.raises(InputError, match=r"nets\.build"):
        export_network(tmp_path / "x.onnx", anonymous)
    with pytest.raises(InputError, match=r"3\.6 GB of weights"):
        write_traced(tmp_path / "x.onnx", huge, {"x": torch.zeros(1, 1)}, ("y",), {})
    assert not (tmp_path / "x.onnx").exists()
