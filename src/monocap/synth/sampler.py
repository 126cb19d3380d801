"""`Sampler`: from a number to a picture of people with exact truth; the same one in any order and any process.

All chance of sample n comes from ``numpy.random.SeedSequence([seed, n, attempt, concern, person])``: every concern
(people, layout, camera, clothes, backdrop, light, things, film) has a stream of its own, so that one more number drawn
by one of them moves none of the others. Whatever changes what a number means raises `SAMPLER_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from threadpoolctl import ThreadpoolController

from monocap.bodies import BodyModel, load_body
from monocap.data.synthetic import SKELETON, VISIBLE, SynthSample
from monocap.errors import InputError, MonocapError
from monocap.geometry import rotations, transforms
from monocap.geometry.cameras import project
from monocap.render.photograph import photograph
from monocap.render.scene import Scene, Surface
from monocap.synth import backgrounds, lens, props, truth
from monocap.synth.cameras import View, picture_size, random_view
from monocap.synth.layout import arrange
from monocap.synth.people import Person, random_person
from monocap.synth.poses import PoseSource, set_down
from monocap.synth.things import held_thing, seat_below
from monocap.synth.wardrobe import Outfit, Wardrobe
from monocap.types import Array, BodyParams

SAMPLER_VERSION = 1

_BLAS = ThreadpoolController()  # many small products: its threads would only wait for each other, at full load
_CONCERNS = ("people", "layout", "camera", "clothes", "backdrop", "light", "things", "film", "motion")
_ODDS = np.array([0.6, 0.22, 0.1, 0.08])  # of one to four people
_ATTEMPTS = 8  # arrangements before a number is given up: nobody has met the third
_VIEWS = 12  # cameras for one arrangement
_HEAD_TURN = 0.10  # rad, more than was captured: neck and head each
_NECK, _HEAD = slice(33, 36), slice(42, 45)  # in body_pose
_HOLDS, _BLURRED, _PROPPED = 0.12, 0.2, 0.35  # shares of people, pictures, pictures
_MEAN_STATURE = 1.35  # m, `truth.stature` of the mean body
_FEWEST = 4  # joints of the target that must be visible
_WEARERS = 32  # numbers in a row that share clothes in quality "fast": choosing them costs as much as a picture
_COARSE = 0.33  # rays along a pixel's side of a backdrop there

Split = Literal["train", "test"]
Quality = Literal["full", "fast"]


@dataclass(frozen=True)
class SynthSettings:
    """What pictures are wanted: ``size`` (w, h) px; ``aspects``: any usual aspect ratio, the longer side as long as
    that of ``size``; least and most ``people``; ``split`` holds out performers, skins, fabrics and backgrounds;
    ``quality`` fast: one ray per pixel, no shadows, coarser backdrops, clothes shared by 32 numbers in a row;
    ``backgrounds``: a folder of the user's own pictures; ``corpus``: folder of poses, None for the shipped priors;
    ``vertices``: keep them in the samples; ``like``: a folder of photographs whose colours and grain the pictures
    take on, ``refine``: an ONNX network that makes them more real (`monocap.synth.refine`; no picture may move people).

    Raises InputError for values that make no sense.
    """

    seed: int = 0
    size: tuple[int, int] = (224, 224)
    aspects: bool = False
    people: tuple[int, int] = (1, 4)
    split: Split = "train"
    quality: Quality = "full"
    corpus: Path | None = None
    backgrounds: Path | None = None
    vertices: bool = False
    like: Path | None = None
    refine: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed is {self.seed}; expected 0 or more")
        if not all(32 <= side <= 4096 for side in self.size):
            raise InputError(f"size is {self.size[0]} × {self.size[1]} pixels; expected 32 to 4096 each")
        least, most = self.people
        if not 1 <= least <= most <= len(_ODDS):
            raise InputError(f"people is {least}-{most}; expected a range within 1-{len(_ODDS)}")
        for what in ("backgrounds", "corpus", "like", "refine"):
            place: Path | None = getattr(self, what)
            if place is not None and not place.exists():
                raise InputError(f"--{what}: {place}: no such {'file' if what == 'refine' else 'folder'}")


class Sampler:
    """Makes samples of one `SynthSettings`. ``poses`` by default as the settings say."""

    def __init__(self, poses: PoseSource | None = None, settings: SynthSettings | None = None) -> None:
        self.settings = settings or SynthSettings()
        self.body: BodyModel = load_body("open")
        self.poses = poses or PoseSource(self.settings.corpus, self.settings.split)
        self._shared: dict[tuple[int, int, str], Outfit] = {}

    @cached_property
    def wardrobe(self) -> Wardrobe:
        return Wardrobe.load(self.body)

    @cached_property
    def refined(self) -> Callable[[SynthSample], SynthSample]:
        """What is done to a finished sample: nothing, unless the settings ask for more."""
        like, network = self.settings.like, self.settings.refine
        if like is None and network is None:
            return lambda sample: sample
        from monocap.synth.refine import Likeness, NetworkRefiner, Recheck, Refiner, refine  # the keypoint network

        refiners: list[Refiner] = [] if network is None else [NetworkRefiner(network, 1)]
        if like is not None:
            refiners.append(Likeness.of(like, max(self.settings.size)))
        check = Recheck(threads=1)
        return lambda sample: refine(sample, refiners, check)

    @_BLAS.wrap(limits=1, user_api="blas")
    def sample(self, number: int) -> SynthSample:
        """Picture and truth of ``number`` ≥ 0.

        Raises InputError for a negative number, or a picture of the user's that cannot be read.
        """
        if not 0 <= number < 1 << 63:
            raise InputError(f"sample number {number}; expected 0 or more")
        for attempt in range(_ATTEMPTS):
            made = self._attempt(_Chance(self.settings.seed, number, attempt))
            if made is not None:
                return self.refined(made)
        raise MonocapError(f"sample {number} of seed {self.settings.seed}: no camera sees anybody; please report it")

    # ------------------------------------------------------------------ one try
    def _attempt(self, chance: _Chance) -> SynthSample | None:
        settings = self.settings
        size = picture_size(chance("camera", 1), settings.size, settings.aspects)
        crowd = self._crowd(chance)
        rng, view = chance("camera"), None
        for _ in range(_VIEWS):
            view = random_view(rng, [one.vertices for one in crowd], [one.joints for one in crowd], size)
            if view is not None:
                break
        if view is None:
            return None
        crowd = [one.seen_from(view, self.body) for one in crowd]
        scene, outfits, told = self._scene(chance, crowd, view)
        shot = photograph(scene, supersample=2 if settings.quality == "full" else 1, shadows=settings.quality == "full")
        rng = chance("film")
        film = lens.Film.random(rng)
        image = lens.develop(shot, film, rng)
        joints = np.stack([self.body.keypoints(SKELETON, **one.parameters()) for one in crowd])
        table = truth.depths(self.body)
        seen = np.stack(
            [
                truth.visibility(shot, view.camera, joints[p], p, table, truth.stature(joints[p]) / _MEAN_STATURE)
                for p in range(len(crowd))
            ]
        )
        if (seen[view.target, :22] == VISIBLE).sum() < _FEWEST:
            return None
        names = crowd[0].parameters()
        params = {name: np.stack([one.parameters()[name] for one in crowd]).astype(np.float32) for name in names}
        pixels = np.array([int((shot.person == p).sum()) for p in range(len(crowd))], np.int32)
        about = {
            "number": chance.number,
            "seed": settings.seed,
            "sampler": SAMPLER_VERSION,
            "attempt": chance.attempt,
            "split": settings.split,
            "quality": settings.quality,
            "framing": view.framing,
            "target": view.target,
            "people": [
                {"look": one.person.look, "performer": one.performer, "posture": one.posture, "outfit": outfit}
                for one, outfit in zip(crowd, outfits, strict=True)
            ],
            **told,
            "film": _plain(film.describe()),
        }
        return SynthSample(
            image=image,
            depth=shot.depth,
            normal=shot.normal,
            person=shot.person,
            part=np.where(shot.person >= 0, shot.part, -1).astype(np.int16),
            params=BodyParams(**params),
            joints=joints.astype(np.float32),
            joints2d=np.stack([project(points, view.camera) for points in joints]).astype(np.float32),
            visibility=seen,
            box=np.stack([truth.box_of_body(one.vertices, view.camera) for one in crowd]).astype(np.float32),
            pixels=pixels,
            K=view.camera.K,
            T_world_camera=transforms.invert(view.T_camera_world),
            floor=view.floor,
            about=about,
            vertices=np.stack([one.vertices for one in crowd]).astype(np.float32) if settings.vertices else None,
        )

    def _crowd(self, chance: _Chance) -> list[_Standing]:
        """People on the floor of the world, beside each other."""
        least, most = self.settings.people
        odds = _ODDS[least - 1 : most]
        count = least + int(chance("layout", 1).choice(len(odds), p=odds / odds.sum()))
        crowd = []
        for p in range(count):
            rng = chance("people", p)
            person = random_person(rng, self.body)
            drawn = self.poses.draw(rng)
            pose = drawn.body_pose.copy()
            pose[_NECK] += _HEAD_TURN * rng.standard_normal(3)
            pose[_HEAD] += _HEAD_TURN * rng.standard_normal(3)
            pose = pose.astype(np.float32)  # what is kept is what is drawn
            given = {**person.parameters(), "body_pose": pose}
            placed, vertices, joints = set_down(rng, self.body, given)
            crowd.append(
                _Standing(
                    person, pose, drawn.performer, placed.posture, placed.global_orient, placed.transl, vertices, joints
                )
            )
        moves = arrange(chance("layout"), [one.joints for one in crowd])
        return [one.moved(move) for one, move in zip(crowd, moves, strict=True)]

    def _scene(self, chance: _Chance, crowd: list[_Standing], view: View) -> tuple[Scene, list[Any], dict[str, Any]]:
        """Everything that is photographed, and in words what that is."""
        settings = self.settings
        up, height = view.up, view.height
        surfaces: list[Surface] = []
        velocity: list[Array | None] = []
        outfits, things = [], []
        moving = chance("motion").random() < _BLURRED
        for p, one in enumerate(crowd):
            outfit = self._outfit(chance, p, one.person.look)
            outfits.append(outfit.describe())
            worn = outfit.surfaces(one.vertices, p)
            surfaces += worn
            if moving:
                later = outfit.surfaces(one.a_moment_later(chance("motion", p), self.body), p)
                velocity += [np.asarray(b.vertices) - np.asarray(a.vertices) for a, b in zip(worn, later, strict=True)]
            else:
                velocity += [None] * len(worn)
            rng = chance("things", p)
            for thing in (
                seat_below(rng, one.joints, one.vertices, up, height, one.posture),
                held_thing(rng, one.joints) if rng.random() < _HOLDS else None,
            ):
                if thing is not None:
                    surfaces.append(thing.surface)
                    velocity.append(None)
                    things.append(thing.name)
        rng = chance("things", len(crowd))
        if rng.random() < _PROPPED:
            boxes = np.array([[one.vertices.min(axis=0), one.vertices.max(axis=0)] for one in crowd])
            found = props.props(rng, props.Extent(boxes, up, height), settings.split)
            surfaces += found
            velocity += [None] * len(found)
            things += ["prop"] * len(found)
        rng = chance("backdrop")
        reach = max(float(one.vertices[:, 2].max()) for one in crowd) + 0.6  # walls stand behind everybody
        detail = backgrounds.DETAIL if settings.quality == "full" else _COARSE
        backdrop = backgrounds.backdrop(
            rng, view.camera, up, height, settings.split, settings.backgrounds, reach, detail
        )
        lights = backgrounds.room_lights(chance("light"), backdrop, up)
        scene = Scene(
            camera=view.camera,
            surfaces=tuple(surfaces),
            backdrop=backdrop,
            lamps=lights.lamps,
            sky=lights.sky,
            ground=lights.ground,
            up=(float(up[0]), float(up[1]), float(up[2])),
            velocity=tuple(velocity) if moving else (),
        )
        return scene, outfits, {"things": things, "moving": moving, "place": backdrop.name, "light": _plain(lights)}

    def _outfit(self, chance: _Chance, p: int, look: str) -> Outfit:
        if self.settings.quality == "full":
            return self.wardrobe.choose(chance("clothes", p), look, self.settings.split)
        block = _Chance(chance.seed, chance.number // _WEARERS, 0)
        key = (block.number, p, look)
        if key not in self._shared:
            while len(self._shared) >= 32:
                del self._shared[next(iter(self._shared))]
            self._shared[key] = self.wardrobe.choose(block("clothes", p), look, self.settings.split)
        return self._shared[key]


@dataclass(frozen=True, eq=False)
class _Standing:
    """One person with a pose and a place; first in the world, then in the camera."""

    person: Person
    body_pose: Array
    performer: str
    posture: str
    global_orient: Array
    transl: Array
    vertices: Array
    joints: Array

    def parameters(self) -> dict[str, Array]:
        return {
            **self.person.parameters(),
            "body_pose": self.body_pose,
            "global_orient": self.global_orient,
            "transl": self.transl,
        }

    def moved(self, move: Array) -> _Standing:
        return replace(self, transl=self.transl + move, vertices=self.vertices + move, joints=self.joints + move)

    def seen_from(self, view: View, body: BodyModel) -> _Standing:
        """The same in the camera frame; global orientation and translation rounded to float32, as they are kept."""
        pelvis = np.asarray(body.rest_joints(self.person.betas, self.person.expression)[0], np.float64)
        orient, transl = transforms.move_body(
            view.T_camera_world, self.global_orient.astype(np.float64), self.transl.astype(np.float64), pelvis
        )
        return replace(
            self,
            global_orient=np.asarray(orient, np.float32),
            transl=np.asarray(transl, np.float32),
            vertices=transforms.apply(view.T_camera_world, self.vertices),
            joints=transforms.apply(view.T_camera_world, self.joints),
        )

    def a_moment_later(self, rng: np.random.Generator, body: BodyModel) -> Array:
        """(V,3) vertices after one exposure: arms and legs swing, the whole body drifts."""
        exposure = rng.uniform(0.004, 0.025)  # s
        spin = rng.standard_normal((21, 3)) * rng.gamma(1.5, 0.7)  # rad/s
        spin[[2, 5, 8, 9, 10, 11, 12, 13, 14]] *= 0.3  # trunk and feet
        pose = self.body_pose + exposure * spin.reshape(63)
        drift = exposure * rng.standard_normal(3) * rng.gamma(1.5, 0.3)
        turn = rotations.axis_angle_to_matrix(self.global_orient)
        orient = rotations.matrix_to_axis_angle(
            rotations.axis_angle_to_matrix(exposure * 0.5 * rng.standard_normal(3)) @ turn
        )
        given = {**self.parameters(), "body_pose": pose, "global_orient": orient, "transl": self.transl + drift}
        return np.asarray(body(**{name: np.asarray(value, np.float32) for name, value in given.items()}).vertices)


@dataclass(frozen=True)
class _Chance:
    """Random streams of one sample, one for each concern and person."""

    seed: int
    number: int
    attempt: int

    def __call__(self, concern: str, person: int = 0) -> np.random.Generator:
        words = [self.seed, self.number, self.attempt, _CONCERNS.index(concern), person]
        return np.random.default_rng(np.random.SeedSequence(words))


def _plain(value: Any) -> Any:
    """Numbers, text, lists and tables only, for JSON; numbers to six digits."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    return value.item() if isinstance(value, np.generic) else str(value)
