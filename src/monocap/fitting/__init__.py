"""Keypoints → SMPL-X parameters: energy terms, Levenberg–Marquardt, recipes. Start with `recipes`."""

from monocap.fitting.recipes import FitOptions, Fitter

__all__ = ["FitOptions", "Fitter"]
