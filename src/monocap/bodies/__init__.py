"""Parametric bodies: from shape and pose parameters to joints and a skinned mesh."""

from monocap.bodies.load import load_body
from monocap.bodies.model import BodyModel, BodyOutput
from monocap.bodies.posing import warmup

__all__ = ["BodyModel", "BodyOutput", "load_body", "warmup"]
