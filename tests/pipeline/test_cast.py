"""Who was in a video: what was seen is kept whole, fragments are joined, ghosts dropped, the subject comes first."""

from __future__ import annotations

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.pipeline.cast import cast_of
from monocap.pipeline.sightings import Sightings
from monocap.types import Keypoints

WIDTH, HEIGHT = 640, 360


def looks(colour: int, share: float = 1.0) -> np.ndarray:
    """Every part in one colour, but for a rest."""
    out = np.zeros((4, 216), np.float32)
    out[:, colour] = share
    out[:, 215] += 1 - share
    return out


def keypoints(x: float, y: float = 180.0, height: float = 150.0, sure: float = 0.8) -> Keypoints:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.2, 0.2, 33), rng.uniform(-0.5, 0.5, 33), np.full(33, sure)])
    points[:, :2] = points[:, :2] * height + (x, y)
    return Keypoints("blazepose33", points.astype(np.float32), np.ones((33, 3), np.float32), sure)


def film(frames: int, people: dict[int, tuple[range, float, np.ndarray]], rate: float = 10.0) -> Sightings:
    """``people``: by id, the frames in which they are seen, where, and what they look like."""
    sightings = Sightings("blazepose33")
    for frame in range(frames):
        here = {i: one for i, one in people.items() if frame in one[0]}
        sightings.add(
            frame / rate, {i: keypoints(x) for i, (_, x, _) in here.items()}, {i: o[2] for i, o in here.items()}
        )
    return sightings


def test_tracks_are_as_long_as_the_video_and_valid_where_seen() -> None:
    cast = cast_of(film(40, {7: (range(5, 30), 300.0, looks(3))}), {7}, WIDTH, HEIGHT)
    (track,) = cast.tracks
    assert track.track_id == 0
    np.testing.assert_array_equal(np.flatnonzero(track.valid), np.arange(5, 30))
    assert track.points2d.shape == (40, 33, 3)
    np.testing.assert_array_equal(track.points2d[5], keypoints(300.0).points2d)
    assert not track.points2d[~track.valid].any()
    assert track.score[10] == pytest.approx(0.8)


def test_fragments_of_one_person_are_joined() -> None:
    people = {
        0: (range(0, 20), 100.0, looks(3)),
        1: (range(23, 60), 160.0, looks(3, 0.9)),  # soon after, near by, alike
        2: (range(0, 60), 400.0, looks(3)),  # alike, but there all the time
    }
    cast = cast_of(film(60, people), {0, 1, 2}, WIDTH, HEIGHT)
    assert sorted(int(track.valid.sum()) for track in cast.tracks) == [57, 60]


@pytest.mark.parametrize(
    "second",
    [
        (range(23, 60), 160.0, looks(100)),  # somebody else
        (range(21, 60), 620.0, looks(3)),  # too far away
        (range(15, 60), 110.0, looks(3)),  # both are seen at once
    ],
    ids=["other looks", "out of reach", "overlapping"],
)
def test_two_people_are_not_joined(second: tuple[range, float, np.ndarray]) -> None:
    cast = cast_of(film(60, {0: (range(0, 20), 100.0, looks(3)), 1: second}), {0, 1}, WIDTH, HEIGHT)
    assert len(cast.tracks) == 2


def test_a_gap_filled_by_another_id_is_one_person() -> None:
    sightings = Sightings("blazepose33")
    for frame in range(60):
        identity = 1 if 20 <= frame < 30 else 0
        sightings.add(frame / 10, {identity: keypoints(200.0 + frame)}, {identity: looks(3)})
    (track,) = cast_of(sightings, {0, 1}, WIDTH, HEIGHT).tracks
    assert track.valid.all()
    assert (np.diff(track.points2d[:, 0, 0]) > 0).all()


def test_ghosts_are_dropped_and_counted() -> None:
    people = {
        0: (range(0, 60), 300.0, looks(3)),
        1: (range(10, 13), 100.0, looks(100)),
        2: (range(60), 500.0, looks(9)),
    }
    cast = cast_of(film(60, people), {0, 1}, WIDTH, HEIGHT)  # 1 is short, 2 was never confirmed
    assert (len(cast.tracks), cast.doubtful) == (1, 2)


def test_the_subject_is_first_though_not_alone_in_the_first_frame() -> None:
    people = {
        0: (range(0, 60), 30.0, looks(3)),  # at the edge
        1: (range(0, 8), 300.0, looks(100)),  # in the middle, but gone soon
        2: (range(5, 60), 340.0, looks(50)),
    }
    sightings = film(60, people)
    cast = cast_of(sightings, {0, 1, 2}, WIDTH, HEIGHT)
    assert [int(np.flatnonzero(track.valid)[0]) for track in cast.tracks] == [5, 0, 0]
    assert [track.track_id for track in cast.tracks] == [0, 1, 2]
    fewer = cast_of(sightings, {0, 1, 2}, WIDTH, HEIGHT, most=1)
    assert (len(fewer.tracks), fewer.less_prominent) == (1, 2)
    np.testing.assert_array_equal(fewer.tracks[0].points2d, cast.tracks[0].points2d)


def test_a_single_frame_is_enough_where_there_is_no_more() -> None:
    assert len(cast_of(film(1, {0: (range(1), 300.0, looks(3))}), set(), WIDTH, HEIGHT).tracks) == 1
    assert cast_of(film(3, {}), set(), WIDTH, HEIGHT).tracks == []


def test_going_on_from_a_state_gives_the_same() -> None:
    people = {0: (range(0, 700), 300.0, looks(3)), 1: (range(50, 400), 100.0, looks(100))}
    whole, rest = film(700, people), Sightings("blazepose33")
    rest.restore(film(333, people).state())
    for frame in range(333, 700):
        here = {i: one for i, one in people.items() if frame in one[0]}
        rest.add(frame / 10, {i: keypoints(x) for i, (_, x, _) in here.items()}, {i: o[2] for i, o in here.items()})
    first, second = whole.state(), rest.state()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype != object
        np.testing.assert_array_equal(value, second[name])


def test_bad_sightings_are_refused() -> None:
    sightings = film(5, {0: (range(5), 300.0, looks(3))})
    state = sightings.state()
    with pytest.raises(InputError, match="points2d"):
        sightings.restore(state | {"points2d": state["points2d"][:, :10]})
    with pytest.raises(InputError, match="looks"):
        sightings.restore({name: value for name, value in state.items() if name != "looks"})
    with pytest.raises(InputError, match="coco17"):
        sightings.add(1.0, {0: Keypoints("coco17", np.zeros((17, 3)), np.zeros((17, 3)), 1.0)}, {})
