"""Arrays are seen by two processes, and given back."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from napari_unet.errors import SessionError
from napari_unet.session import arrays
from napari_unet.session.arrays import PathRef, SharedArray, SharedRef, close_array, is_filled, open_array, share

READ_AND_WRITE = """
import sys
from napari_unet.session.arrays import SharedRef, open_array, close_array
array, handle = open_array(SharedRef(sys.argv[1], (3, 4), "<u2"))
array[0, 0] = array[2, 3] + 1
del array
close_array(handle)
"""


def shared_memory_names() -> set[str]:
    folder = Path("/dev/shm")
    return {path.name for path in folder.glob("nu*")} if folder.is_dir() else set()


def test_another_process_reads_and_writes_the_same_pixels():
    shared = share(np.arange(12, dtype=np.uint16).reshape(3, 4))
    assert isinstance(shared.ref, SharedRef)
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_WRITE, shared.ref.name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert shared.array[0, 0] == 12
    shared.close()


def test_closing_gives_the_memory_back():
    before = shared_memory_names()
    shared = SharedArray((100, 100), np.float32)
    shared.close()
    shared.close()
    assert shared_memory_names() == before
    with pytest.raises(SessionError, match="share the image again"):
        _ = shared.array


# ---------------------------------------------------------------------- large images


class Slow:
    """A lazy image whose pixels are read when the test says so, and can be in the way."""

    shape, dtype = (64, 64), np.dtype(np.uint8)

    def __init__(self, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.error = error

    def __getitem__(self, index: object) -> np.ndarray:
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        return np.full(self.shape, 7, np.uint8)[index]


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "QUICK_BYTES", 0)
    monkeypatch.setattr(arrays, "PART_BYTES", 64 * 8)


@pytest.mark.usefixtures("all_large")
def test_nobody_waits_for_a_large_image_but_who_reads_it():
    image = Slow()
    shared = share(image)
    assert not is_filled(shared.ref, 0.01)
    image.go.set()
    array, handle = open_array(shared.ref)
    assert (array == 7).all()
    del array
    close_array(handle)
    shared.close()


@pytest.mark.usefixtures("all_large")
def test_a_large_image_that_goes_while_it_is_copied_leaves_nothing():
    before = shared_memory_names()
    image = Slow()
    shared = share(image)
    threading.Timer(0.05, image.go.set).start()
    shared.close()
    assert shared_memory_names() == before


@pytest.mark.usefixtures("all_large")
def test_a_large_image_that_cannot_be_read_is_a_sentence():
    image = Slow(OSError("the file is gone"))
    image.go.set()
    shared = share(image)
    with pytest.raises(SessionError, match=r"open the image again.*the file is gone"):
        open_array(shared.ref)
    shared.close()


@pytest.mark.parametrize("shape", [(5,), (3, 4), (9, 9, 3), (2, 3, 4, 5), (1, 1)])
def test_the_parts_of_an_image_are_all_of_it_once(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]):
    monkeypatch.setattr(arrays, "PART_BYTES", 10)
    seen = np.zeros(shape, np.uint8)
    for index in arrays._parts(shape, 1):
        assert 0 < seen[index].size <= 10
        seen[index] += 1
    assert (seen == 1).all()


def test_what_does_not_fit_into_shared_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "SHARED_MEMORY", "/")
    monkeypatch.setattr(arrays.shutil, "disk_usage", lambda path: SimpleNamespace(free=99))
    with pytest.raises(SessionError, match="no shared memory left"):
        SharedArray((10, 10), np.uint8)


def test_big_endian_pixels_keep_their_values():
    shared = share(np.arange(6, dtype=">u2").reshape(2, 3))
    array, handle = open_array(shared.ref)
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
    del array
    close_array(handle)
    shared.close()


def test_a_memory_map_is_passed_by_its_path(tmp_path: Path):
    path = tmp_path / "raw.dat"
    written = np.memmap(path, np.uint8, "w+", offset=16, shape=(5, 7))
    written[:] = np.arange(35).reshape(5, 7)
    written.flush()
    shared = share(np.memmap(path, np.uint8, "r", offset=16, shape=(5, 7)))
    assert isinstance(shared.ref, PathRef)
    np.testing.assert_array_equal(open_array(shared.ref)[0], np.arange(35).reshape(5, 7))


def test_a_part_of_a_memory_map_is_copied(tmp_path: Path):
    mapped = np.memmap(tmp_path / "raw.dat", np.uint8, "w+", shape=(6, 8))
    mapped[:] = np.arange(48).reshape(6, 8)
    shared = share(mapped[2:, 1::2])
    assert isinstance(shared.ref, SharedRef)
    np.testing.assert_array_equal(shared.array, np.arange(48).reshape(6, 8)[2:, 1::2])
    shared.close()


def test_a_zarr_array_is_passed_by_its_path(tmp_path: Path):
    group = zarr.open_group(tmp_path / "volume.zarr", mode="w")
    array = group.create_array("a/b", shape=(4, 4), dtype="uint8")
    array[:] = 7
    shared = share(array)
    assert isinstance(shared.ref, PathRef)
    assert int(np.asarray(open_array(shared.ref)[0][...]).sum()) == 7 * 16


def test_a_zarr_array_in_memory_is_copied():
    array = zarr.array(np.arange(4))
    shared = share(array)
    np.testing.assert_array_equal(shared.array, np.arange(4))
    shared.close()
