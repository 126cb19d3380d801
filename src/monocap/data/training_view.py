"""One person as a network sees it in training: the crop, and the truth turned, mirrored and cut as the crop was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from monocap import skeletons
from monocap.data.augmentation import Change, part_box
from monocap.data.crop_families import CropFamily, sample_square
from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.geometry.crops import rotate_in_plane, transform_points
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.priors.limits import mirrored
from monocap.types import Array, BodyParams

_SIDES = ("left_hand_pose", "right_hand_pose"), ("left_eye_pose", "right_eye_pose")


@dataclass(frozen=True, eq=False)
class TrainingView:
    """``crop`` (h,w,3) uint8; ``matrix`` (3,3) from pixels of the (possibly mirrored) picture to those of the crop.

    ``joints2d`` (N,3): −1…1 across the square of the crop (as SPIN's networks; HMR 2.0's numbers are half of them),
    confidence, 0 outside; ``covered`` (N,) bool: behind the pasted cover. ``joints3d`` (J,3) m: relative to the first
    known joint (the root), in the axes of the crop: turned with it. ``joints3d_camera`` (J,3) m, not turned, with
    ``K_crop`` (3,3), which projects them to pixels of the crop (homogeneous; no longer triangular once turned): the
    exact way, also for CLIFF. ``joints3d_valid`` (J,). ``params``: with ``global_orient`` in the axes of the crop.
    ``center`` (2,), ``size``: the square in the (mirrored) picture, ``image_size`` (w, h): what CLIFF is told. What
    the sample does not have is None.
    """

    crop: Array
    matrix: Array
    center: Array
    size: float
    image_size: tuple[int, int]
    joints2d: Array | None
    covered: Array | None
    joints3d: Array | None
    joints3d_camera: Array | None
    joints3d_valid: Array | None
    K_crop: Array | None
    params: BodyParams | None


def training_view(sample: Sample, family: CropFamily, change: Change | None = None) -> TrainingView:
    """What ``family`` sees of a sample's person after ``change`` (None: as at inference).

    Raises InputError for a sample without picture or box, MediaError for an unreadable picture.
    """
    change = change or Change()
    image = sample.read_image()
    if change.flip:
        image, sample = np.ascontiguousarray(image[:, ::-1]), mirrored_sample(sample, image.shape[1])
    height, width = image.shape[:2]
    center, size = sample_square(sample, family)
    if change.part and sample.joints2d is not None:
        box = part_box(change.part, sample.joints2d, sample.skeleton2d)
        if box is not None:
            center, size = family.square(box)
    center = center + np.array(change.shift) * size
    size = size * change.scale
    matrix = family.matrix(center, size, change.rotation)
    crop = _painted(family.look(image, matrix), change)
    points, covered = _points(sample, family, matrix, change)
    camera, valid, root = _joints(sample)
    return TrainingView(
        crop,
        matrix,
        center,
        size,
        (width, height),
        points,
        covered,
        None if root is None else root @ _turn(change.rotation).T,
        camera,
        valid,
        None if sample.K is None else matrix @ sample.K,
        _turned(sample.params, change.rotation) if sample.params_frame == "camera" else None,
    )


def mirrored_sample(sample: Sample, width: int) -> Sample:
    """The sample of the mirror image, ``width`` pixels wide: left and right exchanged everywhere.

    Bodies are taken as symmetric, so that ``betas`` stay. Truth in the data set's world is dropped, since a mirrored
    camera does not stand in it.
    """
    change: dict[str, object] = {"image": None}
    if sample.box_center is not None:
        change["box_center"] = np.array([width - 1 - sample.box_center[0], sample.box_center[1]])
    if sample.K is not None:
        K = np.array(sample.K, dtype=np.float64)
        K[0, 2] = width - 1 - K[0, 2]
        K[0, 1] = -K[0, 1]
        change["K"] = K
    if sample.joints2d is not None:
        points = sample.joints2d[list(skeletons.get(sample.skeleton2d).flip)].copy()
        points[:, 0] = width - 1 - points[:, 0]
        change["joints2d"] = points
    if sample.joints3d is not None:
        if sample.frame_of_reference == "world" and sample.T_camera_world is None:
            raise InputError(f"{sample.name}: joints are in the world and the camera's place is unknown")
        flip = list(skeletons.get(sample.skeleton3d).flip)
        change["joints3d"] = sample.camera_joints()[flip] * [-1.0, 1.0, 1.0]
        change["frame_of_reference"] = "root" if sample.frame_of_reference == "root" else "camera"
        if sample.joints3d_valid is not None:
            change["joints3d_valid"] = sample.joints3d_valid[flip]
    if sample.params is not None:
        change["params"] = mirrored_params(sample.params) if sample.params_frame == "camera" else None
    change["T_camera_world"] = None
    return replace(sample, **change)  # type: ignore[arg-type]


def mirrored_params(params: BodyParams) -> BodyParams:
    """Parameters (…) of the mirror image in the plane x = 0 of their frame, of a body that is symmetric itself."""
    sign = np.array([1.0, -1.0, -1.0])
    given = params.asdict()
    pose = given["body_pose"]
    hands = pose[..., 63:]  # SMPL's two hand joints
    swapped = np.concatenate([hands[..., 3:], hands[..., :3]], axis=-1) * np.tile(sign, hands.shape[-1] // 3)
    out = {"body_pose": np.concatenate([mirrored(pose[..., :63]), swapped], axis=-1)}
    out["global_orient"] = given["global_orient"] * sign
    out["transl"] = given["transl"] * np.array([-1.0, 1.0, 1.0])
    if "jaw_pose" in given:
        out["jaw_pose"] = given["jaw_pose"] * sign
    for left, right in _SIDES:
        for name, other in ((left, right), (right, left)):
            if other in given:
                value = given[other]
                out[name] = (value.reshape(*value.shape[:-1], -1, 3) * sign).reshape(value.shape)
            elif name in given:
                out[name] = np.zeros_like(given[name])
    return replace(params, **out)


def _painted(crop: Array, change: Change) -> Array:
    """The crop coloured, covered, made coarse and noisy."""
    height, width = crop.shape[:2]
    if change.cover is not None:
        x0, y0, x1, y1 = _cover(change.cover, width, height)
        crop[y0:y1, x0:x1] = change.cover_colour
    if change.coarse > 1:
        size = (max(2, round(width / change.coarse)), max(2, round(height / change.coarse)))
        small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if change.colour == (1.0, 1.0, 1.0) and change.noise <= 0:
        return crop
    value = crop.astype(np.float32) * np.asarray(change.colour, np.float32)
    if change.noise > 0:
        rng = np.random.default_rng(change.seed)
        value += change.noise * rng.standard_normal(crop.shape, dtype=np.float32)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


def _cover(cover: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    x, y, w, h = cover
    corners = np.clip([x, y, x + w, y + h], 0, 1) * [width, height, width, height]
    x0, y0, x1, y1 = (round(float(c)) for c in corners)
    return x0, y0, x1, y1


def _points(sample: Sample, family: CropFamily, matrix: Array, change: Change) -> tuple[Array | None, Array | None]:
    if sample.joints2d is None:
        return None, None
    at = transform_points(matrix, np.asarray(sample.joints2d[:, :2], dtype=np.float64))
    height, width = family.shape
    inside = ((at > -0.5) & (at < [width - 0.5, height - 0.5])).all(axis=1)
    covered = np.zeros(len(at), dtype=bool)
    if change.cover is not None:
        x0, y0, x1, y1 = _cover(change.cover, width, height)
        covered = ((at >= [x0 - 0.5, y0 - 0.5]) & (at <= [x1 - 0.5, y1 - 0.5])).all(axis=1)
    half = family.resolution / 2
    normal = (at + np.array([family.columns[0], 0]) - half) / half
    confidence = np.where(inside, sample.joints2d[:, 2], 0.0)
    return np.column_stack([normal, confidence]), covered & inside


def _joints(sample: Sample) -> tuple[Array | None, Array | None, Array | None]:
    """Joints in the camera (None where only their shape is known), which are valid, and relative to the root."""
    if sample.joints3d is None:
        return None, None, None
    if sample.frame_of_reference == "world" and sample.T_camera_world is None:
        return None, None, None
    camera = np.asarray(sample.camera_joints(), dtype=np.float64)
    valid = np.ones(len(camera), bool) if sample.joints3d_valid is None else np.asarray(sample.joints3d_valid, bool)
    known = np.flatnonzero(valid)
    relative = camera - camera[known[0]] if len(known) else camera
    return (None if sample.frame_of_reference == "root" else camera), valid, relative


def _turn(rotation: float) -> Array:
    return axis_angle_to_matrix(np.array([0.0, 0.0, -rotation]))


def _turned(params: BodyParams | None, rotation: float) -> BodyParams | None:
    if params is None or rotation == 0.0:
        return params
    return replace(params, global_orient=rotate_in_plane(np.asarray(params.global_orient, np.float64), rotation))
