"""Protocols as data: complete, consistent with the official lists, and published numbers where they belong."""

import json

import numpy as np
import pytest

from monocap import skeletons
from monocap.errors import InputError
from monocap.evaluate import protocols
from monocap.evaluate.poses import in_order
from monocap.evaluate.scoring import METRICS


@pytest.mark.parametrize("name", protocols.names())
def test_every_protocol_is_whole(name):
    protocol = protocols.get(name)
    assert protocol.version >= 1
    assert protocol.traps
    assert set(protocol.metrics) <= set(METRICS)
    assert set(protocol.root) <= set(skeletons.get(protocol.skeleton).joint_names)
    assert protocol.unit == ("px" if protocol.points == "keypoints" else "m")
    for row in protocols.published(name):
        assert set(row.values) <= set(protocol.metrics)
        assert row.source
        assert row.caveat


def test_published_numbers_belong_to_protocols():
    rows = protocols._table("published.toml")["row"]
    assert {row["protocol"] for row in rows} <= set(protocols.names())


def test_the_fourteen_joints_are_the_official_ones(shared):
    official = json.loads(shared("reference/conventions.json").read_text())["SMPLer"]
    known = skeletons.get("h36m17")
    # SMPLer's 17 joints are in the order of h36m17: right leg first
    same = {"Pelvis": "root", "Torso": "spine", "Neck": "thorax"}
    for ours, theirs in zip(known.joint_names, official["H36M_J17_NAME"], strict=True):
        assert same.get(theirs, theirs.lower().replace("r_", "right_").replace("l_", "left_")) == ours
    for name in ("3dpw-j14", "3dpw-smpler14", "h36m-p1", "h36m-p2"):
        protocol = protocols.get(name)
        assert known.indices(protocol.joints).tolist() == official["H36M_J17_TO_J14"]


def test_unknown_protocol_lists_what_there_is():
    with pytest.raises(InputError, match=r"no protocol '3dpw'.*3dpw-j14"):
        protocols.get("3dpw")


def test_joints_are_found_by_meaning(rng):
    protocol = protocols.get("limbs-12")
    points = rng.normal(size=(2, 17, 3))
    valid = np.ones((2, 17), bool)
    valid[1, skeletons.get("3dhp17").index("left_knee")] = False
    joints, visible, root, notes = in_order(protocol, points, valid, skeleton="3dhp17")
    at = skeletons.get("3dhp17")
    np.testing.assert_array_equal(joints[0], points[0, at.indices(protocol.joints)])
    assert not visible[1, protocol.joints.index("left_knee")]
    assert visible.sum() == 23
    assert root is not None
    np.testing.assert_allclose(root, points[:, at.indices(["left_hip", "right_hip"])].mean(axis=1))
    assert notes == []


def test_what_is_missing_is_told(rng):
    _, visible, root, notes = in_order(
        protocols.get("3dpw-j14"), rng.normal(size=(33, 3)), np.ones(33, bool), skeleton="blazepose33"
    )
    assert root is not None
    assert visible.sum() == 12
    assert any("no thorax" in note for note in notes)
    assert any("middle of the hips" in note for note in notes)
    with pytest.raises(InputError, match="no joint in common"):
        in_order(protocols.get("limbs-12"), np.zeros((1, 3)), np.ones(1, bool), names=["tail"])


def test_the_documentation_lists_every_protocol():
    from pathlib import Path

    page = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in protocols.names())
