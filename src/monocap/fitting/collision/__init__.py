"""A body that runs through itself: found by exact intersection of its triangles, priced, and pushed apart."""

from monocap.fitting.collision.collider import OFFICIAL_EXPONENT, OFFICIAL_SIGMA, PAPER_EXPONENT, Collider

__all__ = ["OFFICIAL_EXPONENT", "OFFICIAL_SIGMA", "PAPER_EXPONENT", "Collider"]
