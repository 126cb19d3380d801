"""Skins of the open body: chosen by name, made for its uv, different people."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.export import skin_names, skin_texture

NAMES = skin_names()


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def atlas(body, name):
    path = skin_texture(body, name)
    assert path is not None
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1]


def texels(body, near, count=12):
    """Places (count,2) in the atlas, 0 to 1 from its top left, of the triangles nearest to a rest point."""
    nearest = np.linalg.norm(body.v_template[body.faces].mean(1) - near, axis=1).argsort()[:count]
    uv = body.uv[body.uv_faces[nearest]].mean(1)
    return np.stack([uv[:, 0], 1 - uv[:, 1]], 1)


def colour_at(body, image, near):
    x, y = (texels(body, near) * image.shape[0]).astype(int).T
    return image[y, x].mean(0)


def test_there_are_several_people_of_either_sex_and_they_are_small():
    assert NAMES[0] == "default"
    assert len(NAMES) >= 7
    for word in ("female", "african", "asian", "caucasian", "young", "old"):
        assert any(word in name.split("_") for name in NAMES)
    body = load_body("open")
    paths = [skin_texture(body, name) for name in NAMES]
    assert len(set(paths)) == len(NAMES)
    assert sum(Path(path).stat().st_size for path in paths if path) < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_a_skin_has_skin_clothes_eyes_and_hair_where_they_belong(body, name):
    image = atlas(body, name)
    joint = dict(zip(body.joint_names, body.J_template, strict=True))
    nose = body.v_template[body.extra_vertex_ids["nose"]]
    wrist, belly = joint["left_wrist"] + [0, 0.02, 0], joint["spine1"] + [0, 0, 0.1]
    face, hand, shirt = (colour_at(body, image, p) for p in (nose, wrist, belly))
    assert face[0] > face[2]  # skin of any colour is redder than blue
    assert hand[0] > hand[2]
    assert np.linalg.norm(face / face.sum() - hand / hand.sum()) < 0.12  # one person
    assert np.linalg.norm(shirt - hand) > 25
    ball = body.lbs_weights[:, body.joint_names.index("left_eye")] == 1.0
    disc = body.uv[body.uv_faces[ball[body.faces].all(axis=1)]].reshape(-1, 2)
    middle = 0.5 * (disc.min(0) + disc.max(0))  # the ball is laid out round its line of sight
    x, y = (np.array([middle[0], 1 - middle[1]]) * image.shape[0]).astype(int)
    white = image[y, x - int(0.035 * image.shape[0])]
    assert image[y, x].max() < 60  # black in the middle of the iris
    assert white.min() > 120


def test_people_differ(body):
    nose = body.v_template[body.extra_vertex_ids["nose"]]
    light = [colour_at(body, atlas(body, name), nose).sum() for name in NAMES]
    assert max(light) > 2 * min(light)


def test_names_that_are_not_there_are_told(body):
    with pytest.raises(InputError, match="young_asian_female"):
        skin_texture(body, "marble")
    with pytest.raises(InputError, match="only the open body"):
        skin_texture(body.restricted([1, 2]), "default")
    assert skin_texture(body) == skin_texture(body, "default")
