"""From a `Sample` and what was done to its crop to what VNect's maps are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from monocap import skeletons
from monocap.data.augmentation import Change
from monocap.data.crop_families import CropFamily
from monocap.data.sample import Sample
from monocap.data.training_view import TrainingView, training_view
from monocap.skeletons import vnect
from monocap.train.supervision import FEWEST, LEAST
from monocap.train.vnect_losses import Targets
from monocap.types import Array

_WHOLE = "smplx127"
_SKELETON = skeletons.get(vnect.NAME)
_NECK, _SPINE, _PELVIS = (_SKELETON.index(name) for name in ("neck", "spine", "pelvis"))
_MEASURED = [_SKELETON.index(name) for name in ("neck", "pelvis", "left_hip", "right_hip", "left_knee", "right_knee")]


@dataclass(frozen=True, eq=False)
class VnectCrop:
    """One person: ``image`` (h,w,3) uint8 and, by the names of `Targets`, what is true of it; arrays without N."""

    image: Array
    truth: dict[str, Array]


@dataclass(frozen=True, eq=False)
class VnectBatch:
    """N people: ``images`` (N,h,w,3) uint8, ``targets``."""

    images: Tensor
    targets: Targets

    def to(self, device: torch.device | str) -> VnectBatch:
        """The same on a device."""
        moved = (value.to(device, non_blocking=True) for value in self.targets)
        return VnectBatch(self.images.to(device, non_blocking=True), Targets(*moved))

    def pin_memory(self) -> VnectBatch:
        """The same in memory that a GPU can copy from while it computes."""
        return VnectBatch(self.images.pin_memory(), Targets(*(value.pin_memory() for value in self.targets)))


def supervise_vnect(sample: Sample, family: CropFamily, change: Change) -> VnectCrop | None:
    """What ``family`` sees of a person after ``change``, and what is true of it; None if that is next to nothing.

    Bodies of SMPL-X's points give all 21 joints (`skeletons.vnect`), other skeletons those that mean the same. Where
    they are in space counts only if neck, pelvis, hips and knees are known, which tell the person's height; it is in
    the axes of the picture's camera, turned as the crop is. Raises as `training_view`.
    """
    view = training_view(sample, family, change)
    points, judged = _flat(sample, view, family)
    places, known = _space(sample, view)
    inside = (np.abs(points) < 1).all(axis=1) & judged
    if inside.sum() < FEWEST:
        return None
    truth = {"points": points, "inside": inside, "judged": judged, "places": places, "known": known}
    return VnectCrop(view.crop, {name: np.asarray(value, np.float32) for name, value in truth.items()})


def collate_vnect(crops: Sequence[VnectCrop], source: Sequence[int] = ()) -> VnectBatch:
    """Several people as one batch; where they came from does not matter."""
    truth = (torch.from_numpy(np.stack([crop.truth[name] for crop in crops])) for name in Targets._fields)
    return VnectBatch(torch.from_numpy(np.stack([crop.image for crop in crops])), Targets(*truth))


def _flat(sample: Sample, view: TrainingView, family: CropFamily) -> tuple[Array, Array]:
    """Points (21,2), −1…1 from edge to edge of the crop, and which are known (21,)."""
    points, judged = np.zeros((21, 2)), np.zeros(21, bool)
    edge = 1 / family.resolution  # from the middle at pixel side / 2 to edges
    if sample.skeleton3d == _WHOLE and view.joints3d_camera is not None and view.K_crop is not None:
        seen = vnect.on_body() @ view.joints3d_camera @ view.K_crop.T
        before = seen[:, 2] > 1e-3
        at = seen[:, :2] / np.where(before, seen[:, 2], 1.0)[:, None]
        points = np.where(before[:, None], 2 * at / family.resolution - 1 + edge, 2.0)
        return points, np.ones(21, bool)
    if view.joints2d is None or sample.joints2d is None:
        return points, judged
    given, to = _onto(sample.skeleton2d)
    points[to], judged[to] = view.joints2d[given, :2] + edge, view.joints2d[given, 2] >= LEAST
    return points, judged


def _space(sample: Sample, view: TrainingView) -> tuple[Array, Array]:
    """Places (21,3) m and which are known (21,)."""
    places, known = np.zeros((21, 3)), np.zeros(21, bool)
    if view.joints3d is None or view.joints3d_valid is None:
        return places, known
    if sample.skeleton3d == _WHOLE:
        return vnect.normalised(vnect.on_body() @ view.joints3d), np.ones(21, bool)
    given, to = _onto(sample.skeleton3d)
    places[to], known[to] = view.joints3d[given], view.joints3d_valid[given]
    if not known[_MEASURED].all():
        return np.zeros((21, 3)), np.zeros(21, bool)
    if not known[_SPINE]:  # for the length from knee to neck alone
        places[_SPINE] = (places[_NECK] + places[_PELVIS]) / 2
    return np.where(known[:, None], vnect.normalised(places), 0.0), known


@cache
def _onto(skeleton: str) -> tuple[Array, Array]:
    """Numbers of a skeleton's joints, and of VNect's that they are."""
    pairs = np.array(list(zip(*skeletons.mapping(skeleton, vnect.NAME), strict=True)), np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
