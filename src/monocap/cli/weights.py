"""``monocap weights``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

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


def convert(name: str | None, out: Path | None, half: bool = False) -> int:
    """Official weights (``.pt``, ``.pth``, ``.ckpt``) to safetensors, or safetensors (a file, or one that ships) to
    ONNX: a prior's decoder, a network's last answer, its weights stored in 16 bits with ``half``. Returns the exit
    status."""
    if name is None or out is None:
        raise InputError("weights convert needs a file and -o OUT.safetensors (or OUT.onnx)")
    if out.suffix == ".onnx":
        told = _to_onnx(name, out, half)
    elif out.suffix == ".safetensors":
        from monocap.assets.tensors import write_tensors
        from monocap.nets.official_networks import import_official

        tensors = import_official(name)
        write_tensors(out, tensors)
        told = str(tensors.arch["name"])
    else:
        raise InputError(f"-o {out}: expected a name ending in .safetensors or .onnx")
    print(f"wrote {out}: {told}")
    return 0


def _to_onnx(name: str, out: Path, half: bool) -> str:
    """Write ONNX of our own weights; returns what was written."""
    from monocap.assets.tensors import read_tensors
    from monocap.nets.network import Network
    from monocap.nets.registry import from_tensors

    shipped = {asset.name: asset for asset in manifest.listing() if asset.path.suffix == ".safetensors"}
    tensors = read_tensors(manifest.locate(shipped[name]) if name in shipped else name)
    net = from_tensors(tensors, name)
    if not isinstance(net, Network):  # a prior: its decoder is what others can use
        from monocap.nets.onnx_twins import write_onnx

        write_onnx(out, tensors)
        return str(tensors.arch["name"])
    from monocap.nets.onnx_export import export_network

    difference = export_network(out, net, half)
    return f"{tensors.arch['name']}, at most {difference:.1e} from torch on random inputs"
