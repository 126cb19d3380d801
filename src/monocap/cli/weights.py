"""``monocap weights``."""

from __future__ import annotations

from dataclasses import fields

from monocap.assets import manifest
from monocap.errors import AssetError, InputError


def run(action: str, name: str | None) -> int:
    """``list``, ``info NAME`` or ``verify [NAME]``; prints on standard output, returns the exit status."""
    if action == "info":
        if name is None:
            names = ", ".join(asset.name for asset in manifest.listing())
            raise InputError(f"weights info needs a name; there are {names}")
        asset = manifest.find(name)
        for field in fields(asset):
            print(f"{field.name:14} {getattr(asset, field.name)}")
        return 0
    chosen = manifest.listing() if name is None else (manifest.find(name),)
    if action == "list":
        for asset in chosen:
            print(f"{asset.name:22} {asset.bytes / 1e6:6.1f} MB  {asset.licence:12} {asset.purpose}")
        return 0
    failed = 0
    for asset in chosen:
        try:
            manifest.verify(asset)
            print(f"{asset.name:22} whole")
        except AssetError as error:
            failed += 1
            print(f"{asset.name:22} BAD: {error}")
    return 1 if failed else 0
