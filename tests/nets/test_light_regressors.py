"""The light encoder is the published one; heads answer in the conventions that capture reads."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402

from monocap.assets.manifest import locate  # noqa: E402
from monocap.assets.sessions import open_network  # noqa: E402
from monocap.bodies import load_body  # noqa: E402
from monocap.errors import InputError  # noqa: E402
from monocap.nets.backbones.light import CHANNELS, SIZES, Landmarks, LightEncoder, load_published  # noqa: E402
from monocap.nets.light_regressors import HEADS, in_crop, light_regressor, pelvis  # noqa: E402


@pytest.fixture(scope="module")
def encoder() -> LightEncoder:
    return load_published(LightEncoder(), locate("blazepose_lite")).eval()


def test_the_encoder_gives_the_shipped_networks_landmarks(encoder, tmp_path) -> None:
    """Its coarsest map, through the published file's last linear map, is what that file says."""
    model = onnx.load(locate("blazepose_lite"))
    last = next(n for n in model.graph.node if n.op_type == "Conv" and _channels(model, n) == 195)
    model.graph.output.append(helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "all.onnx")
    session = open_network(tmp_path / "all.onnx", 1)
    image = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    expected = session.run([last.input[0]], {session.get_inputs()[0].name: image})[0]
    with torch.no_grad():
        maps = encoder(torch.from_numpy(image).permute(0, 3, 1, 2))
    assert np.abs(maps["f2"].numpy() - expected).max() < 1e-3
    assert float(maps["f2"].std()) > 0.1
    for name, value in maps.items():
        assert value.shape == (1, CHANNELS[name], SIZES[name], SIZES[name])


def test_landmarks_are_those_of_the_shipped_network() -> None:
    net, landmarks = LightEncoder().eval(), Landmarks().eval()
    load_published(net, locate("blazepose_lite"), landmarks)
    image = np.random.default_rng(1).random((1, 256, 256, 3), np.float32)
    session = open_network(locate("blazepose_lite"), 1)
    places, world = (np.asarray(out) for out in session.run(["landmarks", "world_landmarks"], {"image": image}))
    with torch.no_grad():
        told = landmarks(net(torch.from_numpy(image).permute(0, 3, 1, 2))["f2"]).numpy()[0]
    places = places.reshape(39, 5)
    np.testing.assert_allclose(told[:117].reshape(39, 3)[:, :2], places[:, :2] / 128 - 1, atol=1e-3)
    np.testing.assert_allclose(told[117:195].reshape(39, 2), 1 / (1 + np.exp(-places[:, 3:])), atol=1e-3)
    np.testing.assert_allclose(told[195:], 2 * world[0], atol=1e-3)


def _channels(model, node) -> int:
    names = {one.name: one.dims for one in model.graph.initializer}
    made = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Cast"}
    weight = made.get(node.input[1], node.input[1])
    return names[weight][0] if weight in names else 0


def test_another_file_is_refused() -> None:
    with pytest.raises(InputError, match="no convolution"):
        load_published(LightEncoder(), locate("movenet_multipose"))


@pytest.mark.parametrize("name", list(HEADS))
def test_heads_answer_with_rotations_and_a_camera_in_front(name) -> None:
    torch.manual_seed(0)
    net = light_regressor(name).eval()
    maps = {key: torch.randn(3, CHANNELS[key], SIZES[key], SIZES[key]) for key in net.needs}
    box = torch.tensor([[0.1, -0.2, 0.5], [0.0, 0.0, 0.1], [-0.4, 0.3, 1.5]])
    with torch.no_grad():
        stages = net.read(maps, box)
    for told in stages:
        product = told.rotmats @ told.rotmats.transpose(-1, -2)
        assert torch.allclose(product, torch.eye(3).expand_as(product), atol=1e-5)
        assert told.rotmats.shape == (3, 22, 3, 3)
        assert told.betas.shape == (3, 10)
        assert (told.cam[:, 0] > 0).all()
    # a network that has learned nothing starts upright before the camera
    assert (stages[0].rotmats[:, 0, 1, 1] < -0.9).all()


@pytest.mark.parametrize("name", list(HEADS))
def test_maps_of_the_upper_half_as_published_need_not_be_made_again(name, encoder) -> None:
    torch.manual_seed(0)
    net = light_regressor(name).eval()
    net.load_encoder(locate("blazepose_lite"))
    with torch.no_grad():
        maps, box = encoder(torch.rand(2, 3, 256, 256)), torch.tensor([[0.1, -0.2, 0.5]]).expand(2, -1)
        made = net.read({key: maps[key] for key in net.needs}, box)[-1]
        net.as_published = True
        assert "f2" in net.needs
        taken = net.read({key: maps[key] for key in net.needs}, box)[-1]
    for one, other in zip(made, taken, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_camera_is_the_full_frames() -> None:
    """Joints put where cam says project into the picture, whatever the crop."""
    focal, center, side = 800.0, np.array([120.0, -60.0]), 300.0
    box = torch.tensor([[*(center / focal), side / focal]], dtype=torch.float64)
    cam = torch.tensor([[0.8, 0.1, -0.2]], dtype=torch.float64)
    at = pelvis(cam, box)
    assert float(at[0, 2]) == pytest.approx(2 * focal / (side * 0.8))
    joints = torch.as_tensor(load_body("open").J_template[None, :22], dtype=torch.float64)
    points = joints - joints[:, :1] + at[:, None]
    pixels = focal * points[..., :2] / points[..., 2:]
    inside = (pixels - torch.from_numpy(center)) * (2 / side)
    assert torch.allclose(in_crop(points, box), inside)
    assert torch.allclose(in_crop(at[:, None], box)[0, 0], cam[0, :1] * cam[0, 1:])


def test_unknown_networks_are_named() -> None:
    with pytest.raises(InputError, match="hmr-light"):
        light_regressor("hmr-heavy")
