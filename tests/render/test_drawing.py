"""Shading, soft edges, textures, overlays and views, by properties that a picture must have."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import CAMERA, moved, sphere

from monocap.errors import InputError
from monocap.render import Light, Mesh, draw, draw_skeleton, normal_map, overlay, rasterise, render_view, vertex_normals
from monocap.types import Array, Camera

SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
FACING = np.array([[0, 2, 1], [0, 3, 2]])  # counter-clockwise for a camera on its -z side
FLAT = Light(key=0.0, sky=1.0, ground=1.0)  # every normal gets light 1: colours come out as they went in


def test_normals_of_a_sphere_point_outward() -> None:
    vertices, faces = sphere(0.7, 32)
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices / 0.7, atol=0.02)  # a polyhedron, after all
    placed = moved(vertices, 0.2, 0, 3)
    buffers = rasterise(placed, faces, CAMERA)
    normals = normal_map(buffers, placed, faces)
    np.testing.assert_allclose(np.linalg.norm(normals[buffers.mask], axis=1), 1, atol=1e-5)
    assert (normals[buffers.mask][:, 2] < 0.15).all()  # towards the camera
    assert (normals[~buffers.mask] == 0).all()


def test_flat_light_keeps_the_colour_and_the_key_side_is_brighter() -> None:
    vertices, faces = sphere(1.0, 32)
    mesh = Mesh(moved(vertices, 0, 0, 3), faces, colour=(0.8, 0.4, 0.2))
    flat = draw([mesh], CAMERA, light=FLAT)
    inside = flat.coverage == 1
    assert np.abs(flat.colour[inside].astype(int) - (204, 102, 51)).max() <= 1
    lit = draw([mesh], CAMERA, light=Light(towards=(-1, 0, 0), key=0.7, sky=0.2, ground=0.2)).colour.astype(int)
    row = int(CAMERA.cy)
    columns = np.flatnonzero(inside[row])
    assert lit[row, columns[2], 0] > lit[row, columns[-3], 0] + 60


def test_coverage_is_the_covered_share_of_a_pixel() -> None:
    camera = Camera(10, 10, 0, 0, 20, 8)
    # right edge at pixel x = 9.75: the pixel from 8.5 to 9.5 is full, the one from 9.5 to 10.5 covered by a quarter
    vertices = np.array([[-5.0, -5, 1], [0.975, -5, 1], [0.975, 5, 1], [-5, 5, 1]])
    for n, expected in ((2, 0.5), (4, 0.25), (8, 0.25)):  # two samples a side stand at 9.75 itself and 10.25
        coverage = draw([Mesh(vertices, FACING)], camera, supersample=n).coverage
        assert (coverage[:, :10] == 1).all()
        assert (coverage[:, 11:] == 0).all()
        np.testing.assert_allclose(coverage[:, 10], expected, atol=1e-6)


def test_texture_lands_where_uv_says() -> None:
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0], texture[0, 1], texture[1, 0], texture[1, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float)  # v upwards: the texture's first row is v = 1
    mesh = Mesh(moved(SQUARE, 0, 0, 2), FACING, uv=uv, uv_faces=FACING, texture=texture)
    camera = Camera(40, 40, 31.5, 31.5, 64, 64)
    colour = draw([mesh], camera, light=FLAT).colour
    for (y, x), expected in {(14, 14): 0, (14, 49): 1, (49, 14): 2, (49, 49): 3}.items():
        np.testing.assert_allclose(colour[y, x], texture.reshape(4, 3)[expected], atol=2)
    plain = draw([mesh, Mesh(moved(SQUARE * 0.3, 0, 0, 1.5), FACING, colour=(0, 0, 1))], camera, light=FLAT)
    assert tuple(plain.colour[32, 32]) == (0, 0, 255)
    assert plain.mesh[32, 32] == 1
    assert plain.mesh[14, 14] == 0


def test_overlay_changes_the_bodies_pixels_only(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    before = image.copy()
    vertices, faces = sphere(0.5, 24)
    mesh = Mesh(moved(vertices, 0.4, 0.1, 3), faces, colour=(0.2, 0.9, 0.3))
    seen = draw([mesh], CAMERA).coverage
    for alpha in (0.0, 0.5, 1.0):
        got = overlay(image, [mesh], CAMERA, alpha)
        np.testing.assert_array_equal(got[seen == 0], image[seen == 0])
        a = (seen * alpha)[..., None]
        expected = image * (1 - a) + draw([mesh], CAMERA).colour * a  # the box's way must equal the whole picture's
        np.testing.assert_allclose(got, expected, atol=1.01)
    np.testing.assert_array_equal(image, before)


def test_overlay_of_bodies_at_and_beyond_the_borders() -> None:
    image = np.full((CAMERA.height, CAMERA.width, 3), 9, np.uint8)
    vertices, faces = sphere(0.5, 12)
    for place, visible in (
        ((0, 0, -3), False),
        ((90, 0, 3), False),
        ((-1.5, 0, 3), True),
        ((0, 0, 0.52), True),
        ((0, 0, 0.2), False),
    ):
        changed = (overlay(image, [Mesh(moved(vertices, *place), faces)], CAMERA) != image).any()
        assert changed == visible, place
    np.testing.assert_array_equal(overlay(image, [], CAMERA), image)
    with pytest.raises(InputError, match="camera"):
        overlay(image[:-1], [], CAMERA)
    with pytest.raises(InputError, match="uint8"):
        overlay(image.astype(float), [], CAMERA)
    with pytest.raises(InputError, match="alpha"):
        overlay(image, [], CAMERA, 2.0)
    with pytest.raises(InputError, match="uv"):
        overlay(image, [Mesh(moved(vertices, 0, 0, 3), faces, texture=np.zeros((2, 2, 3), np.uint8))], CAMERA)


def test_skeleton_is_drawn_between_seen_points_only() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    points = np.array([[10.0, 30, 0.9], [50, 30, 0.9], [70, 5, 0.1], [np.nan, 3, 1.0], [1e9, 0, 1.0]])
    got = draw_skeleton(image, points, (-1, 0, 1, 1, 1), colour=(1, 1, 1))
    assert (got[30, 10:51] > 0).all()
    assert not got[:, 60:].any()
    assert not image.any()
    with pytest.raises(InputError, match="parents"):
        draw_skeleton(image, points, (-1, 0))


def view(**options: object) -> Array:
    vertices, faces = sphere(0.5, 24)
    return render_view(moved(vertices, 0, 0.5, 0), faces, size=(120, 160), **options)  # type: ignore[arg-type]


def test_view_stands_upright_on_its_ground() -> None:
    picture = view(colour=(1, 0, 0), target=(0, 0.5, 0), eye=(0, 0.9, 4)).astype(int)
    red = picture[..., 0] - picture[..., 1] > 60
    y, x = np.nonzero(red)
    assert abs(x.mean() - 59.5) < 2
    assert abs(y.mean() - 79.5) < 6
    width = x.max() - x.min() + 1
    focal = 80 / np.tan(np.radians(16))
    assert width == pytest.approx(2 * focal * 0.5 / np.sqrt(4.02**2 - 0.25), abs=2.5)
    assert (picture[0, 0] == (246, 247, 249)).all()
    floor = picture[-12:, :, 0]
    assert len(np.unique(floor)) > 2  # squares and shadow
    assert (view(ground=False)[-3:] == (246, 247, 249)).all()
    with pytest.raises(InputError, match="up"):
        view(eye=(0, 5, 0), target=(0, 0, 0))
