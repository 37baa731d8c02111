"""Files that are either the old one or the whole new one, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_LEFTOVER = re.compile(r"^\..+\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.unet-tmp$")
#: Files of other computers, or of processes that cannot be asked, are left alone for a day.
PATIENCE = 24 * 3600.0


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and disappears when it does not.

    Temporary files that killed processes left in the folder are removed first.

    Parameters
    ----------
    path : path-like
        The file to write; a link is followed.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OSError
        When the folder cannot be written, or the disk is full; the old file is untouched.
    """
    target = Path(os.path.realpath(path))
    sweep(target.parent)
    temporary = target.with_name(f".{target.name[:100]}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.unet-tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove temporary files of processes that are no more."""
    with suppress(OSError):
        for entry in folder.iterdir():
            match = _LEFTOVER.match(entry.name)
            if match and _is_orphan(entry, match["host"], int(match["pid"])):
                with suppress(OSError):
                    entry.unlink()


def _is_orphan(entry: Path, host: str, pid: int) -> bool:
    if host == _HOST and os.name == "posix":
        return not _is_alive(pid)
    try:
        return time.time() - entry.stat().st_mtime > PATIENCE
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    """Whether a process of this computer lives; signal 0 only asks (on Windows it would not)."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _flush(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the new name is on the disk, where the system can."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
