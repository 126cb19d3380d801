"""Who stands where, and what the camera sees of them: floors, distances, framings, poses, splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.motion.balance import centre_of_mass
from monocap.priors import PoseLimits
from monocap.priors.limits import mirrored
from monocap.synth.cameras import FOCAL, HEIGHT, random_view
from monocap.synth.layout import arrange, gap, segment_distance
from monocap.synth.people import random_person
from monocap.synth.poses import PoseSource, set_down, upright
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.synth.things import ball, box, held_thing, seat_below, stick
from monocap.types import Array

UP = np.array([0.0, 1.0, 0.0])


def _corpus(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, performers in (("train", "ab"), ("test", "xy"), ("val", "v")):
        count = 20
        arrays = {
            "body_pose": 0.1 * rng.standard_normal((count, 63)),
            "subject": np.array([performers[i % len(performers)] for i in range(count)]),
            "clip": np.full(count, "c"),
            "split": np.full(count, split),
            "weight": np.where(np.arange(count) == 0, 0.0, 1.0),
        }
        write_npz(folder / f"{split}-00.npz", arrays)
    return folder


def test_splits_of_a_corpus_share_no_performer(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    train, test = PoseSource(corpus, "train"), PoseSource(corpus, "test")
    assert train.performers == ("a", "b")
    assert test.performers == ("x", "y")
    rng = np.random.default_rng(1)
    assert {train.draw(rng).performer for _ in range(50)} == {"a", "b"}
    assert {test.draw(rng).performer for _ in range(50)} == {"x", "y"}


def test_poses_come_as_often_as_their_weight_says(tmp_path: Path) -> None:
    source, rng = PoseSource(_corpus(tmp_path), "train"), np.random.default_rng(2)
    drawn = {source.draw(rng).body_pose.tobytes() for _ in range(300)}
    assert len(drawn) == 19  # the one of weight 0 never comes, all others do


def test_a_corpus_without_the_split_is_refused(tmp_path: Path) -> None:
    _corpus(tmp_path)
    (tmp_path / "test-00.npz").unlink()
    with pytest.raises(InputError, match="no poses of split 'test'"):
        PoseSource(tmp_path, "test")


def test_poses_of_the_priors_keep_within_the_limits(rng: np.random.Generator) -> None:
    source, limits = PoseSource(None, "train"), PoseLimits.load()
    drawn = [source.draw(rng) for _ in range(12)]
    assert limits.excess(np.stack([one.body_pose for one in drawn])).max() < 0.3
    assert {one.performer for one in drawn} == {"prior:mixture", "prior:vposer"}


def test_upright_is_told_alike_of_mirror_images(rng: np.random.Generator) -> None:
    source = PoseSource(None, "train")
    for _ in range(5):
        pose = source.draw(rng).body_pose
        np.testing.assert_allclose(upright(mirrored(pose)), upright(pose) * [-1.0, 1.0, 1.0], atol=1e-9)


def test_upright_knows_who_stands_and_who_bows() -> None:
    standing = np.zeros((21, 3))
    standing[15, 2], standing[16, 2] = -1.2, 1.2  # arms hang
    up = upright(standing.reshape(63))
    assert up @ UP > np.cos(np.deg2rad(12))
    bowing = standing.copy()
    bowing[[0, 1], 0] = -1.3  # hips bent, legs straight: the pelvis tips forward, its own up points ahead
    bent = upright(bowing.reshape(63))
    assert bent[2] < up[2] - 0.1


def test_people_rest_on_the_floor_below_their_weight(rng: np.random.Generator) -> None:
    body, source = load_body("open"), PoseSource(None, "train")
    postures = set()
    for _ in range(25):
        given = {**random_person(rng, body).parameters(), "body_pose": source.draw(rng).body_pose}
        placed, vertices, joints = set_down(rng, body, given)
        postures.add(placed.posture)
        assert abs(vertices[:, 1].min()) < 1e-6
        np.testing.assert_allclose(joints[0, [0, 2]], 0.0, atol=1e-6)
        out = body(global_orient=placed.global_orient, transl=placed.transl, **given)
        np.testing.assert_allclose(out.vertices, vertices, atol=1e-4)
        if placed.posture != "in motion":  # at least three points of the sampled skin carry it
            assert (vertices[::13, 1] < vertices[::13, 1].min() + 1e-4).sum() >= 3
        if placed.posture == "lying":
            mass = centre_of_mass(joints, body.joint_names)
            assert mass[1] < 0.6
    assert "upright" in postures


def test_segment_distance_is_that_of_many_points(rng: np.random.Generator) -> None:
    a, b, c, d = rng.normal(size=(4, 40, 3))
    t = np.linspace(0, 1, 201)[:, None]
    told = segment_distance(a, b, c, d)
    for i in range(40):
        one, other = a[i] + t * (b[i] - a[i]), c[i] + t * (d[i] - c[i])
        sampled = np.linalg.norm(one[:, None] - other, axis=-1).min()
        assert sampled - 0.03 < told[i] <= sampled + 1e-9
    # a point and a segment, and parallel ones
    np.testing.assert_allclose(segment_distance(a, a, a + 2 * UP, a + 2 * UP), 2.0)
    np.testing.assert_allclose(segment_distance(a, b, a + (b - a) * 0.3, b), 0.0, atol=1e-9)


def test_nobody_stands_inside_another(rng: np.random.Generator) -> None:
    body = load_body("open")
    pose = np.zeros((4, 63))
    joints = body.joints_only(body_pose=pose, betas=rng.normal(size=(4, 4)))
    nearest = []
    for _ in range(6):
        moves = arrange(rng, list(joints))
        np.testing.assert_array_equal(moves[0], 0.0)
        assert all(move[1] == 0.0 for move in moves)
        gaps = [gap(joints[i] + moves[i], joints[j] + moves[j]) for i in range(4) for j in range(i)]
        assert min(gaps) > -1e-9
        nearest.append(min(gaps))
    assert min(nearest) < 0.3  # some stand close


def test_cameras_keep_their_ranges_and_see_their_target(rng: np.random.Generator) -> None:
    body = load_body("open")
    out = body(betas=np.zeros(2))
    lift = np.array([0.0, -float(out.vertices[:, 1].min()), 0.0])
    vertices, joints = np.asarray(out.vertices, np.float64) + lift, np.asarray(out.joints, np.float64) + lift
    beside = np.array([1.2, 0.0, 0.0])
    views = [random_view(rng, [vertices, vertices + beside], [joints, joints + beside], (224, 160))
             for _ in range(120)]  # fmt: skip
    found = [view for view in views if view is not None]
    assert len(found) > 60
    assert {view.framing for view in found} >= {"full", "upper", "group"}
    focals = np.array([view.camera.fx for view in found]) / 224
    assert FOCAL[0] * 0.99 < focals.min() < 0.8
    assert 2.0 < focals.max() < FOCAL[1] * 1.01
    for view in found:
        turn, move = view.T_camera_world[:3, :3], view.T_camera_world[:3, 3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turn) > 0
        eye = -turn.T @ move
        assert eye[1] == pytest.approx(view.height)
        assert 0.1 <= eye[1] <= HEIGHT[1] + 0.5
        assert view.up[1] < 0.5  # pictures are not upside down
        ground = (vertices[vertices[:, 1] < 1e-6] @ turn.T + move) @ view.floor[:3] + view.floor[3]
        np.testing.assert_allclose(ground, 0.0, atol=1e-6)
        assert np.linalg.norm(vertices + beside * view.target - eye, axis=1).min() > 0.2


def _volume(vertices: Array, faces: Array) -> float:
    return float(np.sum(vertices[faces[:, 0]] * np.cross(vertices[faces[:, 1]], vertices[faces[:, 2]])) / 6)


def test_things_are_closed_and_face_outwards() -> None:
    assert _volume(*box(np.array([1.0, 2.0, 3.0]))) == pytest.approx(6.0)
    assert _volume(*ball(0.5)) == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.05)
    assert _volume(*stick(0.1, 2.0)) == pytest.approx(2.0 * np.pi * 0.01, rel=0.05)


def test_held_things_are_in_the_hand(rng: np.random.Generator) -> None:
    body = load_body("open")
    joints = np.asarray(body.joints_only(betas=np.zeros(1)), np.float64)
    names = {name: i for i, name in enumerate(body.joint_names)}
    for _ in range(20):
        thing = held_thing(rng, joints)
        vertices = np.asarray(thing.surface.vertices)
        assert _volume(vertices, np.asarray(thing.surface.faces)) > 0
        away = min(np.linalg.norm(vertices.mean(axis=0) - joints[names[f"{s}_middle1"]]) for s in ("left", "right"))
        assert away < 0.3


def test_who_sits_on_air_gets_a_seat(rng: np.random.Generator) -> None:
    body = load_body("open")
    pose = np.zeros((21, 3))
    pose[[0, 1], 0] = -1.5  # hips
    pose[[3, 4], 0] = 1.5  # knees
    for sitting in (True, False):
        out = body(body_pose=pose.reshape(63) if sitting else np.zeros(63), betas=np.zeros(1))
        lift = np.array([0.0, -float(out.vertices[:, 1].min()), 0.0])
        vertices, joints = np.asarray(out.vertices, np.float64) + lift, np.asarray(out.joints, np.float64) + lift
        seat = seat_below(rng, joints, vertices, UP, 0.0, "upright")
        assert (seat is not None) == sitting
        if seat is not None:
            corners = np.asarray(seat.surface.vertices)
            assert corners[:, 1].min() == pytest.approx(0.0, abs=1e-9)
            assert 0.25 < corners[:, 1].max() < joints[0, 1]


def test_splits_share_no_skin_fabric_hair_or_place() -> None:
    worn: dict[str, list[set[str]]] = {"skin": [], "hair": [], "fabrics": [], "place": []}
    for split in ("train", "test"):
        settings = SynthSettings(size=(32, 32), people=(1, 1), quality="fast", split=split)
        sampler = Sampler(settings=settings)
        samples = [sampler.sample(32 * number) for number in range(6)]  # neighbours share clothes in quality fast
        outfits = [sample.about["people"][0]["outfit"] for sample in samples]
        worn["place"].append({sample.about["place"] for sample in samples})
        worn["fabrics"].append({str(fabric) for outfit in outfits for fabric in outfit["fabrics"]})
        for name in ("skin", "hair"):
            worn[name].append({str(outfit[name]) for outfit in outfits})
    for name, (train, test) in worn.items():
        assert train, name
        assert test, name
        assert not train & test, name
