"""Joint names, parents, flips and named mappings of the skeletons in use: data, with a thin door to it."""

from monocap.skeletons.skeleton import LIMBS12, Skeleton, get, mapping, names

__all__ = ["LIMBS12", "Skeleton", "get", "mapping", "names"]
