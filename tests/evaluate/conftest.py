"""The small data set, made once."""

from pathlib import Path

import numpy as np
import pytest
from small_dataset import people, write_dataset


@pytest.fixture(scope="session")
def walkers() -> np.ndarray:
    return people(np.random.default_rng(8), 18)


@pytest.fixture(scope="session")
def dataset(walkers: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("small"), walkers)
