"""Self-intersections: all of them, as two judges say; the cones' energy by hand, its gradient by differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.fitting.collision import OFFICIAL_EXPONENT, Collider
from monocap.fitting.collision.cones import field, profile
from monocap.fitting.collision.parts import face_parts, neighbours
from monocap.fitting.collision.triangles import meet


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def meets(p, q):
    work = np.empty(18), np.empty(18)
    one = meet(np.ravel(p).astype(float), np.ravel(q).astype(float), *work)
    assert one == meet(np.ravel(q).astype(float), np.ravel(p).astype(float), *work)  # symmetric
    return one


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([[0.2, 0.2, -1], [0.2, 0.2, 1], [0.3, 0.2, 1]], True),  # pierces
        ([[0.2, 0.2, 0.1], [0.2, 0.2, 1], [0.3, 0.2, 1]], False),  # above
        ([[0.7, 0.7, -1], [0.7, 0.7, 1], [0.8, 0.7, 1]], False),  # past the long edge
        ([[0.1, 0.1, 0], [0.2, 0.1, 0], [0.1, 0.2, 0]], True),  # within, in one plane
        ([[2, 2, 0], [3, 2, 0], [2, 3, 0]], False),  # in one plane, apart
        ([[0.6, 0.6, 0], [1, 1, 0], [0.6, 1, 0]], False),  # in one plane, boxes overlap, apart
        ([[-1, 0.2, 0], [2, 0.3, 0], [2, 0.2, 0]], True),  # in one plane, across
        ([[0.2, 0.2, 0], [0.2, 0.2, 1], [0.3, 0.2, 1]], True),  # touches with a corner
        ([[0, 0, 1e-9], [1, 0, 1e-9], [0, 1, 1e-9]], False),  # parallel, a nanometre off
        ([[0.2, 0.2, -1], [0.2, 0.2, 1], [0.2, 0.2, 0.5]], True),  # a segment that pierces
        ([[0.9, 0.9, -1], [0.9, 0.9, 1], [0.9, 0.9, 0.5]], False),
        ([[-1, 0.5, 0], [2, 0.5, 0], [0.5, 0.5, 0]], True),  # a segment in the plane
        ([[-1, 1.5, 0], [2, 1.5, 0], [0.5, 1.5, 0]], False),
        ([[0.2, 0.2, 0]] * 3, True),  # a point
        ([[0.6, 0.6, 0]] * 3, False),
    ],
)
def test_two_triangles(other, expected):
    assert meets(TRIANGLE, np.array(other)) == expected
    far = np.array([300.0, -200.0, 100.0])  # where a mesh is does not matter; multiples of 2⁻²⁰ stay exact
    near = np.round(np.array(other) * 2**20) / 2**20
    if not np.isclose(np.array(other), near).all() or np.abs(np.array(other) - near).max() == 0:
        assert meets(TRIANGLE + far, near + far) == meets(TRIANGLE, near)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        ([[0, 0, 0], [1, 1, 0]], [[0, 1, 0], [1, 0, 0]], True),  # segments that cross
        ([[0, 0, 0], [1, 1, 0]], [[0, 1, 0.1], [1, 0, 0.1]], False),
        ([[0, 0, 0], [1, 0, 0]], [[0.5, 0, 0], [2, 0, 0]], True),  # in one line
        ([[0, 0, 0], [1, 0, 0]], [[1.5, 0, 0], [2, 0, 0]], False),
        ([[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 1, 0]], False),  # parallel
        ([[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], True),
        ([[0, 0, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 0]], False),
    ],
)
def test_without_area(p, q, expected):
    assert meets([p[0], p[1], p[1]], [q[0], q[1], q[1]]) == expected


def exhaustive(faces, vertices, share=False):
    """All pairs by linear programming's dual question: do segments of one pierce the other? Independent of the axes."""
    found = set()
    for i in range(len(faces)):
        for j in range(i + 1, len(faces)):
            p, q = vertices[faces[i]], vertices[faces[j]]
            if not share and (p[:, None] == q[None]).all(-1).any():
                continue
            if any(
                _pierces(a, b, t) for s, t in ((p, q), (q, p)) for a, b in ((s[0], s[1]), (s[1], s[2]), (s[2], s[0]))
            ):
                found.add((i, j))
    return found


def _pierces(a, b, t):
    """A segment against a triangle by signed volumes (general position)."""

    def volume(p, q, r, s):
        return np.linalg.det([q - p, r - p, s - p])

    if np.sign(volume(a, *t)) == np.sign(volume(b, *t)):
        return False
    sides = [np.sign(volume(a, b, t[k], t[(k + 1) % 3])) for k in range(3)]
    return len(set(sides)) == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 24), size=st.floats(0.05, 1.0))
def test_equal_to_an_exhaustive_test(seed, count, size):
    rng = np.random.default_rng(seed)
    vertices = (rng.normal(0, 0.5, (count, 1, 3)) + rng.normal(0, size, (count, 3, 3))).reshape(-1, 3)
    faces = np.arange(3 * count).reshape(-1, 3)
    faces[1::3, 0] = faces[0, 1]  # some share a corner
    assert set(map(tuple, Collider(faces).pairs(vertices).tolist())) == exhaustive(faces, vertices)


def test_a_refitted_tree_finds_the_same(body, rng):
    kept = Collider.of(body)
    kept.build(body().vertices)
    for _ in range(3):
        vertices = body(body_pose=rng.normal(0, 0.5, 63)).vertices
        np.testing.assert_array_equal(kept.pairs(vertices), Collider.of(body).pairs(vertices))


def test_equal_to_fcl(body, rng):
    fcl = pytest.importorskip("fcl", reason="python-fcl, the judge of intersections, is not installed")
    vertices = np.asarray(body(body_pose=rng.normal(0, 0.45, 63)).vertices, np.float64)
    faces = np.asarray(body.faces)
    model = fcl.BVHModel()
    model.beginModel(len(vertices), len(faces))
    model.addSubModel(vertices, faces)
    model.endModel()
    request = fcl.CollisionRequest(num_max_contacts=10_000_000, enable_contact=True)
    result = fcl.CollisionResult()
    fcl.collide(fcl.CollisionObject(model), fcl.CollisionObject(model), request, result)
    theirs = np.sort([(c.b1, c.b2) for c in result.contacts if c.b1 != c.b2], axis=1)
    shared = (faces[theirs[:, 0], :, None] == faces[theirs[:, 1], None, :]).any(axis=(1, 2))
    theirs = set(map(tuple, theirs[~shared].tolist()))
    ours = set(map(tuple, Collider(faces).pairs(vertices).tolist()))
    assert len(ours) > 1000
    assert ours == theirs


def test_part_filter(body, rng):
    pose = rng.normal(0, 0.2, (21, 3))
    pose[15:17, 2] = -1.6, 1.6  # upper arms through the sides
    vertices = body(body_pose=pose.reshape(63)).vertices
    every, some = Collider(body.faces).pairs(vertices), Collider.of(body).pairs(vertices)
    part, parents = face_parts(body.faces, body.lbs_weights), np.asarray(body.parents)
    a, b = part[every].T
    near = (a == b) | (parents[a] == b) | (parents[b] == a)
    extra = neighbours(body.joint_names)
    assert extra == [(9, 16), (9, 17), (6, 16), (6, 17), (1, 2), (12, 22)]
    near |= np.array([(min(p), max(p)) in extra for p in zip(a.tolist(), b.tolist(), strict=True)])
    np.testing.assert_array_equal(some, every[~near])
    assert 0 < len(some) < len(every)
    assert not len(Collider.of(body).pairs(body().vertices))  # nothing at rest


RIGHT = (np.array([0.0, 0.0, 0.0]), np.array([2.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0]))  # centre (1,1,0), radius √2


@pytest.mark.parametrize(
    ("point", "sigma", "expected"),
    [
        ((1.0, 1.0, 0.0), 0.5, 0.5),  # on the axis, in the plane: ψ(0) = (3 − 2σ)/4
        ((1.0, 1.0, -0.5), 0.5, 1.0),  # ψ(−σ) = 1
        ((1.0, 1.0, -2.0), 0.5, 2.5),  # deeper: 1 − σ − d
        ((1.0, 1.0, 0.25), 0.5, 0.25),  # σ = ½: the quadratic vanishes, ψ = ½ − d
        ((1.0 + 1e-9, 1.0, 0.5), 0.5, 0.0),  # the apex
        ((2.0, 1.0, 0.0), 0.5, 0.5 * (1 - 1 / (math.sqrt(2) + 1e-6))),  # a metre from the axis
        ((2.0, 1.0, -0.5), 0.5, 1 - 1 / (2 * math.sqrt(2) + 1e-6)),  # where the cone is twice as wide
        ((3.0, 1.0, 0.0), 0.5, 0.0),  # beside the cone
        ((1.0, 1.0, 0.0), 1e-4, (3 - 2e-4) / 4),
    ],
)
def test_field_by_hand(point, sigma, expected):
    assert field(*RIGHT, np.array(point), sigma, True, np.empty((4, 3))) == pytest.approx(expected, abs=1e-6)


def test_profile_is_continuous():
    for sigma in (1e-4, 0.02, 0.4):
        step = 1e-7 * sigma
        for edge, value, slope in ((-sigma, 1.0, -1.0), (sigma, 0.0, None)):
            below, above = profile(edge - step, sigma), profile(edge + step, sigma)
            assert below[0] == pytest.approx(value, abs=1e-6)
            assert above[0] == pytest.approx(value, abs=1e-6)
            if slope is not None:
                assert below[1] == pytest.approx(above[1], abs=1e-3)


def test_no_field_where_there_is_none():
    flat = np.zeros(3), np.array([1.0, 0, 0]), np.array([2.0, 0, 0])
    assert field(*flat, np.array([0.5, 0, -0.1]), 0.5, True, np.empty((4, 3))) == 0.0
    assert field(*RIGHT, np.array([1.0, 1.0, 0.1]), 0.5, False, np.empty((4, 3))) == 0.0  # outside left out


def soup(rng, sigma):
    """Two small closed pieces that run into each other, and the pairs that do."""
    vertices = rng.normal(0, 0.02, (24, 3))
    faces = rng.permuted(np.tile(np.arange(24), (40, 1)), axis=1)[:, :3]
    collider = Collider(faces)
    pairs = collider.pairs(vertices)
    assert len(pairs) > 10
    return collider, vertices, pairs


@pytest.mark.parametrize("sigma", [1e-3, 0.02, 0.3])
@pytest.mark.parametrize("exponent", [2.0, 4.0, OFFICIAL_EXPONENT])
def test_gradient_by_differences(rng, sigma, exponent):
    collider, vertices, pairs = soup(rng, sigma)
    value, gradient = collider.penalty(vertices, pairs, exponent, sigma)
    assert value > 0
    step = 1e-8
    for _ in range(12):
        direction = rng.normal(0, 1, vertices.shape)
        ahead, back = (
            collider.penalty(vertices + s * step * direction, pairs, exponent, sigma)[0] for s in (1.0, -1.0)
        )
        slope = float(np.sum(gradient * direction))
        assert (ahead - back) / (2 * step) == pytest.approx(slope, rel=2e-5, abs=2e-5 * np.abs(gradient).max())
    assert np.abs(gradient.sum(axis=0)).max() < 1e-9 * np.abs(gradient).max()  # moving all changes nothing
    turn = np.cross(vertices, gradient).sum(axis=0)
    assert np.abs(turn).max() < 1e-9 * np.abs(gradient).max()  # turning all neither


@pytest.mark.parametrize("exponent", [2.0, 4.0, OFFICIAL_EXPONENT])
def test_residuals_are_the_penalty(rng, exponent):
    collider, vertices, pairs = soup(rng, 0.02)
    value, gradient = collider.penalty(vertices, pairs, exponent, 0.02)
    r, ids, slope = collider.residuals(vertices, pairs, exponent, 0.02)
    assert np.sum(r**2) == pytest.approx(value, rel=1e-12)
    total = np.zeros_like(vertices)
    np.add.at(total, ids, 2 * r[:, None, None] * slope)
    np.testing.assert_allclose(total, gradient, rtol=1e-9, atol=1e-12 * np.abs(gradient).max())


def test_bad_input():
    faces = np.array([[0, 1, 2]])
    with pytest.raises(InputError, match=r"vertices have shape \(2, 3\)"):
        Collider(faces).pairs(np.zeros((2, 3)))
    with pytest.raises(InputError, match="NaN"):
        Collider(faces).pairs(np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="sigma"):
        Collider(faces).penalty(np.zeros((3, 3)), np.zeros((0, 2), int), sigma=0.0)
    with pytest.raises(InputError, match="triangles 0…0"):
        Collider(faces).penalty(np.zeros((3, 3)), np.array([[0, 1]]))
    with pytest.raises(InputError, match="one part per face"):
        Collider(faces, np.zeros(2, int), [-1])
    with pytest.raises(InputError, match="together"):
        Collider(faces, np.zeros(1, int))
    with pytest.raises(InputError, match=r"ignored pair \(0, 5\)"):
        Collider(faces, np.zeros(1, int), [-1], [(0, 5)])
    assert Collider(np.zeros((0, 3), int)).pairs(np.zeros((0, 3))).shape == (0, 2)


def test_field_gradient_by_differences(rng):
    """All four points, in general position, to 1e-6: in the shell, deeper, and near the cone's rim."""
    found, step = 0, 1e-6
    while found < 30:
        points = np.stack(
            [*(corner + rng.normal(0, 0.2, 3) for corner in RIGHT), rng.uniform([0, 0, -1.2], [2, 2, 0.4])]
        )
        gradient = np.empty((4, 3))
        value = field(points[0], points[1], points[2], points[3], 0.5, True, gradient)
        if not 0.02 < value < 5.0 or abs(points[3][2] + 0.5) < 0.05:  # away from where the profile changes
            continue
        found += 1
        for k in range(4):
            for a in range(3):
                both = []
                for s in (step, -step):
                    moved = points.copy()
                    moved[k, a] += s
                    both.append(field(moved[0], moved[1], moved[2], moved[3], 0.5, True, np.empty((4, 3))))
                assert (both[0] - both[1]) / (2 * step) == pytest.approx(gradient[k, a], abs=1e-6, rel=1e-6)
