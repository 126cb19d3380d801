"""Regression networks in capture and in ``monocap regress``: `networks.py` opens them, `guesses.py` asks them."""
