"""Keypoints that another program found → bodies, from files to files (`monocap fit`). Start with `run`."""
