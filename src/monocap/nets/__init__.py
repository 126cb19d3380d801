"""Networks in torch, each file as its paper draws it. Needs ``monocap[torch]``; capture does not."""

from monocap.errors import MissingDependencyError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error
