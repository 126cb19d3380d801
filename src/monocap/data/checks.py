"""Is a sample what it says? Named problems, and what to do about them: skip and count, or stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from monocap import skeletons
from monocap.data.dataset import Dataset
from monocap.data.sample import Sample
from monocap.errors import InputError
from monocap.geometry.cameras import project
from monocap.types import Array

# Metres between joint centres of anybody from a toddler to a giant, widened for mocap noise.
_SEGMENTS = {
    ("hip", "knee"): (0.10, 0.75),
    ("knee", "ankle"): (0.10, 0.75),
    ("shoulder", "elbow"): (0.07, 0.60),
    ("elbow", "wrist"): (0.05, 0.55),
}
_FARTHEST = 500.0  # m from the camera
_UNEVEN = 1.6  # ratio of left to right segment lengths
_REPROJECTION = 0.10  # of the person's extent in the picture
_OUTSIDE = 0.05  # share of the box that must lie inside the picture


class Problem(NamedTuple):
    """``sample`` is its name, ``kind`` a short word to count by, ``message`` what was expected and what came."""

    sample: str
    kind: str
    message: str


def check(sample: Sample, decode: bool = False) -> list[Problem]:
    """Everything that is wrong with a sample; empty if nothing is.

    Kinds: missing-picture, bad-picture (with ``decode``: also pictures that cannot be decoded or have another size),
    joint-count, skeleton, nan, units, joint-order, left-right, reprojection, box, camera, params. Joint order is told
    from segment lengths, left and right from which way knees bend.
    """
    found: list[Problem] = []

    def add(kind: str, message: str) -> None:
        found.append(Problem(sample.name, kind, f"{sample.name}: {message}"))

    _check_picture(sample, decode, add)
    usable3d = _check_joints(sample, add)
    _check_points(sample, add)
    _check_box(sample, add)
    _check_camera(sample, add)
    _check_params(sample, add)
    if usable3d and not any(problem.kind == "units" for problem in found):
        _check_reprojection(sample, add)
    return found


Add = Callable[[str, str], None]


def _check_picture(sample: Sample, decode: bool, add: Add) -> None:
    image = sample.image
    if isinstance(image, Path):
        if not image.is_file():
            add("missing-picture", f"picture {image} does not exist")
            return
        if image.stat().st_size == 0:
            add("bad-picture", f"picture {image} is empty")
            return
    if image is None or not decode:
        return
    try:
        pixels = sample.read_image()
    except InputError as error:
        add("bad-picture", str(error))
        return
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        add("bad-picture", f"picture of shape {pixels.shape} {pixels.dtype}; expected (H, W, 3) uint8")
    elif sample.image_size is not None and (pixels.shape[1], pixels.shape[0]) != tuple(sample.image_size):
        w, h = sample.image_size
        add("bad-picture", f"picture has {pixels.shape[1]}×{pixels.shape[0]} pixels; the annotation says {w}×{h}")


def _count(name: str, joints: int, what: str, add: Add) -> bool:
    if name not in skeletons.names():
        add("skeleton", f"{what} in an unknown skeleton {name!r}")
        return False
    expected = len(skeletons.get(name))
    if joints != expected:
        add("joint-count", f"{what}: {joints} joints; {name} has {expected}")
        return False
    return True


def _check_joints(sample: Sample, add: Add) -> bool:
    joints = sample.joints3d
    if joints is None:
        return False
    if joints.ndim != 2 or joints.shape[1] != 3:
        add("joint-count", f"3D joints of shape {joints.shape}; expected (J, 3)")
        return False
    if not _count(sample.skeleton3d, len(joints), "3D", add):
        return False
    valid = valid_joints(sample)
    if len(valid) != len(joints):
        add("joint-count", f"validity of {len(valid)} joints for {len(joints)}")
        return False
    broken = [
        skeletons.get(sample.skeleton3d).joint_names[i]
        for i in np.flatnonzero(valid & ~np.isfinite(joints).all(axis=1))
    ]
    if broken:
        add("nan", f"3D joints that are valid but not numbers: {', '.join(broken)}")
        return False
    lengths = segment_lengths(joints, valid, sample.skeleton3d)
    if lengths:
        _check_lengths(lengths, add)
    seen = joints[valid]
    if len(seen) and sample.frame_of_reference == "camera":
        if float(np.abs(seen).max()) > _FARTHEST:
            add("units", f"3D joints up to {np.abs(seen).max():.0f} from the camera; expected metres")
        elif sample.K is not None and bool((seen[:, 2] <= 0).all()):
            add("camera", "all 3D joints lie behind the camera; expected z forward")
    if mirrored(joints, valid, sample.skeleton3d):
        add(
            "left-right",
            "knees bend or hips point the wrong way: left and right are exchanged",
        )
    return True


def _check_lengths(lengths: dict[str, float], add: Add) -> None:
    median = float(np.median(list(lengths.values())))
    if median > 5.0:
        add("units", f"limb segments of {median:.0f}; expected metres (were these millimetres?)")
        return
    if median < 0.03:
        add("units", f"limb segments of {median:.4f}; expected metres (were these kilometres or normalised?)")
        return
    wrong = []
    for name, length in lengths.items():
        low, high = _SEGMENTS[_segment(name)]
        if not low <= length <= high:
            wrong.append(f"{name} {length:.2f} m")
    uneven = [
        name.removeprefix("left_")
        for name in lengths
        if name.startswith("left_")
        and (other := lengths.get(name.replace("left_", "right_")))
        and not 1 / _UNEVEN <= lengths[name] / max(other, 1e-9) <= _UNEVEN
    ]
    if wrong or uneven:
        what = [*wrong, *(f"left and right {name} differ" for name in uneven)]
        add("joint-order", f"implausible limbs ({', '.join(what)}): joints in another order than the skeleton's?")


def _segment(name: str) -> tuple[str, str]:
    first, second = name.split("–")
    return first.split("_")[1], second


def segment_lengths(joints: Array, valid: Array, skeleton: str) -> dict[str, float]:
    """Lengths of upper arms, forearms, thighs and shanks with both ends valid, by name ("left_hip–knee")."""
    at = skeletons.get(skeleton)
    lengths = {}
    for side in ("left", "right"):
        for a, b in _SEGMENTS:
            i, j = at.index(f"{side}_{a}"), at.index(f"{side}_{b}")
            if valid[i] and valid[j]:
                lengths[f"{side}_{a}–{b}"] = float(np.linalg.norm(joints[i] - joints[j]))
    return lengths


def valid_joints(sample: Sample) -> Array:
    """(J,) bool: which 3D joints count; all where the data set does not say."""
    assert sample.joints3d is not None
    if sample.joints3d_valid is None:
        return np.ones(len(sample.joints3d), dtype=bool)
    return np.asarray(sample.joints3d_valid, dtype=bool)


def mirrored(joints: Array, valid: Array, skeleton: str) -> bool:
    """Whether a 3D pose (J,3) of a right-handed frame shows a mirrored person: strong evidence only.

    Both knees bent backwards by more than about 25° about the axis of the hips, or hips and shoulders that point in
    opposite directions.
    """
    at = skeletons.get(skeleton)

    def point(name: str) -> Array | None:
        if name not in at.joint_names or not valid[at.index(name)]:
            return None
        return joints[at.index(name)]

    def across(part: str) -> Array | None:
        left, right = point(f"left_{part}"), point(f"right_{part}")
        return None if left is None or right is None else _unit(left - right)

    hips, shoulders = across("hip"), across("shoulder")
    if hips is not None and shoulders is not None and float(hips @ shoulders) < -0.8:
        return True
    if hips is not None:
        bends = []
        for side in ("left", "right"):
            hip, knee, ankle = (point(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
            if hip is None or knee is None or ankle is None:
                continue
            axis = np.cross(_unit(knee - hip), _unit(ankle - knee))
            bends.append(float(axis @ hips) if np.linalg.norm(axis) > 0.42 else 0.0)
        if len(bends) == 2 and max(bends) < -0.42:
            return True
    return False


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _check_points(sample: Sample, add: Add) -> None:
    points = sample.joints2d
    if points is None:
        return
    if points.ndim != 2 or points.shape[1] != 3:
        add("joint-count", f"2D joints of shape {points.shape}; expected (N, 3): x, y, confidence")
        return
    if not _count(sample.skeleton2d, len(points), "2D", add):
        return
    confidence = points[:, 2]
    if not np.isfinite(confidence).all() or confidence.min(initial=0) < 0 or confidence.max(initial=0) > 1:
        add("nan", "2D confidences outside 0–1")
    elif not np.isfinite(points[confidence > 0]).all():
        add("nan", "2D joints with confidence that are not numbers")


def _check_box(sample: Sample, add: Add) -> None:
    box = sample.box
    if box is None:
        return
    if not np.isfinite(box).all():
        add("box", "the box is not made of numbers")
        return
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= 1 or height <= 1:
        add("box", f"box of {width:.1f}×{height:.1f} px; expected a size above one pixel")
        return
    if sample.image_size is not None:
        w, h = sample.image_size
        inside = max(0.0, min(box[2], w) - max(box[0], 0.0)) * max(0.0, min(box[3], h) - max(box[1], 0.0))
        if inside / (width * height) < _OUTSIDE:
            corners = ", ".join(f"{v:.0f}" for v in box)
            add("box", f"box ({corners}) lies outside the picture of {w}×{h} px")


def _check_camera(sample: Sample, add: Add) -> None:
    if sample.K is not None:
        if sample.K.shape != (3, 3) or not np.isfinite(sample.K).all():
            add("camera", f"K of shape {sample.K.shape}; expected a finite (3, 3)")
        elif min(sample.K[0, 0], sample.K[1, 1]) <= 1 or not np.allclose(sample.K[2], [0, 0, 1]):
            add("camera", "K is no intrinsic matrix in pixels (focal lengths in [0,0] and [1,1], last row 0 0 1)")
    pose = sample.T_camera_world
    if pose is not None:
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            add("camera", f"T_camera_world of shape {pose.shape}; expected a finite (4, 4)")
        elif not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=2e-3) or np.linalg.det(pose[:3, :3]) < 0:
            add("camera", "T_camera_world does not hold a rotation")


def _check_params(sample: Sample, add: Add) -> None:
    if sample.params is None:
        return
    if sample.body is None:
        add("params", "body parameters without the kind of body")
    for name, value in sample.params.asdict().items():
        value = np.asarray(value)
        if not np.isfinite(value).all():
            add("nan", f"{name} is not made of numbers")
        elif name.endswith(("pose", "orient")) and value.size and np.abs(value).max() > 20:
            add("units", f"{name} up to {np.abs(value).max():.0f}; expected radians (were these degrees?)")
        elif name == "transl" and np.abs(value).max(initial=0) > _FARTHEST:
            add("units", f"transl up to {np.abs(value).max():.0f}; expected metres")
        elif name == "betas" and np.abs(value).max(initial=0) > 30:
            add("params", f"betas up to {np.abs(value).max():.0f}; shapes lie within ±5 or so")


def _check_reprojection(sample: Sample, add: Add) -> None:
    """3D against 2D where both are of one skeleton: finds another order, left for right, and a wrong camera."""
    if sample.K is None or sample.joints3d is None or sample.joints2d is None or sample.frame_of_reference == "root":
        return
    if (
        sample.skeleton2d != sample.skeleton3d
        or len(sample.joints2d) != len(sample.joints3d)
        or sample.K.shape != (3, 3)
    ):
        return
    if sample.frame_of_reference == "world" and (
        sample.T_camera_world is None or sample.T_camera_world.shape != (4, 4)
    ):
        return
    joints = sample.camera_joints()
    both = valid_joints(sample) & (sample.joints2d[:, 2] > 0) & (joints[:, 2] > 0.05)
    if both.sum() < 4:
        return
    points = sample.joints2d[both, :2]
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    error = np.linalg.norm(project(joints[both], sample.K) - points, axis=1)
    if np.median(error) > max(_REPROJECTION * extent, 5.0):
        add(
            "reprojection",
            f"3D joints project {np.median(error):.0f} px from the 2D ones; camera, unit or order is wrong",
        )
    elif error.max() > max(0.5 * extent, 20.0):
        worst = skeletons.get(sample.skeleton3d).joint_names[int(np.flatnonzero(both)[error.argmax()])]
        add("reprojection", f"3D {worst} projects {error.max():.0f} px from the 2D one; joints in another order?")


@dataclass
class Checked:
    """Iterates a data set, checking each sample; what is wrong is named and counted, never dropped silently.

    ``on_problem`` "stop" raises InputError at the first problem, "skip" leaves the sample out. ``decode`` also reads
    every picture (slow); ``indices`` limits what is visited. Samples with ``in_protocol`` False are yielded and counted
    in ``not_in_protocol``. After the iteration ``used + skipped == seen``.
    """

    dataset: Dataset
    on_problem: Literal["skip", "stop"] = "stop"
    decode: bool = False
    indices: Sequence[int] | None = None
    problems: list[Problem] = field(default_factory=list)
    seen: int = 0
    skipped: int = 0
    not_in_protocol: int = 0

    def __iter__(self) -> Iterator[Sample]:
        self.problems.clear()
        self.seen = self.skipped = self.not_in_protocol = 0
        for name, why in self.dataset.unreadable:
            self._note([Problem(name, "unreadable", why)])
        for index in range(len(self.dataset)) if self.indices is None else self.indices:
            self.seen += 1
            try:
                sample = self.dataset[index]
            except InputError as error:
                self._note([Problem(f"{self.dataset.name}[{index}]", "unreadable", str(error))])
                self.skipped += 1
                continue
            found = check(sample, self.decode)
            if found:
                self._note(found)
                self.skipped += 1
                continue
            self.not_in_protocol += not sample.in_protocol
            yield sample

    @property
    def used(self) -> int:
        return self.seen - self.skipped

    def counts(self) -> dict[str, int]:
        """How often each kind of problem occurred."""
        return dict(Counter(problem.kind for problem in self.problems))

    def summary(self, names: int = 5) -> str:
        """One line: how many samples were used and left out, for what, and the first few by name."""
        if not self.problems:
            return f"{self.dataset.name}: {self.used} samples, all in order"
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.counts().items()))
        first = list(dict.fromkeys(problem.sample for problem in self.problems))
        more = f" and {len(first) - names} more" if len(first) > names else ""
        used = f"{self.dataset.name}: {self.used} samples used, {self.skipped} skipped"
        return f"{used} ({kinds}): {', '.join(first[:names])}{more}"

    def _note(self, found: list[Problem]) -> None:
        if self.on_problem == "stop":
            raise InputError("; ".join(problem.message for problem in found))
        self.problems.extend(found)
