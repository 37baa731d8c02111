"""Arrays are seen by two processes, and given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_unet.errors import SessionError
from napari_unet.session.arrays import PathRef, SharedArray, SharedRef, close_array, open_array, share

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
