"""One process at a time: a lock that the system lets go of when its holder dies, however it dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Try to be the only holder of the file `path`.

    Parameters
    ----------
    path : Path
        A file for nothing else; it is made, and stays.

    Yields
    ------
    bool
        Whether nobody else holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _take(handle)
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    """Lock without waiting; closing the file, or the end of the process, unlocks it."""
    with suppress(OSError):
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        return True
    return False
