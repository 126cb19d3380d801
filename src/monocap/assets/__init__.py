"""What ships with the package: the manifest of weights and data, and ONNX Runtime sessions on them. Never downloads."""

from monocap.assets.manifest import Asset, find, listing, locate, verify
from monocap.assets.sessions import session

__all__ = ["Asset", "find", "listing", "locate", "session", "verify"]
