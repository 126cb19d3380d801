"""What a capture can be told, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from monocap.errors import InputError
from monocap.fitting import FitOptions
from monocap.geometry import cameras
from monocap.types import Camera

Preset = Literal["fast", "balanced", "accurate"]
People = int | Literal["all", "largest"]
Engine = Literal["fit", "hmr", "smpler", "vnect", "auto"]
AUTO: Engine = "hmr"  # what measures best, see docs/regression.md

# The keypoint network of each preset, and over how many crops a photo's keypoints are averaged.
NETWORK: dict[Preset, Literal["lite", "heavy"]] = {"fast": "lite", "balanced": "heavy", "accurate": "heavy"}
PHOTO_CROPS: dict[Preset, int] = {"fast": 1, "balanced": 1, "accurate": 5}


@dataclass(frozen=True)
class CaptureSettings:
    """Options of `monocap.capture`; every field has the meaning of the command line's flag of the same name.

    ``focal`` px of the full image, ``fov`` degrees across its longer side, or ``intrinsics``, a calibrated camera
    (`pipeline.calibration`); at most one of them. ``height`` m.
    ``smooth`` 0 = off, 1 = default. ``people`` is whom to keep, in order of prominence: "all", "largest", or how many.
    ``hands`` and ``face``: whether they are captured too. ``engine``: what finds the body: the "fit" to keypoints
    alone, or with a network of that family as its start, or "auto"; "vnect" follows a skeleton frame by frame, live.
    ``weights``: another file for that network; without ``refine`` nothing is fitted, and the body is what the network
    says (of "vnect": each frame's joints alone, unfiltered).

    Raises InputError for values out of range.
    """

    preset: Preset = "balanced"
    body: str = "open"
    focal: float | None = None
    fov: float | None = None
    intrinsics: Camera | None = None
    height: float | None = None
    smooth: float = 1.0
    people: People = "all"
    hands: bool = False
    face: bool = False
    engine: Engine = "fit"
    weights: str | None = None
    refine: bool = True

    def __post_init__(self) -> None:
        if self.preset not in get_args(Preset):
            raise InputError(f"preset {self.preset!r} is unknown; expected one of {', '.join(get_args(Preset))}")
        if self.focal is not None and self.fov is not None:
            raise InputError("both focal and fov are given; expected at most one of them")
        if self.intrinsics is not None and (self.focal is not None or self.fov is not None):
            raise InputError("a calibrated camera and focal or fov are given; expected at most one of them")
        if self.focal is not None and not (math.isfinite(self.focal) and self.focal > 0):
            raise InputError(f"focal is {self.focal}; expected pixels above 0")
        if self.fov is not None and not 1.0 <= self.fov <= 170.0:
            raise InputError(f"fov is {self.fov}; expected degrees between 1 and 170, across the longer side")
        if self.people not in ("all", "largest") and not (type(self.people) is int and self.people >= 1):
            raise InputError(f"people is {self.people!r}; expected all, largest, or a number from 1")
        if self.engine not in get_args(Engine):
            raise InputError(f"engine {self.engine!r} is unknown; expected one of {', '.join(get_args(Engine))}")
        if self.network is None and not self.live and (self.weights is not None or not self.refine):
            raise InputError("weights and refine are for a network; with them, give an engine of hmr, smpler or vnect")
        if self.live and (self.hands or self.face):
            raise InputError("engine vnect follows 21 joints; for hands and face choose another engine")
        _ = self.fit_options

    @property
    def network(self) -> Literal["hmr", "smpler"] | None:
        """The family of regression network that is asked; None: none."""
        chosen = AUTO if self.engine == "auto" else self.engine
        return chosen if chosen in ("hmr", "smpler") else None

    @property
    def live(self) -> bool:
        """Whether VNect follows the people."""
        return self.engine == "vnect"

    @property
    def most_people(self) -> int | None:
        """How many people are kept at most; None means everybody."""
        return {"all": None, "largest": 1}[self.people] if isinstance(self.people, str) else self.people

    @property
    def fit_options(self) -> FitOptions:
        """The part that concerns the fit. Raises InputError for values out of range."""
        return FitOptions(self.height, self.smooth)

    @property
    def camera_given(self) -> bool:
        """Whether the user told the focal length."""
        return self.intrinsics is not None or self.focal is not None or self.fov is not None

    def camera(self, width: int, height: int, exif_focal: float | None = None) -> tuple[Camera, str]:
        """The pinhole camera of a picture and where its focal length comes from: "given", "EXIF" or "assumed"."""
        longer = max(width, height)
        if self.intrinsics is not None:
            own = self.intrinsics
            if abs(own.width * height / (own.height * width) - 1) > 0.01:
                raise InputError(
                    f"the calibrated camera's pictures have {own.width} × {own.height} pixels, this one {width} × "
                    f"{height}; expected the same shape (is one of them turned or cropped?)"
                )
            return own.resized(width, height), "given"
        if self.focal is not None:
            focal, origin = self.focal, "given"
        elif self.fov is not None:
            focal, origin = 0.5 * longer / math.tan(math.radians(self.fov) / 2), "given"
        elif exif_focal is not None:
            focal, origin = exif_focal, "EXIF"
        else:
            focal, origin = cameras.default_focal(width, height), "assumed"
        return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height), origin
