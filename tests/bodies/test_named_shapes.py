"""Named shapes of the open body are the people that they are called."""

from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.bodies.measurements import measure
from monocap.bodies.shapes import named_shape, shape_names
from monocap.cli import main
from monocap.errors import InputError


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def people(body):
    return {name: measure(body, named_shape(body, name)) for name in shape_names()}


def test_statures_are_those_of_women_men_and_children(people):
    # NCD-RisC 2016, Europe and North America, to 3 cm; WHO growth reference 2007: 1.33 m at nine years
    assert people["female"].stature == pytest.approx(1.635, abs=0.03)
    assert people["male"].stature == pytest.approx(1.765, abs=0.03)
    assert people["child"].stature == pytest.approx(1.33, abs=0.04)
    assert people["neutral"] == measure(load_body("open"))


def test_proportions_tell_women_men_and_children_apart(body, people):
    woman, man, child = (people[name] for name in ("female", "male", "child"))
    assert woman.waist / woman.hip < man.waist / man.hip
    assert woman.hip / woman.shoulder_breadth > man.hip / man.shoulder_breadth
    assert man.neck / man.stature > woman.neck / woman.stature

    def head_share(name):
        vertices = np.asarray(body(betas=named_shape(body, name)).vertices)
        head = vertices[body.lbs_weights[:, body.joint_names.index("head")] > 0.5]
        return np.ptp(head[:, 1]) / np.ptp(vertices[:, 1])

    assert head_share("child") > 1.08 * head_share("male")
    assert child.inseam / child.stature < man.inseam / man.stature


def test_the_mean_of_women_and_men_is_near_the_mean_body(body):
    both = 0.5 * (named_shape(body, "female") + named_shape(body, "male"))
    assert np.linalg.norm(both) < 0.5
    assert np.abs(named_shape(body, "child")).max() < 4.0


def test_other_names_and_bodies_are_told(body, capsys):
    with pytest.raises(InputError, match="female, male"):
        named_shape(body, "dwarf")
    with pytest.raises(InputError, match="only the open body"):
        named_shape(replace(body, name="smplx"), "female")
    assert main(["bodies", "measure", "--betas", "child"]) == 0
    assert "stature" in capsys.readouterr().out
