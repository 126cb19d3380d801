"""Every format that other programs write gives the same people, points and names."""

import contextlib
import json

import numpy as np
import pytest

from monocap import load_body, skeletons
from monocap.data.keypoint_files import find_keypoints, read_keypoints, read_points, write_keypoints
from monocap.data.keypoint_files.mediapipe import FACE68
from monocap.data.recordings import Recording
from monocap.errors import InputError

SIZE = (640, 480)


@pytest.fixture(scope="module")
def person():
    """The open body's 135 points of OpenPose, projected: (135,3) px, px, 1."""
    points = np.asarray(load_body("open").keypoints("openpose135", body_pose=np.full(63, 0.05)), np.float64)
    pixels = points[:, :2] * [200, -200] + [320, 240]
    return np.column_stack([pixels, np.full(135, 0.9)])


def order_of(person, skeleton):
    """The person's points in another order; what it does not have is not there."""
    out = np.zeros((len(skeletons.get(skeleton)), 3))
    a, b = skeletons.mapping("openpose135", skeleton)
    out[b] = person[a]
    return out


def same(found, person, skeleton):
    """Whether everything that both name lies at the same place, with the same confidence."""
    a, b = skeletons.mapping(skeleton, "openpose135")
    assert len(a) >= 12
    there = found[a, 2] > 0
    assert there.sum() >= 12
    np.testing.assert_allclose(found[a][there], person[b][there], atol=1e-6)


def openpose_entry(person, body="openpose25"):
    face = np.zeros((70, 3))
    face[17:68], face[:17] = person[67:118], person[118:135]
    return {
        "person_id": [-1],
        "pose_keypoints_2d": order_of(person, body).ravel().tolist(),
        "face_keypoints_2d": face.ravel().tolist(),
        "hand_left_keypoints_2d": person[25:46].ravel().tolist(),
        "hand_right_keypoints_2d": person[46:67].ravel().tolist(),
    }


def save(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("body", ["openpose25", "openpose25b", "openpose18"])
def test_openpose_with_hands_and_face(tmp_path, person, body):
    save(tmp_path / "b_keypoints.json", {"version": 1.3, "people": []})
    save(tmp_path / "a_keypoints.json", {"people": [openpose_entry(person, body)] * 2})
    found = read_keypoints(tmp_path)
    assert found.skeleton == "openpose135"
    assert [p.name for p in found.pictures] == ["a", "b"]
    assert [len(p.points) for p in found.pictures] == [2, 0]
    assert found.video is None
    for one in found.pictures[0].points:
        same(one, person, "openpose135")
        np.testing.assert_allclose(one[25:], person[25:], atol=1e-6)


@pytest.mark.parametrize("body", ["openpose25", "openpose25b", "openpose18"])
def test_openpose_bodies_are_told_apart(tmp_path, person, body):
    entry = {"pose_keypoints_2d": order_of(person, body).ravel().tolist()}
    found = read_keypoints(save(tmp_path / "x.json", {"people": [entry]}))
    assert found.skeleton == body
    same(found.pictures[0].points[0], person, body)


@pytest.mark.parametrize(("people", "points"), [("people", "pose_keypoints"), ("bodies", "joints")])
def test_older_namings(tmp_path, person, people, points):
    entry = {points: order_of(person, "openpose18").ravel().tolist()}
    found = read_keypoints(save(tmp_path / "x.json", {"version": 0.1, people: [entry]}))
    same(found.pictures[0].points[0], person, "openpose18")


def test_openpose_frames_of_a_video(tmp_path, person):
    for t in range(12):
        entry = openpose_entry(person) | {"person_id": [3], "gender_pd": "female"}
        save(tmp_path / f"walk_{t:012d}_keypoints.json", {"people": [entry]})
    found = read_keypoints(tmp_path)
    assert found.video
    assert len(found.pictures) == 12
    assert found.pictures[2].identity == (3,)
    assert found.pictures[2].gender == ("female",)
    assert found.pictures[2].name == "walk_000000000002"


@pytest.mark.parametrize("skeleton", ["coco17", "halpe26", "coco133", "halpe136"])
def test_lists_of_people(tmp_path, person, skeleton):
    points = order_of(person, skeleton)
    entry = {"image_id": "b.jpg", "category_id": 1, "keypoints": points.ravel().tolist(), "score": 3.1, "idx": 7}
    other = entry | {"image_id": "a10.jpg", "idx": 2}
    found = read_keypoints(save(tmp_path / "alphapose-results.json", [entry, other, entry | {"image_id": "a9.jpg"}]))
    assert found.skeleton == skeleton
    assert [p.name for p in found.pictures] == ["a9", "a10", "b"]
    assert found.pictures[1].identity == (2,)
    same(found.pictures[0].points[0], person, skeleton)
    results = read_keypoints(save(tmp_path / "results.json", [entry | {"image_id": 139}]))
    assert results.pictures[0].name == "139"
    assert results.kind.startswith("COCO results")


def test_coco_wholebody_annotations(tmp_path, person):
    points = order_of(person, "coco133")
    points[:, 2] = 2
    points[5] = 0
    parts = dict(
        zip(
            ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"),
            np.split(points[17:], [6, 74, 95]),
            strict=True,
        )
    )
    annotation = {"image_id": 4, "id": 1, "keypoints": points[:17].ravel().tolist(), "iscrowd": 0}
    annotation |= {name: part.ravel().tolist() for name, part in parts.items()}
    images = [{"id": 4, "file_name": "000000000004.jpg", "width": 640, "height": 480}, {"id": 5, "file_name": "c.png"}]
    content = {"images": images, "annotations": [annotation, annotation | {"iscrowd": 1}]}
    found = read_keypoints(save(tmp_path / "coco.json", content))
    assert found.skeleton == "coco133"
    assert [p.name for p in found.pictures] == ["000000000004", "c"]
    picture = found.pictures[0]
    assert picture.size == SIZE
    assert picture.points.shape == (1, 133, 3)
    assert picture.points[0, 5].tolist() == [0, 0, 0]
    assert set(picture.points[0, :, 2]) == {0.0, 1.0}


def test_mmpose_predictions(tmp_path, person):
    points = order_of(person, "coco17")
    one = {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(), "bbox": [[0, 0, 9, 9]]}
    frames = [{"frame_id": t, "instances": [one] * t} for t in range(3)]
    found = read_keypoints(save(tmp_path / "v.json", {"meta_info": {}, "instance_info": frames}))
    assert found.video
    assert [len(p.points) for p in found.pictures] == [0, 1, 2]
    same(found.pictures[2].points[1], person, "coco17")
    still = read_keypoints(save(tmp_path / "photo.json", [one, one]))
    assert [p.name for p in still.pictures] == ["photo"]
    assert len(still.pictures[0].points) == 2


def landmarks(points):
    shares = (points[:, :2] + 0.5) / SIZE
    return [
        {"x": x, "y": y, "z": 0.0, "visibility": c}
        for (x, y), c in zip(shares.tolist(), points[:, 2].tolist(), strict=True)
    ]


def test_mediapipe_landmarks(tmp_path, person):
    pose = landmarks(order_of(person, "blazepose33"))
    path = save(tmp_path / "p.json", pose)
    with pytest.raises(InputError, match="--size"):
        read_keypoints(path)
    found = read_keypoints(path, size=lambda name: {"p": SIZE}[name])
    assert found.skeleton == "blazepose33"
    assert found.pictures[0].size == SIZE
    same(found.pictures[0].points[0], person, "blazepose33")
    mesh = np.zeros((478, 3))
    mesh[list(FACE68)] = np.concatenate([person[118:135], person[67:118]])
    whole = {
        "image_width": 640,
        "image_height": 480,
        "poseLandmarks": {"landmark": pose},
        "leftHandLandmarks": landmarks(person[25:46]),
        "rightHandLandmarks": None,
        "faceLandmarks": [landmarks(mesh)],
    }
    found = read_keypoints(save(tmp_path / "w.json", {"frames": [whole, None, whole]}))
    assert found.skeleton == "openpose135"
    assert found.video
    assert [len(p.points) for p in found.pictures] == [1, 0, 1]
    points = found.pictures[2].points[0]
    np.testing.assert_allclose(points[25:46], person[25:46], atol=1e-6)
    np.testing.assert_allclose(points[67:], person[67:], atol=1e-6)
    assert not points[47:67, 2].all()


def test_face_map_is_symmetric():
    names = (*skeletons.get("coco133").joint_names[23:91],)
    assert len(set(FACE68)) == 68
    pairs = {(n, n.replace("left", "right")) for n in names if n.startswith("left")}
    at = dict(zip(names, FACE68, strict=True))
    # in the mesh the person's right half has the smaller numbers, up to the middle line
    middle = {at[n] for n in names if "left" not in n and "right" not in n}
    assert all(at[left] > at[right] for left, right in pairs)
    assert len(middle) == 10


def test_our_own_arrays(tmp_path, person, rng):
    points = rng.uniform(1, 400, (2, 5, 17, 3))
    points[..., 2] = rng.uniform(0.1, 1, points.shape[:3])
    points[1, 3] = 0
    path = tmp_path / "k.npz"
    write_keypoints(path, points, "coco17", fps=25.0, image_size=SIZE, track_id=[4, 9])
    found = read_keypoints(path)
    assert found.skeleton == "coco17"
    assert found.fps == 25
    assert found.video
    assert [p.identity for p in found.pictures][2:4] == [(4, 9), (4,)]
    np.testing.assert_allclose(found.pictures[4].points, points[:, 4], atol=1e-4)
    assert found.pictures[0].size == SIZE
    np.savez(tmp_path / "plain.npz", keypoints2d=points[0, 0])
    with pytest.raises(InputError, match="--skeleton"):
        read_keypoints(tmp_path / "plain.npz")
    assert read_keypoints(tmp_path / "plain.npz", skeleton="coco17").pictures[0].points.shape == (1, 17, 3)


def test_joints_in_space_are_a_recording(tmp_path):
    joints = np.asarray(load_body("open").joints_only(), np.float64)[None, :24]
    np.savez(tmp_path / "j.npz", joints=joints, skeleton="smpl24", axes="y-up")
    found = read_points(tmp_path / "j.npz")
    assert isinstance(found, Recording)
    assert found.what == "joints"
    assert found.points.shape == (1, 24, 3)
    with pytest.raises(InputError, match="3D joints"):
        read_keypoints(tmp_path / "j.npz")


def test_points_that_are_not_there(tmp_path):
    rows = np.column_stack([np.arange(17) + 5.0, np.arange(17) + 9.0, np.full(17, 0.5)]).tolist()
    rows[1], rows[2], rows[3], rows[4], rows[5] = [0, 0, 0], [1.0, None, 1], [3, 4, -1], [3, 4, 7.5], [1e9, 2, 1]
    found = read_keypoints(save(tmp_path / "r.json", [{"image_id": 1, "keypoints": rows}]))
    points = found.pictures[0].points[0]
    assert (points[[1, 2, 3, 5]] == 0).all()
    assert points[4].tolist() == [3, 4, 1]
    assert points[0].tolist() == [5, 9, 0.5]
    text = '[{"image_id": 1, "keypoints": [' + ", ".join(["NaN, 1.0, 0.5"] * 17) + "]}]"
    (tmp_path / "n.json").write_text(text)
    assert not read_keypoints(tmp_path / "n.json").pictures[0].points.any()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "damaged JSON"),
        ('{"people": {}}', "no keypoints that are known"),
        ('{"people": [3]}', "people\\[0\\] is int"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "2 numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "bodies of 1 points"),
        ('{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}', "no list of points"),
        ('{"people": [{"hand_left_keypoints_2d": [1, 2, 3]}]}', "1 points; expected 21"),
        ('[{"keypoints": [1, 2, 3]}]', "lacks image_id"),
        ('[{"image_id": 1, "keypoints": [1, 2, 3]}]', "1 points a person"),
        ('[{"image_id": 1, "keypoints": {}}]', "no list of points|shape"),
        ('{"annotations": 3}', "no keypoints"),
        ('{"annotations": [], "images": {}}', "list of objects"),
        ('{"a": 1}', "keys a"),
        ("7", "int"),
        ('{"pose_landmarks": [{"x": 1, "y": 2}], "width": 9, "height": 9}', "1 landmarks; expected 33"),
        ('{"keypoints2d": [[1, 2], [3]]}', "no array of numbers"),
    ],
)
def test_broken_files_are_named(tmp_path, content, told):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(InputError, match=told) as error:
        read_keypoints(path)
    assert "broken.json" in str(error.value)


def test_what_is_often_mistaken_for_keypoints(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    with pytest.raises(InputError, match="capture"):
        read_keypoints(tmp_path / "a.jpg")
    (tmp_path / "000.pkl").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(InputError, match="monocap export"):
        read_keypoints(tmp_path / "000.pkl")


def test_folders(tmp_path, person):
    for name in ("walk", "run"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "1_keypoints.json", {"people": [openpose_entry(person)]})
    assert [name for name, _ in find_keypoints(tmp_path)] == ["run", "walk"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="OpenPose"):
        find_keypoints(tmp_path / "none")
    with pytest.raises(InputError, match="no such file"):
        find_keypoints(tmp_path / "absent")
    save(tmp_path / "a.json", [{"image_id": "a.jpg", "keypoints": order_of(person, "coco17").ravel().tolist()}])
    save(tmp_path / "b.json", [])
    found = read_keypoints(tmp_path)
    assert [(p.name, len(p.points)) for p in found.pictures] == [("a", 1), ("b", 0)]


def test_random_json_raises_only_input_errors(tmp_path, person, rng):
    """Values of a good file replaced by others at random."""
    base = {"people": [openpose_entry(person)], "annotations": [{"image_id": 1, "keypoints": [1, 2, 3] * 17}]}
    odd = [None, "x", -1, 1e300, [], {}, [None], [[1]], True, float("nan")]

    def broken(value, depth=0):
        if rng.random() < 0.12:
            return odd[rng.integers(len(odd))]
        if isinstance(value, dict):
            return {k: broken(v, depth + 1) for k, v in value.items() if rng.random() > 0.1}
        return [broken(v, depth + 1) for v in value[: rng.integers(1, 80)]] if isinstance(value, list) else value

    path = tmp_path / "f.json"
    for _ in range(150):
        path.write_text(json.dumps(broken(base)))
        with contextlib.suppress(InputError):
            for picture in read_keypoints(path).pictures:
                assert np.isfinite(picture.points).all()
