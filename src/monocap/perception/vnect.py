"""VNect at run time: squares of a picture → joints in it and, read where one likes, in space. ONNX, no torch.

The network answers with a heatmap and three location maps per joint (`location_maps`), metres about the pelvis of a
person of normalised height (`skeletons.vnect.KNEE_NECK`). ``axes`` tells in whose view: the "camera"'s of the whole
picture, as the published network was trained, or that of one that looks at the middle of the "crop" and is turned as
the crop is, for a crop does not show where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from monocap import skeletons
from monocap.errors import InputError
from monocap.geometry import cameras, rotations
from monocap.geometry.crops import transform_points
from monocap.media.crops import check_image, invert
from monocap.perception.location_maps import JointMaps, average
from monocap.perception.regressor import PersonCrop, Runnable, enclosing_square
from monocap.perception.roi import Roi, upright
from monocap.skeletons.vnect import NAME
from monocap.types import Array, Camera

SKELETON = skeletons.get(NAME)
ROOT = SKELETON.index("pelvis")
OUTPUTS = ("heatmaps", "x", "y", "z")
Axes = Literal["camera", "crop"]
SEEN = 0.2  # height of a heatmap's peak from which a joint counts as seen
_NECK = SKELETON.index("neck")
_SHORT = 0.08  # of the person's extent: a torso seen from its end says nothing of its tilt
_BATCH = 8  # crops at once


@dataclass(frozen=True)
class Look:
    """What the network said of one square: ``points2d`` (21,3) picture px, px, height of the peak 0–1."""

    square: Roi
    points2d: Array
    maps: JointMaps
    to_cells: Array  # (2,3), picture px to cells
    to_camera: Array  # (3,3), axes of the maps to the camera's

    def places(self, points2d: Array | None = None) -> Array:
        """(21,3) m about the pelvis, camera axes, of a person of normalised height, read at ``points2d`` (21,≥2) px;
        None: at the peaks."""
        at = self.points2d if points2d is None else np.asarray(points2d, np.float64)
        read = self.maps.at(transform_points(self.to_cells, at[:, :2]))
        return (read - read[ROOT]) @ self.to_camera.T


class VNect:
    """A network with outputs ``heatmaps``, ``x``, ``y``, ``z``, each (n,21,h,w), for squares cut as ``crop`` says.

    ``scales``: of the person in the looks that are averaged, e.g. (1.0, 0.7). ``stage`` is entered with the name of
    what is done, for whoever measures. Raises InputError for scales or axes that are none.
    """

    def __init__(
        self,
        network: Runnable,
        crop: PersonCrop,
        image: str = "crop",
        axes: Axes = "crop",
        scales: tuple[float, ...] = (1.0,),
    ) -> None:
        if axes not in get_args(Axes):
            raise InputError(f"axes {axes!r}; expected one of {', '.join(get_args(Axes))}")
        if not scales or not all(np.isfinite(scale) and 0.1 <= scale <= 2.0 for scale in scales):
            raise InputError(f"scales {scales}; expected one or more numbers from 0.1 to 2")
        self.crop, self.axes, self.scales = crop, axes, tuple(float(scale) for scale in scales)
        self._network, self._image = network, image
        self.stage: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext()

    def look(self, image_rgb: Array, squares: Sequence[Roi], camera: Camera) -> list[Look]:
        """What the network says of each of ``squares`` of a picture (H,W,3) uint8, seen by ``camera``.

        Raises InputError for a picture that is none, or a network whose answers have other shapes or are no numbers.
        """
        image = check_image(image_rgb)
        wanted = [square.scaled(1 / scale) for square in squares for scale in self.scales]
        matrices = [self.crop.matrix(one.center, one.size, one.rotation) for one in wanted]
        maps: list[JointMaps] = []
        for k in range(0, len(wanted), _BATCH):
            with self.stage("crop"):
                given = np.stack([self.crop.normalise(self.crop.look(image, m)) for m in matrices[k : k + _BATCH]])
            with self.stage("network"):
                maps += self._answers(given)
        per, looks = len(self.scales), []
        with self.stage("read"):
            for i, square in enumerate(squares):
                merged = average(maps[i * per : (i + 1) * per], self.scales)
                looks.append(self._told(square, merged, camera))
        return looks

    def _answers(self, given: Array) -> list[JointMaps]:
        heat, x, y, z = (np.asarray(v) for v in self._network.run(list(OUTPUTS), {self._image: given}))
        form = (len(given), len(SKELETON))
        if heat.ndim != 4 or heat.shape[:2] != form or any(v.shape != heat.shape for v in (x, y, z)):
            said = ", ".join(str(v.shape) for v in (heat, x, y, z))
            raise InputError(f"the network answers {said}; expected four times ({form[0]}, {form[1]}, h, w)")
        return [JointMaps(heat[n], np.stack([x[n], y[n], z[n]])) for n in range(len(given))]

    def _told(self, square: Roi, maps: JointMaps, camera: Camera) -> Look:
        cells, heights = maps.peaks()
        matrix = self.crop.matrix(square.center, square.size, square.rotation)[:2]
        side = np.array(maps.heatmaps.shape[:0:-1]) / self.crop.shape[::-1]
        to_cells = np.column_stack([side[:, None] * matrix[:, :2], side * (matrix[:, 2] + 0.5) - 0.5])
        points = transform_points(invert(to_cells), cells)
        if self.axes == "crop":
            turn = cameras.look_rotation(cameras.ray_of(square.center, camera), square.rotation)
        else:
            turn = rotations.axis_angle_to_matrix(np.array([0.0, 0.0, square.rotation]))
        return Look(square, np.column_stack([points, heights]), maps, to_cells, np.asarray(turn))


def square_of(points2d: Array, crop: PersonCrop, camera: Camera, turn: bool = True) -> Roi:
    """The square for a look at the person whose joints (21,3) were found at px, px, confidence.

    It holds all joints that were seen; with ``turn`` it is turned so that the torso stands, where that is long enough
    to tell. Raises InputError where fewer than three joints were seen.
    """
    points = np.asarray(points2d, np.float64)
    seen = points[:, 2] > SEEN
    if seen.sum() < 3:
        raise InputError(f"{int(seen.sum())} joints are seen; expected three or more")
    extent = float(np.ptp(points[seen, :2], axis=0).max())
    torso = points[_NECK, :2] - points[ROOT, :2]
    tells = turn and bool(seen[[_NECK, ROOT]].all()) and float(np.hypot(*torso)) > _SHORT * extent
    return enclosing_square(points[seen, :2], crop, camera, upright(torso) if tells else 0.0)
