"""Projects while they are written: in a thread, on a disk that fails, moved and deleted under way."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_unet.errors import ProjectError
from napari_unet.io import journal
from napari_unet.io import project_places as places
from napari_unet.io.project import ImageEntry, open_image, read_project
from napari_unet.io.project_state import Settings, StrokesLayer
from napari_unet.session import project_store
from napari_unet.session.keeper import Keeper, Kept, Moved, NotKept, Remark
from napari_unet.session.project_store import ProjectStore
from napari_unet.session.projects import Wanted, discard, offer_for, recent_offers

LAYER = StrokesLayer("image-1", "Strokes", (300, 300), np.dtype(np.uint8))


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "cells.npy"
    path.parent.mkdir()
    np.save(path, pixels())
    return path


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (300, 300)).astype(np.uint8)


def entry(path: Path | None) -> ImageEntry:
    return ImageEntry(key="image-1", name="cells", path=path and str(path), shape=(300, 300), dtype="|u1", axes="YX")


def block(value: int) -> np.ndarray:
    return np.full((256, 256), value, np.uint8)


def painted(store: ProjectStore, value: int = 2, path: Path | None = None) -> ProjectStore:
    """A store with one block of strokes, not flushed."""
    store.image(entry(path), pixels(), copy=path is None)
    store.layer("strokes-1", LAYER)
    store.block("strokes-1", (0, 0), block(value))
    store.mark(strokes=1)
    return store


def strokes_in(folder: Path) -> np.ndarray:
    return read_project(folder).state.layers["strokes-1"].array()


def wait_for(keeper: Keeper, kind: type, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for notice in keeper.poll():
            if isinstance(notice, kind):
                return notice
        time.sleep(0.01)
    raise AssertionError(f"no {kind.__name__} came")


# ---------------------------------------------------------------------- where


def test_a_project_lies_beside_its_image(image: Path):
    store = painted(ProjectStore("cells", image), path=image)
    assert store.flush()
    assert store.folder == image.parent / "cells.unet-project"
    assert strokes_in(store.folder)[:256, :256].all()
    store.close()
    assert read_project(store.folder).state.ended == "closed"


def test_where_the_image_lies_nothing_can_be_written(image: Path, user_folder: Path, monkeypatch):
    real = places.new_folder

    def new_folder(parent: Path, name: str) -> Path:
        if parent == image.parent:
            raise PermissionError(13, "Permission denied")
        return real(parent, name)

    monkeypatch.setattr(places, "new_folder", new_folder)
    store = painted(ProjectStore("cells", image), path=image)
    assert store.flush()
    assert store.folder.parent == user_folder
    store.close()


def test_nothing_is_made_before_there_is_something_to_keep(image: Path):
    store = ProjectStore("cells", image)
    assert not store.flush()
    store.close()
    assert [path.name for path in image.parent.iterdir()] == ["cells.npy"]


# ---------------------------------------------------------------------- disks that fail


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_after_a_full_disk_everything_is_written(image: Path, monkeypatch):
    store = painted(ProjectStore("cells", image), 2)
    store.flush()
    monkeypatch.setattr(journal.os, "fsync", full)
    store.block("strokes-1", (0, 1), np.full((256, 44), 1, np.uint8))
    assert not store.flush()
    assert "No space left" in store.trouble
    store.block("strokes-1", (0, 0), block(3))
    assert not store.flush()
    assert (strokes_in(store.folder)[:256, :256] == 2).all()
    monkeypatch.undo()
    assert store.flush()
    assert store.trouble == ""
    assert (strokes_in(store.folder)[:256, :256] == 3).all()
    assert (strokes_in(store.folder)[:256, 256:] == 1).all()
    store.close()


def test_a_disk_that_is_full_from_the_start_is_no_litter(image: Path, user_folder: Path, monkeypatch):
    monkeypatch.setattr(journal.os, "fsync", full)
    store = painted(ProjectStore("cells", image))
    for _ in range(3):
        assert not store.flush()
    assert [path.name for path in image.parent.iterdir()] == ["cells.npy"]
    assert not list(user_folder.glob("*.unet-project"))
    monkeypatch.undo()
    assert store.flush()
    assert strokes_in(store.folder).any()
    store.close()


def test_a_deleted_folder_is_made_again_with_everything(image: Path):
    store = painted(ProjectStore("cells", image))
    store.flush()
    shutil.rmtree(store.folder)
    store.block("strokes-1", (1, 1), np.full((44, 44), 1, np.uint8))
    assert store.flush()
    found = strokes_in(store.folder)
    assert (found[:256, :256] == 2).all()
    assert (found[256:, 256:] == 1).all()
    store.close()


def test_the_journal_stays_short(image: Path, monkeypatch):
    monkeypatch.setattr(project_store, "COMPACT_BYTES", 4000)
    store = painted(ProjectStore("cells", image))
    noise = np.random.default_rng(0)
    sizes = []
    for _ in range(80):
        store.block("strokes-1", (1, 1), noise.integers(0, 3, (44, 44)).astype(np.uint8))
        store.flush()
        sizes.append((store.folder / "strokes.journal").stat().st_size)
    last = strokes_in(store.folder)[256:, 256:]
    assert max(sizes) < 5 * min(sizes)
    assert len(set(np.unique(last))) == 3
    store.close()


# ---------------------------------------------------------------------- going on


def test_going_on_adds_to_what_was_there(image: Path):
    first = painted(ProjectStore("cells", image), path=image)
    first.flush()
    first.close()
    again = ProjectStore.reopened(first.folder)
    again.block("strokes-1", (1, 1), np.full((44, 44), 1, np.uint8))
    again.flush()
    with pytest.raises(ProjectError, match="other window"):
        ProjectStore.reopened(first.folder)
    again.close()
    found = read_project(first.folder)
    assert (found.state.layers["strokes-1"].array()[:256, :256] == 2).all()
    assert (found.state.layers["strokes-1"].array()[256:, 256:] == 1).all()
    assert found.state.strokes == 1


def test_an_image_without_a_file_is_copied(tmp_path: Path):
    store = painted(ProjectStore("sample"))
    store.flush()
    while store.copying:
        store.copy_some(5000)
    found = read_project(store.folder)
    opened = open_image(store.folder, found.about.images[0])
    assert np.array_equal(opened.array, pixels())
    store.close()


def test_moving_takes_everything_along(image: Path, tmp_path: Path):
    store = painted(ProjectStore("cells", image), path=image)
    store.flush()
    (store.folder / "model.unet").write_bytes(b"model")
    old = store.folder
    store.move(tmp_path / "mine" / "work")
    assert store.folder == tmp_path / "mine" / "work.unet-project"
    assert not old.exists()
    store.block("strokes-1", (1, 1), np.full((44, 44), 1, np.uint8))
    store.flush()
    found = read_project(store.folder)
    assert found.about.saved
    assert found.model.read_bytes() == b"model"
    assert (found.state.layers["strokes-1"].array()[256:, 256:] == 1).all()
    (tmp_path / "taken.unet-project").mkdir()
    (tmp_path / "taken.unet-project" / "x").touch()
    with pytest.raises(ProjectError, match="choose another name"):
        store.move(tmp_path / "taken")
    second = store.folder
    store.move(tmp_path / "third")
    assert second.exists()  # what the user saved is the user's
    store.close()


# ---------------------------------------------------------------------- offers


def wanted(path: Path | None, array: np.ndarray | None = None) -> Wanted:
    array = pixels() if array is None else array
    return Wanted(path, array.shape, lambda: array)


def test_what_was_killed_is_offered(image: Path):
    store = painted(ProjectStore("cells", image), path=image)
    store.flush()
    store._let_go()  # as the end of the process does
    offer = offer_for(wanted(image), set())
    assert (offer.folder, offer.image, offer.strokes, offer.killed) == (store.folder.resolve(), "cells", 1, True)
    assert offer_for(None, set()) == offer
    assert offer_for(wanted(image), {store.folder.resolve()}) is None
    assert offer_for(wanted(None, pixels() + 1), set()) is None
    assert [found.folder for found in recent_offers()] == [store.folder.resolve()]


def test_a_renamed_image_is_known_by_its_pixels(image: Path):
    store = painted(ProjectStore("cells", image), path=image)
    store.flush()
    store.close()
    other = image.rename(image.with_name("renamed.npy"))
    offer = offer_for(wanted(other), set())
    assert offer.folder == store.folder.resolve()
    assert not offer.killed


def test_what_is_open_or_empty_is_not_offered(image: Path):
    store = painted(ProjectStore("cells", image), path=image)
    store.flush()
    assert offer_for(wanted(image), set()) is None
    store.close()
    empty = ProjectStore("cells", image)
    empty.image(entry(image), pixels(), copy=False)
    empty.mark(strokes=0)
    empty.flush()
    empty.close()
    assert offer_for(wanted(image), {store.folder.resolve()}) is None


def test_what_was_discarded_is_deleted_a_day_later(image: Path, monkeypatch):
    store = painted(ProjectStore("cells", image), path=image)
    store.flush()
    store.close()
    discard(store.folder)
    assert offer_for(wanted(image), set()) is None
    assert store.folder.exists()
    later = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert offer_for(wanted(image), set()) is None
    assert not store.folder.exists()


# ---------------------------------------------------------------------- the thread


def test_the_keeper_writes_soon_and_says_so(image: Path):
    keeper = Keeper(ProjectStore("cells", image))
    keeper.image(entry(image), pixels(), copy=False)
    keeper.layer("strokes-1", LAYER)
    keeper.settings(Settings())
    keeper.block("strokes-1", (0, 0), block(2))
    kept = wait_for(keeper, Kept)
    assert strokes_in(kept.folder).any()
    assert keeper.waiting == 0
    assert keeper.close()
    assert "napari-unet-keeper" not in {thread.name for thread in threading.enumerate()}


def test_closing_writes_what_is_left(image: Path):
    keeper = Keeper(ProjectStore("cells", image))
    keeper.layer("strokes-1", LAYER)
    for value in (1, 2, 3):
        keeper.block("strokes-1", (0, 0), block(value))
    assert keeper.close()
    folder = image.parent / "cells.unet-project"
    assert (strokes_in(folder)[:256, :256] == 3).all()
    assert read_project(folder).state.ended == "closed"


def test_a_keeper_tries_again(image: Path, monkeypatch):
    monkeypatch.setattr("napari_unet.session.keeper.RETRY_SECONDS", 0.05)
    monkeypatch.setattr(journal.os, "fsync", full)
    keeper = Keeper(ProjectStore("cells", image))
    keeper.layer("strokes-1", LAYER)
    keeper.block("strokes-1", (0, 0), block(2))
    assert "No space left" in wait_for(keeper, NotKept).message
    time.sleep(0.3)
    assert keeper.poll() == []  # told once
    monkeypatch.undo()
    kept = wait_for(keeper, Kept)
    assert strokes_in(kept.folder).any()
    keeper.close()


def test_a_defect_takes_nothing_else_along(image: Path, caplog):
    keeper = Keeper(ProjectStore("cells", image))
    keeper.image(entry(image), object(), copy=False)
    assert "report this defect" in wait_for(keeper, Remark).message
    keeper.layer("strokes-1", LAYER)
    keeper.block("strokes-1", (0, 0), block(2))
    assert strokes_in(wait_for(keeper, Kept).folder).any()
    keeper.close()


class Slow(np.ndarray):
    """An image that takes its time: ten seconds for all rows of the test below."""

    def __getitem__(self, index):
        time.sleep(0.005)
        return np.asarray(super().__getitem__(index))


def test_strokes_do_not_wait_for_a_large_image(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("napari_unet.session.keeper.COPY_BYTES", 1)
    large = np.zeros((2000, 50), np.uint8).view(Slow)
    keeper = Keeper(ProjectStore("sample"))
    keeper.image(entry(None).replace(shape=large.shape), large, copy=True)
    keeper.layer("strokes-1", LAYER)
    keeper.block("strokes-1", (0, 0), block(2))
    kept = wait_for(keeper, Kept)
    assert not list(kept.folder.glob("images/*.npy"))
    keeper.close()


def test_moving_is_told(image: Path, tmp_path: Path):
    keeper = Keeper(ProjectStore("cells", image))
    keeper.layer("strokes-1", LAYER)
    keeper.block("strokes-1", (0, 0), block(2))
    wait_for(keeper, Kept)
    keeper.save_as(tmp_path / "mine")
    assert wait_for(keeper, Moved).folder == tmp_path / "mine.unet-project"
    keeper.save_as(tmp_path / "mine")
    assert "choose another name" in wait_for(keeper, Remark).message
    keeper.close()
