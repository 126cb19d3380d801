"""What a sample says is what is seen: outlines, depth, visibility, parameters; held to geometry written down here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from bare import bare_sampler

from monocap.data.synthetic import BY_ITSELF, BY_OTHER, BY_THING, OUTSIDE, VISIBLE, SynthSample
from monocap.geometry.cameras import project
from monocap.render import vertex_normals
from monocap.render.scene import Surface
from monocap.synth import sampler as module
from monocap.synth import truth
from monocap.synth.sampler import Sampler
from monocap.synth.things import Thing, box
from monocap.types import Array

_FINE = 6  # sub-pixels of the outline drawn here


def _outline(points: Array, faces: Array, width: int, height: int) -> Array:
    """(H·8,W·8) bool: the union of the projected triangles of a mesh wholly in front of the camera."""
    canvas = np.zeros((height * _FINE, width * _FINE), np.uint8)
    flat = np.rint(((points + 0.5) * _FINE - 0.5) * 16).astype(np.int32)
    for triangle in flat[faces]:
        cv2.fillConvexPoly(canvas, triangle, 1, shift=4)
    return canvas.astype(bool)


def _numbers(sampler: Sampler, want: int, whole: bool) -> list[SynthSample]:
    """Samples of one person all in front of the camera, who leave the picture (or not)."""
    found, number = [], 0
    while len(found) < want:
        sample = sampler.sample(number)
        number += 1
        height, width = sample.depth.shape
        low, high = sample.box[0, :2], sample.box[0, 2:]
        inside = bool((low > 0).all() and (high < [width - 1, height - 1]).all())
        if sample.people == 1 and inside == whole and sample.joints[0, :, 2].min() > 0.3:
            found.append(sample)
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_silhouette_is_the_projection_of_the_vertices(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    sampler = bare_sampler(monkeypatch, people=(1, 1), size=(160, 128))
    for sample in _numbers(sampler, 2, whole):
        height, width = sample.depth.shape
        vertices = sample.posed(sampler.body)[0]
        fine = _outline(project(vertices, sample.K), sampler.body.faces, width, height)
        mask = sample.person == 0
        # a pixel whose whole neighbourhood of half a pixel lies inside (or outside) must be so in the mask, …
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_FINE + 1, _FINE + 1))
        padded = cv2.copyMakeBorder(fine.astype(np.uint8), 16, 16, 16, 16, cv2.BORDER_REPLICATE)
        surely = cv2.erode(padded, kernel)[16:-16, 16:-16][_FINE // 2 :: _FINE, _FINE // 2 :: _FINE].astype(bool)
        maybe = cv2.dilate(padded, kernel)[16:-16, 16:-16][_FINE // 2 :: _FINE, _FINE // 2 :: _FINE].astype(bool)
        assert not (surely & ~mask).any(), sample.number
        assert not (mask & ~maybe).any(), sample.number
        # … which says something only where there is an inside
        assert surely.sum() > 0.5 * mask.sum() > 50


def test_depth_and_normals_are_those_of_the_vertices(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = bare_sampler(monkeypatch, people=(1, 1), size=(192, 192))
    for sample in _numbers(sampler, 2, True) + _numbers(sampler, 2, False):
        height, width = sample.depth.shape
        vertices = sample.posed(sampler.body)[0].astype(np.float64)
        normals = vertex_normals(vertices, sampler.body.faces)
        at = project(vertices, sample.K)
        x, y = np.rint(at).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        facing = -np.sum(normals * vertices, axis=1) / np.linalg.norm(vertices, axis=1)
        facing = np.flatnonzero(inside & (facing > 0.5))
        # fingers may pass between the centres of pixels, and a third of all vertices lies in hands and faces
        wide = cv2.erode(np.isfinite(sample.depth).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        chosen = facing[wide[y[facing], x[facing]]]
        assert len(chosen) > 0.25 * len(facing) > 100
        depth = sample.depth[y[chosen], x[chosen]]
        # where the ray through the pixel meets the plane that touches the skin at the vertex
        rays = np.column_stack([(x - sample.K[0, 2]) / sample.K[0, 0], (y - sample.K[1, 2]) / sample.K[1, 1]])
        rays = np.column_stack([rays, np.ones(len(rays))])[chosen]
        plane = np.sum(normals[chosen] * vertices[chosen], axis=1) / np.sum(normals[chosen] * rays, axis=1)
        hidden = depth < vertices[chosen, 2] - 0.03
        # folds and neighbouring fingers leave the plane: not most of the skin
        off = np.abs(depth - plane)[~hidden]
        assert np.median(off) < 0.001
        assert np.percentile(off, 80) < 0.004
        seen = sample.normal[y[chosen], x[chosen]]
        assert np.percentile(np.sum(seen * normals[chosen], axis=1)[~hidden], 20) > 0.85


def _first_hits(origin_to: Array, meshes: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """For rays from the lens to points (N,3): share of the way to the first triangle, and whose it is (-1: none)."""
    best, whose = np.full(len(origin_to), np.inf), np.full(len(origin_to), -1)
    for number, (vertices, faces) in enumerate(meshes):
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        normal = np.cross(b - a, c - a)
        for i, ray in enumerate(origin_to):
            with np.errstate(divide="ignore", invalid="ignore"):
                t = np.sum(a * normal, axis=1) / (normal @ ray)
            p = t[:, None] * ray
            inside = t > 0.01
            for u, v in ((a, b), (b, c), (c, a)):
                inside &= np.sum(np.cross(v - u, p - u) * normal, axis=1) >= 0
            nearest = t[inside].min() if inside.any() else np.inf
            if nearest < best[i]:
                best[i], whose[i] = nearest, number
    return best, whose


def test_visibility_is_what_rays_say(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = bare_sampler(monkeypatch, people=(2, 2), size=(224, 224))
    table = truth.depths(sampler.body)
    agree = total = other = 0
    for number in range(3):
        sample = sampler.sample(number)
        meshes = [(v.astype(np.float64), sampler.body.faces) for v in sample.posed(sampler.body)]
        for p in range(2):
            inside = np.flatnonzero(sample.visibility[p] != OUTSIDE)[::3]
            points = sample.joints[p][inside].astype(np.float64)
            if not len(points):
                continue
            share, whose = _first_hits(points, meshes)
            before = (1 - share) * np.linalg.norm(points, axis=1)  # metres of the first hit before the joint
            stated = sample.visibility[p][inside]
            hidden_by_other = (whose == 1 - p) & (before > 0.02)
            # under its own skin: surely visible below the shallowest rule, surely hidden beyond the deepest
            radius = table.radius[inside]
            own = whose == p
            open_ = own & (before < 0.8 * radius)
            shut = own & (before > 2 * 1.3 * radius + 0.07)
            for expected, chosen in ((BY_OTHER, hidden_by_other), (VISIBLE, open_), (BY_ITSELF, shut)):
                agree += int((stated[chosen] == expected).sum())
                total += int(chosen.sum())
            other += int(hidden_by_other.sum())
    assert total > 100
    assert other > 5
    assert agree >= 0.96 * total  # rays go to the joint itself, the picture's to the centre of its pixel


def test_a_thing_before_a_person_hides_joints(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = bare_sampler(monkeypatch, people=(1, 1))
    number = next(n for n in range(30) if sampler.sample(n).visibility[0, 0] == VISIBLE)
    free = sampler.sample(number)
    pelvis = free.joints[0, 0].astype(np.float64)
    corners, faces = box(np.array([0.25, 0.25, 0.02]))
    board = Surface(corners + 0.7 * pelvis, faces)
    monkeypatch.setattr(module, "held_thing", lambda *args: Thing("board", board))
    monkeypatch.setattr(module, "_HOLDS", 1.0)
    hidden = sampler.sample(number)
    assert hidden.visibility[0, 0] == BY_THING
    np.testing.assert_array_equal(hidden.joints, free.joints)
    x, y = np.rint(hidden.joints2d[0, 0]).astype(int)
    assert hidden.person[y, x] == -1
    assert np.isfinite(hidden.depth[y, x])


def test_parameters_give_joints_and_kept_vertices(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = bare_sampler(monkeypatch, people=(2, 3), vertices=True)
    for number in (0, 1):
        sample = sampler.sample(number)
        assert sample.vertices is not None
        np.testing.assert_allclose(sample.posed(), sample.vertices, atol=2e-5)
        joints = sampler.body.joints_only(**sample.params.asdict())
        np.testing.assert_allclose(joints, sample.joints[:, :55], atol=2e-5)
        np.testing.assert_allclose(
            np.stack([project(points, sample.K) for points in sample.joints.astype(np.float64)]),
            sample.joints2d,
            rtol=1e-4,
            atol=0.01,
        )
        world = sample.vertices.astype(np.float64) @ sample.T_world_camera[:3, :3].T + sample.T_world_camera[:3, 3]
        assert np.abs(world[..., 1].min(axis=1)).max() < 1e-4  # everybody touches the floor, y = 0
        plane = sample.vertices.astype(np.float64) @ sample.floor[:3] + sample.floor[3]
        np.testing.assert_allclose(plane, world[..., 1], atol=1e-5)
        apart = world.mean(axis=1)[:, None] - world.mean(axis=1)
        assert sample.people == 1 or np.linalg.norm(apart, axis=-1)[np.triu_indices(len(world), 1)].min() > 0.15
