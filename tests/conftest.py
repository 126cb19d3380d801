"""What every test may use: the development data beside the repository, and a seeded generator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(os.environ.get("MONOCAP_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared_path(name: str) -> Path:
    """Path of a development file, e.g. ``media/yoga.jpg``; skips the test where the data is absent.

    In CI (``CI`` set) absent data fails instead, unless ``MONOCAP_SHARED=absent`` says that it is meant so.
    """
    path = SHARED / name
    if not path.exists():
        reason = f"development data {name} is not here; set MONOCAP_SHARED to the folder that holds it"
        if os.environ.get("CI") and os.environ.get("MONOCAP_SHARED") != "absent":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture
def shared() -> Callable[[str], Path]:
    return shared_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)
