"""Which files ship, where they lie, and whether they are whole. Everything is local: nothing is ever downloaded."""

from __future__ import annotations

import functools
import hashlib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from monocap.errors import AssetError, InputError

PACKAGE = Path(__file__).resolve().parents[1]
MANIFEST = Path(__file__).with_name("manifest.toml")
_REMEDY = "Install the package again: pip install --force-reinstall --no-deps monocap"


@dataclass(frozen=True)
class Asset:
    """One shipped file: what it is for, where it came from, under which terms, and how to recognise it.

    ``file`` is relative to the package folder; ``bytes`` and ``sha256`` (hex) are of exactly that file.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    purpose: str
    licence: str
    origin: str
    recipe: str
    training_data: str
    inputs: str
    outputs: str

    @property
    def path(self) -> Path:
        """Where the file should lie; `locate` also checks that it does."""
        return PACKAGE / self.file


@functools.cache
def _read(manifest: Path) -> dict[str, Asset]:
    try:
        table = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise AssetError(f"{manifest}: the list of shipped files cannot be read ({error}). {_REMEDY}") from error
    names = {f.name for f in fields(Asset)} - {"name"}
    for name, entry in table.items():
        if set(entry) != names:
            raise AssetError(f"{manifest}: [{name}] needs exactly the keys {', '.join(sorted(names))}. {_REMEDY}")
    return {name: Asset(name=name, **entry) for name, entry in table.items()}


def listing() -> tuple[Asset, ...]:
    """All shipped files, in the manifest's order."""
    return tuple(_read(MANIFEST).values())


def find(name: str) -> Asset:
    """One shipped file by name. Raises InputError for a name that does not exist."""
    assets = _read(MANIFEST)
    if name not in assets:
        raise InputError(f"no shipped weights called {name!r}; there are {', '.join(assets)}")
    return assets[name]


def locate(asset: Asset | str) -> Path:
    """Path of a shipped file after a check that costs nothing: it exists and has the right size.

    Raises AssetError if it is missing or of another size (an interrupted install, a Git LFS pointer).
    """
    asset = find(asset) if isinstance(asset, str) else asset
    try:
        size = asset.path.stat().st_size
    except OSError as error:
        raise AssetError(f"{asset.name}: {asset.path} is missing. {_REMEDY}") from error
    if size != asset.bytes:
        raise AssetError(f"{asset.name}: {asset.path} has {size} bytes, expected {asset.bytes}. {_REMEDY}")
    return asset.path


def verify(asset: Asset | str) -> Path:
    """Like `locate`, and reads the whole file to compare its SHA-256. Raises AssetError if it differs."""
    asset = find(asset) if isinstance(asset, str) else asset
    path = locate(asset)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != asset.sha256:
        raise AssetError(f"{asset.name}: {path} is damaged (sha256 {found}, expected {asset.sha256}). {_REMEDY}")
    return path
