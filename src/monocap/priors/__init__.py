"""What poses are human: limits and a Gaussian per joint axis, as numbers with their sources."""

from monocap.priors.anatomy import PosePrior, anatomical_prior

__all__ = ["PosePrior", "anatomical_prior"]
