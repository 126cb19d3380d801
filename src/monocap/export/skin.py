"""Which picture is painted on a body?"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from monocap.errors import InputError

DEFAULT = "default"
"""The name of the open body's first skin."""


def skin_names() -> tuple[str, ...]:
    """Names of the skins of the open body: the default one first, then by age, ancestry and sex."""
    folder = _data() / "skins"
    return (DEFAULT, *sorted(path.stem for path in folder.glob("*.jpg")))


def skin_texture(body: Any, name: str | None = None) -> Path | None:
    """The texture file of a body: its own ``texture`` if it has that field, a shipped skin of the open body, or None.

    The picture fits the body's ``uv``. ``name`` out of `skin_names` chooses another skin than the default one.
    Raises InputError for a name that there is not, or for one where the body is not the open body.
    """
    is_open = getattr(body, "name", None) == "open" and body.uv is not None
    if name is not None and not is_open:
        raise InputError(f"skin {name!r}; only the open body has skins to choose from")
    own = getattr(body, "texture", None)
    if own is not None and name is None:
        return Path(own)
    if not is_open:
        return None
    if name not in (None, *skin_names()):
        raise InputError(f"no skin {name!r}; expected {', '.join(skin_names())}")
    path = _data() / "open_skin.jpg" if name in (None, DEFAULT) else _data() / "skins" / f"{name}.jpg"
    return path if path.is_file() else None


def _data() -> Path:
    return Path(str(resources.files("monocap.bodies") / "data"))
