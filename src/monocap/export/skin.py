"""Which picture is painted on a body?"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from monocap.errors import InputError

DEFAULT = "default"
"""The name of the open body's first skin."""
_MAX_BYTES = 32_000_000  # it goes into every GLB and page


def skin_names() -> tuple[str, ...]:
    """Names of the skins of the open body: the default one first, then by age, ancestry and sex."""
    folder = _data() / "skins"
    return (DEFAULT, *sorted(path.stem for path in folder.glob("*.jpg")))


def skin_texture(body: Any, name: str | None = None) -> Path | None:
    """The texture file of a body: its own ``texture`` if it has that field, a shipped skin of the open body, or None.

    The picture fits the body's ``uv``. ``name`` out of `skin_names` chooses another skin than the open body's default
    one; or it is a JPEG or PNG file, drawn for the uv of this body, whichever it is.

    Raises InputError for a name that there is not, or where the body is not the open body; for a file that is missing
    or no such picture, or where the body has no uv.
    """
    is_open = getattr(body, "name", None) == "open" and body.uv is not None
    if name is not None and (Path(name).suffix or Path(name).is_file()):
        return _own_file(body, Path(name))
    if name is not None and not is_open:
        raise InputError(f"skin {name!r}; only the open body has skins by name, for others give a JPEG or PNG file")
    own = getattr(body, "texture", None)
    if own is not None and name is None:
        return Path(own)
    if not is_open:
        return None
    if name not in (None, *skin_names()):
        raise InputError(f"no skin {name!r}; expected {', '.join(skin_names())}, or a JPEG or PNG file")
    path = _data() / "open_skin.jpg" if name in (None, DEFAULT) else _data() / "skins" / f"{name}.jpg"
    return path if path.is_file() else None


def _own_file(body: Any, path: Path) -> Path:
    if body.uv is None:
        raise InputError(f"skin {path}: the body {getattr(body, 'name', '')!r} has no texture coordinates to lay it on")
    if not path.is_file():
        raise InputError(
            f"skin {path}: no such file; expected a JPEG or PNG picture for the body's texture coordinates"
        )
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"skin {path}: {path.stat().st_size / 1e6:.0f} MB; expected at most {_MAX_BYTES / 1e6:.0f}")
    with path.open("rb") as file:
        if not file.read(3).startswith((b"\xff\xd8\xff", b"\x89PN")):
            raise InputError(f"skin {path}: neither JPEG nor PNG; glTF and OBJ take only these")
    return path


def _data() -> Path:
    return Path(str(resources.files("monocap.bodies") / "data"))
