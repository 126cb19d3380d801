"""The command line: one file per verb, imported only when its verb is called, so that --help is quick."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from monocap.errors import AssetError, InputError, MonocapError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 2 bad usage, input or installed file, 1 anything else."""
    from monocap.cli.app import build
    from monocap.cli.interruption import noting

    # What the library logs is told by the verbs, as notes; without a handler Python would print it a second time.
    logging.getLogger("monocap").addHandler(logging.NullHandler())
    with noting() as interrupted:
        try:
            return build().cli(args=list(sys.argv[1:] if argv is None else argv), prog="monocap") or 0
        except KeyboardInterrupt:
            return _interrupted()
        except Exception as error:
            return _interrupted() if interrupted.is_set() else _told(error)


def _interrupted() -> int:
    print("monocap: interrupted; nothing half-written is left behind", file=sys.stderr)
    return 130


def _told(error: Exception) -> int:
    """One line for what was foreseen; anything else is a defect and is raised again, with its trace."""
    if isinstance(error, MonocapError):
        print(f"monocap: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError | AssetError) else 1
    if isinstance(error, OSError):
        print(f"monocap: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1
    raise error


if __name__ == "__main__":
    sys.exit(main())
