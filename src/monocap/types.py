"""What flows between the stages: frozen dataclasses over numpy arrays, and `Motion`, what capture returns.

Frames of reference (the same everywhere): the *image* has x right, y down, pixels, the centre of the first
pixel at (0, 0); the *camera* is OpenCV's (x right, y down, z forward), metres; the *world* is y up, metres,
ground at y = 0. ``T_a_b`` maps points of b to a.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.errors import InputError
from monocap.files import read_npz, write_npz

Array = NDArray[Any]

MOTION_SCHEMA = "monocap.motion/1"

HAND_POINTS, FACE_POINTS = 21, 53
_SIDED = ("Left", "Right")
ARKIT = (
    *(f"browDown{side}" for side in _SIDED),
    "browInnerUp",
    *(f"browOuterUp{side}" for side in _SIDED),
    "cheekPuff",
    *(f"{name}{side}" for name in ("cheekSquint", "eyeBlink") for side in _SIDED),
    *(f"eyeLook{way}{side}" for way in ("Down", "In", "Out", "Up") for side in _SIDED),
    *(f"{name}{side}" for name in ("eyeSquint", "eyeWide") for side in _SIDED),
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *(f"{name}{side}" for name in ("mouthDimple", "mouthFrown") for side in _SIDED),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(f"{name}{side}" for name in ("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer") for side in _SIDED),
    "tongueOut",
)
"""Apple's 52 face shapes in alphabetical order."""


@dataclass(frozen=True)
class Frame:
    """One decoded picture.

    ``image`` (H,W,3) uint8 RGB, upright (rotation metadata applied); ``index`` counts source frames from 0;
    ``time`` in seconds from the start of the source.
    """

    image: Array
    index: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: focal lengths and principal point in pixels of the image."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @property
    def K(self) -> Array:  # noqa: N802 - the field's name for it
        """(3,3) intrinsic matrix, pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, width: int, height: int) -> Camera:
        """The camera of the same picture made ``width`` × ``height`` pixels."""
        x, y = width / self.width, height / self.height
        return Camera(self.fx * x, self.fy * y, _moved(self.cx, x), _moved(self.cy, y), width, height)


def _moved(pixels: Any, scale: float) -> Any:
    """Coordinates in a picture after scaling it; the first pixel's centre is 0, its outer edge -0.5."""
    return (pixels + 0.5) * scale - 0.5


@dataclass(frozen=True)
class Detections:
    """People found in one picture, best first.

    ``boxes`` (N,4) x0, y0, x1, y1 in image pixels; ``scores`` (N,) in 0–1; ``keypoints`` (N,17,3) COCO-17
    pixels and scores.
    """

    boxes: Array
    scores: Array
    keypoints: Array


@dataclass(frozen=True)
class Keypoints:
    """One person's keypoints in one picture.

    ``points2d`` (N,3): image pixels and confidence 0–1. ``points3d`` (N,3): metres, camera axes (already turned
    from the crop's own view to the camera's), relative to the mid-hips: a hint, not a measurement.
    ``score`` 0–1: how sure the network is that a person is there. ``mask`` (H,W) float32 0–1 on the whole
    image, or None if it was not asked for.
    """

    skeleton: str
    points2d: Array
    points3d: Array
    score: float
    mask: Array | None = None


@dataclass(frozen=True)
class Parts:
    """Hands and face of one person, in one picture or (T,…) through all frames; zero where they are not seen.

    ``hands`` (…,2,21,6), left first: wrist, then thumb, index, middle, ring, little finger from knuckle to tip; image
    pixels, confidence 0–1, and metres about the points' mean along the image's axes: hints, not measurements.
    ``face`` (…,53,3): iBUG's 51 inner points, right and left iris; pixels, confidence. ``shapes`` (…,52): ARKit's
    weights 0–1 by `ARKIT`.
    """

    hands: Array
    face: Array
    shapes: Array


@dataclass(frozen=True)
class BodyGuess:
    """What a regression network says of one person's body, in one picture or (…) through all frames; camera frame.

    ``pose`` (…,66) rad, axis-angle: root, then the 21 body joints of SMPL-X; ``betas`` (…,10); ``pelvis`` (…,3) m, the
    posed pelvis, zero where nothing was said.
    """

    pose: Array
    betas: Array
    pelvis: Array


@dataclass(frozen=True)
class Track:
    """One person through all T frames of a source.

    ``points2d`` (T,N,3) pixels and confidence; ``points3d`` (T,N,3) hints as in `Keypoints`; ``valid`` (T,)
    bool: False where the person was not found (the row's other entries are then zero); ``score`` (T,). ``parts``:
    hands and face, ``guess``: what a regression network says; None where nobody looked for them.
    """

    track_id: int
    skeleton: str
    points2d: Array
    points3d: Array
    valid: Array
    score: Array
    parts: Parts | None = None
    guess: BodyGuess | None = None


@dataclass(frozen=True)
class BodyParams:
    """SMPL-X parameters with any leading batch shape; radians (axis-angle) and metres.

    ``transl`` follows smplx: joints and vertices are LBS(...) + transl. Hand poses are absolute.
    """

    betas: Array
    global_orient: Array
    body_pose: Array
    transl: Array
    jaw_pose: Array | None = None
    left_eye_pose: Array | None = None
    right_eye_pose: Array | None = None
    left_hand_pose: Array | None = None
    right_hand_pose: Array | None = None
    expression: Array | None = None

    def asdict(self) -> dict[str, Array]:
        """The given fields by name, ready to be passed to a body model."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class BodyEstimate:
    """What a stage knows of one person over T frames: parameters (T,…) in the camera frame, and how good they are.

    ``joints`` (T,55,3) metres, camera frame; ``valid`` (T,) bool; ``confidence`` (T,) 0–1;
    ``residual_px`` (T,) root-mean-square reprojection error in pixels.
    """

    params: BodyParams
    joints: Array
    valid: Array
    confidence: Array
    residual_px: Array


_MOTION_SHAPES: dict[str, tuple[str | int, ...]] = {
    "frame_index": ("T",),
    "time": ("T",),
    "image_size": (2,),
    "track_id": ("P",),
    "valid": ("P", "T"),
    "confidence": ("P", "T"),
    "K": ("T", 3, 3),
    "T_world_camera": ("T", 4, 4),
    "betas": ("P", "B"),
    "global_orient": ("P", "T", 3),
    "body_pose": ("P", "T", 63),
    "jaw_pose": ("P", "T", 3),
    "left_eye_pose": ("P", "T", 3),
    "right_eye_pose": ("P", "T", 3),
    "left_hand_pose": ("P", "T", 45),
    "right_hand_pose": ("P", "T", 45),
    "expression": ("P", "T", "E"),
    "transl": ("P", "T", 3),
    "joints": ("P", "T", "J", 3),
    "keypoints2d": ("P", "T", "N", 3),
    "joint_names": ("J",),
    "keypoint_names": ("N",),
    "foot_contact": ("P", "T", 4),
    "hand_keypoints2d": ("P", "T", 2, HAND_POINTS, 3),
    "face_keypoints2d": ("P", "T", FACE_POINTS, 3),
    "arkit": ("P", "T", len(ARKIT)),
}
_OPTIONAL = ("foot_contact", "hand_keypoints2d", "face_keypoints2d", "arkit")


@dataclass(frozen=True)
class Motion:
    """Captured motion of P people over T frames (a photo has T = 1); see docs/motion.md for every field.

    Poses are axis-angle in SMPL-X joint order, camera frame (OpenCV axes); ``joints`` are posed joints in the
    camera frame, metres; ``keypoints2d`` is what was detected, pixels and confidence. Every array that
    follows time has T rows; a missing person is marked in ``valid``, never dropped. ``foot_contact`` (P,T,4) bool
    says where left heel, left toe, right heel, right toe rest on the ground, or is None where nobody has said.
    ``hand_keypoints2d`` (P,T,2,21,3), ``face_keypoints2d`` (P,T,53,3) and ``arkit`` (P,T,52), the weights of ARKit's
    face shapes by `ARKIT`, are as detected, confidence 0 where not seen, or None where nobody looked for them.

    Raises InputError when shapes disagree.
    """

    fps: float
    frame_index: Array
    time: Array
    image_size: Array
    track_id: Array
    valid: Array
    confidence: Array
    K: Array
    T_world_camera: Array
    betas: Array
    global_orient: Array
    body_pose: Array
    jaw_pose: Array
    left_eye_pose: Array
    right_eye_pose: Array
    left_hand_pose: Array
    right_hand_pose: Array
    expression: Array
    transl: Array
    joints: Array
    keypoints2d: Array
    joint_names: Array
    keypoint_names: Array
    body_model: str = "open"
    schema: str = field(default=MOTION_SCHEMA)
    foot_contact: Array | None = None
    hand_keypoints2d: Array | None = None
    face_keypoints2d: Array | None = None
    arkit: Array | None = None

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, pattern in _MOTION_SHAPES.items():
            if name in _OPTIONAL and getattr(self, name) is None:
                continue
            shape = np.shape(getattr(self, name))
            fits = len(shape) == len(pattern) and all(
                size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
                for size, want in zip(shape, pattern, strict=True)
            )
            if not fits:
                want = tuple(f"{d}={sizes[d]}" if d in sizes else d for d in pattern)
                raise InputError(f"Motion.{name} has shape {shape}; expected {want}")

    @property
    def people(self) -> int:
        """P, the number of people."""
        return len(self.track_id)

    @property
    def frames(self) -> int:
        """T, the number of source frames."""
        return len(self.frame_index)

    def params(self, person: int) -> BodyParams:
        """Parameters of one person with batch shape (T,), betas (B,)."""
        names = [f.name for f in fields(BodyParams) if f.name != "betas"]
        return BodyParams(betas=self.betas[person], **{name: getattr(self, name)[person] for name in names})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``motion.npz`` (whole or not at all): float32, no object arrays."""
        arrays = {}
        for f in fields(self):
            if getattr(self, f.name) is None:
                continue
            value = np.asarray(getattr(self, f.name))
            arrays[f.name] = value.astype(np.float32) if value.dtype == np.float64 and f.name != "time" else value
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Motion:
        """Read a file that `save` wrote. Raises InputError if it is anything else."""
        arrays = read_npz(path)
        schema = str(arrays.get("schema", "none"))
        if schema != MOTION_SCHEMA:
            raise InputError(
                f"{path}: schema {schema!r}; expected {MOTION_SCHEMA!r}. Was it written by monocap capture?"
            )
        missing = [f.name for f in fields(cls) if f.name not in arrays and f.name not in _OPTIONAL]
        if missing:
            raise InputError(f"{path}: lacks {', '.join(missing)}; it is damaged or not a monocap motion")
        values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls) if f.name in arrays}
        for name, cast in (("schema", str), ("body_model", str), ("fps", float)):
            values[name] = cast(values[name])
        return cls(**values)

    def to_amass(self, person: int = 0) -> dict[str, Array]:
        """One person with AMASS's keys, in its world (z up, metres), all T frames at the motion's own times.

        ``poses`` (T,165) axis-angle radians in SMPL-X order (root, body, jaw, eyes, hands; absolute hands: play them
        with a flat hand mean), ``trans`` (T,3) m as in smplx, ``betas`` (B,), ``gender`` neutral, ``mocap_frame_rate``
        per second, ``surface_model_type`` smplx. `export.write_amass` writes it, resampled where times are uneven.

        Raises InputError if there is no such person, or they are never seen.
        """
        from scipy.spatial.transform import Rotation  # not needed before, and slow to import

        if not 0 <= person < self.people:
            raise InputError(f"no person of index {person}; this motion has {self.people}")
        seen = np.flatnonzero(self.valid[person])
        if len(seen) == 0:
            raise InputError(f"person {int(self.track_id[person])} is seen in no frame, so there is nothing to write")
        poses_ = ("global_orient", "body_pose", "jaw_pose", "left_eye_pose", "right_eye_pose")
        hands = ("left_hand_pose", "right_hand_pose")
        poses = np.concatenate([np.asarray(getattr(self, name)[person], np.float64) for name in poses_ + hands], axis=1)
        transl = np.asarray(self.transl[person], np.float64)
        # the body turns about its rest pelvis, which the posed one tells: it is only translated
        pelvis = np.asarray(self.joints[person, seen[0], 0], np.float64) - transl[seen[0]]
        z_up = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
        turn = z_up @ np.asarray(self.T_world_camera[:, :3, :3], np.float64)
        shift = np.asarray(self.T_world_camera[:, :3, 3], np.float64) @ z_up.T
        finite = np.isfinite(poses[:, :3]).all(axis=1)
        orient = Rotation.from_matrix(turn[finite]) * Rotation.from_rotvec(poses[finite, :3])
        poses[finite, :3] = orient.as_rotvec()
        return {
            "poses": poses,
            "trans": np.einsum("tab,tb->ta", turn, transl + pelvis) + shift - pelvis,
            "betas": np.asarray(self.betas[person], np.float64),
            "gender": np.array("neutral"),
            "mocap_frame_rate": np.array(float(self.fps)),
            "surface_model_type": np.array("smplx"),
        }

    def camera(self, frame: int = 0) -> Camera:
        """The pinhole camera of one frame."""
        K = self.K[frame]
        width, height = (int(v) for v in self.image_size)
        return Camera(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), width, height)

    def resized(self, width: int, height: int) -> Motion:
        """The same motion as seen in its picture made ``width`` × ``height`` pixels: camera and keypoints follow."""
        x, y = width / int(self.image_size[0]), height / int(self.image_size[1])
        K = self.K.copy()
        K[:, 0, 0] *= x
        K[:, 1, 1] *= y
        K[:, 0, 2], K[:, 1, 2] = _moved(K[:, 0, 2], x), _moved(K[:, 1, 2], y)
        moved: dict[str, Array] = {}
        for name in ("keypoints2d", "hand_keypoints2d", "face_keypoints2d"):
            if (found := getattr(self, name)) is None:
                continue
            points = moved[name] = found.copy()
            seen = points[..., 2] > 0
            points[..., 0] = np.where(seen, _moved(points[..., 0], x), points[..., 0])
            points[..., 1] = np.where(seen, _moved(points[..., 1], y), points[..., 1])
        return replace(self, K=K, image_size=np.array([width, height], dtype=np.int64), **moved)

    def joint(self, name: str) -> Array:
        """Posed positions (P,T,3) of one joint by name, camera frame, metres."""
        names: Sequence[str] = [str(n) for n in self.joint_names]
        if name not in names:
            raise InputError(f"no joint {name!r}; this motion has {', '.join(names)}")
        return self.joints[:, :, names.index(name)]
