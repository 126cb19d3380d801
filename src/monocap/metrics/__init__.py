"""How good an estimate is, one number per sample, in metres (or pixels): one file per question.

Joints (`joints`), surfaces (`vertices`), the picture (`image`), time and ground (`motion`), the world (`world`),
and how sure an average is (`statistics`).
"""

from monocap.metrics.image import (
    box_iou,
    box_size,
    head_size,
    keypoint_distances,
    mask_iou,
    oks,
    pck_2d,
    pixel_error,
    torso_size,
)
from monocap.metrics.joints import auc, joint_distances, mpjpe, n_mpjpe, pa_mpjpe, pck
from monocap.metrics.motion import accel, accel_error, floor_penetration, foot_contact, foot_skate, jitter
from monocap.metrics.statistics import Interval, bootstrap_interval
from monocap.metrics.vertices import mve, pa_mve, pve
from monocap.metrics.world import rte, w_mpjpe, wa_mpjpe

__all__ = [
    "Interval",
    "accel",
    "accel_error",
    "auc",
    "bootstrap_interval",
    "box_iou",
    "box_size",
    "floor_penetration",
    "foot_contact",
    "foot_skate",
    "head_size",
    "jitter",
    "joint_distances",
    "keypoint_distances",
    "mask_iou",
    "mpjpe",
    "mve",
    "n_mpjpe",
    "oks",
    "pa_mpjpe",
    "pa_mve",
    "pck",
    "pck_2d",
    "pixel_error",
    "pve",
    "rte",
    "torso_size",
    "w_mpjpe",
    "wa_mpjpe",
]
