"""How far estimated joints are from the truth: MPJPE and its relatives, per sample, in metres."""

from monocap.metrics.joint_errors import accel, accel_error, mpjpe, pa_mpjpe, pck

__all__ = ["accel", "accel_error", "mpjpe", "pa_mpjpe", "pck"]
