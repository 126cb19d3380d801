"""Training: one engine on Lightning Fabric, one file per task. Needs ``monocap[train]``."""

from monocap.errors import MissingDependencyError

try:
    import lightning_fabric as _fabric  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised where it is absent
    raise MissingDependencyError("lightning-fabric", "train") from error
