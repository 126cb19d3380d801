"""A video of one synthetic person with exact truth: motion capture on a dressed body, before a still camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.geometry import transforms
from monocap.render.photograph import photograph
from monocap.render.scene import Scene
from monocap.synth import backgrounds, lens
from monocap.synth.cameras import View, look_at
from monocap.synth.people import random_person
from monocap.synth.wardrobe import Wardrobe
from monocap.types import Array, Camera

_FOCAL = 1.1  # widths of the picture
_DETAIL = 0.5  # rays along a pixel of the backdrop
_SHARE = 0.85  # of the picture that the whole motion takes


@dataclass(frozen=True)
class ClipFrame:
    """``image`` (H,W,3) uint8; ``points`` (127,3) m, skeleton ``smplx127``, in the camera."""

    image: Array
    points: Array


class SyntheticClip:
    """The same person, clothes, place, light and camera in every frame, drawn by ``seed``.

    ``body_pose`` (T,63), ``global_orient`` (T,3), ``transl`` (T,3) in a world with y up, as `data.mocap.retarget` gives
    them; ``size`` (w, h) px; ``azimuth`` rad of the camera about the middle of the motion. ``camera``; ``betas`` (16,);
    ``floor`` (4,) in the camera. Raises InputError for arrays that do not fit.
    """

    def __init__(
        self,
        body: BodyModel,
        body_pose: Array,
        global_orient: Array,
        transl: Array,
        seed: int,
        size: tuple[int, int] = (640, 360),
        azimuth: float = 0.4,
        split: str = "test",
    ) -> None:
        frames = len(body_pose)
        if frames < 1 or body_pose.shape != (frames, 63) or {global_orient.shape, transl.shape} != {(frames, 3)}:
            raise InputError(
                f"poses {body_pose.shape}, {global_orient.shape}, {transl.shape}; expected (T,63), (T,3), (T,3)"
            )
        self._rng = lambda concern: np.random.default_rng([seed, concern])
        self._body = body
        self._person = random_person(self._rng(0), body)
        self.betas = np.asarray(self._person.betas)
        self._poses = body_pose, global_orient, np.array(transl, np.float64)
        some = range(0, frames, max(1, frames // 20))
        vertices = np.stack([self._posed(t)[::7] for t in some])
        self._poses[2][:, 1] -= np.percentile(vertices[..., 1].min(axis=1), 10)
        region = np.stack([self._posed(t)[::7] for t in some]).reshape(-1, 3)
        self.view = _whole(region, size, azimuth)
        self.camera: Camera = self.view.camera
        self.floor = self.view.floor
        look = self._person.look
        self._outfit = Wardrobe.load(body).choose(self._rng(1), look, split)  # type: ignore[arg-type]
        reach = float(transforms.apply(self.view.T_camera_world, region)[:, 2].max()) + 0.6
        up, height = self.view.up, self.view.height
        backdrop = backgrounds.backdrop(
            self._rng(2), self.camera, up, height, split, None, reach, _DETAIL  # type: ignore[arg-type]
        )  # fmt: skip
        lights = backgrounds.room_lights(self._rng(3), backdrop, up)
        self._scene = Scene(
            camera=self.camera,
            surfaces=(),
            backdrop=backdrop,
            lamps=lights.lamps,
            sky=lights.sky,
            ground=lights.ground,
            up=(float(up[0]), float(up[1]), float(up[2])),
        )
        self._film = lens.Film.random(self._rng(4))

    def __len__(self) -> int:
        return len(self._poses[0])

    def __iter__(self) -> Iterator[ClipFrame]:
        for t in range(len(self)):
            vertices = transforms.apply(self.view.T_camera_world, self._posed(t))
            scene = replace(self._scene, surfaces=tuple(self._outfit.surfaces(vertices, 0)))
            shot = photograph(scene, supersample=1, shadows=False)
            image = lens.develop(shot, self._film, np.random.default_rng([7, t]))
            points = self._body.keypoints("smplx127", **self._parameters(t))
            yield ClipFrame(image, transforms.apply(self.view.T_camera_world, np.asarray(points, np.float64)))

    def _parameters(self, t: int) -> dict[str, Array]:
        pose, orient, transl = self._poses
        posed = {"body_pose": pose[t], "global_orient": orient[t], "transl": transl[t]}
        return {name: np.asarray(v, np.float64) for name, v in {**self._person.parameters(), **posed}.items()}

    def _posed(self, t: int) -> Array:
        return np.asarray(self._body(**self._parameters(t)).vertices, np.float64)


def _whole(region: Array, size: tuple[int, int], azimuth: float) -> View:
    """A level camera 1.4 m above the floor that sees all of a region (N,3)."""
    width, height = size
    focal = _FOCAL * max(size)
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    middle = (region.min(axis=0) + region.max(axis=0)) / 2
    distance, transform = 4.0, np.eye(4)
    for _ in range(8):
        transform = look_at(middle, distance, 1.4, azimuth, np.eye(3))
        seen = transforms.apply(transform, region)
        flat = np.abs(seen[:, :2] / np.maximum(seen[:, 2:], 0.3)) * focal
        distance = max(1.5, distance * float(np.clip((flat / [width / 2, height / 2]).max() / _SHARE, 0.5, 2.0)))
    return View(camera, transform, "full", 0)
