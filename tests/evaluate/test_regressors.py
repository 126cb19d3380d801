"""The two H36M regressor families: told apart by content, and a mix-up is refused."""

import json

import numpy as np
import pytest

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.evaluate.regressors import family_of, read_regressor, regress, require_family
from monocap.skeletons import get


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def smpler(body):
    """Rows in SMPLer's order (that of h36m17): each joint as the mean of the vertices nearest to it."""
    names = {"root": "pelvis", "spine": "spine2", "thorax": "neck", "nose": "head"}
    places = [body.J_template[body.joint_names.index(names.get(n, n))] for n in get("h36m17").joint_names]
    matrix = np.zeros((17, len(body.v_template)))
    for row, place in enumerate(places):
        near = np.argsort(np.linalg.norm(body.v_template - place, axis=1))[:60]
        matrix[row, near] = 1 / 60
    return matrix


@pytest.fixture(scope="module")
def spin(smpler):
    return smpler[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]


def test_families_are_told_apart(body, spin, smpler):
    assert family_of(smpler, body.v_template) == "h36m-smpler"
    assert family_of(spin, body.v_template) == "h36m-spin"


def test_both_give_the_same_named_joints(body, spin, smpler):
    a, b = regress(spin, body.v_template, "h36m-spin"), regress(smpler, body.v_template, "h36m-smpler")
    np.testing.assert_allclose(a, b)
    at = get("h36m17").index
    assert a[at("left_ankle"), 0] > 0.02  # the left side is +x at rest
    assert a[at("right_ankle"), 0] < -0.02


def test_official_index_lists_agree(body, spin, smpler, shared):
    """SPIN's list on SPIN's file and SMPLer's on SMPLer's give the same fourteen joints; crossed they do not."""
    official = json.loads(shared("reference/conventions.json").read_text())
    theirs = spin @ body.v_template, smpler @ body.v_template
    j14 = theirs[0][official["SPIN"]["H36M_TO_J14"]]
    np.testing.assert_allclose(j14, theirs[1][official["SMPLer"]["H36M_J17_TO_J14"]])
    crossed = theirs[1][official["SPIN"]["H36M_TO_J14"]]
    assert np.abs(crossed[:6] - j14[:6]).max() > 0.1  # the legs
    np.testing.assert_allclose(crossed[6:], j14[6:])  # and nothing else


def test_the_wrong_family_is_refused(body, spin, smpler):
    require_family(spin, body.v_template, "h36m-spin")
    with pytest.raises(InputError, match=r"h36m-smpler family \(rows 1 to 3 are the RIGHT leg\).*h36m-spin"):
        require_family(smpler, body.v_template, "h36m-spin")


def test_other_orders_and_meshes_are_refused(body, smpler, rng):
    with pytest.raises(InputError, match="not one of the two"):
        family_of(smpler[rng.permutation(17)], body.v_template)
    with pytest.raises(InputError, match="another body"):
        family_of(smpler, body.v_template[:100])


def test_files(tmp_path, smpler):
    np.save(tmp_path / "r.npy", smpler.astype(np.float32))
    np.testing.assert_allclose(read_regressor(tmp_path / "r.npy"), smpler, atol=1e-7)
    np.save(tmp_path / "few.npy", smpler[:14])
    with pytest.raises(InputError, match="17 joints of Human"):
        read_regressor(tmp_path / "few.npy")
    np.save(tmp_path / "scaled.npy", 1000 * smpler)
    with pytest.raises(InputError, match="sum to 1"):
        read_regressor(tmp_path / "scaled.npy")
    with pytest.raises(InputError, match="no such file"):
        read_regressor(tmp_path / "absent.npy")
