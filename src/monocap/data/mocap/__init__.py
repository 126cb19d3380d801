"""Motion capture files in, SMPL-X poses out: BVH, ASF/AMC, exponential maps, DeepMimic; and a retargeter."""

from monocap.data.mocap.asf_amc import read_amc, read_asf
from monocap.data.mocap.bvh import read_bvh
from monocap.data.mocap.clip import MocapClip
from monocap.data.mocap.deepmimic import read_deepmimic
from monocap.data.mocap.expmap import read_expmap
from monocap.data.mocap.retarget import Retargeted, RetargetError, retarget
from monocap.data.mocap.takes import Take, find_takes, read_take

__all__ = [
    "MocapClip",
    "RetargetError",
    "Retargeted",
    "Take",
    "find_takes",
    "read_amc",
    "read_asf",
    "read_bvh",
    "read_deepmimic",
    "read_expmap",
    "read_take",
    "retarget",
]
