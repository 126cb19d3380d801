"""What can go wrong, named. Every message says what was expected, what came, and what to do."""

from __future__ import annotations


class MonocapError(Exception):
    """Base of every error that monocap raises on purpose; the CLI prints it as one line."""


class InputError(MonocapError, ValueError):
    """The caller's arguments or files are not usable (exit status 2)."""


class AssetError(MonocapError):
    """A shipped weight or body file is missing, damaged, or does not match its manifest."""


class MissingDependencyError(MonocapError, ImportError):
    """An optional capability was asked for, but its library is not installed.

    Parameters: ``package`` (what could not be imported) and ``extra`` (the pip extra that brings it).
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed; run: pip install "monocap[{extra}]"')


class MediaError(InputError):
    """A picture or video could not be opened, decoded or written."""
