"""The open body's joints and points of its skin: what is compared where networks tell rotations alone."""

from __future__ import annotations

from monocap.bodies import BodyModel, load_body
from monocap.train.posed_body import POINTS, PosedBody

BODY_JOINTS = 22


class BodyPoints(PosedBody):
    """`PosedBody` of the 22 joints, where the body file has them, and ``count`` points of the skin."""

    def __init__(self, body: BodyModel | None = None, count: int = 256, seed: int = 0) -> None:
        super().__init__(body or load_body("open"), POINTS[:BODY_JOINTS], count, BODY_JOINTS, "body", seed=seed)
