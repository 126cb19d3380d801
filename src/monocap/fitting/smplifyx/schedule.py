"""The weights of SMPLify-X and SMPLify, stage by stage, as data.

Sources: Pavlakos et al. 2019 (SMPLify-X), the values of its published configurations; Bogo et al. 2016 (SMPLify).
The energy that they weigh, with κ detector confidence and γ the joint's weight:

    E = data² Σ (γκ)² ρ(x − x̂)           per coordinate, ρ(e) = rho² e² / (rho² + e²), pixels
      + body_pose² P(θ)                    ‖z‖² of VPoser's code, or the mixture's energy with its constants
      + betas² ‖β‖² + expression² ‖ψ‖² + hands² (‖m_l‖² + ‖m_r‖²) + ‖jaw ⊙ θ_jaw‖² + eyes² ‖θ_eyes‖²
      + bending Σ exp(2 s θ)               elbows and knees; this weight is not squared
      + collision · interpenetration       nor is this one
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from monocap.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One stage: the factors of the energy above. ``hand_joints`` and ``face_joints`` are γ of those keypoints (the
    face's contour and 51 landmarks; the two points of the hands' roots count as hands)."""

    body_pose: float
    betas: float
    bending: float
    collision: float = 0.0
    hands: float = 0.0
    expression: float = 0.0
    jaw: tuple[float, float, float] = (0.0, 0.0, 0.0)
    eyes: float = 0.0
    hand_joints: float = 0.0
    face_joints: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """A recipe's stages and what they share.

    ``ignored``: names of OpenPose keypoints with γ = 0, because no joint of the body lies there; ``rho`` px, the scale
    of the robustifier; ``data_height``: data = data_height / height of the picture (None: data = 1).
    Camera stage: ``camera_joints`` by name, ``camera_depth`` the weight (squared) of the depth prior, 1/m²;
    ``side_view`` px: shoulders closer than that start a second fit, turned by half a turn.
    """

    name: str
    stages: tuple[Stage, ...]
    ignored: tuple[str, ...] = ("neck", "right_hip", "left_hip")
    rho: float = 100.0
    data_height: float | None = 1000.0
    camera_joints: tuple[str, ...] = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
    camera_depth: float = 100.0
    side_view: float = 25.0

    @property
    def last(self) -> Stage:
        """The stage whose energy is the result's."""
        return self.stages[-1]

    def without_eyes(self) -> Schedule:
        """As published, without any prior over the eyes, which then drift by radians."""
        return replace(self, stages=tuple(replace(stage, eyes=0.0) for stage in self.stages))


_BEND = 3.17
_POSE = (404.0, 404.0, 57.4, 4.78, 4.78)
_SHAPE = (100.0, 50.0, 10.0, 5.0, 5.0)
_JAW = (10.0, 100.0, 100.0)  # times the pose weight: opening, and the two that jaws hardly have
_HAND_JOINTS = (0.0, 0.0, 0.0, 0.1, 2.0)
_FACE_JOINTS = (0.0, 0.0, 0.0, 0.0, 2.0)
_COLLISION = (0.0, 0.0, 0.0, 0.01, 1.0)
# Missing in the published energy. Eyes turn by 0.3 rad where an expression coefficient moves by 1.
_EYES = tuple(w / 0.3 for w in _SHAPE)

SMPLX = Schedule(
    "smplx",
    tuple(
        Stage(
            pose, shape, _BEND * pose, collision, pose, shape,
            (_JAW[0] * pose, _JAW[1] * pose, _JAW[2] * pose), eyes, hands, face,
        )
        for pose, shape, collision, eyes, hands, face in zip(
            _POSE, _SHAPE, _COLLISION, _EYES, _HAND_JOINTS, _FACE_JOINTS, strict=True
        )
    ),
)  # fmt: skip

SMPLH = Schedule(
    "smplh",
    tuple(
        Stage(pose, shape, _BEND * pose, collision, hands=pose, hand_joints=hands)
        for pose, shape, collision, hands in zip(_POSE, _SHAPE, _COLLISION, _HAND_JOINTS, strict=True)
    ),
)

SMPL = Schedule(
    "smpl",
    tuple(
        Stage(pose, shape, _BEND * pose, collision)
        for pose, shape, collision in zip(_POSE[:4], _SHAPE[:4], (0.0, 0.0, 0.01, 1.0), strict=True)
    ),
)

# Its bending residual is 3.17·w·exp(θ), squared with its weight; capsules weigh 10³ (squared) in every stage. SMPL has
# no hands and face; bodies that have them are held as SMPLify-X holds them, or nose and eyes would pull on the mouth.
SMPLIFY = Schedule(
    "smplify",
    tuple(
        Stage(
            pose, shape, (_BEND * pose) ** 2, 1e3**2, pose, shape,
            (_JAW[0] * pose, _JAW[1] * pose, _JAW[2] * pose), shape / 0.3,
        )
        for pose, shape in ((404.0, 100.0), (404.0, 50.0), (57.4, 10.0), (4.78, 5.0))
    ),
    ignored=("right_hip", "left_hip"),
    data_height=None,
)  # fmt: skip


def schedule_for(kind: str, recipe: str = "smplifyx") -> Schedule:
    """The schedule of ``recipe`` (smplifyx, smplify) for a kind of body (smplx, smplh, smpl).

    Raises InputError for others.
    """
    if recipe == "smplify":
        return SMPLIFY
    found = {"smplx": SMPLX, "smplh": SMPLH, "smpl": SMPL}.get(kind)
    if found is None or recipe != "smplifyx":
        raise InputError(f"no weights of {recipe!r} for {kind!r}; expected smplifyx or smplify, and a whole body")
    return found
