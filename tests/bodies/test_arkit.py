"""ARKit face shapes of the open body: they do what their names say, and SMPL-X's parameters imitate them."""

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.bodies.arkit import arkit_shapes
from monocap.errors import InputError


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def shapes(body):
    return arkit_shapes(body)


def lids(body, side):
    """Opening (metres) between the lids of an eye, by its landmarks (0 and 1 above, 2 and 3 below)."""
    heights = body.keypoints([f"{side}_lid{k}" for k in range(4)])[:, 1]
    return heights[:2].mean() - heights[2:].mean()


def point(body, name, **parameters):
    return body.keypoints([name], **parameters)[0]


def test_shapes_have_apples_names(shapes):
    assert len(shapes.names) == 52
    assert {"jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp", "cheekPuff", "tongueOut"} <= set(shapes.names)
    lefts = {name for name in shapes.names if name.endswith("Left")} - {"jawLeft", "mouthLeft"}
    assert {name.removesuffix("Left") + "Right" for name in lefts} <= set(shapes.names)


def test_blinks_close_the_eye_of_their_side(body, shapes):
    for side, other in (("left", "right"), ("right", "left")):
        shut = shapes.on(body, {f"eyeBlink{side.title()}": 1.0})
        assert lids(shut, side) < 0.25 * lids(body, side)
        assert lids(shut, other) == pytest.approx(lids(body, other), abs=1e-4)


def test_jaw_opens_and_mouth_close_closes_it_again(body, shapes):
    def gap(face):
        return (point(face, "lip_top") - point(face, "lip_bottom"))[1]

    shut, wide = gap(body), gap(shapes.on(body, {"jawOpen": 1.0}))
    assert wide - shut > 0.02
    closed = gap(shapes.on(body, {"jawOpen": 1.0, "mouthClose": 1.0}))
    assert abs(closed - shut) < 0.3 * (wide - shut)


def test_a_smile_widens_and_lifts_the_mouth(body, shapes):
    smile = shapes.on(body, {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0})
    left = point(smile, "left_mouth") - point(body, "left_mouth")
    right = point(smile, "right_mouth") - point(body, "right_mouth")
    assert left[0] > 0.003
    assert left[1] > 0.003
    np.testing.assert_allclose(right, left * [-1, 1, 1], atol=2e-4)


def test_shapes_add_and_leave_the_rest_of_the_body(body, shapes, rng):
    weights = rng.uniform(0, 1, 52)
    whole = shapes.offsets(weights)
    np.testing.assert_allclose(np.einsum("k,kvc->vc", weights, shapes.dense()), whole, atol=1e-6)
    named = shapes.offsets(dict(zip(shapes.names, weights, strict=True)))
    np.testing.assert_allclose(named, whole, atol=1e-7)
    moved = np.abs(whole).max(axis=1) > 0
    assert (body.v_template[moved, 1] > point(body, "neck")[1] - 0.05).all()
    face = shapes.on(body, weights)
    np.testing.assert_array_equal(face.joints_only(), body.joints_only())


def test_smplx_parameters_open_the_jaw_and_turn_the_eyes(body, shapes):
    given = shapes.parameters({"jawOpen": 1.0, "eyeLookOutLeft": 1.0, "eyeLookDownRight": 0.5, "mouthSmileLeft": 1.0})
    assert 10 < np.degrees(given["jaw_pose"][0]) < 25
    assert np.degrees(given["left_eye_pose"][1]) > 10  # towards its own side
    assert np.degrees(given["right_eye_pose"][0]) > 4
    assert not shapes.parameters({})["expression"].any()
    posed = body(**given).vertices
    direct = shapes.on(body, {"jawOpen": 1.0, "mouthSmileLeft": 1.0}).v_template
    lip = int(np.abs(body.v_template - point(body, "lip_bottom")).sum(1).argmin())
    assert np.linalg.norm(posed[lip] - direct[lip]) < 0.012


def test_other_names_bodies_and_shapes_are_told(body, shapes):
    with pytest.raises(InputError, match="eyeWink"):
        shapes.offsets({"eyeWink": 1.0})
    with pytest.raises(InputError, match="52 finite"):
        shapes.offsets(np.zeros(51))
    with pytest.raises(InputError, match="vertices"):
        shapes.on(body.restricted([1, 2]), {})
    with pytest.raises(InputError, match="ARKit"):
        arkit_shapes(replace(body, name="smplx"))
