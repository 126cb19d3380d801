"""Regression networks at run time: the crop of a person → the turns of their joints, shape and place. ONNX, no torch.

What a network answers is about its crop. Two kinds of answer are brought into the picture's camera here (`Manner`):
of networks that were told where the crop lies and how wide the lens is (CLIFF's kind, ours), and of networks that take
the crop for a whole picture (HMR, SPIN, SMPLer, HMR 2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from monocap.errors import InputError
from monocap.geometry import cameras, rotations
from monocap.media.crops import check_image
from monocap.perception.roi import Roi, upright
from monocap.priors.limits import mirrored
from monocap.skeletons import get
from monocap.types import Array, BodyGuess, Camera

JOINTS = 22  # the root and 21 body joints; SMPL's two hands are left out
BETAS = 10
_BATCH = 8  # crops at once
# No landmark is at the crown: it lies so much beyond the ears, seen from the shoulders. And fingers and soles reach
# beyond the outermost landmarks: the side of the true box over that of theirs (400 poses of synth-v1).
_CROWN, _BEYOND = 0.55, 1.035


class PersonCrop(Protocol):
    """Which square of a picture a network sees, and in which numbers (`data.crop_families.CropFamily`)."""

    @property
    def shape(self) -> tuple[int, int]: ...
    def square(self, box: Array) -> tuple[Array, float]: ...
    def matrix(self, center: Array, size: float, rotation: float = 0.0) -> Array: ...
    def look(self, image: Array, matrix: Array) -> Array: ...
    def normalise(self, crop: Array) -> Array: ...


class Runnable(Protocol):
    """What of an ONNX session is needed."""

    def run(self, names: Sequence[str], given: dict[str, Array]) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Manner:
    """How a network is asked and understood.

    ``image`` and ``box`` name its inputs; no ``box``: it is not told where the crop lies. ``box_numbers``: "plain" are
    [cx, cy, side] / f, from the principal point; "cliff" CLIFF's. ``view``: its root and camera are as seen by the
    whole "picture"'s camera, or by one that looks at the middle of the "crop". ``shape``: whose betas it tells.
    ``pelvis``: where the pelvis of its body is, m, before the camera moves it.
    """

    image: str = "crop"
    box: str = "box"
    box_numbers: Literal["plain", "cliff"] = "plain"
    view: Literal["picture", "crop"] = "picture"
    shape: Literal["open", "smpl"] = "open"
    pelvis: tuple[float, float, float] = (0.0, 0.0, 0.0)


class BodyRegressor:
    """A network with outputs ``rotmats`` (n,22 or 24,3,3), ``betas`` (n,10), ``cam`` (n,3) = (s, tx, ty) and maybe
    ``attention``; see `Manner` for what it is given."""

    def __init__(self, network: Runnable, crop: PersonCrop, manner: Manner | None = None) -> None:
        self.crop, self.manner = crop, manner or Manner()
        self._network = network

    def estimate(self, image_rgb: Array, squares: Sequence[Roi], camera: Camera) -> BodyGuess:
        """The bodies (n,…) in ``squares`` of a picture (H,W,3) uint8, in ``camera``'s frame.

        Raises InputError for a picture that is none, or a network whose answers have other shapes, or are no numbers.
        """
        image = check_image(image_rgb)
        if not squares:
            return BodyGuess(np.zeros((0, 3 * JOINTS)), np.zeros((0, BETAS)), np.zeros((0, 3)))
        parts = [self._some(image, squares[k : k + _BATCH], camera) for k in range(0, len(squares), _BATCH)]
        return BodyGuess(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("pose", "betas", "pelvis")))

    def estimate_twice(self, image_rgb: Array, squares: Sequence[Roi], camera: Camera) -> BodyGuess:
        """As `estimate`, the mean of what is said of the picture and of its mirror image, whose errors are others."""
        straight = self.estimate(image_rgb, squares, camera)
        last = camera.width - 1
        aside = replace(camera, cx=last - camera.cx)
        there = [Roi(np.array([last - s.center[0], s.center[1]]), s.size, -s.rotation) for s in squares]
        back = self.estimate(np.ascontiguousarray(image_rgb[:, ::-1]), there, aside)
        root = back.pose[:, :3] * [1.0, -1.0, -1.0]
        both = np.stack([straight.pose, np.concatenate([root, mirrored(back.pose[:, 3:])], axis=1)])
        turns = rotations.axis_angle_to_matrix(both.reshape(2, -1, JOINTS, 3)).mean(axis=0)
        pose = rotations.matrix_to_axis_angle(rotations.project_to_so3(turns)).reshape(len(squares), -1)
        pelvis = (straight.pelvis + back.pelvis * [-1.0, 1.0, 1.0]) / 2
        return BodyGuess(pose, (straight.betas + back.betas) / 2, pelvis)

    def attention(self, image_rgb: Array, square: Roi, camera: Camera) -> tuple[Array, Array]:
        """Where each joint looked, (…,h,w) as the network tells it, and the crop (h,w,3) uint8 that it looked at.

        Raises InputError for a network that does not tell.
        """
        crop = self._looked(check_image(image_rgb), square)
        try:
            (weights,) = self._network.run(["attention"], self._given([crop], [square], camera))
        except Exception as error:  # ONNX Runtime raises classes that are not public
            raise InputError(
                "this network does not tell where it looks; expected an output called attention"
            ) from error
        return np.asarray(weights)[0], crop

    def _some(self, image: Array, squares: Sequence[Roi], camera: Camera) -> BodyGuess:
        given = self._given([self._looked(image, square) for square in squares], squares, camera)
        names = ("rotmats", "betas", "cam")
        rotmats, betas, cam = (np.asarray(v, np.float64) for v in self._network.run(list(names), given))
        count = len(squares)
        right = rotmats.ndim == 4 and rotmats.shape[0] == count and rotmats.shape[1] >= JOINTS
        right &= rotmats.shape[-2:] == (3, 3) and betas.shape == (count, BETAS) and cam.shape == (count, 3)
        if not right or not all(np.isfinite(v).all() for v in (rotmats, betas, cam)):
            raise InputError(
                f"the network answers rotmats {rotmats.shape}, betas {betas.shape}, cam {cam.shape}; expected finite "
                f"({count}, {JOINTS} or 24, 3, 3), ({count}, {BETAS}), ({count}, 3)"
            )
        turned = rotmats[:, :JOINTS].copy()
        root, pelvis = self._in_camera(turned[:, 0], cam, squares, camera)
        turned[:, 0] = root
        pose = rotations.matrix_to_axis_angle(turned).reshape(count, -1)
        return BodyGuess(pose, betas, pelvis)

    def _looked(self, image: Array, square: Roi) -> Array:
        return self.crop.look(image, self.crop.matrix(square.center, square.size, square.rotation))

    def _given(self, crops: Sequence[Array], squares: Sequence[Roi], camera: Camera) -> dict[str, Array]:
        given = {self.manner.image: np.stack([self.crop.normalise(crop) for crop in crops])}
        if self.manner.box:
            center, size, focal = _placed(squares, camera)
            numbers = cameras.box_info(center, size, np.zeros(2), focal, self.manner.box_numbers == "cliff")
            given[self.manner.box] = np.asarray(numbers, np.float32)
        return given

    def _in_camera(self, root: Array, cam: Array, squares: Sequence[Roi], camera: Camera) -> tuple[Array, Array]:
        """The root's rotations (n,3,3) and the pelvis (n,3) m, from those in the axes of the turned crops."""
        center, size, focal = _placed(squares, camera)
        cam = np.concatenate([np.maximum(cam[:, :1], 1e-3), cam[:, 1:]], axis=1)  # nobody stands behind the camera
        pelvis = cameras.crop_to_full_translation(cam, center, size, np.zeros(2), focal) + self.manner.pelvis
        back = np.swapaxes(_turns(squares), 1, 2)
        pelvis = (back @ pelvis[..., None])[..., 0]
        if self.manner.view == "picture":
            return back @ root, pelvis
        rolls = np.array([square.rotation for square in squares])
        rays = cameras.ray_of(np.stack([square.center for square in squares]), camera)
        return cameras.look_rotation(rays, rolls) @ root, pelvis


def body_square(points2d: Array, crop: PersonCrop, camera: Camera, upright_from: float = np.inf) -> Roi:
    """The square in which ``crop``'s networks want to see the person with BlazePose's landmarks (33,3): px, px, conf.

    As in training it encloses the whole body, hidden or not, as far as it lies in the picture. Where the torso leans by
    ``upright_from`` rad or more, the square is turned so that it stands.
    """
    skeleton = get("blazepose33")
    points = np.asarray(points2d, np.float64)[:, :2]
    shoulders, hips, ears = (
        points[skeleton.indices((f"left_{part}", f"right_{part}"))].mean(axis=0) for part in ("shoulder", "hip", "ear")
    )
    lean = upright(shoulders - hips)
    lean = lean if abs(lean) >= upright_from else 0.0
    points = np.concatenate([points, [ears + _CROWN * (ears - shoulders)]])
    return enclosing_square(points, crop, camera, lean)


def enclosing_square(points: Array, crop: PersonCrop, camera: Camera, lean: float = 0.0) -> Roi:
    """The square in which ``crop``'s networks want to see the body whose joints and crown are at points (N,2) px, as
    far as it lies in the picture; turned clockwise by ``lean`` rad."""
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    pad = (_BEYOND - 1) / 2 * float((high - low).max())
    if lean == 0.0:
        low, high = low - pad, high + pad
        edge = np.array([camera.width - 0.5, camera.height - 0.5])
        inside = np.clip([low, high], -0.5, edge)
        low, high = inside if (inside[1] - inside[0]).min() >= 1.0 else (low, high)
        center, size = crop.square(np.concatenate([low, high]))
        return Roi(center, max(size, 1.0))
    edge = np.array([camera.width - 0.5, camera.height - 0.5])
    points = np.clip(points, -0.5, edge)
    turn = _turn(lean)[:2, :2]
    points = points @ turn.T
    box = np.concatenate([points.min(axis=0) - pad, points.max(axis=0) + pad])
    center, size = crop.square(box)
    return Roi(center @ turn, max(size, 1.0), lean)


def _placed(squares: Sequence[Roi], camera: Camera) -> tuple[Array, Array, float]:
    """Centres (n,2) px from the principal point, turned as the crops are, sides (n,) px, and the focal length px."""
    away = np.stack([square.center for square in squares]) - [camera.cx, camera.cy]
    center = (_turns(squares)[:, :2, :2] @ away[..., None])[..., 0]
    return center, np.array([square.size for square in squares]), float(np.sqrt(camera.fx * camera.fy))


def _turns(squares: Sequence[Roi]) -> Array:
    return np.stack([_turn(square.rotation) for square in squares])


def _turn(rotation: float) -> Array:
    """(3,3) the camera's axes to those of a crop turned clockwise by ``rotation``."""
    return rotations.axis_angle_to_matrix(np.array([0.0, 0.0, -rotation]))
