"""People are dressed: clothes lie on the body at rest, follow it into any pose, and chance is repeatable and split."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.priors.limits import PoseLimits
from monocap.synth import garments_store as store
from monocap.synth import hair, patterns
from monocap.synth.garments_cut import borders, divide
from monocap.synth.garments_fit import Kit
from monocap.synth.wardrobe import GENDERS, Wardrobe

# one of each way to be made: MakeHuman's, grown from the skin, cut over both legs, hair, things on the head
KINDS = ("male_casualsuit02_top", "shoes01", "tshirt", "leggings", "long_skirt", "bob01", "crop", "glasses")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def wardrobe(body: BodyModel) -> Wardrobe:
    return Wardrobe.load(body)


@pytest.mark.parametrize("name", KINDS)
def test_binding_reproduces_the_garment_at_rest(wardrobe: Wardrobe, name: str) -> None:
    made, kit = wardrobe.catalogue(name), wardrobe.catalogue.kit
    placed = kit.place(made.binding, kit.rest)
    np.testing.assert_allclose(placed, made.piece.points, atol=2e-5)
    np.testing.assert_allclose(made.binding.weight.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_garment_turns_and_moves_with_the_body(wardrobe: Wardrobe, rng: np.random.Generator, name: str) -> None:
    made, kit = wardrobe.catalogue(name), wardrobe.catalogue.kit
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    move = np.array([0.3, -2.0, 5.0])
    placed = kit.place(made.binding, kit.rest @ turn.T + move)
    np.testing.assert_allclose(placed, made.piece.points @ turn.T + move, atol=1e-4)


def test_clothes_stay_near_any_body_in_any_pose(wardrobe: Wardrobe, body: BodyModel, rng: np.random.Generator) -> None:
    poses = PoseLimits.load().sample(100, rng)
    betas = rng.normal(0, 1.2, (100, 16))
    kit = wardrobe.catalogue.kit
    made = [wardrobe.catalogue(name) for name in KINDS]
    for start in range(0, 100, 20):
        rows = slice(start, start + 20)
        for vertices in body(betas=betas[rows], body_pose=poses[rows]).vertices:
            tree, frames = KDTree(vertices), kit.frames(vertices)
            for garment in made:
                placed = kit.place(garment.binding, vertices, frames, garment.fold)
                assert np.isfinite(placed).all()
                far = tree.query(placed)[0].max()
                rest = np.linalg.norm(garment.binding.offset, axis=1).max()
                assert far < 2.0 * rest + 0.12, (garment.name, far, rest)


def test_choice_is_repeatable_and_surfaces_hold_together(wardrobe: Wardrobe, body: BodyModel) -> None:
    pose = np.zeros(63)
    pose[9:12] = (-1.2, 0.0, 0.3)
    vertices = body(body_pose=pose).vertices + np.array([0, 0, 3], np.float32)
    joints = len(body.parents)
    for number in range(12):
        gender = GENDERS[number % 4]
        first = wardrobe.choose(np.random.default_rng(number), gender, "train")
        again = wardrobe.choose(np.random.default_rng(number), gender, "train")
        assert first.describe() == again.describe()
        one, two = first.surfaces(vertices, 2), again.surfaces(vertices, 2)
        assert [s.kind for s in one][:2] == ["skin", "eyes"]
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a.vertices, b.vertices)
            np.testing.assert_array_equal(a.faces, b.faces)
            if a.texture is not None:
                np.testing.assert_array_equal(a.texture, b.texture)
                assert len(a.uv_faces) == len(a.faces)
                assert a.uv_faces.max() < len(a.uv)
                assert np.isfinite(a.uv).all()
            assert a.person == 2
            assert a.faces.max() < len(a.vertices)
            assert a.part.shape == (len(a.faces),)
            assert 0 <= a.part.min() <= a.part.max() < joints


def test_what_clothes_cover_is_left_out_and_nothing_else(wardrobe: Wardrobe, body: BodyModel) -> None:
    garment = wardrobe.catalogue("tshirt")
    rest = wardrobe.catalogue.kit.rest
    joint = dict(zip(body.joint_names, body.J_template, strict=True))
    chest = (np.abs(rest[:, 0]) < 0.1) & (np.abs(rest[:, 1] - joint["spine2"][1]) < 0.03)
    assert garment.covers[chest & np.isin(np.arange(len(rest)), wardrobe.catalogue.kit.skin)].all()
    assert not garment.covers[rest[:, 1] > joint["head"][1]].any()
    assert not garment.covers[np.abs(rest[:, 0]) > joint["left_elbow"][0]].any()
    assert not garment.covers[rest[:, 1] < joint["left_knee"][1]].any()
    assert not wardrobe.catalogue("glasses").covers.any()
    beard = wardrobe.catalogue("full_beard").covers
    assert not beard[rest[:, 1] > joint["left_eye"][1] - 0.02].any()


def test_splits_share_no_skin_fabric_or_hair(wardrobe: Wardrobe) -> None:
    seen: dict[str, dict[str, set[str]]] = {}
    for split in ("train", "test"):
        words = [wardrobe.choose(np.random.default_rng(k), GENDERS[k % 4], split).describe() for k in range(44)]
        seen[split] = {
            "skin": {w["skin"] for w in words},
            "hair": {w["hair"] for w in words},
            "fabric": {f for w in words for f in w["fabrics"]},
            "suit": {c.rsplit("_", 1)[0] for w in words for c in w["clothes"] if "suit0" in c},
        }
    for what in ("skin", "hair", "fabric", "suit"):
        assert seen["train"][what]
        assert not seen["train"][what] & seen["test"][what], what
    assert not set(patterns.names("train")) & set(patterns.names("test"))


def test_children_have_no_beard_and_look_young(wardrobe: Wardrobe) -> None:
    for number in range(12):
        words = wardrobe.choose(np.random.default_rng(number), "child", "train").describe()
        assert "beard" not in words
        assert words["skin"].startswith("young")


def test_wrong_words_and_bodies_are_named(wardrobe: Wardrobe, body: BodyModel, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="robot"):
        wardrobe.choose(rng, "robot", "train")
    with pytest.raises(InputError, match="validation"):
        wardrobe.choose(rng, "male", "validation")
    with pytest.raises(InputError, match="expected"):
        wardrobe.choose(rng, "male", "train").surfaces(np.zeros((10, 3)), 0)


def test_a_cut_lies_on_the_line_it_was_given(wardrobe: Wardrobe) -> None:
    kit = wardrobe.catalogue.kit
    field = kit.rest[:, 1].astype(float) + 0.2
    ends, share, faces = divide(kit.faces, field)
    points = np.einsum("gk,gkc->gc", share, kit.rest[ends].astype(float))
    assert points[:, 1].min() > -0.2 - 1e-6
    edge = np.unique(borders(faces))
    at_line = np.abs(points[edge, 1] + 0.2) < 1e-6
    assert at_line.sum() > 50
    before = np.cross(*(np.diff(kit.rest[kit.faces], axis=1).transpose(1, 0, 2))).astype(float)
    after = np.cross(*(np.diff(points[faces], axis=1).transpose(1, 0, 2)))
    kept = np.linalg.norm(before[(field[kit.faces] > 0).all(axis=1)], axis=1).sum()
    assert kept < np.linalg.norm(after, axis=1).sum() < np.linalg.norm(before, axis=1).sum()


def test_skin_is_painted_only_where_a_mask_says(rng: np.random.Generator) -> None:
    base = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    same = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, :4] = 255
    tone, grain = np.array([[10.0, 20.0, 30.0]], np.float32), np.ones((8, 8), np.float32)
    out = hair.painted(base, same, mask, np.ones(1, np.float32), tone, grain)
    np.testing.assert_array_equal(out[4:], base[4:])
    assert (np.abs(out[:4].astype(int) - [10, 20, 30]) <= 1).all()


def test_frames_know_how_far_the_body_turned(body: BodyModel) -> None:
    kit = Kit.of(body)
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    frames, squeezed = kit.frames(kit.rest @ turn.T)
    np.testing.assert_allclose(frames, np.broadcast_to(turn, frames.shape), atol=1e-3)
    np.testing.assert_allclose(squeezed, 0, atol=1e-3)


def test_shipped_pictures_are_small_and_all_there() -> None:
    total = sum(p.stat().st_size for p in store.DATA.rglob("*") if p.is_file())
    assert total < 8e6
    for split in ("train", "test"):
        for sex in ("female", "male"):
            assert store.skins(sex, split)
    for name in ("scalp", "beard", "lips"):
        assert store.picture("skins", name).ndim == 2
