"""Measurements of bodies: those of people, monotone, and a way to set a shape."""

import json
from dataclasses import replace

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.bodies.measurements import HUMAN_RANGE, NAMES, Measurements, betas_from, measure
from monocap.cli import main
from monocap.errors import InputError
from monocap.skeletons import get


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def as_smpl(body):
    """The same mesh and shapes with SMPL's 24 joints: the skin of face and fingers goes to head and hands."""
    weights, joints = body.lbs_weights, body.joint_names
    merged = weights[:, :22].copy()
    merged[:, 15] += weights[:, 22:25].sum(1)
    hands = np.stack([weights[:, 25:40].sum(1), weights[:, 40:].sum(1)], axis=1)
    kept = [*range(22), joints.index("left_middle1"), joints.index("right_middle1")]
    return replace(
        body, name="smpl", parents=np.r_[body.parents[:22], 20, 21], joint_names=get("smpl24").joint_names,
        lbs_weights=np.concatenate([merged, hands], axis=1), J_template=body.J_template[kept],
        J_shapedirs=body.J_shapedirs[kept][..., : body.num_betas], exprdirs=body.exprdirs[..., :0],
        hand_data={}, landmarks=None, contour=None, extra_vertex_ids={},
    )  # fmt: skip


def test_mean_body_has_the_measurements_of_an_adult(body):
    found = measure(body)
    # ANSUR II (2012), mean of men's and women's means, and how far a civilian of 1.70 m may lie from soldiers;
    # its biceps is flexed, 0.33
    expected = {
        "stature": (1.692, 0.02), "neck": (0.364, 0.045), "chest": (1.00, 0.07), "hip": (1.02, 0.07),
        "thigh": (0.62, 0.08), "upper_arm": (0.31, 0.04), "inseam": (0.81, 0.03), "arm_length": (0.585, 0.025),
    }  # fmt: skip
    for name, (mean, reach) in expected.items():
        assert getattr(found, name) == pytest.approx(mean, abs=reach), name
    for name, (low, high) in HUMAN_RANGE.items():
        assert low < getattr(found, name) < high
    assert found.waist < found.chest
    assert found.waist < found.hip


def test_measurements_are_those_of_the_mesh_whatever_its_skeleton(body, rng):
    smpl = as_smpl(body)
    for betas in (np.zeros(1), rng.normal(size=16)):
        here, there = measure(body, betas).as_dict(), measure(smpl, betas).as_dict()
        for name in NAMES:
            assert there[name] == pytest.approx(here[name], rel=0.01), name


def test_scaled_bodies_have_scaled_measurements(body):
    small = replace(body, v_template=body.v_template * 0.9, J_template=body.J_template * 0.9)
    for name, value in measure(body).as_dict().items():
        near = 0.01 if name == "thigh" else 1e-5  # its level is a fixed 3 cm below the crotch
        assert getattr(measure(small), name) == pytest.approx(0.9 * value, rel=near), name


def test_a_tape_round_a_taller_body_of_the_first_component_is_longer(body):
    """The first component is size and sex; statures and inseams grow with it strictly."""
    rows = [measure(body, [b]) for b in np.linspace(-3, 3, 7)]
    for name in ("stature", "inseam", "arm_length", "shoulder_breadth", "chest"):
        assert (np.diff([getattr(row, name) for row in rows]) > 0.005).all(), name


@pytest.mark.parametrize(
    "wanted",
    [
        {"stature": 1.80},
        {"stature": 1.60, "waist": 0.70},
        {"stature": 1.75, "waist": 1.00, "hip": 1.08, "chest": 1.10},
        {"inseam": 0.86},
    ],
)
def test_betas_are_found_for_measurements(body, wanted):
    betas = betas_from(body, **wanted)
    found = measure(body, betas)
    for name, value in wanted.items():
        assert getattr(found, name) == pytest.approx(value, abs=0.003), name
    assert np.abs(betas).max() < 3.5


def test_a_random_person_is_met_in_all_measurements(body):
    person = measure(body, np.random.default_rng(4).normal(0, 0.8, 16))
    again = measure(body, betas_from(body, **person.as_dict()))
    for name in NAMES:
        assert getattr(again, name) == pytest.approx(getattr(person, name), abs=0.005), name


def test_the_mean_person_has_the_mean_shape(body):
    assert np.abs(betas_from(body, **measure(body).as_dict())).max() < 0.05


def test_a_wider_waist_is_asked_for_and_got_without_growing(body):
    slim, wide = (measure(body, betas_from(body, stature=1.75, waist=w)) for w in (0.72, 0.95))
    assert wide.waist - slim.waist == pytest.approx(0.23, abs=0.004)
    assert wide.stature == pytest.approx(slim.stature, abs=0.003)
    assert wide.hip > slim.hip  # fat goes elsewhere too


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, "no measurement"),
        ({"height": 1.8}, "height"),
        ({"stature": 180.0}, "1.4 to 2.1 metres"),
        ({"waist": float("nan")}, "waist"),
        ({"stature": 2.05, "inseam": 0.60}, "no shape"),
    ],
)
def test_what_no_person_has_is_told(body, wanted, told):
    with pytest.raises(InputError, match=told):
        betas_from(body, **wanted)


def test_bodies_without_limbs_and_wrong_betas_are_told(body):
    with pytest.raises(InputError, match="betas"):
        measure(body, np.zeros((2, 3)))
    with pytest.raises(InputError, match="finite"):
        measure(body, [np.inf])
    with pytest.raises(InputError, match="triangles"):
        measure(body.restricted([1, 2, 3]))


def test_the_command_measures_and_sets(capsys):
    assert main(["bodies", "measure", "--set", "stature=1.8,waist=0.85", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stature"] == pytest.approx(1.8, abs=0.003)
    text = ",".join(str(b) for b in found["betas"])
    assert main(["bodies", "measure", "open", f"--betas={text}"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert float(told["waist"]) == pytest.approx(found["waist"], abs=2e-4)
    for bad in (["--betas=a"], ["--set", "stature"], ["--set", "girth=1"], ["--betas=1", "--set", "stature=1.8"]):
        assert main(["bodies", "measure", *bad]) == 2


def test_measurements_are_named_once():
    assert set(HUMAN_RANGE) == set(NAMES) == set(Measurements.__dataclass_fields__)
