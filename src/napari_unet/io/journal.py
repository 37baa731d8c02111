"""An append-only file of checked records: what was written stays readable, whatever happens to the end of the file.

The file begins with a line that names the format and its version. Each record carries its own length and CRC-32, so
that a record which a power cut tore in two is found and dropped, and a damaged one in the middle is stepped over.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from napari_unet.errors import ProjectError
from napari_unet.io.atomic import replacing

VERSION = 1
_TITLE = b"napari-unet journal "
HEAD = _TITLE + b"%03d\n" % VERSION
_MARK = b"\x93REC"
_RECORD = struct.Struct("<4sIII")  # mark, bytes of the description, bytes of the data, CRC-32 of all of these
#: Larger records are never written, so a length above it is damage.
LARGEST_RECORD = 2**28


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a journal.

    Attributes
    ----------
    about : dict
        What it is; anything JSON can say.
    packed : bytes
        Its data, compressed with zlib; empty when there is none.
    """

    about: dict[str, Any]
    packed: bytes = b""

    @classmethod
    def of(cls, about: dict[str, Any], data: bytes | memoryview = b"") -> Self:
        """A record of `data`, which is compressed here."""
        return cls(about, zlib.compress(data, 1) if len(data) else b"")

    def data(self, size: int) -> bytes:
        """The data, which must be `size` bytes; a file from elsewhere cannot fill the memory.

        Raises
        ------
        ProjectError
            When they are not what was announced.
        """
        try:
            unpacked = zlib.decompressobj().decompress(self.packed, size + 1)
        except zlib.error as error:
            raise ProjectError("choose another project: a part of its journal cannot be unpacked") from error
        if len(unpacked) != size:
            raise ProjectError("choose another project: a part of its journal has the wrong size")
        return unpacked

    def encoded(self) -> bytes:
        """As it lies in the file."""
        about = json.dumps(self.about, separators=(",", ":")).encode()
        crc = _crc(len(about), len(self.packed), about + self.packed)
        return _RECORD.pack(_MARK, len(about), len(self.packed), crc) + about + self.packed


@dataclass(frozen=True, slots=True)
class Scan:
    """What a journal holds.

    Attributes
    ----------
    records : tuple of Record
        In the order they were written.
    end : int
        Where the last whole record ends, bytes; what follows is torn.
    damaged : int
        Places that had to be stepped over.
    """

    records: tuple[Record, ...]
    end: int
    damaged: int


def scan(blob: bytes) -> Scan:
    """Find the records in the bytes of a journal.

    Raises
    ------
    ProjectError
        When it is no journal, or one of a newer version.
    """
    _check_head(blob)
    records, place, end, damaged = [], len(HEAD), min(len(HEAD), len(blob)), 0
    while place < len(blob):
        found = _record_at(blob, place)
        if found is None:
            following = _next_record(blob, place + 1)
            if following is None:
                break
            place, damaged = following, damaged + 1
            continue
        record, place = found
        end = place
        records.append(record)
    return Scan(tuple(records), end, damaged)


def read_journal(path: str | os.PathLike[str]) -> Scan:
    """The records of the journal `path`; one that is not there is empty.

    Raises
    ------
    ProjectError
        When it cannot be read, is no journal, or one of a newer version.
    """
    try:
        return scan(Path(path).read_bytes())
    except FileNotFoundError:
        return Scan((), 0, 0)
    except OSError as error:
        raise ProjectError(f"check the disk: '{path}' cannot be read ({error.strerror})") from error


class Journal:
    """A journal open for writing; who opens it sees to it that nobody else does.

    Parameters
    ----------
    path : Path
        The file; made if it is not there, and cut behind its last whole record if that was torn.

    Attributes
    ----------
    size : int
        Bytes of the file.

    Raises
    ------
    OSError
        When it cannot be opened or written.
    ProjectError
        When it is no journal, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = read_journal(path).end
        self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        try:
            if self.size < len(HEAD):
                self.size = 0
                self._write(HEAD)
            self._file.truncate(self.size)
        except OSError:
            self._file.close()
            raise

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until they are on the disk; after a failure the file is as before.

        Raises
        ------
        OSError
        """
        before = self.size
        try:
            self._write(b"".join(record.encoded() for record in records))
            os.fsync(self._file.fileno())
        except OSError:
            self.size = before
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def replace(self, records: Iterable[Record]) -> None:
        """Write a new file with these records only; until it is whole, the old one stays.

        Raises
        ------
        OSError
        """
        write_journal(self._path, records)
        self._file.close()
        self._file = self._path.open("r+b", buffering=0)
        self.size = self._path.stat().st_size

    @property
    def gone(self) -> bool:
        """Whether somebody deleted or renamed the file, so that nobody would find what is written to it."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, blob: bytes) -> None:
        self._file.seek(self.size)
        rest = memoryview(blob)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(blob)


def write_journal(path: Path, records: Iterable[Record]) -> None:
    """Write a whole journal in one go; an older file stays until the new one is on the disk.

    Raises
    ------
    OSError
    """
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(HEAD)
        for record in records:
            file.write(record.encoded())


def _crc(about: int, data: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(struct.pack("<II", about, data)))


def _check_head(blob: bytes) -> None:
    """Refuse foreign files; a head that was torn is none yet."""
    head = blob[: len(HEAD)]
    if head == HEAD[: len(head)]:
        return
    if head.startswith(_TITLE):
        raise ProjectError("update napari-unet to open this project: a newer version of it wrote the journal")
    raise ProjectError("choose another project: its journal was not written by napari-unet")


def _record_at(blob: bytes, place: int) -> tuple[Record, int] | None:
    """The record at `place` and where it ends; None when there is no whole and correct one."""
    if place + _RECORD.size > len(blob):
        return None
    mark, about, data, crc = _RECORD.unpack_from(blob, place)
    start, end = place + _RECORD.size, place + _RECORD.size + about + data
    if mark != _MARK or about + data > LARGEST_RECORD or end > len(blob):
        return None
    content = blob[start:end]
    if _crc(about, data, content) != crc:
        return None
    try:
        described = json.loads(content[:about])
    except ValueError:
        return None
    return (Record(described, content[about:]), end) if isinstance(described, dict) else None


def _next_record(blob: bytes, place: int) -> int | None:
    """Where the next correct record begins."""
    while (place := blob.find(_MARK, place)) >= 0:
        if _record_at(blob, place) is not None:
            return place
        place += 1
    return None
