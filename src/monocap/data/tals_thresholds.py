"""The thresholds below which an error counts little in training (TALS, TokenHMR), as a file: written by
``monocap evaluate tals``, read by training."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.files import replacing
from monocap.types import Array

SCHEMA = "monocap.tals/1"
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class TalsThresholds:
    """By name: ``points`` squared 2D error in crop widths; ``points_l1`` the mean of |Δx| + |Δy|, crop widths;
    ``rotations`` geodesic angle in rad, root first as "pelvis". ``about``: from what camera, data and how many."""

    points: Mapping[str, float]
    points_l1: Mapping[str, float]
    rotations: Mapping[str, float]
    about: Mapping[str, Any] = field(default_factory=dict)

    def of_points(self, names: tuple[str, ...], how: str = "points") -> Array:
        """(K,) thresholds of points by name; those without one get the median of the others."""
        return _by_name(getattr(self, how), names)

    def of_rotations(self, names: tuple[str, ...]) -> Array:
        """(J,) thresholds of joints' rotations by name, rad; those without one get the median of the others."""
        return _by_name(self.rotations, names)

    def write(self, path: str | os.PathLike[str]) -> None:
        """As JSON, whole or not at all."""
        content = {"schema": SCHEMA, "about": dict(self.about)}
        for name in ("points", "points_l1", "rotations"):
            content[name] = {key: float(f"{value:.6g}") for key, value in getattr(self, name).items()}
        with replacing(Path(path)) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _by_name(table: Mapping[str, float], names: tuple[str, ...]) -> Array:
    usual = float(np.median(list(table.values())))
    return np.array([table.get(name, usual) for name in names])


def read_tals_thresholds(path: str | os.PathLike[str]) -> TalsThresholds:
    """Read what `TalsThresholds.write` wrote. Raises InputError for anything else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; monocap evaluate tals writes one")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes; thresholds have a few thousand")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']!r}")
        tables = {}
        for name in ("points", "points_l1", "rotations"):
            tables[name] = {str(key): float(value) for key, value in content[name].items()}
            if not tables[name] or not all(math.isfinite(v) and v > 0 for v in tables[name].values()):
                raise ValueError(f"{name} holds no positive numbers")
        return TalsThresholds(**tables, about=dict(content.get("about", {})))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: no thresholds of schema {SCHEMA} ({error}); expected what monocap evaluate tals writes"
        ) from error
