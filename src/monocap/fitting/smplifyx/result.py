"""What a fit returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from monocap.types import Array, BodyParams


@dataclass(frozen=True)
class Fitted:
    """One person in N pictures.

    - ``params``: every field has N rows (``betas`` (N,B) too, equal where they were shared); hand poses are absolute
      angles (N,45), the mean hand included, as in motion.npz; ``transl`` (N,3) m is the camera's translation too: the
      camera stands in the origin, axes as in OpenCV;
    - ``latent`` (N,32) VPoser's code, or None where the prior has none; ``left_hand_pca`` and ``right_hand_pca``
      (N,12) coefficients without the mean, or None;
    - ``found`` (N,) bool: False where too little was seen; the row then holds a body at rest and no energy;
    - ``energies``: term → (N,) at the end, with the last stage's weights; ``energy`` (N,) their sum;
    - ``trace``: per stage (name, values (iterations,N)): the energy of that stage after each iteration;
    - ``start`` (N,) which of the starting orientations won; ``converged`` (N,) bool; ``iterations`` (N,), all stages;
    - ``residual_px`` (N,) root-mean-square reprojection error of the seen keypoints, weighted by confidence;
    - ``evaluations`` (N,) of energy and gradient, all stages and starts of a picture together, or None if not counted.
    """

    params: BodyParams
    latent: Array | None
    left_hand_pca: Array | None
    right_hand_pca: Array | None
    found: Array
    energies: Mapping[str, Array]
    trace: tuple[tuple[str, Array], ...]
    start: Array
    converged: Array
    iterations: Array
    residual_px: Array
    recipe: str = "smplifyx"
    warnings: tuple[str, ...] = field(default=())
    evaluations: Array | None = None

    @property
    def energy(self) -> Array:
        """(N,) sum of all terms."""
        return np.sum(list(self.energies.values()), axis=0)

    @property
    def camera_translation(self) -> Array:
        """(N,3) metres, the published name of ``params.transl``."""
        return self.params.transl

    def __len__(self) -> int:
        return len(self.found)
