"""One person, live: from what the network said of a frame to a posed skeleton, with nothing known of later frames.

    look ─ filtered 2D ─ location maps read there ─ filtered 3D ─ own bone lengths ─ kinematic fit ─ filtered pose

Source: Mehta et al., *VNect* (SIGGRAPH 2017). Bones: for the first `CALIBRATION` frames those of the mean body of the
known height; then the shape that the bones seen so far speak for is taken, once, and these frames are fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.fitting.skeleton_fit import KinematicSkeleton, SkeletonFit, SkeletonPose, Weights
from monocap.fitting.vnect_body import SKELETON, betas_of, bone_lengths, carried_skeleton, rest_points, retarget
from monocap.geometry import kinematics, rotations
from monocap.motion.live_filters import CROP, LiveSettings, SteadyPoints, SteadyPose
from monocap.perception.vnect import SEEN, Look
from monocap.skeletons.vnect import KNEE_NECK, knee_neck
from monocap.types import Array, Camera

CALIBRATION = 45  # frames
_BONE_SURE = 0.5  # height of both ends' peaks from which a bone is measured
_GAP = 0.4  # s unseen after which nothing is carried on


@dataclass(frozen=True)
class LiveOptions:
    """``filters`` None: none; ``retarget``: bones keep their lengths; without ``follow`` every frame is fitted alone;
    ``calibrate``: the shape follows the bones; ``height`` m, None: the mean's.

    For the fit, standard deviations: ``pixels`` of a crop of 368 and ``metres`` of the network's answers,
    ``acceleration`` m/s² and ``depth_speed`` m/s of the joints. The last two are looser than those of the recipe for
    keypoints: all joints speak of one distance, and tight ones hold back whoever walks towards the camera, or swing.
    """

    filters: LiveSettings | None = field(default_factory=LiveSettings)
    retarget: bool = True
    follow: bool = True
    calibrate: bool = True
    height: float | None = None
    pixels: float = 4.0
    metres: float = 0.07
    acceleration: float = 80.0
    depth_speed: float = 12.0


@dataclass(frozen=True)
class LivePose:
    """One frame of one person. ``points2d`` (21,3) px, px, confidence as used; ``raw``, ``filtered``, ``own`` (21,3) m
    about the pelvis, camera axes: as read, filtered, with the person's bones; ``fit`` in the camera, its ``pose``
    (J,3) and ``position`` (3,) filtered."""

    time: float
    points2d: Array
    raw: Array
    filtered: Array
    own: Array
    fit: SkeletonPose


@dataclass(frozen=True)
class _Read:
    time: float
    points2d: Array
    places: Array
    side: float  # px of the square


class LivePerson:
    """Follows one person with a ``camera``: `step` once per frame in which a look at them was had.

    ``body``: whose skeleton follows, or any `KinematicSkeleton` with VNect's 21 joints as its points (a character's):
    then its bones are as they are. Raises InputError for a skeleton with other points.
    """

    def __init__(self, body: BodyModel | KinematicSkeleton, camera: Camera, options: LiveOptions | None = None) -> None:
        self.options, self.camera = options or LiveOptions(), camera
        self._body = body if isinstance(body, BodyModel) else None
        self.calibrated = self._body is None or not self.options.calibrate
        self.betas = np.zeros(0)
        self._reads: list[_Read] = []
        filters = self.options.filters
        self._image = None if filters is None else SteadyPoints(filters.image)
        self._looked = -np.inf
        if isinstance(body, KinematicSkeleton):
            if len(body.rest_points) != len(SKELETON):
                raise InputError(f"the skeleton has {len(body.rest_points)} points; expected VNect's {len(SKELETON)}")
            self._dress(body, body.rest_points)
        else:
            self.betas = betas_of(body, height=self.options.height)
            self._dress(carried_skeleton(body, self.betas), rest_points(body, self.betas))

    def _dress(self, skeleton: KinematicSkeleton, points: Array) -> None:
        self.skeleton = skeleton
        self._lengths, self._size = bone_lengths(points), float(knee_neck(points)) / KNEE_NECK
        self._fit = SkeletonFit(skeleton, self.camera.K)
        filters = self.options.filters
        self._location = None if filters is None else SteadyPoints(filters.location)
        self._pose = None if filters is None else SteadyPose(filters)
        self._before = -np.inf

    def step(self, look: Look, time: float) -> tuple[LivePose, list[LivePose]]:
        """The next frame, at ``time`` s; and, once, when the bones have been measured, all frames so far again.

        Raises InputError if fewer than three joints are seen in the first frame.
        """
        points2d = look.points2d
        if self._image is not None:
            if time - self._looked > _GAP:
                self._image.reset()
            unit = look.square.size / CROP
            steady = self._image(points2d[:, :2], points2d[:, 2] > SEEN, time, unit)
            points2d = np.column_stack([steady, points2d[:, 2]])
        self._looked = time
        now = _Read(time, points2d, look.places(points2d), look.square.size)
        if not self.calibrated:
            self._reads.append(now)
            if len(self._reads) >= CALIBRATION:
                poses = self.calibrate()
                return poses[-1], poses
        return self._follow(now), []

    def calibrate(self) -> list[LivePose]:
        """Takes the shape that the bones seen so far speak for, and fits these frames again; nothing if that was done
        or there are none."""
        reads, self._reads = self._reads, []
        self.calibrated = True
        if self._body is None or not reads:
            return []
        self.betas = betas_of(self._body, _measured(reads), self.options.height)
        self._dress(carried_skeleton(self._body, self.betas), rest_points(self._body, self.betas))
        return [self._follow(read) for read in reads]

    def _follow(self, read: _Read) -> LivePose:
        options, trust = self.options, read.points2d[:, 2]
        seen = trust > SEEN
        if read.time - self._before > _GAP:
            self._fit.reset()
            for steady in (self._location, self._pose):
                if steady is not None:
                    steady.reset()
        elif not options.follow:
            self._fit.reset()
        raw = read.places * self._size
        filtered = raw if self._location is None else self._location(raw, seen, read.time)
        own = retarget(filtered, self._lengths) if options.retarget else filtered
        deviation = options.pixels * read.side / CROP
        self._fit.weights = Weights(
            ik=1 / options.metres**2,
            proj=1 / deviation**2,
            smooth=1 / options.acceleration**2,
            depth=1 / options.depth_speed**2,
        )
        dt = read.time - self._before if np.isfinite(self._before) else 1.0
        fit = self._fit.step(own, read.points2d[:, :2], np.where(seen, trust, 0.0), max(dt, 1e-3))
        if self._pose is not None:
            pose, position = self._pose(fit.pose, fit.position, read.time)
            joints, points = _placed(self.skeleton, pose, position)
            fit = replace(fit, pose=pose, position=position, joints=joints, points=points)
        self._before = read.time
        return LivePose(read.time, read.points2d, raw, filtered, own, fit)


def _placed(skeleton: KinematicSkeleton, pose: Array, position: Array) -> tuple[Array, Array]:
    """Joints (J,3) and points (P,3) m of a pose (J,3) rad whose root is at ``position`` (3,)."""
    rest = skeleton.rest_joints
    local = np.asarray(rotations.axis_angle_to_matrix(pose))
    world, joints = kinematics.forward_kinematics_numba(local, rest - rest[0], skeleton.parents)
    offsets = skeleton.rest_points - rest[skeleton.carriers]
    points = joints[skeleton.carriers] + (world[skeleton.carriers] @ offsets[..., None])[..., 0]
    return joints + position, points + position


def _measured(reads: list[_Read]) -> Array:
    """(21,) lengths of bones, the median over the frames that saw both ends, left and right alike; NaN: never seen."""
    points = np.stack([read.places for read in reads])
    sure = np.stack([read.points2d[:, 2] for read in reads]) > _BONE_SURE
    lengths = np.where(sure & sure[:, list(SKELETON.parents)], bone_lengths(points), np.nan)
    lengths = np.concatenate([lengths, lengths[:, list(SKELETON.flip)]])
    found = np.isfinite(lengths).any(axis=0)
    median = np.full(len(SKELETON), np.nan)
    median[found] = np.nanmedian(lengths[:, found], axis=0)
    return median
