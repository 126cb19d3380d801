"""Predictions from files: scored when right, refused when in another unit, order, or with sides exchanged."""

import numpy as np
import pytest
from small_dataset import limbs, write_dataset, write_predictions

from monocap.errors import InputError
from monocap.evaluate.program import EvaluateOptions, evaluate
from monocap.skeletons import LIMBS12

FLIP = [i + 1 - 2 * (i % 2) for i in range(12)]  # left and right are neighbours in limbs-12
LEGS = [*range(6), *FLIP[6:]]


@pytest.fixture
def judge(dataset, tmp_path):
    def run(protocol="limbs-12", data=dataset, **arrays):
        path = write_predictions(tmp_path / "guess.npz", **arrays)
        return evaluate(EvaluateOptions(str(path), protocol, data, tmp_path / "out", gallery=0)).report

    return run


def test_known_errors_come_out(judge, walkers):
    truth = limbs(walkers)
    exact = judge(joints=truth)["rows"][0]["metrics"]
    assert exact["mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)
    assert exact["pa_mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)
    bigger = judge(joints=1.1 * truth)["rows"][0]["metrics"]
    assert bigger["pa_mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)
    assert bigger["mpjpe"]["mean"] > 20
    one = truth.copy()
    one[:, 4, 0] += 0.12  # a wrist, 12 cm: 10 mm of the mean of twelve
    report = judge(joints=one)
    assert report["rows"][0]["metrics"]["mpjpe"]["mean"] == pytest.approx(10.0, abs=1e-3)
    assert report["data"]["compared"] == 18
    assert report["rows"][0]["metrics"]["mpjpe"]["sequences"] == 3


def test_names_may_come_in_any_order(judge, walkers, rng):
    order = rng.permutation(12)
    mixed = limbs(walkers)[:, order]
    names = [LIMBS12[i] for i in order]
    protocol_order = judge(joints=mixed, joint_names=names)["rows"][0]["metrics"]
    assert protocol_order["mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda joints: 1000 * joints, "millimetres"),
        (lambda joints: 100 * joints, "centimetres"),
        (lambda joints: joints / np.abs(joints).max(), "times as large"),
        (lambda joints: joints[:, FLIP], "left and right are exchanged"),
        (lambda joints: joints[:, LEGS], "legs' left and right are exchanged"),
        (lambda joints: joints[:, [4, 5, 0, 1, 2, 3, 10, 11, 6, 7, 8, 9]], "another order"),
        (lambda joints: joints[:, :11], "11 joints; protocol limbs-12 has 12"),
        (lambda joints: joints[:5], "5 predictions for 18 samples"),
        (lambda joints: joints * np.nan, "no usable prediction"),
        (lambda joints: joints[..., :2], r"expected \(M, J, 3\)"),
    ],
)
def test_wrong_files_are_refused(judge, walkers, wrong, message):
    noisy = limbs(walkers) + np.random.default_rng(0).normal(0, 0.02, (18, 12, 3))
    with pytest.raises(InputError, match=message):
        judge(joints=wrong(noisy))


def test_honest_but_bad_predictions_are_scored_not_refused(judge, walkers):
    noisy = limbs(walkers) + np.random.default_rng(0).normal(0, 0.12, (18, 12, 3))
    noisy[3] = noisy[3, FLIP]  # one sample may have its sides exchanged
    assert 100 < judge(joints=noisy)["rows"][0]["metrics"]["mpjpe"]["mean"] < 260


def test_missing_predictions_are_counted(judge, walkers):
    truth = limbs(walkers)
    names = [f"small/walk{i // 6}/{i % 6:06d}/S9" for i in range(18)]
    some = judge(sample=names[:10][::-1], joints=truth[:10][::-1])
    assert some["rows"][0]["found"] == 10
    assert some["rows"][0]["missed"] == 8
    assert some["rows"][0]["metrics"]["mpjpe"]["mean"] == pytest.approx(0, abs=1e-3)
    holes = truth.copy()
    holes[2] = np.nan
    report = judge(joints=holes)
    assert report["rows"][0]["missed"] == 1
    assert report["samples"][2]["values"]["guess"]["mpjpe"] is None
    with pytest.raises(InputError, match="none of its sample names"):
        judge(sample=[f"x{i}" for i in range(18)], joints=truth)
    with pytest.raises(InputError, match="unknown keys"):
        judge(joints=truth, poses=truth)


def test_missing_predictions_leave_gaps_in_time(judge, walkers, tmp_path):
    data = write_dataset(tmp_path / "smooth", np.repeat(walkers[:1], 9, axis=0), per_sequence=9, skeleton="smplx55")
    from monocap.skeletons import get

    at = get("smplx55")
    names = [n for n in get("smpl24").joint_names if n in at.joint_names]
    still = np.repeat(walkers[:1], 9, axis=0)[:, at.indices(names)]
    hands = still[:, [names.index("left_wrist"), names.index("right_wrist")]]
    joints = np.concatenate([still, hands], axis=1)
    names += ["left_hand", "right_hand"]
    sample = [f"small/walk0/{i:06d}/S9" for i in range(9)]
    whole = judge("emdb1-24", data, joints=joints, joint_names=names, sample=sample)
    keep = [0, 1, 2, 3, 5, 6, 7, 8]
    gap = judge("emdb1-24", data, joints=joints[keep], joint_names=names, sample=[sample[i] for i in keep])
    assert whole["rows"][0]["metrics"]["accel_error"]["samples"] == 7
    assert gap["rows"][0]["metrics"]["accel_error"]["samples"] == 4  # two frames before and two after the gap


def test_root_must_be_given_where_the_protocol_has_one(judge, walkers, tmp_path):
    data = write_dataset(tmp_path / "h36m", walkers)
    with pytest.raises(InputError, match="needs, with joint_names"):
        judge("h36m-17", data, joints=limbs(walkers), joint_names=LIMBS12)


def test_shares_count_what_was_not_found_as_zero(tmp_path, walkers):
    from small_dataset import CAMERA

    from monocap.geometry.cameras import project

    coco = [f"{s}_{p}" for p in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in ("left", "right")]
    samples = []
    for i, pose in enumerate(limbs(walkers)):
        flat = project(pose, CAMERA)
        samples.append({"joints2d": np.column_stack([flat, np.ones(12)]).tolist(), "sequence": f"s{i}"})
    data = write_dataset(
        tmp_path / "coco", walkers[:0], skeleton="coco17", joint_names=coco, samples=samples, name="flat"
    )
    guess = np.full((18, 17, 2), np.nan)
    for i, pose in enumerate(limbs(walkers)):
        guess[i, 5:] = project(pose, CAMERA)
    guess[4] = np.nan
    guess[5, 5:11] += 500
    path = write_predictions(tmp_path / "flat.npz", joints=guess)
    report = evaluate(EvaluateOptions(str(path), "coco-pck", data, tmp_path / "out", gallery=0)).report
    shares = [sample["values"]["flat"]["pck_05_box"] for sample in report["samples"]]
    assert shares[4] == 0
    assert shares[5] == pytest.approx(50)
    assert report["rows"][0]["metrics"]["pck_05_box"]["mean"] == pytest.approx((16 * 100 + 50) / 18, abs=0.01)
    assert report["rows"][0]["missed"] == 1
