"""Motion in time and on the ground: up and floor of a still camera, contacts, feet that stay, filters.

Read `settling` first.
"""

from monocap.motion.ground import Ground
from monocap.motion.legs import CONTACT_POINTS
from monocap.motion.settling import Settled, settle

__all__ = ["CONTACT_POINTS", "Ground", "Settled", "settle"]
