"""People without clothes, hair or props: their outline is exactly the body's, which geometry can then be held to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monocap.bodies import BodyModel
from monocap.render.scene import Surface
from monocap.synth import sampler as module
from monocap.synth.sampler import Sampler, SynthSettings
from monocap.types import Array


class BareOutfit:
    def __init__(self, body: BodyModel) -> None:
        self._body = body
        self._part = np.argmax(body.lbs_weights, axis=1)[body.faces[:, 0]]

    def surfaces(self, vertices: Array, person: int, normals: Array | None = None) -> tuple[Surface, ...]:
        return (Surface(vertices, self._body.faces, person=person, part=self._part, kind="skin"),)

    def describe(self) -> dict[str, Any]:
        return {}


class BareWardrobe:
    def __init__(self, body: BodyModel) -> None:
        self._outfit = BareOutfit(body)

    def choose(self, rng: np.random.Generator, look: str, split: str) -> BareOutfit:
        return self._outfit


def bare_sampler(monkeypatch: pytest.MonkeyPatch, things: bool = False, **settings: Any) -> Sampler:
    """A sampler of people in their skin; without ``things``, nothing stands before them."""
    if not things:
        for name in ("_HOLDS", "_PROPPED"):
            monkeypatch.setattr(module, name, 0.0)
        monkeypatch.setattr(module, "seat_below", lambda *args: None)
    sampler = Sampler(settings=SynthSettings(quality="fast", **settings))
    sampler.__dict__["wardrobe"] = BareWardrobe(sampler.body)
    return sampler
