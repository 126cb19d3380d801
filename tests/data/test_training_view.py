"""Crops for training: the papers' squares, and truth that follows the picture through every change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monocap import skeletons
from monocap.bodies import load_body
from monocap.data.augmentation import PARTS, PUBLISHED, Augmentation, Change, draw, part_box
from monocap.data.crop_families import FAMILIES, crop_family, hmr_square
from monocap.data.sample import DatasetInfo, Sample, box_of_points
from monocap.data.training_view import mirrored_params, training_view
from monocap.errors import InputError
from monocap.geometry.cameras import project
from monocap.types import BodyParams

INFO = DatasetInfo("made", "none", "here", "smplx55")
WIDTH, HEIGHT = 400, 300
K = np.array([[500.0, 0, 210], [0, 500, 140], [0, 0, 1]])


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A posed body whose joints are dots of their own colours in a picture."""
    rng = np.random.default_rng(3)
    body = load_body("open")
    params = BodyParams(
        betas=0.5 * rng.normal(size=body.num_betas),
        global_orient=np.array([np.pi, 0.2, 0.1]),
        body_pose=0.3 * rng.normal(size=63),
        transl=np.array([0.3, 0.4, 5.0]),
        left_hand_pose=0.2 * rng.normal(size=45),
    )
    joints = np.asarray(body.joints_only(**params.asdict()))
    points = project(joints, K)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x, y in points[:22]:
        cv2.circle(image, (round(x), round(y)), 3, (255, 255, 255), -1, cv2.LINE_AA)
    center, size = box_of_points(points)
    return Sample(
        INFO, image=image, image_size=(WIDTH, HEIGHT), box_center=center, box_size=size, K=K, joints3d=joints,
        skeleton3d="smplx55", joints2d=np.column_stack([points, np.ones(55)]), skeleton2d="smplx55", params=params,
        body="open",
    )  # fmt: skip


def in_pixels(view: Any, family: Any) -> Any:
    half = family.resolution / 2
    return view.joints2d[:, :2] * half + half - [family.columns[0], 0]


CHANGES = [
    Change(),
    Change(scale=1.2, rotation=0.4, shift=(0.05, -0.03)),
    Change(flip=True, rotation=-0.3, scale=0.9),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_truth_follows_the_picture(name: str, change: Change, sample: Sample) -> None:
    family = crop_family(name)
    view: Any = training_view(sample, family, change)
    assert view.crop.shape == (*family.shape, 3)
    at = in_pixels(view, family)
    inside = view.joints2d[:22, 2] > 0
    assert inside.sum() >= 15
    for x, y in at[:22][inside]:  # every joint lies on its dot
        row, column = (int(np.clip(round(v), 0, limit - 1)) for v, limit in zip((y, x), family.shape, strict=True))
        assert view.crop[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max() > 120
    exact = view.joints3d_camera @ view.K_crop.T
    np.testing.assert_allclose(exact[:, :2] / exact[:, 2:], at, atol=1e-6)
    given = family.normalise(view.crop)
    assert given.shape == (3, *family.shape)
    assert given.dtype == np.float32


@pytest.mark.parametrize("change", CHANGES)
def test_parameters_give_the_joints_of_the_view(change: Change, sample: Sample) -> None:
    view: Any = training_view(sample, crop_family("hmr2"), change)
    posed = np.asarray(load_body("open").joints_only(**view.params.asdict()))
    # the body is not quite symmetric, so a mirrored one is a little off
    np.testing.assert_allclose(posed - posed[0], view.joints3d, atol=0.01 if change.flip else 1e-6)


def test_mirroring_twice_changes_nothing(sample: Sample) -> None:
    assert sample.params is not None
    twice = mirrored_params(mirrored_params(sample.params))
    for name, value in sample.params.asdict().items():
        np.testing.assert_allclose(getattr(twice, name), value, err_msg=name)
    smpl = BodyParams(np.zeros(10), np.zeros(3), np.arange(69.0), np.zeros(3))
    mirror = mirrored_params(smpl)
    np.testing.assert_allclose(mirrored_params(mirror).body_pose, smpl.body_pose)
    flip = skeletons.get("smpl24").flip
    want = (smpl.body_pose.reshape(23, 3) * [1, -1, -1])[[i - 1 for i in flip[1:]]]
    np.testing.assert_allclose(mirror.body_pose.reshape(23, 3), want)


def test_official_squares(shared: Callable[[str], Path]) -> None:
    values = json.loads(shared("reference/reference_values.json").read_text())["hmr2_crop"]
    center, size = crop_family("hmr2").square(np.array(values["box_xyxy"]))
    np.testing.assert_allclose(center, values["center"])
    assert size == pytest.approx(values["bbox_size_after_aspect_192_256_max"])
    matrix = crop_family("hmr2").matrix(center, size)
    np.testing.assert_allclose(matrix[:2] + np.array([[0, 0, 32], [0, 0, 0]]), values["affine_scale1_rot0"], atol=1e-5)


def test_hmr_square_ignores_doubtful_points() -> None:
    points = np.array([[10.0, 10], [40, 50], [900, 900]])
    center, size = hmr_square(points, np.array([1.0, 0.5, 0.1]))
    np.testing.assert_allclose(center, [25, 30])
    assert size == pytest.approx(50 * 224 / 150)
    with pytest.raises(InputError, match="two or more"):
        hmr_square(points, np.zeros(3))


@pytest.mark.parametrize("part", sorted(PARTS))
def test_extreme_crops_keep_their_part(part: str, sample: Sample) -> None:
    assert sample.joints2d is not None
    names = skeletons.get("smplx55").joint_names
    if part_box(part, sample.joints2d, "smplx55") is None:
        return
    family = crop_family("spin")
    view: Any = training_view(sample, family, Change(part=part))
    kept = [names.index(name) for name in PARTS[part] if name in names]
    assert (view.joints2d[kept, 2] > 0).all()
    assert view.size < training_view(sample, family).size


def test_nothing_known_of_a_part_leaves_the_whole_person(sample: Sample) -> None:
    assert sample.joints2d is not None
    blind = replace(sample, joints2d=sample.joints2d * [1.0, 1.0, 0.0])
    view: Any = training_view(blind, crop_family("spin"), Change(part="legs"))
    assert view.size == pytest.approx(training_view(sample, crop_family("spin")).size)
    with pytest.raises(InputError, match="no part 'tail'"):
        part_box("tail", sample.joints2d, "smplx55")


def test_covers_are_painted_and_told(sample: Sample) -> None:
    view: Any = training_view(
        sample, crop_family("spin"), Change(cover=(0.25, 0.25, 0.5, 0.5), cover_colour=(9, 99, 199))
    )
    assert (view.crop[112, 112] == [9, 99, 199]).all()
    at = in_pixels(view, crop_family("spin"))
    middle = (np.abs(at - 111.5) < 54).all(axis=1)
    assert view.covered[middle].all()
    assert not view.covered[(np.abs(at - 111.5) > 60).any(axis=1)].any()


def test_colour_noise_and_coarseness(sample: Sample) -> None:
    grey = replace(sample, image=np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    family = crop_family("hmr")  # repeats the border
    tinted = training_view(grey, family, Change(colour=(0.5, 1.0, 1.5))).crop
    assert (tinted == [50, 100, 150]).all()
    noisy = Change(noise=10.0, seed=5)
    first, again = (training_view(grey, family, noisy).crop.astype(float) for _ in range(2))
    assert first.std() == pytest.approx(10, rel=0.05)
    np.testing.assert_array_equal(first, again)
    assert training_view(sample, family, Change(coarse=8.0)).crop.max() < training_view(sample, family).crop.max()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_draws_stay_within_what_was_published(name: str, rng: np.random.Generator) -> None:
    a = PUBLISHED[name]
    drawn = [draw(a, rng) for _ in range(300)]
    assert max(abs(c.rotation) for c in drawn) <= 2 * a.rotation + 1e-9
    assert max(abs(c.scale - 1) for c in drawn) <= a.scale * a.scale_cut + 1e-9
    assert np.mean([c.flip for c in drawn]) == pytest.approx(a.flip, abs=0.12)
    assert np.mean([c.part != "" for c in drawn]) == pytest.approx(a.extreme, abs=0.08)
    assert max(max(np.abs(np.array(c.colour) - 1)) for c in drawn) <= a.colour + 1e-9
    if a == Augmentation():
        assert {replace(c, cover_colour=(0, 0, 0), seed=0) for c in drawn} == {Change()}


def test_bad_requests_are_named(sample: Sample) -> None:
    with pytest.raises(InputError, match="no crop family 'alexnet'"):
        crop_family("alexnet")
    with pytest.raises(InputError, match="has no box"):
        training_view(replace(sample, box_size=None), crop_family("spin"))
    with pytest.raises(InputError, match="0 to 1"):
        Augmentation(flip=2.0)
    with pytest.raises(InputError, match="coarse 1 or more"):
        Augmentation(coarse=0.0)
    with pytest.raises(InputError, match="no such crop"):
        crop_family("spin").matrix(np.zeros(2), float("nan"))
