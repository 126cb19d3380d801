"""``monocap doctor``: what works here, and the exact remedy for what does not."""

from __future__ import annotations

import importlib
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

_NEEDED = ("numpy", "scipy", "numba", "onnxruntime", "cv2", "av", "PIL", "pygltflib", "tyro", "rich")


def run() -> int:
    """Print one line per check; returns 1 if something that capture needs does not work."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("libraries", _libraries),
        ("weights", _weights),
        ("open body", _body),
        ("kernels", _kernels),
        ("keypoint network", _network),
        ("video encoder", _encoder),
    ]
    failed = 0
    for name, check in checks:
        try:
            print(f"ok    {name:17} {check()}")
        except Exception as error:  # a doctor reports every illness it meets
            failed += 1
            print(f"FAIL  {name:17} {error}")
    print(f"info  {'torch':17} {_torch()}")
    return 1 if failed else 0


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _libraries() -> str:
    missing = []
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise RuntimeError(f"cannot import {', '.join(missing)}; run: pip install --force-reinstall monocap")
    return ", ".join(_NEEDED)


def _weights() -> str:
    from monocap.assets import manifest

    return f"{len([manifest.verify(asset) for asset in manifest.listing()])} files, checksums right"


def _body() -> str:
    from monocap.bodies import load_body

    body = load_body("open")
    return f"{len(body.v_template)} vertices, {len(body.joint_names)} joints"


def _kernels() -> str:
    from monocap.geometry import kinematics

    seconds = kinematics.warmup()
    return f"compiled or from numba's cache in {seconds:.1f} s"


def _network() -> str:
    import numpy as np

    from monocap.perception import PeopleDetector

    found = PeopleDetector().detect(np.zeros((240, 320, 3), np.uint8))
    return f"runs ({len(found.boxes)} people in a black picture)"


def _encoder() -> str:
    import numpy as np

    from monocap.media.writers import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        with VideoWriter(path, 30.0, (64, 64)) as writer:
            for _ in range(3):
                writer.write(np.zeros((64, 64, 3), np.uint8))
        return f"H.264, {path.stat().st_size} bytes written"


def _torch() -> str:
    try:
        from importlib.metadata import version

        return f"{version('torch')} (bodies and geometry also run on torch)"
    except ImportError:
        return 'absent; only needed for gradients: pip install "monocap[torch]"'
