"""Who is who, with puppets instead of networks: crossings, hiding, leaving, cuts, ghosts and crowds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from puppets import Puppet, PuppetDetector, PuppetNetwork, Scene

from monocap.perception import PeopleTracker
from monocap.perception.cuts import is_cut, thumbnail
from monocap.skeletons import get
from monocap.types import Keypoints

HIPS = get("blazepose33").indices(("left_hip", "right_hip"))
RED, BLUE, GREEN, GREY = (190, 40, 40), (40, 60, 180), (40, 150, 60), (120, 120, 120)


def watch(
    frames: int, place: Callable[[int], list[Puppet]], **options: Any
) -> tuple[PeopleTracker, list[dict[int, Keypoints]], list[list[Puppet]], tuple[PuppetDetector, PuppetNetwork]]:
    """Track a scene that ``place`` makes anew for every frame."""
    scene = Scene()
    networks = PuppetDetector(scene), PuppetNetwork(scene)
    tracker = PeopleTracker(*networks, **options)  # type: ignore[arg-type]
    seen, truth = [], []
    for frame in range(frames):
        seen.append(tracker.step(scene.show(*place(frame))))
        truth.append(scene.visible)
    return tracker, seen, truth, networks


def colours_of(seen: list[dict[int, Keypoints]], truth: list[list[Puppet]]) -> dict[int, set[tuple[int, int, int]]]:
    """On puppets of which colours each id's hips ever lay; nobody near fails."""
    out: dict[int, set[tuple[int, int, int]]] = {}
    for frame, people in enumerate(seen):
        for identity, keypoints in people.items():
            x, y = keypoints.points2d[HIPS, :2].mean(0)
            nearest = min(truth[frame], key=lambda p: np.hypot(p.x - x, p.y - y))
            assert np.hypot(nearest.x - x, nearest.y - y) < 0.1 * nearest.height, f"frame {frame}"
            out.setdefault(identity, set()).add(nearest.colour)
        places = [tuple(k.points2d[HIPS, :2].mean(0).round(1)) for k in people.values()]
        assert len(set(places)) == len(places), f"frame {frame}: two ids on one body"
    return out


@pytest.mark.parametrize("speed", [4.0, 9.0])
@pytest.mark.parametrize("colours", [(RED, BLUE), (RED, RED)], ids=["different", "alike"])
def test_ids_survive_a_crossing(speed: float, colours: tuple[Any, Any]) -> None:
    def place(frame: int) -> list[Puppet]:
        return [
            Puppet(120 + speed * frame, 180, 200, colours[0]),
            Puppet(520 - speed * frame, 180, 190, colours[1]),
        ]

    count = int(400 / speed)
    tracker, seen, truth, _ = watch(count, place)
    assert tracker.confirmed == {0, 1}
    first, last = ({i: k.points2d[HIPS, 0].mean() for i, k in people.items()} for people in (seen[0], seen[-1]))
    assert set(first) == set(last) == {0, 1}
    assert np.sign(first[0] - first[1]) == -np.sign(last[0] - last[1]), "they passed each other, and so did the ids"
    if colours[0] != colours[1]:
        assert {len(of) for of in colours_of(seen, truth).values()} == {1}


def test_whoever_leaves_gets_the_id_back_and_somebody_else_does_not() -> None:
    def place(frame: int) -> list[Puppet]:
        if frame < 40:
            return [Puppet(320 + 12 * max(frame - 10, 0), 180, 200, RED)]
        if frame < 100:
            return [Puppet(320, 180, 200, BLUE)]
        return [Puppet(320, 180, 200, BLUE), Puppet(max(640 - 6 * (frame - 100), 500), 180, 200, RED)]

    tracker, seen, truth, _ = watch(150, place)
    assert tracker.confirmed == {0, 1}
    assert colours_of(seen, truth) == {0: {RED}, 1: {BLUE}}
    assert not any(0 in people for people in seen[42:100])
    assert 0 in seen[-1]


def test_a_cut_takes_nobody_along() -> None:
    scene = Scene()
    tracker = PeopleTracker(PuppetDetector(scene), PuppetNetwork(scene))  # type: ignore[arg-type]
    ids = []
    for frame in range(60):
        image = scene.show(Puppet(320, 180, 200, RED if frame < 30 else GREEN))
        backwards = np.ascontiguousarray(np.roll(image, 211, axis=0)[:, ::-1])  # another room, the puppet drawn on top
        backwards[90:280, 284:356] = GREEN
        ids.append(set(tracker.step(image if frame < 30 else backwards)))
    assert ids[29] == {0}
    assert ids[-1] == {1}


def test_ghosts_are_nobody() -> None:
    """A coat that the detector takes for a person, and in which the landmark network does not believe."""
    scene = Scene()
    detector = PuppetDetector(scene)
    tracker = PeopleTracker(detector, PuppetNetwork(scene))  # type: ignore[arg-type]
    coat = Puppet(100, 200, 150, GREY)
    detector.ghosts = [coat]
    for _ in range(20):
        assert tracker.step(scene.show()) == {}
    # and one that it believes in for three frames only
    detector.ghosts = []
    shown = [tracker.step(scene.show(coat)) for _ in range(3)]
    assert any(shown)
    for _ in range(10):
        assert tracker.step(scene.show()) == {}
    assert not tracker.people
    assert tracker.confirmed == frozenset()


def test_the_subject_gets_a_place_when_places_are_few() -> None:
    def place(frame: int) -> list[Puppet]:
        small = [Puppet(60 + 90 * i, 60, 70, GREY) for i in range(3)]
        return small if frame < 20 else [Puppet(330, 200, 260, RED), *small]

    _, seen, truth, _ = watch(40, place, limit=2)
    assert max(len(people) for people in seen) <= 2
    large = [identity for identity, of in colours_of(seen, truth).items() if of == {RED}]
    assert len(large) == 1
    assert large[0] in seen[-1]


def test_following_costs_one_look_per_person_and_frame() -> None:
    def place(frame: int) -> list[Puppet]:
        return [Puppet(120 + frame, 180, 150, RED), Puppet(480 - frame, 190, 160, BLUE)]

    _, seen, _, (detector, network) = watch(90, place)
    assert all(len(people) == 2 for people in seen)
    assert network.calls <= 2 * 90 + 10
    assert detector.calls <= 90 // 10 + 4


def test_cuts_are_told_from_light(rng: np.random.Generator) -> None:
    room = np.kron(rng.integers(0, 255, (9, 16, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    other = np.kron(rng.integers(0, 255, (9, 16, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    assert is_cut(thumbnail(room), thumbnail(other))
    assert not is_cut(thumbnail(room), thumbnail((room * 0.4 + 20).astype(np.uint8)))
    assert not is_cut(thumbnail(room), thumbnail(np.roll(room, 9, axis=1)))
    blank = thumbnail(np.full_like(room, 90))
    assert is_cut(thumbnail(room), blank)
    assert not is_cut(blank, thumbnail(np.zeros_like(room)))
    assert thumbnail(np.zeros((1, 1, 3), np.uint8)).shape == (18, 32, 3)
