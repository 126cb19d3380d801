"""What several verbs are told in the same words: numbers, people, sizes, cameras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from monocap.errors import InputError

if TYPE_CHECKING:
    from monocap.pipeline.settings import CaptureSettings, Engine, Preset
    from monocap.types import Camera


def capture_settings(
    body: str,
    focal: str,
    fov: float | None,
    camera: Path | None,
    height: float | None,
    smooth: str,
    people: str,
    preset: Preset = "balanced",
    hands: bool = False,
    face: bool = False,
    engine: Engine = "fit",
    weights: str | None = None,
    refine: bool = True,
) -> tuple[CaptureSettings, tuple[str, ...]]:
    """The flags that capture, regress and fit share, checked, and what the user should know about the camera."""
    from monocap.pipeline.settings import CaptureSettings

    intrinsics, notes = _calibrated(camera)
    settings = CaptureSettings(
        preset=preset,
        body=body,
        focal=None if focal == "auto" else _number("focal", focal, "pixels or auto"),
        fov=fov,
        intrinsics=intrinsics,
        height=height,
        smooth=_number("smooth", {"auto": "1", "off": "0"}.get(smooth, smooth), "auto, off or a number"),
        people=_people(people),
        hands=hands,
        face=face,
        engine=engine,
        weights=weights,
        refine=refine,
    )
    return settings, notes


def _people(text: str) -> int | Literal["all", "largest"]:
    if text == "all" or text == "largest":
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise InputError(f"--people is {text!r}; expected all, largest, or a number from 1")


def _calibrated(path: Path | None) -> tuple[Camera | None, tuple[str, ...]]:
    """The camera of a calibration file, and what the user should know about it."""
    if path is None:
        return None, ()
    from monocap.pipeline.calibration import read_camera

    camera, distorted = read_camera(path)
    return camera, (f"{path} also tells of lens distortion, which is not corrected",) if distorted else ()


def parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise InputError(f"--size is {text!r}; expected width and height in pixels, such as 1920x1080")
    return int(sides[0]), int(sides[1])


def _number(flag: str, text: str, wanted: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{flag} is {text!r}; expected {wanted}") from None
