"""Keypoints → SMPL-X parameters: energy terms, Levenberg–Marquardt, recipes. Start with `recipes`."""

from monocap.fitting.recipes import FitOptions, Fitter, fit_photo, fit_video

__all__ = ["FitOptions", "Fitter", "fit_photo", "fit_video"]
