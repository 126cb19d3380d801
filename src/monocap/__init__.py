"""monocap: one camera in, posed bodies and a moving avatar out.

    import monocap
    motion = monocap.capture("dance.mp4")
    motion.save("motion.npz")

Everything here is imported when it is first used, so that ``import monocap`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "capture": "monocap.pipeline.api",
    "capture_image": "monocap.pipeline.api",
    "load_body": "monocap.bodies",
    "Motion": "monocap.types",
    "CaptureSettings": "monocap.pipeline.settings",
}

__all__ = ["CaptureSettings", "Motion", "__version__", "capture", "capture_image", "load_body"]

if TYPE_CHECKING:
    from monocap.bodies import load_body
    from monocap.pipeline.api import capture, capture_image
    from monocap.pipeline.settings import CaptureSettings
    from monocap.types import Motion


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'monocap' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
