"""Pose, focal length and distance together: `recipe.py` first."""
