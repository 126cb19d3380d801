"""Which picture is painted on a body?"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any


def skin_texture(body: Any) -> Path | None:
    """The texture file of a body: its own ``texture`` if it has that field, the shipped skin of the open body, or None.

    The picture fits the body's ``uv``.
    """
    own = getattr(body, "texture", None)
    if own is not None:
        return Path(own)
    if getattr(body, "name", None) == "open" and body.uv is not None:
        path = Path(str(resources.files("monocap.bodies") / "data" / "open_skin.jpg"))
        if path.is_file():
            return path
    return None
