"""SMPLify and SMPLify-X from end to end, on synthetic people; and on keypoints that make no sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.evaluate.smplifyx_truth import STRANGE, strange
from monocap.fitting.smplifyx.energy import stature
from monocap.fitting.smplifyx.problem import Views, intrinsics_of
from monocap.fitting.smplifyx.recipe import Fitter, Options, fit
from monocap.fitting.smplifyx.result import Fitted
from monocap.fitting.smplifyx.schedule import SMPLX
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle
from monocap.priors.vposer import VPoserPrior
from monocap.types import Array

FOCAL = 1500.0


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open").with_betas(10)


def people(
    body: BodyModel, rng: np.random.Generator, count: int = 4, noise: float = 2.0
) -> tuple[Views, dict[str, Array]]:
    """People who turn all ways 3 to 6 m away, posed by VPoser, seen with ``noise`` px."""
    yaw = np.linspace(0.3, 2 * np.pi + 0.3, count, endpoint=False)
    turn = axis_angle_to_matrix(np.stack([0 * yaw, yaw, 0 * yaw], axis=1))
    parameters = {
        "body_pose": VPoserPrior.load().decode(0.7 * rng.normal(size=(count, 32))),
        "global_orient": matrix_to_axis_angle(np.diag([1.0, -1.0, -1.0]) @ turn),
        "transl": np.stack([0.2 * rng.normal(size=count), np.full(count, -0.2), rng.uniform(3, 6, count)], axis=1),
        "betas": 0.7 * rng.normal(size=(count, 10)),
    }
    model = body.with_hands(None, True)
    means = {name: np.broadcast_to(body.hand_data[name][0], (count, 45)) for name in body.hand_data}
    points = np.asarray(model.camera_keypoints("openpose135", **parameters, **means), dtype=np.float64)
    pixels = FOCAL * points[..., :2] / points[..., 2:] + np.array([960.0, 540.0])
    pixels += noise * rng.normal(size=pixels.shape)
    keypoints = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 0.9)], axis=2)
    size = np.tile([1920, 1080], (count, 1))
    return Views(keypoints, "openpose135", size, intrinsics_of(size, FOCAL)), parameters


@pytest.fixture(scope="module")
def fitted(body: BodyModel) -> tuple[Views, dict[str, Array], Fitted]:
    views, parameters = people(body, np.random.default_rng(8))
    return views, parameters, fit(views, body)


def test_people_are_found_again(body: BodyModel, fitted: tuple[Views, dict[str, Array], Fitted]) -> None:
    views, truth, found = fitted
    assert found.found.all()
    assert (found.residual_px < 5).all()
    off = geodesic_angle(axis_angle_to_matrix(found.params.global_orient), axis_angle_to_matrix(truth["global_orient"]))
    assert np.median(off) < 0.35
    ours = body.joints_only(**found.params.asdict())[:, :22]
    theirs = body.joints_only(**truth)[:, :22]
    error = np.linalg.norm((ours - ours[:, :1]) - (theirs - theirs[:, :1]), axis=-1).mean(axis=1)
    assert np.median(error) < 0.08
    assert np.median(np.abs(found.camera_translation[:, 2] / truth["transl"][:, 2] - 1)) < 0.08
    shapes = {name: value.shape for name, value in found.params.asdict().items()}
    assert shapes["body_pose"] == (4, 63)
    assert shapes["left_hand_pose"] == (4, 45)
    assert found.latent is not None
    assert found.latent.shape == (4, 32)
    assert len(views) == len(found)


def test_the_energy_is_the_last_stage_of_the_schedule(
    body: BodyModel, fitted: tuple[Views, dict[str, Array], Fitted]
) -> None:
    """Worked out again from the results alone: pixels from the body, priors from the codes."""
    views, _, found = fitted
    points = body.camera_keypoints("openpose135", **found.params.asdict())
    pixels = FOCAL * points[..., :2] / points[..., 2:] + np.array([960.0, 540.0])
    error = pixels - views.keypoints[..., :2]
    names = body.keypoint_names("openpose135")
    gamma = np.array([0.0 if n in ("neck", "left_hip", "right_hip") else 1.0 for n in names])
    gamma[25:] = 2.0
    rho = 1e4 * error**2 / (1e4 + error**2)
    data = (1000 / 1080) ** 2 * np.sum((gamma * 0.9)[:, None] ** 2 * rho, axis=(1, 2))
    np.testing.assert_allclose(found.energies["reprojection"], data, rtol=1e-4)
    assert found.latent is not None
    np.testing.assert_allclose(found.energies["body_pose"], SMPLX.last.body_pose**2 * np.sum(found.latent**2, axis=1))
    np.testing.assert_allclose(found.energies["betas"], 25 * np.sum(found.params.betas**2, axis=1))
    for _, values in found.trace:
        assert (np.diff(values, axis=0) <= 0).all()


def test_height_fixes_the_distance(body: BodyModel) -> None:
    views, truth = people(body, np.random.default_rng(9), 3)
    base, slope = stature(body)
    errors = []
    for n in range(3):
        height = float(base + slope @ truth["betas"][n])
        found = fit(views.take(slice(n, n + 1)), body, Options(height=height))
        assert base + slope @ found.params.betas[0] == pytest.approx(height, abs=0.01)
        errors.append(abs(found.params.transl[0, 2] / truth["transl"][n, 2] - 1))
    assert np.median(errors) < 0.04


def test_one_shape_and_hands_off(body: BodyModel) -> None:
    """A shape for all; and smaller sets of keypoints, of which SMPLify's recipe needs no more."""
    views, _ = people(body, np.random.default_rng(10), 2)
    found = fit(views, body, Options(share_betas=True))
    np.testing.assert_array_equal(found.params.betas[0], found.params.betas[1])
    small = replace(views, keypoints=views.keypoints[:, :25], skeleton="openpose25")
    found = fit(small, body, Options(recipe="smplify"))
    assert found.latent is None
    assert (found.residual_px < 12).all()
    assert "collision" in found.energies


def test_video_is_smooth_and_has_one_shape(body: BodyModel, rng: np.random.Generator) -> None:
    views, truth = people(body, rng, 1, noise=0.0)
    frames = 25
    keypoints = np.repeat(views.keypoints, frames, axis=0)
    keypoints[..., 0] += np.linspace(0, 120, frames)[:, None]
    keypoints[..., :2] += 2 * rng.normal(size=(frames, 135, 2))
    keypoints[7, :, 2] = 0.0  # nobody there
    size, times = np.tile([1920, 1080], (frames, 1)), np.arange(frames) / 30
    moving = Views(keypoints, "openpose135", size, intrinsics_of(size, FOCAL), times)
    calls: list[tuple[int, int]] = []
    found = fit(moving, body, Options(recipe="video"), lambda done, total: calls.append((done, total)))
    assert np.ptp(found.params.betas[found.found], axis=0).max() == 0
    assert list(np.flatnonzero(~found.found)) == [7]
    assert calls[-1] == (24, 24)
    joints = body.joints_only(**found.params.asdict())[found.found, :22]
    assert np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean() < 0.006
    assert np.median(np.abs(joints[:, 0, 2] / truth["transl"][0, 2] - 1)) < 0.2


def test_nonsense_ends_in_numbers_or_nobody(body: BodyModel, rng: np.random.Generator) -> None:
    """Keypoints that detectors return on bad days, and worse."""
    views, _ = people(body, rng, len(STRANGE))
    found = fit(replace(views, keypoints=strange(views.keypoints, rng)), body)
    for name, value in found.params.asdict().items():
        assert np.isfinite(value).all(), name
    assert np.isfinite(found.energy).all()
    by_kind = dict(zip(STRANGE, found.found.tolist(), strict=True))
    assert not any(by_kind[kind] for kind in ("nothing", "one point", "all in one place", "tiny"))
    assert all(by_kind[kind] for kind in ("on a line", "exchanged", "upside down", "not numbers", "outliers"))


def test_left_and_right_exchanged_is_seen_from_behind(body: BodyModel, rng: np.random.Generator) -> None:
    views, truth = people(body, rng, 1)
    names = body.keypoint_names("openpose135")
    other = [n.replace("left_", "?").replace("right_", "left_").replace("?", "right_") for n in names]
    swapped = views.keypoints[:, [names.index(n) for n in other]]
    found = fit(replace(views, keypoints=swapped), body)
    assert np.isfinite(found.energy).all()
    turn = geodesic_angle(
        axis_angle_to_matrix(found.params.global_orient), axis_angle_to_matrix(truth["global_orient"])
    )
    assert turn[0] > 1.5


def test_points_in_space_alone(body: BodyModel, rng: np.random.Generator) -> None:
    """Joints in metres and no picture: pose and place follow."""
    views, truth = people(body, rng, 2)
    joints = np.asarray(body.joints_only(**truth), dtype=np.float64)[:, :24]
    joints = np.concatenate(
        [
            joints[:, :22],
            joints[:, [20, 21]],
        ],
        axis=1,
    )
    measured = np.concatenate([joints, np.ones((2, 24, 1))], axis=2)
    nothing = np.zeros_like(views.keypoints)
    space = replace(views, keypoints=nothing, points3d=measured, skeleton3d="smpl24")
    found = fit(space, body)
    ours = body.joints_only(**found.params.asdict())[:, :22]
    assert np.median(np.linalg.norm(ours - joints[:, :22], axis=-1)) < 0.03


def test_bad_input_is_named(body: BodyModel) -> None:
    views, _ = people(body, np.random.default_rng(1), 1)
    with pytest.raises(InputError, match="times"):
        fit(views, body, Options(recipe="video"))
    with pytest.raises(InputError, match="expected \\(N, 25, 3\\)"):
        Views(views.keypoints, "openpose25", views.image_size, views.K)
    with pytest.raises(InputError, match="height"):
        Options(height=17.0)
    with pytest.raises(InputError, match="recipe"):
        Options(recipe="simple")  # pyright: ignore[reportArgumentType]


def test_the_body_is_prepared_once(body: BodyModel) -> None:
    one, other = (Fitter.of(body, "openpose135", Options()) for _ in range(2))
    assert one.model is other.model
