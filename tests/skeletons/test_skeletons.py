"""Joint tables against the field's published index lists."""

import json

import numpy as np
import pytest

from monocap import skeletons
from monocap.errors import InputError


@pytest.mark.parametrize("name", skeletons.names())
def test_tree_flip_and_edges_are_consistent(name):
    skeleton = skeletons.get(name)
    flip = np.array(skeleton.flip)
    assert (flip[flip] == np.arange(len(skeleton))).all()
    assert all(-1 <= p < i or p == -1 for i, p in enumerate(skeleton.parents) if name.startswith("smpl"))
    for i, p in enumerate(skeleton.parents):  # a mirrored joint hangs on the mirrored parent
        assert skeleton.parents[flip[i]] == (flip[p] if p >= 0 else -1)
    assert {tuple(sorted(flip[list(e)])) for e in skeleton.edges} == {tuple(sorted(e)) for e in skeleton.edges}
    if not name.startswith(("mano", "flame")):  # a hand, a head
        assert len(skeleton.indices(skeletons.LIMBS12)) == 12


def test_smplx_order_and_parents():
    x = skeletons.get("smplx55")
    assert len(x) == 55
    assert x.joint_names[:4] == ("pelvis", "left_hip", "right_hip", "spine1")
    assert x.joint_names[20:26] == ("left_wrist", "right_wrist", "jaw", "left_eye", "right_eye", "left_index1")
    assert x.joint_names[-1] == "right_thumb3"
    body = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
    left = tuple(v for k in range(5) for v in (20, 25 + 3 * k, 26 + 3 * k))
    right = tuple(v for k in range(5) for v in (21, 40 + 3 * k, 41 + 3 * k))
    assert x.parents == (*body, 15, 15, 15, *left, *right)
    assert skeletons.get("smpl24").parents == (*body, 20, 21)


def test_flips_equal_the_official_lists(shared):
    conventions = json.loads(shared("reference/conventions.json").read_text())
    assert list(skeletons.get("smpl24").flip) == conventions["SPIN"]["SMPL_JOINTS_FLIP_PERM"]
    assert list(skeletons.get("openpose25").flip) == conventions["CameraHMR/HMR2"]["body_permutation"]


def test_openpose_mapping_is_smplx_own():
    model, openpose = skeletons.mapping("smplx76", "openpose25")
    published = [55, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, *range(56, 66)]
    assert model.tolist() == published
    assert openpose.tolist() == list(range(25))


def test_mappings_pair_equal_meanings():
    a, b = skeletons.mapping("smplx55", "smplx76")
    assert a.tolist() == b.tolist() == list(range(55))
    names = skeletons.get("blazepose33").joint_names, skeletons.get("smplx55").joint_names
    pairs = {(names[0][i], names[1][j]) for i, j in zip(*skeletons.mapping("blazepose33", "smplx55"), strict=True)}
    assert ("left_thumb", "left_thumb2") in pairs
    assert ("right_pinky", "right_pinky1") in pairs
    assert {(n, n) for n in skeletons.LIMBS12} <= pairs
    # H36M's head is the top of the head, SMPL's lies under the skull
    h, x = skeletons.mapping("h36m17", "smplx55")
    assert skeletons.get("h36m17").index("head") not in h
    assert (h[0], x[0]) == (0, 0)


def test_h36m_is_the_order_of_the_annotations(shared):
    for entry in json.loads(shared("reference/real3d_dev/annotations.json").read_text()):
        if entry["dataset"] == "Human3.6M":
            assert tuple(entry["joint_names"]) == skeletons.get("h36m17").joint_names


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="there are smpl24"):
        skeletons.get("smpl25")
    with pytest.raises(InputError, match="left_hip"):
        skeletons.get("coco17").index("pelvis")


def test_vnect_is_the_published_choice_of_28():
    vnect, every = skeletons.get("vnect21"), skeletons.get("3dhp28")
    published = [8, 6, 15, 16, 17, 10, 11, 12, 24, 25, 26, 19, 20, 21, 5, 4, 7, 18, 13, 28, 23]  # counted from 1
    assert [every.joint_names[i - 1] for i in published] == list(vnect.joint_names)
    assert vnect.parents == (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1, 4, 7, 10, 13)
    a, b = skeletons.mapping("3dhp28", "vnect21")
    assert b.tolist() == list(range(21))
    assert (a + 1).tolist() == published
    assert "head" not in {vnect.joint_names[i] for i in skeletons.mapping("vnect21", "smplx55")[0]}
