"""Networks on one thread, made once, and pictures of the development data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monocap.media import read_picture
from monocap.perception import BlazePose, PeopleDetector

Pictures = Callable[[str], np.ndarray]


@pytest.fixture(scope="session")
def detector() -> PeopleDetector:
    return PeopleDetector(threads=1)


@pytest.fixture(scope="session")
def lite() -> BlazePose:
    return BlazePose("lite", threads=1)


@pytest.fixture(scope="session")
def heavy() -> BlazePose:
    return BlazePose("heavy", threads=1)


@pytest.fixture
def picture(shared: Callable[[str], Path]) -> Pictures:
    return lambda name: np.ascontiguousarray(read_picture(shared(f"media/{name}")).image)
