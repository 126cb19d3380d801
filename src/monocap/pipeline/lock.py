"""One capture at a time in a folder, and nothing of a dead one left in it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from monocap.errors import InputError
from monocap.files import TEMPORARY

STATE = ".monocap"  # folder inside the results: the lock, and what --resume goes on from
_LOCK = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make ``folder``, hold it while the block runs, and clear away what a killed run left half-written in it.

    The operating system lets go of the lock when a process dies, however it dies, so there are no stale locks.
    A folder that was made here and holds nothing at the end is removed again.

    Raises InputError if another process holds the folder, or nothing can be written there.
    """
    made = [path for path in (folder, *folder.absolute().parents) if not os.path.exists(path)]
    path = folder / STATE / _LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _acquire(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder}: cannot write there ({reason}); choose another folder with -o") from error
    if handle is None:
        raise InputError(f"{folder}: another monocap is writing there; wait for it or choose another folder with -o")
    try:
        clear_leftovers(folder)
        clear_leftovers(path.parent)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held: who opens it from now on makes a new one
        os.close(handle)
        with contextlib.suppress(OSError):  # not empty: a checkpoint, or results
            path.parent.rmdir()
            for empty in made:
                empty.rmdir()


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files of `files.replacing` in ``folder`` whose process no longer runs."""
    for path in folder.glob(f"{TEMPORARY}*"):
        owner = re.match(rf"{re.escape(TEMPORARY)}([0-9]+)-", path.name)
        if owner and not _runs(int(owner[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _runs(pid: int) -> bool:
    if sys.platform == "win32":
        return False  # files that are open cannot be removed there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return pid != os.getpid()


def _acquire(path: Path) -> int | None:
    """An open, locked file, or None if another process has it."""
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the other one ended just now and took the folder away
        try:
            if not _try_lock(handle):
                os.close(handle)
                return None
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # locked a file that its holder had just removed: again, on the new one


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        import errno

        # file systems without locks (some network shares) are written to all the same
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
    return True
