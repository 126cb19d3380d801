"""From estimates to a `Motion` on the ground: what is stored, what is held, what stays truthful."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from walker import CAMERA, FPS, camera_at, person, seen_by, walk

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.files import write_npz
from monocap.pipeline.assemble import assemble
from monocap.types import BodyParams, Motion


def hidden(body: BodyModel, frames: int, unseen: list[slice]) -> Motion:
    """A walk with some frames unseen, as capture assembles it; poses before and after are held."""
    track, estimate = person(body, seen_by(body, walk(body, frames).params, camera_at(6, 2)))
    valid = np.ones(frames, bool)
    for part in unseen:
        valid[part] = False
    found = np.flatnonzero(valid)
    hold = np.clip(np.arange(frames), found[0], found[-1])
    params = replace(
        estimate.params, **{n: getattr(estimate.params, n)[hold] for n in ("global_orient", "body_pose", "transl")}
    )
    estimate = replace(estimate, params=params, joints=estimate.joints[hold], valid=valid)
    track = replace(track, valid=valid)
    return assemble(body, CAMERA, FPS, np.arange(frames), np.arange(frames) / FPS, [(track, estimate)])


def test_contacts_travel_with_the_file_and_files_without_them_load(body: BodyModel, tmp_path: Path) -> None:
    motion = hidden(body, 60, [])
    assert motion.foot_contact is not None
    assert motion.foot_contact.shape == (1, 60, 4)
    assert 0.3 < motion.foot_contact.mean() < 0.8
    motion.save(tmp_path / "motion.npz")
    read = Motion.load(tmp_path / "motion.npz")
    np.testing.assert_array_equal(read.foot_contact, motion.foot_contact)
    assert read.foot_contact is not None
    assert read.foot_contact.dtype == bool
    given = {f.name: getattr(motion, f.name) for f in fields(motion) if f.name != "foot_contact"}
    arrays = {name: np.asarray(value) for name, value in given.items() if value is not None}
    write_npz(tmp_path / "old.npz", arrays)
    old = Motion.load(tmp_path / "old.npz")
    assert old.foot_contact is None
    old.save(tmp_path / "again.npz")
    assert Motion.load(tmp_path / "again.npz").foot_contact is None
    with pytest.raises(InputError, match="foot_contact"):
        replace(motion, foot_contact=np.zeros((1, 60, 3), bool))


def test_before_and_after_the_sightings_the_pose_is_held(body: BodyModel) -> None:
    motion = hidden(body, 90, [slice(0, 10), slice(70, 90)])
    for name in ("global_orient", "body_pose", "transl", "joints"):
        values = getattr(motion, name)[0]
        assert (values[:10] == values[10]).all(), name
        assert (values[70:] == values[69]).all(), name
    assert motion.foot_contact is not None
    assert not motion.foot_contact[0, ~motion.valid[0]].any()


def test_a_gap_keeps_valid_truthful_and_joints_equal_to_the_parameters(body: BodyModel) -> None:
    motion = hidden(body, 120, [slice(40, 80)])
    assert motion.valid[0].sum() == 80
    np.testing.assert_allclose(motion.joints[0], body.joints_only(**motion.params(0).asdict()), atol=1e-9)
    assert motion.foot_contact is not None
    assert not motion.foot_contact[0, 40:80].any()


def test_feet_need_not_be_held(body: BodyModel) -> None:
    params = seen_by(body, walk(body, 60).params, camera_at(6, 2))
    inputs = CAMERA, FPS, np.arange(60), np.arange(60) / FPS, [person(body, params)]
    loose = assemble(body, *inputs, hold_feet=False)
    np.testing.assert_array_equal(loose.body_pose[0], params.body_pose)
    assert loose.foot_contact is not None
    assert loose.foot_contact.any()
    np.testing.assert_array_equal(loose.T_world_camera, assemble(body, *inputs).T_world_camera)


def test_people_keep_their_order(body: BodyModel) -> None:
    """Two people keep their order, each with contacts of their own."""
    one = person(body, seen_by(body, walk(body, 60).params, camera_at(0, 0)))
    two = person(body, seen_by(body, walk(body, 60).params, camera_at(0, 0)), feet=False)
    motion = assemble(body, CAMERA, FPS, np.arange(60), np.arange(60) / FPS, [two, one])
    assert motion.foot_contact is not None
    assert not motion.foot_contact[0].any()
    assert motion.foot_contact[1].any()


@pytest.mark.parametrize("seed", range(8))
def test_anything_a_fit_can_say_gives_a_finite_world(body: BodyModel, seed: int) -> None:
    """Wild poses, holes, one frame, repeated and uneven time stamps: finite, rigid, and `valid` as it was."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 50))
    times = np.cumsum(rng.choice([0.0, 0.03, 0.2, 1.5], size=frames))
    people = []
    for _ in range(int(rng.integers(1, 4))):
        wild = BodyParams(
            rng.normal(size=body.num_betas),
            rng.normal(size=(frames, 3)) * 2.0,
            rng.normal(size=(frames, 63)) * rng.choice([0.02, 0.5]),
            rng.normal(size=(frames, 3)) * rng.choice([0.01, 0.5]) + [0.0, 0.3, 4.0],
        )
        track, estimate = person(body, wild)
        valid = rng.random(frames) < 0.7
        valid[int(rng.integers(frames))] = True
        people.append((replace(track, valid=valid), replace(estimate, valid=valid)))
    motion = assemble(body, CAMERA, FPS, np.arange(frames), times, people)
    np.testing.assert_array_equal(motion.valid, [estimate.valid for _, estimate in people])
    for name in ("global_orient", "body_pose", "transl", "joints", "T_world_camera"):
        assert np.isfinite(getattr(motion, name)).all(), name
    turn = motion.T_world_camera[0, :3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    for i in range(motion.people):
        np.testing.assert_allclose(motion.joints[i], body.joints_only(**motion.params(i).asdict()), atol=1e-6)
