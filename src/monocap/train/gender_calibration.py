"""How sure may the gender network be? Its answers made probabilities on held-out people, and how good these are."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from monocap.types import Array

THRESHOLD = 0.9  # the classifier that SMPLify-X was released with accepts what is surer than this
_RIDGE = 1e-3
_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def logistic(x: Array, target: Array, prior: Array) -> Array:
    """Weights (k,) ≥ 0 and bias of a logistic regression of (n,k), drawn to ``prior`` where there is little data."""
    prior = np.append(prior, 0.0)
    if not len(target):
        return prior

    def loss(w: Array) -> float:
        odds = x @ w[:-1] + w[-1]
        return float((np.logaddexp(0, odds) - target * odds).mean() + _RIDGE * ((w - prior) ** 2).sum())

    found = minimize(loss, prior, method="L-BFGS-B", bounds=[(0, None)] * x.shape[1] + [(None, None)])
    return np.asarray(found.x)


def summary(p: Array, target: Array) -> dict[str, Any]:
    """Of probabilities (N,) and who somebody is (1 female, 0 male, 0.5 child, NaN either): how many are right, at which
    thresholds how many are accepted, how many of these are right and how many children stay neutral; and by how sure
    the network is: people, mean sureness, share right."""
    clear, child = np.isin(target, (0.0, 1.0)), target == 0.5
    sure, correct = np.maximum(p, 1 - p), (p > 0.5) == (target > 0.5)
    bins = np.digitize(sure, _LIMITS[1:])
    parts = [clear & (bins == k) for k in range(len(_LIMITS))]
    return {
        "people": int(clear.sum()),
        "right": right(p, target, clear),
        "accepted": {
            f"{limit:.2f}": {
                "share": _mean(sure[clear] >= limit),
                "right": right(p, target, clear & (sure >= limit)),
                "children_neutral": _mean(sure[child] < limit),
            }
            for limit in _LIMITS
        },
        "calibration": [[int(part.sum()), _mean(sure[part]), _mean(correct[part])] for part in parts if part.any()],
    }


def right(p: Array, target: Array, those: Array) -> float | None:
    """Share of ``those`` (N,) told rightly; None of nobody."""
    return _mean(((p > 0.5) == (target > 0.5))[those])


def _mean(values: Array) -> float | None:
    return round(float(values.mean()), 3) if len(values) else None
