"""Rotations, transforms, cameras, crops, alignment and kinematics, one question a module.

Written against the array API: numpy arrays or torch tensors in, the same kind out, any leading batch shape,
float32 or float64. torch itself is imported only by `monocap.geometry.kinematics_torch`.
"""
