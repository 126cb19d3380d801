"""Networks in torch, each file as its paper draws it. Needs ``monocap[torch]``; capture does not.

`build` makes one by name, `load` reads weights that say which network they are.
"""

from monocap.errors import MissingDependencyError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error

from monocap.nets.registry import build, load, names, register, save

__all__ = ["build", "load", "names", "register", "save"]
