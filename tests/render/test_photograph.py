"""Photographs against shapes whose outline, depth, shadow and light are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from shapes import moved, sphere

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.render import Backdrop, Lamp, Scene, Shot, Surface, photograph
from monocap.types import Array, Camera

CAMERA = Camera(90, 88, 47.3, 35.6, 96, 72)
BODY_CAMERA = Camera(250, 250, 111.5, 111.5, 224, 224)
FLOOR = (0.0, -1.0, 0.0, 1.0)  # one metre below the camera


def scene(*surfaces: Surface, camera: Camera = CAMERA, grey: int = 128, **more: Any) -> Scene:
    image = np.full((camera.height, camera.width, 3), grey, np.uint8)
    floor = more.pop("floor", None)
    return Scene(camera, surfaces, Backdrop(image, floor), **more)


def rays(camera: Camera) -> Array:
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], axis=-1)


def sphere_depth(centre: Array, radius: float, camera: Camera) -> Array:
    """Depth (H,W) of the nearer hit of each pixel's ray, inf where it misses."""
    r = rays(camera)
    a, b, c = (r**2).sum(-1), r @ centre, centre @ centre - radius**2
    inner = b**2 - a * c
    with np.errstate(invalid="ignore"):
        t = (b - np.sqrt(inner)) / a
    return np.where((inner >= 0) & (t > 0), t, np.inf)


def box(low: Any, high: Any) -> tuple[Array, Array]:
    """Closed box, corners counter-clockwise from outside."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    return np.asarray(low) + corners * (np.asarray(high, float) - low), faces


def card(z: float, size: float = 0.5, texture: Any = None, **more: Any) -> Surface:
    """A square that faces the camera; v of its texture grows upwards."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size + [0, 0, z]
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float)
    return Surface(vertices, [[0, 1, 2], [0, 2, 3]], uv=uv, texture=texture, two_sided=True, **more)


@pytest.mark.parametrize(
    "centre", [(0.1, -0.1, 3.0), (-1.5, 0.2, 3.0), (1.7, 1.2, 3.0)], ids=["whole", "cut", "corner"]
)
def test_sphere_has_its_outline_and_depth(centre: tuple[float, float, float]) -> None:
    vertices, faces = sphere(0.6, 80)
    shot = photograph(scene(Surface(moved(vertices, *centre), faces, person=2)))
    half_pixel = 0.5 * float(np.linalg.norm(centre)) / min(CAMERA.fx, CAMERA.fy)
    inside = np.isfinite(sphere_depth(np.array(centre), 0.6 - half_pixel, CAMERA))
    outside = np.isinf(sphere_depth(np.array(centre), 0.6 + half_pixel, CAMERA))
    assert inside.sum() > 100
    assert (shot.person[inside] == 2).all()
    assert (shot.person[outside] == -1).all()
    expected = sphere_depth(np.array(centre), 0.6, CAMERA)
    deep = np.isfinite(sphere_depth(np.array(centre), 0.55, CAMERA))
    np.testing.assert_allclose(shot.depth[deep], expected[deep], atol=2e-3)
    normal = (rays(CAMERA)[deep] * expected[deep][:, None] - centre) / 0.6
    assert ((shot.normal[deep] * normal).sum(-1) > 0.998).all()


def test_ground_from_behind_the_camera_is_cut_at_the_near_plane() -> None:
    ground = np.array([[-90, 1, -50], [90, 1, -50], [90, 1, 80], [-90, 1, 80]], float)
    shot = photograph(scene(Surface(ground, [[0, 1, 2], [0, 2, 3]], two_sided=True)))
    slope = rays(CAMERA)[..., 1]
    below = slope > 1 / 79
    np.testing.assert_allclose(shot.depth[below], 1 / slope[below], rtol=1e-5)
    assert np.isinf(shot.depth[slope < 1 / 81]).all()
    np.testing.assert_allclose(shot.normal[below], np.broadcast_to([0, -1, 0], (below.sum(), 3)), atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.75])
def test_outline_of_a_body_is_that_of_its_vertices(shift: float) -> None:
    body = load_body("open")
    posed = body(global_orient=np.array([np.pi, 0, 0]), transl=np.array([shift, 0.1, 2.4])).vertices
    shot = photograph(scene(Surface(posed, body.faces, person=0), camera=BODY_CAMERA))
    pixels = posed[:, :2] / posed[:, 2:] * 250 + 111.5
    rows, columns = np.nonzero(shot.person == 0)
    for seen, truth in ((rows, pixels[:, 1]), (columns, pixels[:, 0])):
        low, high = truth.min(), truth.max()
        assert -0.5 <= seen.min() - max(low, 0) < 1.5  # thin ends (hair, toes) may slip between two centres
        assert -0.5 <= min(high, 223) - seen.max() < 1.5
    assert (high > 223) == (shift > 0)
    # every vertex in front projects into the mask or within a pixel of it
    grown = cv2.dilate((shot.person == 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    within = np.all((pixels > 0) & (pixels < 223), axis=1)
    nearest = np.rint(pixels[within]).astype(int)
    assert grown[nearest[:, 1], nearest[:, 0]].mean() > 0.999


def people() -> Scene:
    vertices, faces = sphere(0.4, 20)
    parts = np.arange(len(faces)) % 55
    first = Surface(moved(vertices, -0.3, 0, 2.5), faces, person=0, part=parts, kind="skin")
    second = Surface(moved(vertices, 0.2, 0, 2.8), faces, person=1, part=parts, kind="cloth", colour=(0.2, 0.3, 0.6))
    thing = Surface(*box((-0.2, 0.1, 1.9), (0.1, 0.3, 2.0)))
    return scene(first, second, thing, floor=FLOOR)


def test_maps_agree_and_do_not_depend_on_the_quality() -> None:
    shot = photograph(people())
    seen = shot.surface >= 0
    assert set(np.unique(shot.surface)) == {-1, 0, 1, 2}
    np.testing.assert_array_equal(np.isfinite(shot.depth), seen)
    np.testing.assert_allclose(np.linalg.norm(shot.normal, axis=-1), seen, atol=1e-5)
    for surface, person in ((0, 0), (1, 1), (2, -1), (-1, -1)):
        assert (shot.person[shot.surface == surface] == person).all()
        assert (shot.part[shot.surface == surface] >= 0).all() == (person >= 0)
    facing = (shot.normal * rays(CAMERA)).sum(-1)
    assert (facing[(shot.surface == 0) | (shot.surface == 1)] < 0.15).all()  # smooth ones, also at the outline
    for other in (photograph(people(), supersample=1), photograph(people(), supersample=3, shadows=False)):
        for name in ("depth", "normal", "person", "part", "surface"):
            np.testing.assert_allclose(getattr(shot, name), getattr(other, name), atol=1e-5)


def test_same_scene_same_picture() -> None:
    np.testing.assert_array_equal(photograph(people()).image, photograph(people()).image)


def test_nobody_there_is_the_backdrop() -> None:
    empty = photograph(scene(floor=FLOOR))
    assert (empty.image == 128).all()
    assert np.isinf(empty.depth).all()
    behind = Surface(np.array([[-1, 0, -2], [1, 0, -2], [0, 1, -2.0]]), [[0, 1, 2]], two_sided=True)
    assert (photograph(scene(behind)).image == 128).all()


def test_outlines_are_mixed_in_linear_light() -> None:
    # a white card that covers the right half of every pixel in column 40
    edge = (40 - CAMERA.cx) / CAMERA.fx * 2
    vertices = np.array([[edge, -3, 2], [9, -3, 2], [9, 3, 2], [edge, 3, 2]])
    white = Surface(vertices, [[0, 1, 2], [0, 2, 3]], colour=(1, 1, 1), two_sided=True)
    shot = photograph(scene(white, grey=0, lamps=(), sky=(1, 1, 1), ground=(1, 1, 1)), shadows=False)
    assert shot.coverage is not None
    np.testing.assert_allclose(shot.coverage[:, 40], 0.5)
    assert (shot.image[:, 39] == 0).all()
    assert (shot.image[:, 41] == 255).all()
    assert (np.abs(shot.image[:, 40].astype(int) - 188) <= 1).all()  # sRGB of half the light


# ---------------------------------------------------------------------- shadows
def shadow_share(shot: Shot, plain: Scene) -> Array:
    """(H,W) how much of its light each pixel of the backdrop keeps."""
    return np.asarray(shot.behind)[..., 0] / np.asarray(photograph(replace(plain, surfaces=())).behind)[..., 0]


def test_shadow_of_a_box_falls_where_geometry_says() -> None:
    camera = Camera(240, 240, 40, 0, 128, 128)
    towards = np.array([-0.5, -1.0, 0.3])
    vertices, faces = box((-0.1, 0.2, 3.0), (0.5, 0.5, 3.4))
    made = scene(Surface(vertices, faces), camera=camera, floor=FLOOR, lamps=(Lamp(tuple(towards), size=0.0),))
    made = replace(made, sky=(0, 0, 0), ground=(0, 0, 0))
    kept = shadow_share(photograph(made), made)
    on_floor = vertices - towards * ((vertices[:, 1:2] - 1) / towards[1])
    hull = cv2.convexHull((on_floor[:, :2] / on_floor[:, 2:] * 240 + (40, 0)).astype(np.float32))
    y, x = np.mgrid[:128, :128]
    inside = np.array(
        [cv2.pointPolygonTest(hull, (float(a), float(b)), True) for a, b in zip(x.flat, y.flat, strict=True)]
    )
    inside = inside.reshape(128, 128)
    below = rays(camera)[..., 1] > 1 / 50
    assert (inside > 2).sum() > 300
    assert (kept[inside > 2] < 0.02).all()
    assert (kept[(inside < -2) & below] > 0.98).all()


def test_a_wider_lamp_has_a_softer_shadow() -> None:
    vertices, faces = box((-0.3, 0.3, 2.6), (0.3, 0.4, 3.2))
    camera = Camera(90, 90, 47.5, 15, 96, 96)
    soft = []
    for size in (0.0, 0.1, 0.3):
        lamps = (Lamp((-0.2, -1, 0.1), size=size),)
        made = scene(Surface(vertices, faces), camera=camera, floor=FLOOR, lamps=lamps, sky=(0, 0, 0))
        kept = shadow_share(photograph(made), made)
        assert kept.min() < 0.6
        soft.append(int(((kept > 0.1) & (kept < 0.9)).sum()))
    assert 1.5 * soft[0] < soft[1] < soft[2]


def test_a_lamp_that_casts_no_shadows_casts_none() -> None:
    vertices, faces = box((-0.3, 0.0, 2.6), (0.3, 0.1, 3.2))
    lamp = Lamp((-0.2, -1, 0.1), shadows=False)
    made = scene(Surface(vertices, faces), floor=FLOOR, lamps=(lamp,), sky=(0, 0, 0), ground=(0, 0, 0))
    np.testing.assert_allclose(shadow_share(photograph(made), made), 1, atol=1e-5)
    made = replace(made, lamps=(replace(lamp, shadows=True),))
    assert shadow_share(photograph(made), made).min() < 0.1
    np.testing.assert_allclose(shadow_share(photograph(made, shadows=False), made), 1, atol=1e-5)


@pytest.mark.parametrize("towards", [(-0.5, -0.5, -0.7), (0.9, -0.2, -0.4), (0.0, -1.0, -0.2)])
def test_a_sphere_does_not_shade_its_own_lit_side(towards: tuple[float, float, float]) -> None:
    vertices, faces = sphere(0.6, 40)
    lamp = Lamp(towards, size=0.05)
    made = scene(Surface(moved(vertices, 0, 0, 2.5), faces), lamps=(lamp,), sky=(0, 0, 0), ground=(0, 0, 0))
    with_shadows, without = photograph(made), photograph(made, shadows=False)
    lit = (shot_cosine(with_shadows, towards) > 0.35) & (np.asarray(with_shadows.coverage) == 1)
    assert lit.sum() > 200
    ratio = np.asarray(with_shadows.radiance)[lit] / np.asarray(without.radiance)[lit]
    assert ratio.min() > 0.97


def shot_cosine(shot: Shot, towards: Any) -> Array:
    return shot.normal @ (np.array(towards) / np.linalg.norm(towards))


def test_the_floor_is_dim_where_something_stands_on_it() -> None:
    vertices, faces = box((-0.3, 0.2, 2.6), (0.3, 1.0, 3.0))
    camera = Camera(90, 90, 47.5, 15, 96, 96)
    made = scene(Surface(vertices, faces), camera=camera, floor=FLOOR, lamps=())
    kept = shadow_share(photograph(made), made)
    foot = round(15 + 90 / 2.6)  # row of the box's front edge
    assert kept[foot + 1, 47] < 0.75
    assert kept[foot + 1, 47] < kept[foot + 6, 47] < kept[-1, 47] <= 1
    assert kept[-1, 2] > 0.93


# --------------------------------------------------------------------- textures
def test_transparent_texels_are_holes() -> None:
    texture = np.full((16, 16, 4), 255, np.uint8)
    texture[:, :8, 3] = 0
    shot = photograph(scene(card(2.0, texture=texture)))
    left, right = shot.surface[36, 47 - 20 : 47 - 3], shot.surface[36, 47 + 4 : 47 + 20]
    assert (left == -1).all()
    assert (right == 0).all()
    assert (shot.image[36, 30] == 128).all()
    texture[..., 3] = 128
    half = photograph(scene(card(2.0, texture=texture), card(3.0, colour=(1.0, 0.0, 0.0))))
    assert np.asarray(half.coverage)[30:42, 40:54].mean() == 1
    front = photograph(scene(card(2.0, texture=texture)))
    assert 0.4 < np.asarray(front.coverage)[30:42, 40:54].mean() < 0.6


def test_a_far_checker_is_grey_and_a_near_one_is_not() -> None:
    y, x = np.mgrid[:256, :256]
    texture = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    light = {"lamps": (), "sky": (1, 1, 1), "ground": (1, 1, 1)}
    far = photograph(scene(card(3.0, texture=texture), **light), shadows=False)
    inner = np.asarray(far.radiance)[30:42, 40:54]
    np.testing.assert_allclose(inner, 0.5, atol=0.02)
    near = photograph(scene(card(0.05, size=0.5, texture=texture), **light), shadows=False)
    assert np.ptp(np.asarray(near.radiance)) > 0.95


def test_texture_lands_where_uv_says() -> None:
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[0, :, 0], texture[7, :, 2] = 255, 255  # red above, blue below
    shot = photograph(scene(card(2.0, texture=texture)))
    top, bottom = shot.image[36 - 20, 47], shot.image[36 + 20, 47]
    assert top[0] > 80 > top[2]
    assert bottom[2] > 80 > bottom[0]


def test_one_sided_surfaces_are_not_seen_from_behind() -> None:
    front = replace(card(2.0), two_sided=False)
    seen = [photograph(scene(replace(front, faces=faces))).surface.max() for faces in ([[0, 1, 2]], [[0, 2, 1]])]
    assert sorted(seen) == [-1, 0]
    turned = photograph(scene(replace(card(2.0), faces=[[0, 2, 1], [0, 3, 2]])))
    back = photograph(scene(card(2.0)))
    np.testing.assert_allclose(turned.normal[36, 47], back.normal[36, 47], atol=1e-6)


def test_motion_is_that_of_the_projection() -> None:
    vertices, faces = sphere(0.5, 40)
    start = moved(vertices, 0.2, -0.1, 2.5)
    velocity = np.broadcast_to(np.array([0.01, -0.02, 0.03], np.float32), start.shape)
    shot = photograph(scene(Surface(start, faces), velocity=(velocity,)))
    assert shot.motion is not None
    seen = np.isfinite(shot.depth)
    at = rays(CAMERA)[seen] * shot.depth[seen][:, None]
    step = 1e-3
    later = at + step * velocity[0]
    pixel = later[:, :2] / later[:, 2:] * (CAMERA.fx, CAMERA.fy) + (CAMERA.cx, CAMERA.cy)
    expected = (pixel - np.argwhere(seen)[:, ::-1]) / step
    np.testing.assert_allclose(shot.motion[seen], expected, atol=5e-3)
    assert (shot.motion[~seen] == 0).all()
    assert photograph(scene(Surface(start, faces))).motion is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"faces": [[0, 1, 9]]}, "surface 0 .object.*point at"),
        ({"kind": "wood"}, "kind 'wood'"),
        ({"colour": (2, 0, 0)}, "0–1"),
        ({"texture": np.zeros((4, 4), np.uint8)}, "texture"),
        ({"texture": np.zeros((4, 4, 3), np.uint8), "uv": None}, "needs uv"),
        ({"uv_faces": [[0, 1, 7], [0, 1, 2]]}, "uv_faces point at"),
        ({"part": [1, 2, 3]}, "part of shape"),
        ({"normals": np.zeros((2, 3))}, "normals of shape"),
        ({"gloss": 3.0}, "gloss"),
        ({"vertices": np.full((4, 3), np.nan)}, "nan"),
    ],
)
def test_bad_surfaces_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        photograph(scene(replace(card(2.0), **wrong)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"backdrop": Backdrop(np.zeros((5, 5, 3), np.uint8))}, "backdrop of shape"),
        ({"backdrop": Backdrop(np.zeros((72, 96, 3), np.uint8), (0, 0, 0, 1))}, "plane"),
        ({"backdrop": Backdrop(np.zeros((72, 96, 3), np.uint8), FLOOR, np.zeros((3, 3)))}, "floor_mask"),
        ({"up": (0, 0, 0)}, "up"),
        ({"sky": (-1, 0, 0)}, "sky"),
        ({"lamps": (Lamp((0, 0, 0)),)}, "towards"),
        ({"velocity": (None, None)}, "2 velocities for 1"),
        ({"camera": Camera(0, 1, 0, 0, 96, 72)}, "above 0"),
    ],
)
def test_bad_scenes_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        photograph(replace(scene(card(2.0)), **wrong))


def test_supersample_is_bounded() -> None:
    with pytest.raises(InputError, match="supersample 9"):
        photograph(scene(card(2.0)), supersample=9)
