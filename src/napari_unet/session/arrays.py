"""Arrays that two processes see: in shared memory, or opened again by path."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.errors import SessionError


@dataclass(frozen=True, slots=True)
class SharedRef:
    """Where a shared array lies."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class PathRef:
    """An array in a file: raw memory-mapped pixels (`dtype` set), or a Zarr array at `inside` the store `path`."""

    path: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    offset: int = 0
    inside: str = ""


ArrayRef = SharedRef | PathRef

log = logging.getLogger(__name__)

#: Where Linux keeps shared memory; what does not fit there ends the program that writes to it.
SHARED_MEMORY = "/dev/shm"
#: Images of up to so many bytes are copied at once, larger ones by a thread, in parts of about the second size.
QUICK_BYTES, PART_BYTES = 2**24, 2**26


class SharedArray:
    """A numpy array in shared memory, owned by the process that made it.

    Never hand `array` itself to code that may keep it (a layer, say): memory that is still looked at cannot be
    given back. Copy out of it instead.

    Attributes
    ----------
    ref : SharedRef
        What another process needs for `open_array`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        dtype = np.dtype(dtype)
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        name = f"nu{os.getpid()}-{secrets.token_hex(4)}"
        try:
            _check_space(size)
            self._memory = shared_memory.SharedMemory(name=name, create=True, size=size)
        except OSError as error:
            raise SessionError(
                f"close other images or programs: there is no shared memory left for {size / 1e9:.2f} GB"
            ) from error
        self._copying: threading.Thread | None = None
        self._given_up = threading.Event()
        self._failure = ""
        self.ref = SharedRef(self._memory.name, tuple(shape), dtype.str)
        self._array: npt.NDArray[Any] | None = np.ndarray(shape, dtype, buffer=self._memory.buf)
        _local[self.ref.name] = self

    @property
    def array(self) -> npt.NDArray[Any]:
        """The pixels; `SessionError` after `close`."""
        if self._array is None:
            raise SessionError("this shared array is closed; share the image again")
        return self._array

    def fill(self, array: Any) -> None:
        """Copy `array`; a large one in a thread, so that nobody waits for it: see `wait`."""
        if self.array.nbytes <= QUICK_BYTES:
            self._copy(array)
            return
        self._copying = threading.Thread(target=self._copy, args=(array,), name="napari-unet-sharing", daemon=True)
        self._copying.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until `fill` is done; whether it is.

        Raises
        ------
        SessionError
            When the pixels could not be read.
        """
        if self._copying is not None:
            self._copying.join(seconds)
        if self._failure:
            raise SessionError(f"open the image again, it could not be read: {self._failure}")
        return self._copying is None or not self._copying.is_alive()

    def _copy(self, array: Any) -> None:
        target = self.array
        try:
            for index in _parts(target.shape, target.itemsize):
                if self._given_up.is_set():
                    return
                target[index] = np.asarray(array[index])
        except Exception as error:  # lazy arrays are other people's code; `wait` tells
            log.exception("an image could not be read")
            self._failure = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Give the memory back; further calls do nothing."""
        if self._array is None:
            return
        self._given_up.set()
        if self._copying is not None:
            self._copying.join()
        self._array = None
        _local.pop(self.ref.name, None)
        _release(self._memory)
        self._memory.unlink()


@dataclass(slots=True)
class FileArray:
    """An array that another process opens by its path; nothing to give back."""

    array: Any
    ref: PathRef

    def close(self) -> None:
        """Do nothing: the file is not ours."""


_local: dict[str, SharedArray] = {}
_kept: list[shared_memory.SharedMemory] = []


def share(array: Any) -> SharedArray | FileArray:
    """Make `array` readable by another process: by its path if it has one, else copied into shared memory.

    Raises
    ------
    SessionError
        When there is not enough shared memory.
    """
    ref = _path_of(array)
    if ref is not None:
        return FileArray(array, ref)
    shared = SharedArray(tuple(array.shape), np.dtype(array.dtype).newbyteorder("="))
    shared.fill(array)
    return shared


def is_filled(ref: ArrayRef, seconds: float | None = None) -> bool:
    """Wait for the pixels of an array that this process shares; whether all are there, see `SharedArray.wait`."""
    shared = _local.get(ref.name) if isinstance(ref, SharedRef) else None
    return shared is None or shared.wait(seconds)


def open_array(ref: ArrayRef) -> tuple[Any, Any]:
    """The array behind `ref`, and a handle for `close_array`."""
    if isinstance(ref, PathRef):
        return _open_path(ref), None
    if ref.name in _local:
        is_filled(ref)
        return _local[ref.name].array, None
    memory = _attach(ref.name)
    return np.ndarray(ref.shape, ref.dtype, buffer=memory.buf), memory


def close_array(handle: Any) -> None:
    """Let go of an array opened by `open_array`; drop the array itself first."""
    if handle is not None:
        _release(handle)


def _parts(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[int | slice, ...]]:
    """Indices of all of an array, about `PART_BYTES` each; so a lazy array is never in memory twice."""
    sizes = [prod(shape[axis + 1 :]) * itemsize for axis in range(len(shape))]
    axis = next(axis for axis, size in enumerate(sizes) if size <= PART_BYTES)
    rows = max(PART_BYTES // max(sizes[axis], 1), 1)
    for index in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], rows):
            yield (*index, slice(start, start + rows))


def _check_space(size: int) -> None:
    """Raise `OSError` where there is not so much shared memory: it would only be missed when it is written."""
    if Path(SHARED_MEMORY).is_dir() and shutil.disk_usage(SHARED_MEMORY).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _path_of(array: Any) -> PathRef | None:
    """How another process can open `array` by itself, or None."""
    if isinstance(array, np.memmap):
        return _memmap_ref(array)
    store = getattr(array, "store", None)
    root, inside = getattr(store, "root", None), getattr(array, "path", None)
    if root is None or inside is None or not hasattr(array, "chunks"):
        return None
    return PathRef(str(root), inside=str(inside))


def _memmap_ref(array: np.memmap[Any, Any]) -> PathRef | None:
    """A whole, C-ordered, unmodified map of a file; anything else is copied."""
    whole = isinstance(array.base, mmap.mmap) and array.flags.c_contiguous
    if not whole or array.filename is None or array.mode == "c":
        return None
    return PathRef(str(array.filename), tuple(array.shape), array.dtype.str, int(array.offset))


def _open_path(ref: PathRef) -> Any:
    if ref.dtype:
        return np.memmap(ref.path, ref.dtype, mode="r", offset=ref.offset, shape=ref.shape)
    import zarr

    return zarr.open_array(ref.path, path=ref.inside, mode="r")


def _attach(name: str) -> shared_memory.SharedMemory:
    """Open another process's memory without becoming responsible for it."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    memory = shared_memory.SharedMemory(name=name)
    if os.name == "posix":
        resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]
    return memory


def _release(memory: shared_memory.SharedMemory) -> None:
    """Unmap; memory that somebody still looks at stays mapped until the process ends."""
    try:
        memory.close()
    except BufferError:
        _kept.append(memory)
