"""People of keypoint files matched over frames, and points of other skeletons in the order that is fitted."""

import numpy as np
import pytest

from monocap import skeletons
from monocap.data.keypoint_files import KeypointPicture
from monocap.pipeline.keypoint_fit.fitting import body_file, to_fit
from monocap.pipeline.keypoint_fit.outputs import check_formats, file_names
from monocap.pipeline.keypoint_fit.people import by_prominence, follow

SIZE = (1000, 800)


def person(x, size=200.0, seed=0):
    """(17,3) random points of a person of that size about x."""
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (17, 2)) * [0.4 * size, size] + [x, 400]
    return np.column_stack([points, np.full(17, 0.8)])


def pictures_of(paths, frames, rng, identity=False):
    """People walk along x, in a new order in every frame."""
    out = []
    for t in range(frames):
        seen = [(k, person(path(t), seed=k)) for k, path in enumerate(paths) if path(t) is not None]
        rng.shuffle(seen)
        points = np.stack([p for _, p in seen]) if seen else np.zeros((0, 17, 3))
        ids = tuple(10 + k for k, _ in seen) if identity else ()
        out.append(KeypointPicture(f"{t:04d}", points, ids, size=SIZE))
    return out


@pytest.mark.parametrize("identity", [False, True])
def test_crossing_people_keep_their_tracks(rng, identity):
    paths = [lambda t: 100 + 20 * t, lambda t: 900 - 20 * t, lambda t: 500 if 5 <= t < 8 or t >= 20 else None]
    frames = 41
    pictures = pictures_of(paths, frames, rng, identity)
    found, notes = follow(pictures, "coco17", range(frames), 30.0, frames)
    assert len(found) == 3
    assert notes == []
    tracks = [p.track for p in found]
    assert [t.track_id for t in tracks] == [0, 1, 2]
    middles = np.array([np.where(t.valid, t.points2d[..., 0].mean(axis=1), np.nan) for t in tracks])
    # everybody's place is a smooth path, whatever order the people came in
    for middle in middles:
        steps = np.abs(np.diff(middle))
        assert np.nanmax(steps) < 30
    assert sorted(int(t.valid.sum()) for t in tracks) == [24, 41, 41]


def test_short_sightings_and_most(rng):
    pictures = pictures_of([lambda t: 300, lambda t: 700 if t == 4 else None], 20, rng)
    found, notes = follow(pictures, "coco17", range(20), 30.0, 25)
    assert len(found) == 1
    assert "left out" in notes[0]
    assert found[0].track.valid.tolist() == [True] * 20 + [False] * 5
    both, notes = follow(pictures_of([lambda t: 300, lambda t: 700], 5, rng), "coco17", range(5), 30.0, 5, most=1)
    assert len(both) == 1
    assert "--people" in notes[0]
    assert follow([], "coco17", [], 30.0, 0) == ([], [])


def test_the_subject_comes_first():
    points = np.stack([person(100, 80), person(500, 400), np.zeros((17, 3))])
    assert by_prominence(KeypointPicture("a", points, size=SIZE)) == [1, 0]
    assert by_prominence(KeypointPicture("a", points, size=SIZE), most=1) == [1]


@pytest.mark.parametrize("skeleton", ["coco17", "halpe26", "coco133", "halpe136", "openpose25b", "blazepose33"])
def test_points_are_fitted_by_meaning(skeleton, rng):
    points = rng.uniform(10, 500, (2, len(skeletons.get(skeleton)), 3))
    points[..., 2] = 0.7
    fitted, target = to_fit(points, skeleton)
    names, own = skeletons.get(target).joint_names, skeletons.get(skeleton).joint_names
    assert fitted.shape == (2, len(names), 3)
    for name in ("left_ankle", "right_wrist", "nose", "left_eye"):
        np.testing.assert_array_equal(fitted[:, names.index(name)], points[:, own.index(name)])
    for middle in ("mid_hip", "neck"):
        given = names.index(middle) in skeletons.mapping(skeleton, target)[1]
        assert fitted[:, names.index(middle), 2].any() == given, "nothing is made up"
    assert target == {"coco133": "openpose135", "halpe136": "openpose135"}.get(skeleton, target)


def test_bodies_by_gender(tmp_path):
    (tmp_path / "SMPLX_MALE.npz").touch()
    assert body_file(str(tmp_path), "male").endswith("SMPLX_MALE.npz")
    assert body_file("open", "neutral") == "open"
    for body, gender in ((str(tmp_path), "female"), ("open", "male")):
        with pytest.raises(ValueError, match="SMPLX_"):
            body_file(body, gender)


def test_names_and_formats():
    assert file_names(["a/b", "A_b", "", "../x", "ü.1"]) == ["a_b", "A_b_2", "picture", "x", "ü.1"]
    assert check_formats(None, True) == ("npz", "glb", "bvh")
    for wrong in (["fbx"], []):
        with pytest.raises(ValueError, match="expected some of"):
            check_formats(wrong, False)
