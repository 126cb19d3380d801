"""The rasteriser against geometry worked out another way: ray meets triangle, analytic outlines, known depths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import CAMERA, moved, sphere

from monocap.errors import InputError
from monocap.render import Buffers, interpolate, rasterise
from monocap.types import Array, Camera


def rays(camera: Camera) -> Array:
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], axis=-1)


def ray_depth(triangle: Array, directions: Array, near: float) -> tuple[Array, Array]:
    """Depth (H,W) of one triangle by Möller and Trumbore's test (inf: none), and how far inside (negative: outside)."""
    origin, a, b = triangle[0], triangle[1] - triangle[0], triangle[2] - triangle[0]
    p = np.cross(directions, b)
    with np.errstate(all="ignore"):
        inverse = 1 / (p @ a)
        u = (p @ -origin) * inverse
        q = np.cross(-origin, a)
        v = (directions @ q) * inverse
        t = (b @ q) * inverse
        inside = np.minimum(np.minimum(u, v), 1 - u - v)
        hit = (inside >= 0) & (t >= near)
    return np.where(hit, t, np.inf), np.where(np.isfinite(inside), inside, -1.0)


def test_right_triangle_covers_counted_pixels() -> None:
    # corners at pixels (2, 2), (12, 2), (2, 12) at one depth: pixel (x, y) is covered iff x, y ≥ 2 and x + y ≤ 14
    corners = np.array([[2.0, 2.0], [12.0, 2.0], [2.0, 12.0]])
    camera = Camera(100, 100, 7, 6, 20, 16)
    vertices = np.c_[(corners - (7, 6)) / 100 * 3, [3.0, 3.0, 3.0]]
    buffers = rasterise(vertices, [[0, 1, 2]], camera)
    y, x = np.mgrid[:16, :20]
    inner = (x > 2) & (y > 2) & (x + y < 14)
    outer = (x >= 2) & (y >= 2) & (x + y <= 14)
    assert (buffers.mask[inner]).all()
    assert not buffers.mask[~outer].any()
    np.testing.assert_allclose(buffers.depth[buffers.mask], 3.0, rtol=1e-6)
    expected = np.stack([(14 - x - y) / 10, (x - 2) / 10, (y - 2) / 10], axis=-1)
    np.testing.assert_allclose(buffers.barycentric[inner], expected[inner], atol=1e-6)
    assert np.isinf(buffers.depth[~buffers.mask]).all()
    assert (buffers.face[~buffers.mask] == -1).all()
    assert (buffers.barycentric[~buffers.mask] == 0).all()


def test_barycentrics_are_perspective_correct() -> None:
    vertices = np.array([[-0.9, -0.7, 2.8], [1.2, -0.2, 3.5], [-0.2, 0.5, 1.2]])  # steep in depth
    buffers = rasterise(vertices, [[0, 1, 2]], CAMERA)
    assert buffers.mask.sum() > 200
    points = interpolate(buffers, [[0, 1, 2]], vertices)[buffers.mask]
    expected = rays(CAMERA)[buffers.mask] * buffers.depth[buffers.mask][:, None]
    np.testing.assert_allclose(points, expected, atol=2e-6)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_depth_is_that_of_the_nearest_ray_hit(seed: int, through_the_camera: bool) -> None:
    rng = np.random.default_rng(seed)
    fx, fy, cx, cy = rng.uniform((20, 20, 0, 0), (80, 80, 40, 40))
    camera = Camera(fx, fy, cx, cy, 48, 36)
    vertices = moved(rng.normal(0, 1, (9, 3)), 0, 0, 0.0 if through_the_camera else 3.0)
    faces = np.arange(9).reshape(3, 3)
    near = 0.05
    buffers = rasterise(vertices, faces, camera, near=near)
    per_face, inside = zip(*(ray_depth(vertices[f], rays(camera), near) for f in faces), strict=True)
    expected = np.min(per_face, axis=0)
    # on an edge, or at the near plane, or seen edge-on, either answer is right
    close = np.abs(np.stack(inside)).min(axis=0) < 1e-6
    any_depth = np.stack(per_face)
    close |= (np.abs(any_depth - near) < 1e-6).any(axis=0)
    both = ~close & np.isfinite(expected)
    assert (np.isfinite(buffers.depth) == np.isfinite(expected))[~close].all()
    np.testing.assert_allclose(buffers.depth[both], expected[both], rtol=1e-4)
    sure = both & (np.sort(any_depth, axis=0)[1] > expected * 1.001)
    np.testing.assert_array_equal(buffers.face[sure], np.argmin(any_depth, axis=0)[sure])


def test_ground_under_the_camera_is_cut_at_the_near_plane() -> None:
    ground = np.array([[-50.0, 1.5, -50], [50, 1.5, -50], [50, 1.5, 50], [-50, 1.5, 50]])  # camera 1.5 m above it
    near = 6.0
    buffers = rasterise(ground, [[0, 1, 2], [0, 2, 3]], CAMERA, near=near)
    with np.errstate(divide="ignore"):
        depth = 1.5 / rays(CAMERA)[..., 1]
    x = rays(CAMERA)[..., 0] * depth
    expected = (depth >= near) & (depth < 50) & (np.abs(x) < 50)
    assert expected.sum() > 500
    assert (depth[rays(CAMERA)[..., 1] > 0] < near).any()  # there is something to cut
    np.testing.assert_array_equal(buffers.mask, expected)
    np.testing.assert_allclose(buffers.depth[expected], depth[expected], rtol=1e-5)


def test_silhouette_area_of_a_sphere() -> None:
    radius, distance, focal = 0.5, 3.0, 900.0
    vertices, faces = sphere(radius, 96)
    camera = Camera(focal, focal, 200, 190, 401, 381)
    buffers = rasterise(moved(vertices, 0, 0, distance), faces, camera)
    expected = np.pi * (focal * radius) ** 2 / (distance**2 - radius**2)  # the tangent cone cut at unit depth
    assert buffers.mask.sum() == pytest.approx(expected, rel=4e-3)
    assert buffers.depth[190, 200] == pytest.approx(distance - radius, abs=1e-3)


def test_closed_mesh_has_no_pin_holes_and_culling_changes_nothing() -> None:
    vertices, faces = sphere(1.0, 24)
    placed = moved(vertices, 0.013, -0.007, 2.9)
    buffers = rasterise(placed, faces, CAMERA)
    culled = rasterise(placed, faces, CAMERA, cull=True)
    np.testing.assert_array_equal(buffers.face, culled.face)
    rows = np.flatnonzero(buffers.mask.any(axis=1))
    for row in rows:
        covered = np.flatnonzero(buffers.mask[row])
        assert len(covered) == covered[-1] - covered[0] + 1
    turned = rasterise(placed, faces[:, ::-1], CAMERA, cull=True)
    assert (turned.depth[turned.mask] > 2.9 - 1 / 2.9).all()  # beyond the outline: only the far side is left


def test_occlusion_does_not_depend_on_the_order() -> None:
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    vertices = np.concatenate([moved(square, 0, 0, 4), moved(square * 0.5, 0, 0, 3)])
    near_faces, far_faces = np.array([[4, 5, 6], [4, 6, 7]]), np.array([[0, 1, 2], [0, 2, 3]])

    def depth(faces: Array) -> Array:
        return rasterise(vertices, faces, CAMERA).depth

    a, b = depth(np.concatenate([near_faces, far_faces])), depth(np.concatenate([far_faces, near_faces]))
    np.testing.assert_array_equal(a, b)
    assert set(np.unique(a[np.isfinite(a)])) == {3.0, 4.0}


def test_nothing_to_see() -> None:
    empty = rasterise(np.zeros((0, 3)), np.zeros((0, 3), int), CAMERA)
    behind = rasterise([[0, 0, -1.0], [1, 0, -1], [0, 1, -2]], [[0, 1, 2]], CAMERA)
    flat = rasterise([[0, 0, 1.0], [0, 0, 1], [0, 0, 1]], [[0, 1, 2]], CAMERA)
    for buffers in (empty, behind, flat):
        assert isinstance(buffers, Buffers)
        assert not buffers.mask.any()


def test_bad_input_is_named() -> None:
    triangle = np.array([[0, 0, 1.0], [1, 0, 1], [0, 1, 1]])
    with pytest.raises(InputError, match=r"expected \(V, 3\)"):
        rasterise(triangle[None], [[0, 1, 2]], CAMERA)
    with pytest.raises(InputError, match=r"0\.\.3"):
        rasterise(triangle, [[0, 1, 3]], CAMERA)
    with pytest.raises(InputError, match="nan"):
        rasterise(triangle * np.nan, [[0, 1, 2]], CAMERA)
    with pytest.raises(InputError, match="pixels"):
        rasterise(triangle, [[0, 1, 2]], Camera(1, 1, 0, 0, 0, 5))
    with pytest.raises(InputError, match="near"):
        rasterise(triangle, [[0, 1, 2]], CAMERA, near=0)
