"""What a step of training takes of a GPU's memory, counted by the tool that the documentation's table is made with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training")
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

TOOL = Path(__file__).parents[2] / "tools" / "measure_training_memory.py"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("measure_training_memory", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_vision_transformer_fits_eight_gigabytes(tool: Any) -> None:
    """ViT-B, AdamW and the average of the weights, batch 64, activations computed again: well below, for CUDA's own."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        kept, again = (tool.count("hmr2-b", 64, checkpointing, False, {}) for checkpointing in (False, True))
    assert again < 7e9 < 8e9 < kept
    weights = 4 * 4 * sum(value.numel() for value in _meta().parameters())  # with their gradients, moments
    assert weights < again, "at least what the weights take is counted"


def _meta() -> Any:
    from monocap import nets

    with torch.device("meta"):
        return nets.build("hmr2-b")
