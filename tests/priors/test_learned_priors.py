"""The shipped VPoser and tokenizer: what they promise, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from monocap import skeletons
from monocap.assets import listing, locate
from monocap.assets.tensors import Tensors, read_tensors, write_tensors
from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.evaluate.prior import area_under_curve, body_errors
from monocap.geometry.rotations import axis_angle_to_matrix, matrix_to_rotation_6d, rotation_6d_to_matrix
from monocap.priors.decoding import axis_angle_of_6d
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.limits import PoseLimits
from monocap.priors.tokenizer import TokenizerPrior
from monocap.priors.vposer import VPoserPrior

NAMES = skeletons.get("smplx55").joint_names[1:22]


def by_hand(**angles: tuple[float, float, float]) -> np.ndarray:
    pose = np.zeros((21, 3))
    for name, vector in angles.items():
        pose[NAMES.index(name)] = vector
    return pose.reshape(63)


STANDING = by_hand(left_shoulder=(0, 0, -1.1), right_shoulder=(0, 0, 1.1))
SITTING = by_hand(
    left_hip=(-1.4, 0, 0.1), right_hip=(-1.4, 0, -0.1), left_knee=(1.4, 0, 0), right_knee=(1.4, 0, 0),
    left_shoulder=(0, -0.3, -1.0), right_shoulder=(0, 0.3, 1.0), left_elbow=(0, -0.8, 0), right_elbow=(0, 0.8, 0),
)  # fmt: skip
WAVING = by_hand(left_shoulder=(0, 0, 0.6), left_elbow=(0, -1.2, 0.2), right_shoulder=(0, 0, 1.1))
KNEES_BACKWARDS = by_hand(
    left_knee=(-1.2, 0, 0), right_knee=(-1.2, 0, 0), left_shoulder=(0, 0, -1.1), right_shoulder=(0, 0, 1.1)
)


@pytest.mark.parametrize(("model", "most"), [(VPoserPrior, 60), (TokenizerPrior, 60)])
def test_poses_made_by_hand_come_back(model: Any, most: float) -> None:
    """None of these was measured on anybody, yet they are human: they come back roughly, the everyday one best."""
    prior, pose = model.load(), np.stack([STANDING, SITTING, WAVING])
    code = prior.encode(pose)
    again = prior.decode(code[0] if isinstance(code, tuple) else code)
    joints, _ = body_errors(load_body("open"), pose, again)
    assert 1000 * joints.max() < most
    assert 1000 * joints[0] < most / 2


def test_broken_knees_cost_more_than_human_poses() -> None:
    energy = VPoserPrior.load().energy(np.stack([STANDING, SITTING, WAVING, KNEES_BACKWARDS]))
    assert energy[3] > 2 * energy[:3].max()


@pytest.mark.parametrize("model", [VPoserPrior, TokenizerPrior])
def test_poses_turned_too_far_cost_more(model: Any) -> None:
    pose = PoseGaussian.load().sample(150, np.random.default_rng(3))
    prior = model.load()
    assert area_under_curve(prior.energy(pose), prior.energy(1.8 * pose)) > 0.85


def test_samples_keep_to_the_joint_limits() -> None:
    samples = VPoserPrior.load().sample(500, np.random.default_rng(0))
    assert (PoseLimits.load().excess(samples) > 0).mean() < 0.01
    spread = samples.reshape(500, 21, 3).std(axis=0)
    assert spread[NAMES.index("left_shoulder")].max() > 0.2  # not one pose again and again
    assert spread[NAMES.index("right_knee"), 0] > 0.1


def test_most_codes_are_in_use() -> None:
    tokens = TokenizerPrior.load().encode(VPoserPrior.load().sample(400, np.random.default_rng(1)))
    assert len(np.unique(tokens)) > 0.8 * len(TokenizerPrior.load().codebook)


def test_jacobian_by_finite_differences(rng: np.random.Generator) -> None:
    prior, latent, step = VPoserPrior.load(), rng.normal(size=(2, 32)), 1e-6
    pose, jacobian = prior.decode_with_jacobian(latent)
    np.testing.assert_allclose(pose, prior.decode(latent))
    for k in (0, 7, 31):
        moved = latent + step * np.eye(32)[k]
        np.testing.assert_allclose((prior.decode(moved) - pose) / step, jacobian[..., k], atol=1e-4)
    mean, jacobian = prior.encode_with_jacobian(STANDING)
    moved = (prior.encode(STANDING + step * np.eye(63)[50])[0] - mean) / step
    np.testing.assert_allclose(moved, jacobian[:, 50], atol=1e-3)


def test_tokenizer_pullback_by_finite_differences(rng: np.random.Generator) -> None:
    prior = TokenizerPrior.load()
    codes = prior.codebook[prior.encode(SITTING)]
    pose, pullback = prior.decode_with_pullback(codes)
    grad, direction, step = rng.normal(size=63), rng.normal(size=codes.shape), 1e-6
    slope = grad @ (prior.decode_latents(codes + step * direction) - pose) / step
    assert np.sum(pullback(grad) * direction) == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("layout", ["interleaved_columns", "contiguous_rows"])
def test_6d_derivative(layout: Any, rng: np.random.Generator) -> None:
    numbers = rng.normal(size=(6, 6))
    angles, jacobian = axis_angle_of_6d(numbers, layout)
    np.testing.assert_allclose(axis_angle_to_matrix(angles), rotation_6d_to_matrix(numbers, layout), atol=1e-12)
    for k in range(6):
        ahead, back = (axis_angle_of_6d(numbers + s * 1e-6 * np.eye(6)[k], layout)[0] for s in (1, -1))
        np.testing.assert_allclose((ahead - back) / 2e-6, jacobian[..., k], atol=1e-6)
    still, _ = axis_angle_of_6d(matrix_to_rotation_6d(np.eye(3), layout), layout)
    np.testing.assert_allclose(still, 0, atol=1e-12)
    with pytest.raises(InputError, match="contiguous_columns"):
        axis_angle_of_6d(numbers, "contiguous_columns")


def test_files_say_how_they_were_made() -> None:
    for name in ("vposer", "tokenizer"):
        recipe = read_tensors(locate(name)).recipe
        assert recipe["settings"]["seed"] == 1
        assert recipe["command"].startswith(f"monocap train prior {name}")
        assert not {"05", "07", "14", "16", "88", "90"} & set(recipe["data"]["subjects"])
        assert recipe["held_out"]["joint_mm"] < 25
        assert recipe["versions"]["torch"]
    priors = [asset for asset in listing() if asset.path.parent == locate("vposer").parent]
    assert sum(asset.bytes for asset in priors) < 6e6
    assert {path.name for path in locate("vposer").parent.iterdir()} == {asset.path.name for asset in priors}


def test_tensor_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, Tensors({"a": np.ones((2, 3), np.float32)}, {"name": "thing"}, {"x": 1}))
    again = read_tensors(path, "thing")
    assert again.arch == {"name": "thing"}
    assert again.arrays["a"].dtype == np.float32
    with pytest.raises(InputError, match="holds a 'thing' network; expected 'vposer'"):
        read_tensors(path, "vposer")
    with pytest.raises(InputError, match="expected vposer-v1 or vposer-v2"):
        VPoserPrior.load(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="not a readable safetensors"):
        read_tensors(path)
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, path)
    with pytest.raises(InputError, match=r"schema None; expected 'monocap\.weights/1'"):
        read_tensors(path)


@pytest.mark.parametrize("kind", ["vposer", "tokenizer"])
def test_onnx_twins_decode_like_the_shipped_weights(kind: str, rng: np.random.Generator) -> None:
    if kind == "vposer":
        given = rng.normal(size=(4, 32)).astype(np.float32)
        pose, name = VPoserPrior.load().decode(given), "latent"
    else:
        given = TokenizerPrior.load().encode(np.stack([STANDING, SITTING, WAVING]))
        pose, name = TokenizerPrior.load().decode(given), "tokens"
    session = onnxruntime.InferenceSession(locate(f"{kind}_decoder"))
    (made,) = session.run(None, {name: given})
    np.testing.assert_allclose(np.asarray(made), axis_angle_to_matrix(pose.reshape(-1, 21, 3)), atol=1e-4)
