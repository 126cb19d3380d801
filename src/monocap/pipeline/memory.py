"""How much memory this process took at most."""

from __future__ import annotations

import sys


def peak_resident_mb() -> float | None:
    """The largest resident size of the whole process so far, 10⁶ bytes, libraries and data included; None where the
    system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
