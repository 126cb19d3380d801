"""Named shapes of the open body: the mean woman, the mean man, the mean of both, and a child, as betas."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monocap.bodies.model import BodyModel
from monocap.errors import InputError


def shape_names() -> tuple[str, ...]:
    """Names that `named_shape` takes."""
    return tuple(_table())


def named_shape(body: BodyModel, name: str) -> NDArray[np.float64]:
    """Betas (n,), n = min(16, B), of ``"neutral"`` (zeros), ``"female"``, ``"male"`` or ``"child"``.

    The space is of adults: the child has a child's size and proportions to some millimetres, but an adult's face.
    ``bodies/data/shapes.toml`` says how far each is from the people it stands for. Raises InputError for another body
    (the official ones come in a file for each sex) or name.
    """
    if body.name != "open":
        raise InputError(f"body {body.name!r} has no named shapes; only the open body has")
    if name not in _table():
        raise InputError(f"no shape {name!r}; expected {', '.join(shape_names())}")
    return np.array(_table()[name]["betas"], dtype=np.float64)[: body.num_betas]


@cache
def _table() -> dict[str, Any]:
    path = resources.files("monocap.bodies") / "data" / "shapes.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
