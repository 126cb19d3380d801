"""Wrong data fail at load, by name: order, side, unit, boxes, pictures, numbers."""
# What a sample may lack, these are known to have.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalOperand=false
# pyright: reportOptionalIterable=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingImports=false

import json
from dataclasses import replace

import numpy as np
import pytest
from people import scene, write_picture

from monocap import skeletons
from monocap.data import Checked, Collection, DatasetInfo, Sample, check, open_dataset
from monocap.data.dataset import Part
from monocap.errors import InputError
from monocap.types import BodyParams

INFO = DatasetInfo("made", "CC0", "tests", "h36m17")


@pytest.fixture(scope="module")
def made():
    return scene(3, seed=1)


@pytest.fixture
def good(made, tmp_path):
    picture = tmp_path / "a.png"
    write_picture(picture, made.size)
    points = made.joints("h36m17", "pixels")[1]
    return Sample(
        info=INFO,
        image=picture,
        image_size=made.size,
        box_center=points.mean(axis=0),
        box_size=np.ptp(points, axis=0),
        K=made.K,
        joints3d=made.joints("h36m17")[1],
        joints3d_valid=np.ones(17, dtype=bool),
        skeleton3d="h36m17",
        joints2d=np.concatenate([points, np.ones((17, 1))], axis=1),
        skeleton2d="h36m17",
        params=BodyParams(made.betas, made.global_orient[1], made.body_pose[1], made.transl[1]),
        body="open",
        sequence="walk",
        frame=1,
    )


def kinds(sample, decode=False):
    return {problem.kind for problem in check(sample, decode)}


def test_a_good_sample_has_no_problems(good):
    assert check(good, decode=True) == []


def test_wrong_units_are_told(good):
    assert "units" in kinds(replace(good, joints3d=1000 * good.joints3d))
    assert "units" in kinds(replace(good, joints3d=good.joints3d / 1000))
    degrees = replace(good.params, body_pose=np.degrees(good.params.body_pose))
    assert kinds(replace(good, params=degrees)) == {"units"}
    far = replace(good.params, transl=1000 * good.params.transl)
    assert kinds(replace(good, params=far)) == {"units"}


def test_another_joint_order_is_told(good):
    # The 17 joints of MPI-INF-3DHP called Human3.6M's, with and without 2D to compare with.
    order = [skeletons.get("h36m17").index(n) for n in skeletons.LIMBS12]
    shuffled = good.joints3d.copy()
    shuffled[order] = good.joints3d[np.roll(order, 5)]
    assert "joint-order" in kinds(replace(good, joints3d=shuffled, joints2d=None, skeleton2d=""))
    assert "reprojection" in kinds(replace(good, joints3d=shuffled))


def test_left_for_right_is_told(good):
    flip = list(skeletons.get("h36m17").flip)
    assert "left-right" in kinds(replace(good, joints3d=good.joints3d[flip], joints2d=None, skeleton2d=""))
    mirrored = good.joints3d * [-1, 1, 1]
    assert "left-right" in kinds(replace(good, joints3d=mirrored, joints2d=None, skeleton2d=""))
    legs = good.joints3d.copy()  # the trap of the two H36M regressors: legs exchanged, arms right
    legs[[1, 2, 3, 4, 5, 6]] = good.joints3d[[4, 5, 6, 1, 2, 3]]
    assert "left-right" in kinds(replace(good, joints3d=legs, joints2d=None, skeleton2d=""))


def test_bad_numbers_counts_and_skeletons(good):
    broken = good.joints3d.copy()
    broken[3] = np.nan
    found = check(replace(good, joints3d=broken))
    assert [p.kind for p in found] == ["nan"]
    assert "right_ankle" in found[0].message
    unseen = good.joints3d_valid.copy()
    unseen[3] = False
    assert kinds(replace(good, joints3d=broken, joints3d_valid=unseen)) == set()
    assert "joint-count" in kinds(replace(good, joints3d=good.joints3d[:16]))
    assert "joint-count" in kinds(replace(good, joints2d=good.joints2d[:10]))
    assert "skeleton" in kinds(replace(good, skeleton3d="h37m"))
    assert "nan" in kinds(replace(good, joints2d=good.joints2d * [1, 1, np.nan]))


def test_bad_boxes_cameras_and_pictures(good, tmp_path):
    assert kinds(replace(good, box_center=np.array([5000.0, 100]))) == {"box"}
    assert kinds(replace(good, box_size=np.array([0.0, 10]))) == {"box"}
    assert kinds(replace(good, box_center=np.array([np.nan, 1]))) == {"box"}
    assert "camera" in kinds(replace(good, K=np.eye(3)))
    turned = np.eye(4)
    turned[0, 0] = -1
    assert kinds(replace(good, T_camera_world=turned)) == {"camera"}
    assert "reprojection" in kinds(replace(good, K=good.K * [[1.6], [1.6], [1]]))
    assert kinds(replace(good, image=tmp_path / "absent.jpg")) == {"missing-picture"}
    (tmp_path / "empty.jpg").touch()
    assert kinds(replace(good, image=tmp_path / "empty.jpg")) == {"bad-picture"}
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert kinds(replace(good, image=tmp_path / "cut.jpg")) == set()  # its size is not looked at without decoding
    assert kinds(replace(good, image=tmp_path / "cut.jpg"), decode=True) == {"bad-picture"}
    assert kinds(replace(good, image_size=(640, 481)), decode=True) == {"bad-picture"}


def test_skip_counts_and_names_stop_raises(good):
    bad = replace(good, joints3d=1000 * good.joints3d, frame=2)
    dataset = Collection(INFO, [Part.of("walk", [good, bad, good]), Part("cut", 0, None, "cut.pkl: damaged")])
    checked = Checked(dataset, "skip")
    assert len(list(checked)) == 2
    assert (checked.seen, checked.used, checked.skipped) == (3, 2, 1)
    assert checked.counts()["unreadable"] == 1
    assert checked.counts()["units"] >= 1
    assert "made/walk/000002" in checked.summary()
    assert "2 samples used, 1 skipped" in checked.summary()
    with pytest.raises(InputError, match=r"cut\.pkl"):
        list(Checked(dataset, "stop"))
    with pytest.raises(InputError, match=r"made/walk/000002.*millimetres"):
        list(Checked(Collection(INFO, [Part.of("walk", [good, bad])]), "stop"))


def test_a_part_that_fails_when_it_is_loaded_is_counted_too(good):
    def load():
        raise InputError("walk.npz: damaged")

    dataset = Collection(INFO, [Part("walk", 2, load), Part.of("run", [good])])
    checked = Checked(dataset, "skip")
    assert len(list(checked)) == 1
    assert (checked.seen, checked.skipped) == (3, 2)
    assert dataset.in_sequence("run") == range(2, 3)
    assert dataset[-1].frame == 1
    with pytest.raises(IndexError):
        dataset[3]
    with pytest.raises(InputError, match="no sequence"):
        dataset.in_sequence("jump")


def test_parts_are_read_when_needed_and_not_all_kept():
    read = []

    def part(number):
        def load():
            read.append(number)
            return lambda index: Sample(INFO, sequence=str(number), frame=index)

        return Part(str(number), 2, load)

    dataset = Collection(INFO, [part(n) for n in range(8)])
    assert read == []
    assert [s.sequence for s in dataset] == [str(n) for n in range(8) for _ in range(2)]
    assert read == list(range(8))
    assert dataset[15].frame == 1
    assert read == list(range(8))  # still held
    assert dataset[0].frame == 0
    assert read == [*range(8), 0]


# ------------------------------------------------------------------ the plain folder
def write_folder(folder, made, **changes):
    points = made.joints("h36m17", "pixels")
    samples = []
    for i in range(3):
        write_picture(folder / f"{i}.jpg", made.size)
        samples.append(
            {
                "image": f"{i}.jpg",
                "image_size": list(made.size),
                "K": made.K.tolist(),
                "joints3d": (1000 * made.joints("h36m17")[i]).tolist(),
                "joints2d": [[x, y, 1] for x, y in points[i].tolist()],
                "sequence": "walk",
                "frame": i,
            }
        )
    content = {"schema": "monocap.samples/1", "skeleton": "h36m17", "unit": "mm", "samples": samples, **changes}
    (folder / "samples.json").write_text(json.dumps(content))


def test_plain_folder(made, tmp_path):
    write_folder(tmp_path, made)
    dataset = open_dataset(tmp_path)
    checked = Checked(dataset, "stop", decode=True)
    samples = list(checked)
    assert np.allclose(samples[2].joints3d, made.joints("h36m17")[2])
    assert dataset.sequences == ("walk",)
    write_folder(tmp_path, made, unit="m")  # millimetres called metres
    with pytest.raises(InputError, match="millimetres"):
        list(Checked(open_dataset(tmp_path), "stop"))


def test_plain_folder_with_its_own_joint_order(made, tmp_path):
    names = ["left_knee", "left_hip", "right_knee", "right_hip"]
    index = skeletons.get("h36m17").indices(names)
    joints = made.joints("h36m17")[0][index].tolist()
    joints[3] = None
    content = {
        "schema": "monocap.samples/1",
        "skeleton": "h36m17",
        "joint_names": names,
        "samples": [{"joints3d": joints, "box": [1, 2, 30, 40]}],
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    sample = open_dataset(path)[0]
    assert sample.joints3d_valid.sum() == 3
    assert np.allclose(sample.joints3d[index[0]], joints[0])
    assert not sample.joints3d_valid[index[3]]
    assert check(sample) == []


def test_pictures_alone_and_wrong_files(made, tmp_path):
    write_picture(tmp_path / "one" / "b.png", (8, 6))
    write_picture(tmp_path / "a.png", (8, 6))
    dataset = open_dataset(tmp_path)
    assert dataset.sequences == (tmp_path.name, "one")
    assert check(dataset[1], decode=True) == []
    for text, message in (
        ("{", "damaged JSON"),
        ("[]", "schema"),
        ('{"schema": "monocap.samples/1", "skeleton": "nobody", "samples": []}', "skeleton"),
        ('{"schema": "monocap.samples/1", "skeleton": "coco17", "unit": "ft", "samples": []}', "unit"),
        ('{"schema": "monocap.samples/1", "skeleton": "coco17", "samples": [{"joints3d": [[1, 2]]}]}', "joints3d"),
        ('{"schema": "monocap.samples/1", "skeleton": "coco17", "samples": [{"params": {"pose": [1]}}]}', "params"),
        ('{"schema": "monocap.samples/1", "skeleton": "coco17", "samples": 3}', "list"),
    ):
        (tmp_path / "samples.json").write_text(text)
        with pytest.raises(InputError, match=message):
            open_dataset(tmp_path)
