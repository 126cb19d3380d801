"""Keypoints that other programs wrote → one form. They live here and not in perception: they are read, not seen,
with the same helpers as data sets (`data.fields`), and 3D ones are `data.recordings`."""

from monocap.data.keypoint_files.arrays import write_keypoints
from monocap.data.keypoint_files.form import KeypointPicture, KeypointSet
from monocap.data.keypoint_files.recognise import find_keypoints, read_keypoints, read_points

__all__ = ["KeypointPicture", "KeypointSet", "find_keypoints", "read_keypoints", "read_points", "write_keypoints"]
