"""What `monocap fit` can be told, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from monocap.errors import InputError
from monocap.pipeline.keypoint_fit.evidence import Evidence
from monocap.pipeline.settings import CaptureSettings

Recipe = Literal["auto", "smplifyx", "smplify", "video", "skeleton"]
Gender = Literal["neutral", "auto", "female", "male"]


@dataclass(frozen=True)
class FitSettings:
    """Options of a fit; every field has the meaning of the command line's flag of the same name.

    ``common`` holds what a fit shares with capture: body, camera, height, smooth, people. ``recipe`` auto is video for
    videos, and smplifyx for pictures. ``fps``: the pictures are one video of that rate. ``skeleton`` names the order of
    the points, ``size`` (w, h) px their pictures, where files do not. ``gender`` chooses among official files: neutral,
    female, male, or auto (as the keypoint file says, else as the network of the ONNX file ``gender_weights`` says of
    the pictures). ``evidence``: what else is known of the pictures.

    Raises InputError for values out of range, or that do not go together.
    """

    common: CaptureSettings = field(default_factory=CaptureSettings)
    recipe: Recipe = "auto"
    faithful: bool = False
    gender: Gender = "neutral"
    gender_weights: Path | None = None
    interpenetration: bool = False
    fps: float | None = None
    skeleton: str | None = None
    size: tuple[int, int] | None = None
    unit: str | None = None
    axes: str | None = None
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        if self.recipe not in get_args(Recipe):
            raise InputError(f"recipe {self.recipe!r} is unknown; expected one of {', '.join(get_args(Recipe))}")
        if self.gender not in get_args(Gender):
            raise InputError(f"gender {self.gender!r} is unknown; expected one of {', '.join(get_args(Gender))}")
        if self.gender_weights is not None and self.gender != "auto":
            raise InputError(f"--gender-weights is for --gender auto; --gender is {self.gender}")
        if self.gender_weights is not None and not self.gender_weights.is_file():
            raise InputError(f"{self.gender_weights}: no such file; expected gender.onnx of monocap train gender")
        if self.fps is not None and not 0.01 <= self.fps <= 1000:
            raise InputError(f"fps is {self.fps}; expected frames per second from 0.01 to 1000")
        if self.faithful and self.recipe not in ("auto", "smplifyx"):
            raise InputError(f"--faithful is the published SMPLify-X; there is no faithful {self.recipe}")
        if self.evidence.places and (self.faithful or self.recipe == "skeleton"):
            raise InputError("scans, masks and depth maps are for the fast recipes smplifyx, smplify and video")
        if self.interpenetration and self.recipe == "skeleton":
            raise InputError("--interpenetration needs a mesh; the recipe skeleton fits joints only")
