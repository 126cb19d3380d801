"""The five kinds of body in the SMPL family, as data: what tells them apart, their parameters, points and licences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_POINTS = ("nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
_FINGERTIPS = ("thumb", "index", "middle", "ring", "pinky")
EXTRA_POINTS = (*_POINTS, *(f"{side}{finger}" for side in "lr" for finger in _FINGERTIPS))
"""Names (smplx's) of single vertices that keypoint sets refer to, in smplx's order."""

# Vertex numbers of the official meshes; the open body has the same numbers at the same places as SMPL-X.
_SMPL_POINTS = dict(
    zip(
        EXTRA_POINTS,
        (
            *(332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787),
            *(2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133),
        ),
        strict=True,
    )
)
_SMPLX_POINTS = dict(
    zip(
        EXTRA_POINTS,
        (
            *(9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635),
            *(5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022),
        ),
        strict=True,
    )
)
_MANO_POINTS: dict[str, int] = dict(zip(_FINGERTIPS, (744, 320, 443, 554, 671), strict=True))


@dataclass(frozen=True)
class Kind:
    """One kind of body.

    ``skeleton`` names its joints, ``points`` all points that can stand on it (`monocap.skeletons`): joints, single
    vertices, landmarks of the face, its contour. ``vertices`` of the official mesh; ``parts`` the pose parameters
    and their joints, in order; ``extra_points`` vertex numbers by smplx's names; ``neck`` the joint whose turn
    moves the contour; ``has_expression``: shape directions are followed by expression; ``home``: its site.
    """

    name: str
    title: str
    skeleton: str
    points: str
    vertices: int
    parts: tuple[tuple[str, int], ...]
    extra_points: Mapping[str, int] = field(default_factory=dict)
    neck: int | None = None
    has_expression: bool = False
    home: str = ""

    @property
    def licence(self) -> str:
        """The terms of the official files, where a file itself does not say."""
        return f"non-commercial research licence of its makers ({self.home}); not to be passed on"

    @property
    def hands(self) -> tuple[str, ...]:
        """Its hand parameters, in order."""
        return tuple(name for name, _ in self.parts if name.endswith("hand_pose"))


_HANDS = (("left_hand_pose", 15), ("right_hand_pose", 15))
_FACE = (("jaw_pose", 1), ("left_eye_pose", 1), ("right_eye_pose", 1))

KINDS: dict[int, Kind] = {
    24: Kind(
        *("smpl", "SMPL", "smpl24", "smpl45", 6890),
        parts=(("global_orient", 1), ("body_pose", 23)),
        extra_points=_SMPL_POINTS,
        home="smpl.is.tue.mpg.de",
    ),
    52: Kind(
        *("smplh", "SMPL-H", "smplh52", "smplh73", 6890),
        parts=(("global_orient", 1), ("body_pose", 21), *_HANDS),
        extra_points=_SMPL_POINTS,
        home="mano.is.tue.mpg.de",
    ),
    55: Kind(
        *("smplx", "SMPL-X", "smplx55", "smplx144", 10475),
        parts=(("global_orient", 1), ("body_pose", 21), *_FACE, *_HANDS),
        extra_points=_SMPLX_POINTS,
        neck=12,
        home="smpl-x.is.tue.mpg.de",
        has_expression=True,
    ),
    16: Kind(
        *("mano", "MANO", "mano16", "mano21", 778),
        parts=(("global_orient", 1), ("hand_pose", 15)),
        extra_points=_MANO_POINTS,
        home="mano.is.tue.mpg.de",
    ),
    5: Kind(
        *("flame", "FLAME", "flame5", "flame73", 5023),
        parts=(("global_orient", 1), ("neck_pose", 1), *_FACE),
        home="flame.is.tue.mpg.de",
        neck=0,  # smplx turns FLAME's contour by the root alone
        has_expression=True,
    ),
}
"""By the number of joints, which no two kinds share."""
