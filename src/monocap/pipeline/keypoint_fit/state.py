"""`Fitted` as plain arrays and back: what ``--resume`` goes on from and what ``--latents`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from monocap.errors import InputError
from monocap.fitting.smplifyx.result import Fitted
from monocap.types import Array, BodyParams

_ROWS = ("latent", "left_hand_pca", "right_hand_pca", "found", "start", "converged", "iterations", "residual_px")


def packed(fitted: Fitted) -> dict[str, Array]:
    """All of it under names of its own, none of them an object array."""
    arrays = {f"params.{name}": np.asarray(value) for name, value in fitted.params.asdict().items()}
    arrays |= {name: np.asarray(value) for name in _ROWS if (value := getattr(fitted, name)) is not None}
    arrays |= {f"energy.{name}": np.asarray(value) for name, value in fitted.energies.items()}
    arrays |= {f"trace.{i:02d}.{stage}": np.asarray(values) for i, (stage, values) in enumerate(fitted.trace)}
    return arrays | {"recipe": np.array(fitted.recipe), "warnings": np.array(fitted.warnings, dtype=np.str_)}


def unpacked(arrays: Mapping[str, Array]) -> Fitted:
    """What `packed` made. Raises InputError if it is anything else."""
    params = _part(arrays, "params.")
    missing = [name for name in ("found", "start", "converged", "iterations", "residual_px") if name not in arrays]
    missing += [f.name for f in fields(BodyParams) if f.name not in params and f.default is not None]
    if missing:
        raise InputError(f"a saved fit lacks {', '.join(missing)}; leave --resume out to start anew")
    rows: dict[str, Any] = {name: arrays.get(name) for name in _ROWS}
    return Fitted(
        params=BodyParams(**params),
        energies=_part(arrays, "energy."),
        trace=tuple((name.partition(".")[2], values) for name, values in sorted(_part(arrays, "trace.").items())),
        recipe=str(arrays.get("recipe", "")),
        warnings=tuple(str(line) for line in arrays.get("warnings", ())),
        **rows,
    )


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def taken(fitted: Fitted, rows: Array) -> Fitted:
    """Some of its pictures."""
    names = fitted.params.asdict()
    params = BodyParams(**{name: np.asarray(value)[rows] for name, value in names.items()})
    values: dict[str, Any] = {
        name: None if getattr(fitted, name) is None else np.asarray(getattr(fitted, name))[rows] for name in _ROWS
    }
    energies = {name: np.asarray(value)[rows] for name, value in fitted.energies.items()}
    trace = tuple((stage, np.asarray(value)[:, rows]) for stage, value in fitted.trace)
    return Fitted(
        params=params, energies=energies, trace=trace, recipe=fitted.recipe, warnings=fitted.warnings, **values
    )
