"""SMPLer: a transformer whose few tokens, joints, shape and camera, look at feature maps of every size."""

from monocap.nets.smpler.config import LIGHT, OWN, SMPLER_W32, SMPLER_W48, SmplerConfig
from monocap.nets.smpler.head import SmplerHead
from monocap.nets.smpler.joints import WeakJoints

__all__ = ["LIGHT", "OWN", "SMPLER_W32", "SMPLER_W48", "SmplerConfig", "SmplerHead", "WeakJoints"]
