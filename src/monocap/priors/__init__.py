"""What poses are human: joint limits, Gaussian and mixture here; VPoser and tokenizer in `vposer` and `tokenizer`."""

from monocap.priors.anatomy import PosePrior, anatomical_prior
from monocap.priors.gaussian import PoseGaussian
from monocap.priors.gmm import PoseMixture
from monocap.priors.limits import PoseLimits

__all__ = ["PoseGaussian", "PoseLimits", "PoseMixture", "PosePrior", "anatomical_prior"]
