"""Arrays that two processes see: in shared memory, or opened again by path."""

from __future__ import annotations

import mmap
import os
import secrets
import sys
from dataclasses import dataclass
from multiprocessing import resource_tracker, shared_memory
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
            self._memory = shared_memory.SharedMemory(name=name, create=True, size=size)
        except OSError as error:
            raise SessionError(
                f"close other images or programs: there is no shared memory left for {size / 1e9:.2f} GB"
            ) from error
        self.ref = SharedRef(self._memory.name, tuple(shape), dtype.str)
        self._array: npt.NDArray[Any] | None = np.ndarray(shape, dtype, buffer=self._memory.buf)
        _local[self.ref.name] = self

    @property
    def array(self) -> npt.NDArray[Any]:
        """The pixels; `SessionError` after `close`."""
        if self._array is None:
            raise SessionError("this shared array is closed; share the image again")
        return self._array

    def close(self) -> None:
        """Give the memory back; further calls do nothing."""
        if self._array is None:
            return
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
    _copy(array, shared.array)
    return shared


def open_array(ref: ArrayRef) -> tuple[Any, Any]:
    """The array behind `ref`, and a handle for `close_array`."""
    if isinstance(ref, PathRef):
        return _open_path(ref), None
    if ref.name in _local:
        return _local[ref.name].array, None
    memory = _attach(ref.name)
    return np.ndarray(ref.shape, ref.dtype, buffer=memory.buf), memory


def close_array(handle: Any) -> None:
    """Let go of an array opened by `open_array`; drop the array itself first."""
    if handle is not None:
        _release(handle)


def _copy(array: Any, target: npt.NDArray[Any]) -> None:
    """Copy plane by plane, so that a lazy array is never in memory twice."""
    if isinstance(array, np.ndarray) or target.ndim <= 2:
        target[...] = np.asarray(array)
        return
    for index in range(target.shape[0]):
        target[index] = np.asarray(array[index])


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
