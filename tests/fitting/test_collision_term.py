"""Interpenetration in the fit: rows are derivatives of the cost, a doubled volume is measured, limbs come apart."""

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.fitting.collision import Collider
from monocap.fitting.collision.skin import SkinCollider
from monocap.fitting.collision.term import Interpenetration, pushed_apart
from monocap.fitting.collision.volume import penetrating_volume
from monocap.fitting.landmarks import blazepose_landmarks
from monocap.fitting.pose_priors import GaussianPull
from monocap.fitting.state import FREE_POSE, UNKNOWNS, PoseState, Skeleton, landmark_points, linearise
from monocap.fitting.terms import Reprojection
from monocap.priors.gaussian import PoseGaussian

K = np.array([[1000.0, 0, 480], [0, 1000, 360], [0, 0, 1]])


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def skeleton(body):
    return Skeleton.of(body, blazepose_landmarks(body))


def pierced(body, count=1):
    """Forearms turned into the belly, 4 m in front of the camera."""
    at = {name: i - 1 for i, name in enumerate(body.joint_names)}
    pose = np.zeros((count, 21, 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[:, at[f"{side}_shoulder"]] = [1.2, -0.3 * sign, -1.2 * sign]
        pose[:, at[f"{side}_elbow"]] = [0.0, -1.2 * sign, 0.0]
    root = np.diag([1.0, -1.0, -1.0])[None].repeat(count, 0)
    return PoseState(root, pose.reshape(count, 63), np.tile([0.0, 0.0, 4.0], (count, 1)), np.zeros(body.num_betas))


def test_only_the_vertices_that_take_part(body):
    skin, state = SkinCollider.of(body), pierced(body)
    term = Interpenetration.at(skin, state)
    local = term._local(state)[0]
    whole = body(global_orient=np.array([np.pi, 0.0, 0.0]), body_pose=state.body_pose[0]).vertices
    np.testing.assert_allclose(skin.vertices(local), whole, atol=1e-6)
    some = skin.vertices(local, term.pairs[0])
    used = np.unique(skin.collider.faces[term.pairs[0]])
    np.testing.assert_array_equal(some[used], skin.vertices(local)[used])
    assert not some[np.setdiff1d(np.arange(len(some)), used)].any()


def test_rows_are_the_derivatives_of_the_cost(body, skeleton, rng):
    state = pierced(body, 2)
    state = state.step(rng.normal(0, 0.02, (2, UNKNOWNS)))
    skin = SkinCollider.of(body)
    term = Interpenetration.at(skin, state, sigma=0.02)
    assert all(len(pairs) > 20 for pairs in term.pairs)
    rows = term.rows(linearise(skeleton, state))
    gradient = (np.swapaxes(rows.jacobian, 1, 2) @ rows.residual[..., None])[..., 0]
    step = 1e-6
    for _ in range(6):
        direction = rng.normal(0, 1, (2, UNKNOWNS))
        ahead, back = (term.rows(linearise(skeleton, state.step(s * step * direction))).cost for s in (1.0, -1.0))
        slope = np.sum(gradient * direction, axis=1)
        np.testing.assert_allclose((ahead - back) / (2 * step), slope, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())
    assert np.abs(gradient[:, :3]).max() < 1e-4 * np.abs(gradient).max()  # turning the body changes nothing


def test_hessian_is_that_of_a_row_per_vertex(body):
    skin, state = SkinCollider.of(body), pierced(body)
    term = Interpenetration.at(skin, state, sigma=0.02)
    local, pairs = term._local(state)[0], term.pairs[0]
    normal = skin.normal(local, pairs, sigma=0.02)
    r, ids, slope = skin.collider.residuals(skin.vertices(local), pairs, sigma=0.02)
    assert normal.cost == pytest.approx(0.5 * r @ r)
    assert normal.cost == pytest.approx(skin.cost(local, pairs, sigma=0.02))
    joint, step = body.joint_names.index("left_shoulder"), 1e-6
    ahead, back = local.copy(), local.copy()
    turn = np.array([[1, 0, 0], [0, 1, -step], [0, step, 1]])
    ahead[joint], back[joint] = turn @ local[joint], turn.T @ local[joint]
    moved = (skin.vertices(ahead) - skin.vertices(back)) / (2 * step)
    column = np.sum(slope * moved[ids], axis=(1, 2))
    assert normal.gradient[joint, 0] == pytest.approx(column @ r, rel=1e-5)
    assert normal.hessian[3 * joint, 3 * joint] == pytest.approx(column @ column, rel=1e-5)
    np.testing.assert_array_equal(normal.hessian, normal.hessian.T)


def box(low, high):
    """A closed box, faces outward."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return np.asarray(low) + corners * (np.asarray(high) - low), np.array(faces)


def test_volume_of_boxes():
    """Two boxes in one another, and one alone: the largest piece is counted."""
    vertices, faces = box([0, 0, 0], [0.2, 0.1, 0.3])
    alone = penetrating_volume(vertices, Collider(faces), 0.002)
    assert alone.body == pytest.approx(0.006, rel=0.02)
    assert alone.doubled == alone.forbidden == 0.0


def test_volume_of_a_bite():
    """A C whose upper jaw is bent into the lower one, extruded: they share a triangle of 1/4 dm², 3 dm long."""
    outline = np.array([[-1, 0], [0, 0], [3, 0], [3, 1], [0, 1], [0, 2], [3, 0.5], [3, 1.5], [0, 3], [-1, 3]]) * 0.1
    caps = [(1, 2, 3), (1, 3, 4), (5, 6, 7), (5, 7, 8), (0, 1, 4), (0, 4, 5), (0, 5, 9), (5, 8, 9)]
    walls = [t for i in range(10) for j in [(i + 1) % 10] for t in ((i, j, j + 10), (i, j + 10, i + 10))]
    faces = np.array([(a, c, b) for a, b, c in caps] + [(a + 10, b + 10, c + 10) for a, b, c in caps] + walls)
    vertices = np.concatenate([np.c_[outline, np.zeros(10)], np.c_[outline, np.full(10, 0.3)]])
    for axes in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        volume = penetrating_volume(vertices[:, axes], Collider(faces), 0.001)
        assert volume.doubled == pytest.approx(0.00075, rel=0.03)
        assert volume.forbidden == volume.doubled
        assert volume.body == pytest.approx(0.09 * 0.3 - 0.00075, rel=0.02)  # counted once where doubled
    apart = vertices.copy()
    apart[[6, 7, 16, 17], 1] += 0.15
    assert penetrating_volume(apart, Collider(faces), 0.002).doubled == 0.0


def test_volume_of_limbs_in_a_trunk(body):
    skin, state = SkinCollider.of(body), pierced(body)
    vertices = skin.vertices(Interpenetration(skin, ())._local(state)[0])
    volume = penetrating_volume(vertices, skin.collider)
    finer = penetrating_volume(vertices, skin.collider, 0.002)
    turned = penetrating_volume(vertices[:, [1, 2, 0]], skin.collider)
    assert 50e-6 < volume.forbidden <= volume.doubled < 0.1 * volume.body
    assert volume.forbidden == pytest.approx(finer.forbidden, rel=0.03)
    assert volume.forbidden == pytest.approx(turned.forbidden, rel=0.03)  # lines along another axis
    rest = penetrating_volume(body().vertices, skin.collider)
    assert rest.forbidden == 0.0
    with pytest.raises(InputError, match="hole"):
        penetrating_volume(np.zeros((3, 3)), Collider(np.array([[0, 1, 2]])))


def test_limbs_come_apart_and_stay_in_the_picture(body, skeleton):
    state, skin = pierced(body), SkinCollider.of(body)
    points = landmark_points(skeleton, state)
    pixels = points[..., :2] / points[..., 2:] * 1000.0 + [480, 360]
    weight = np.broadcast_to(skeleton.landmarks.weight, pixels.shape[:2])
    terms = [
        Reprojection(pixels, weight, K, np.array([5.0]), 5.0),
        GaussianPull(PoseGaussian.load(), 0.25),
    ]
    term = Interpenetration(skin, ())
    after = pushed_apart(skeleton, state, terms, term)
    before, now = (
        penetrating_volume(skin.vertices(term._local(s)[0]), skin.collider).forbidden for s in (state, after)
    )
    assert now < 0.1 * before
    points = landmark_points(skeleton, after)
    moved = np.linalg.norm(points[..., :2] / points[..., 2:] * 1000.0 + [480, 360] - pixels, axis=-1)
    assert moved[0, skeleton.landmarks.weight > 0].mean() < 15.0  # of a person 450 px tall, arms deep in the belly
    assert (after.body_pose[:, np.setdiff1d(np.arange(63), FREE_POSE)] == state.body_pose[:, 27:33]).all()


def test_nothing_to_push(body, skeleton):
    state = PoseState(np.eye(3)[None], np.zeros((1, 63)), np.zeros((1, 3)), np.zeros(body.num_betas))
    term = Interpenetration.at(SkinCollider.of(body), state)
    rows = term.rows(linearise(skeleton, state))
    assert not rows.cost.any()
    assert not rows.jacobian.any()
    assert not pushed_apart(skeleton, state, [], term).body_pose.any()
