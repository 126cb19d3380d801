"""``monocap train prior statistics``."""

from __future__ import annotations

import json
from pathlib import Path

from monocap.data.pose_statistics import train_statistics


def run(data: Path, out: Path, seed: int, as_json: bool) -> int:
    """Fit limits, Gaussian and mixture; print what was measured on held-out performers."""
    report = train_statistics(data, out, seed)
    if as_json:
        print(json.dumps(report))
        return 0
    print(f"{report['poses']} poses (captured and mirrored) → {out}")
    for split, found in report["held_out"].items():
        beyond = found["beyond_limits_percent"]
        print(
            f"{split:8} {found['poses']:6} poses: {beyond['joints']} % of joints beyond the limits; log-density"
            f" {found['gaussian_nats']} (Gaussian), {found['mixture_nats']} (mixture) nats"
        )
    for name, beyond in report["samples_beyond_limits_percent"].items():
        print(f"1000 samples of the {name}: {beyond['joints']} % of joints beyond the limits")
    return 0
