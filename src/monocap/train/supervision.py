"""From a `Sample` and what was done to its crop to what losses compare with: masked by what the sample has.

Any data set serves: its joints go by meaning onto the points of `posed_body.POINTS`. Where a data set marks other
places under the same name (hips on the outline, a neck between the shoulders), they are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monocap import skeletons
from monocap.data.augmentation import Change
from monocap.data.crop_families import CropFamily
from monocap.data.sample import Sample
from monocap.data.training_view import training_view
from monocap.geometry.cameras import cliff_focal
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.train.body_losses import Targets
from monocap.train.posed_body import POINTS
from monocap.types import Array, BodyParams

FEWEST = 4  # points in view that a sample needs to say anything
LEAST = 0.3  # confidence below which an annotation is left out (HMR 2.0)
_WHOLE = "smplx127"
_ELSEWHERE_2D = ("pelvis", "neck", "left_hip", "right_hip")  # of skeletons that are not SMPL's
_ELSEWHERE_3D = ("neck",)
_PLAUSIBLE = 3.0  # betas beyond are of a fit that failed, in data that was fitted (HMR 2.0, SPIN)


@dataclass(frozen=True, eq=False)
class Crop:
    """One person: ``image`` (h,w,3) uint8 and, by the names of `Targets`, what is true of it; arrays without N."""

    image: Array
    truth: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Batch:
    """N people: ``images`` (N,h,w,3) uint8, ``targets``, ``source`` (N,) number of the data set each came from."""

    images: Tensor
    targets: Targets
    source: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU can copy from while it computes."""
        return self._each(lambda value: value.pin_memory())

    def _each(self, change: Any) -> Batch:
        moved: dict[str, Any] = {name: change(value) for name, value in vars(self.targets).items() if value is not None}
        return Batch(change(self.images), Targets(**moved), change(self.source))


def supervise(
    sample: Sample, family: CropFamily, change: Change, joints: int = 22, body: str = "open", share: float = 1.0
) -> Crop | None:
    """What ``family`` sees of a person after ``change``, and what is true of it; None if that is next to nothing.

    Rotations are known of any SMPL body (they mean the same in all), of its leading ``joints``; betas only of the
    same ``body``, neutral. 3D joints are relative to a root; without intrinsics the focal length is CLIFF's diagonal.
    ``share``: weight of this data set's 2D. Raises InputError for a sample without picture or box, MediaError for an
    unreadable picture.
    """
    view = training_view(sample, family, change)
    points, seen = np.zeros((len(POINTS), 2)), np.zeros(len(POINTS))
    if view.joints2d is not None:
        at, to = _onto(sample.skeleton2d, _ELSEWHERE_2D)
        points[to] = view.joints2d[at, :2]
        seen[to] = np.where(view.joints2d[at, 2] >= LEAST, view.joints2d[at, 2], 0.0)
    joints3d, known = np.zeros((len(POINTS), 3)), np.zeros(len(POINTS))
    if view.joints3d is not None and view.joints3d_valid is not None:
        at, to = _onto(sample.skeleton3d, _ELSEWHERE_3D)
        joints3d[to], known[to] = view.joints3d[at], view.joints3d_valid[at]
    rotmats, turned, betas, shaped = _parameters(sample, view.params, joints, body)
    if (seen > 0).sum() < FEWEST and not turned.any():
        return None
    width, height = view.image_size
    if sample.K is None:
        focal, middle = float(cliff_focal(np.array([width, height], float))), np.array([width, height]) / 2
    else:
        focal, middle = float(sample.K[0, 0]), np.array(sample.K[:2, 2], float)
        middle[0] = width - 1 - middle[0] if change.flip else middle[0]
    turn = axis_angle_to_matrix(np.array([0.0, 0.0, -change.rotation]))
    truth = {
        "points": points, "seen": seen, "joints": joints3d, "known": known, "rotmats": rotmats, "turned": turned,
        "betas": betas, "shaped": shaped, "share": share, "center": (view.center - middle) @ turn[:2, :2].T,
        "size": view.size, "focal": focal,
    }  # fmt: skip
    return Crop(view.crop, {name: np.asarray(value, np.float32) for name, value in truth.items()})


def collate(crops: Sequence[Crop], source: Sequence[int]) -> Batch:
    """Several people as one batch."""
    truth: dict[str, Any] = {
        name: torch.from_numpy(np.stack([crop.truth[name] for crop in crops])) for name in crops[0].truth
    }
    images = torch.from_numpy(np.stack([crop.image for crop in crops]))
    return Batch(images, Targets(**truth), torch.tensor(list(source)))


def normalised(images: Tensor, family: CropFamily) -> Tensor:
    """(N,3,h,w) float32, what the network is given for crops (N,h,w,3) uint8: `CropFamily.normalise` on any device."""
    mean = torch.tensor(family.mean, device=images.device).view(1, 3, 1, 1)
    deviation = torch.tensor(family.deviation, device=images.device).view(1, 3, 1, 1)
    value = (images.permute(0, 3, 1, 2).float() / 255 - mean) / deviation
    return value.flip(1) if family.channels == "bgr" else value


def _parameters(sample: Sample, params: BodyParams | None, joints: int, body: str) -> tuple[Array, Array, Array, Array]:
    """Rotations (J,3,3), which are known (J,), betas (10,), whether known ()."""
    rotmats, turned = np.tile(np.eye(3), (joints, 1, 1)), np.zeros(joints)
    betas, shaped = np.zeros(10), np.zeros(())
    if params is None:
        return rotmats, turned, betas, shaped
    pose = np.asarray(params.body_pose, np.float64)
    told = pose[: 3 * (joints - 1)] if sample.body == "smpl" else pose[:63]
    rotvec = np.concatenate([np.asarray(params.global_orient, np.float64), told]).reshape(-1, 3)
    rotmats[: len(rotvec)], turned[: len(rotvec)] = axis_angle_to_matrix(rotvec), 1.0
    given = np.asarray(params.betas, np.float64)[:10]
    fits = sample.body == body and (sample.gender == "neutral" or body == "open")
    if fits and (body == "open" or np.abs(given).max(initial=0.0) <= _PLAUSIBLE):
        betas[: len(given)], shaped = given, np.ones(())
    return rotmats, turned, betas, shaped


@cache
def _onto(skeleton: str, elsewhere: tuple[str, ...]) -> tuple[Array, Array]:
    """Numbers of a skeleton's joints, and of the `POINTS` that they are."""
    names = skeletons.get(_WHOLE).joint_names
    exact = skeleton.startswith("smpl")
    pairs = [
        (a, POINTS.index(names[b]))
        for a, b in zip(*skeletons.mapping(skeleton, _WHOLE), strict=True)
        if names[b] in POINTS and (exact or names[b] not in elsewhere)
    ]
    array = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return array[:, 0], array[:, 1]
