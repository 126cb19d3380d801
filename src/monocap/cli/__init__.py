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

    # What the library logs is told by the verbs, as notes; without a handler Python would print it a second time.
    logging.getLogger("monocap").addHandler(logging.NullHandler())
    try:
        return build().cli(args=list(sys.argv[1:] if argv is None else argv), prog="monocap") or 0
    except (InputError, AssetError) as error:
        print(f"monocap: {error}", file=sys.stderr)
        return 2
    except MonocapError as error:
        print(f"monocap: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"monocap: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("monocap: interrupted; nothing half-written is left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
