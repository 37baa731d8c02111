"""Projects on the disk: what the journal adds up to, images found again, places."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.errors import ImageError, ProjectError
from napari_unet.io import project_places as places
from napari_unet.io.journal import HEAD, Record, scan, write_journal
from napari_unet.io.project import (
    ImageEntry,
    ProjectFile,
    fingerprint,
    open_image,
    read_about,
    read_project,
    write_about,
)
from napari_unet.io.project_state import (
    BLOCK,
    Settings,
    StrokesLayer,
    block_index,
    block_record,
    blocks_in,
    grid,
    layer_record,
    state_of,
)

SHAPE = (2, 300, 520)


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "user"))
    return tmp_path / "user"


# ---------------------------------------------------------------------- strokes from records

spans = st.tuples(st.integers(0, 1), st.integers(0, 299), st.integers(0, 519), st.integers(1, 300), st.integers(0, 3))


def history(strokes: list[tuple[int, int, int, int, int]]) -> tuple[list[Record], list[np.ndarray]]:
    """Records of painted squares, and the strokes after each record."""
    layer = StrokesLayer("image-1", "Strokes", SHAPE, np.dtype(np.uint8))
    records, data = [layer_record("strokes-1", layer)], np.zeros(SHAPE, np.uint8)
    states = [data.copy()]
    for plane, top, left, size, value in strokes:
        box = ((plane, plane + 1), (top, min(top + size, 300)), (left, min(left + size, 520)))
        painted = data.copy()
        painted[tuple(slice(*edge) for edge in box)] = value
        for at in blocks_in(box):
            index = block_index(at, SHAPE)
            data[index] = painted[index]
            records.append(block_record("strokes-1", at, data[index]))
            states.append(data.copy())
    return records, states


@given(st.lists(spans, min_size=1, max_size=6), st.data())
@settings(max_examples=40, deadline=None)
def test_a_journal_cut_anywhere_gives_strokes_as_they_were_once(strokes, data):
    records, states = history(strokes)
    blob = HEAD + b"".join(record.encoded() for record in records)
    cut = data.draw(st.integers(len(HEAD), len(blob)))
    found = scan(blob[:cut])
    state = state_of(found.records)
    if not found.records:
        assert not state.layers
        return
    assert np.array_equal(state.layers["strokes-1"].array(), states[len(found.records) - 1])


@given(st.lists(spans, min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_the_shortest_journal_adds_up_to_the_same(strokes):
    records, states = history(strokes)
    state = state_of(records)
    again = state_of(state.records())
    assert np.array_equal(again.layers["strokes-1"].array(), states[-1])
    assert len(list(state.records())) <= len(records) + 2


@given(st.tuples(st.integers(1, 3), st.integers(1, 700), st.integers(1, 700)))
def test_blocks_cover_each_pixel_once(shape):
    covered = np.zeros(shape, int)
    for at in blocks_in([(0, size) for size in shape]):
        assert all(place < size for place, size in zip(at, grid(shape), strict=True))
        covered[block_index(at, shape)] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(
    "about",
    [
        {"kind": "block", "layer": "none", "at": [0, 0, 0]},
        {"kind": "block", "layer": "strokes-1", "at": [0, 9, 0]},
        {"kind": "block", "layer": "strokes-1", "at": [0]},
        {"kind": "layer", "layer": "big", "image": "i", "name": "n", "shape": [2**30, 2**30], "dtype": "|u1"},
        {"kind": "layer", "layer": "odd", "image": "i", "name": "n", "shape": [5, 5], "dtype": "|O"},
        {"kind": "layer", "layer": "flat", "image": "i", "name": "n", "shape": [5, 0], "dtype": "|u1"},
        {"kind": "settings", "model": {"width": -1}},
        {"kind": "settings", "model": {"from the future": 1}},
        {"kind": "mark", "strokes": "many"},
        {"kind": "something new"},
        {},
    ],
)
def test_what_cannot_be_understood_is_left_out(about):
    records, states = history([(0, 10, 10, 20, 2)])
    state = state_of([*records, Record.of(about, b"xyz")])
    assert list(state.layers) == ["strokes-1"]
    assert np.array_equal(state.layers["strokes-1"].array(), states[-1])
    assert state.settings == Settings()


def test_settings_and_regions_come_back():
    chosen = Settings(model=ModelConfig(classes=("background", "nucleus", "débris"), width=8))
    shapes = [{"kind": "rectangle", "vertices": [[0.0, 1.0], [2.0, 3.0]]}]
    state = state_of(
        [
            Record({"kind": "settings", **chosen.model_dump(mode="json")}),
            Record({"kind": "regions", "image": "image-1", "shapes": shapes}),
            Record({"kind": "mark", "strokes": 4, "step": 12}),
        ]
    )
    again = state_of(state.records())
    assert (again.settings, again.regions) == (chosen, {"image-1": shapes})
    assert (again.strokes, again.step) == (4, 12)


def test_a_layer_of_another_shape_begins_anew():
    records, _ = history([(0, 0, 0, 5, 2)])
    other = StrokesLayer("image-1", "Strokes", (40, 40), np.dtype(np.uint8))
    state = state_of([*records, layer_record("strokes-1", other)])
    assert not state.layers["strokes-1"].array().any()
    renamed = StrokesLayer("image-1", "Mine", SHAPE, np.dtype(np.uint8))
    state = state_of([*records, layer_record("strokes-1", renamed)])
    assert state.layers["strokes-1"].array().any()


# ---------------------------------------------------------------------- the folder


def make(folder: Path, **about) -> Path:
    folder.mkdir(parents=True)
    write_about(folder, ProjectFile.now("cells").replace(**about))
    write_journal(folder / "strokes.journal", history([(0, 10, 10, 20, 2)])[0])
    return folder


def entry_for(path: Path, array: np.ndarray, axes: str = "YX", **more) -> ImageEntry:
    return ImageEntry(
        key="image-1",
        name="cells",
        path=str(path),
        shape=array.shape,
        dtype=array.dtype.str,
        axes=axes,
        fingerprint=fingerprint(array),
        **more,
    )


def test_a_project_is_read_by_its_folder_or_its_file(tmp_path: Path):
    folder = make(tmp_path / "a.unet-project")
    for place in (folder, str(folder), folder / "project.json"):
        assert read_project(place).state.layers["strokes-1"].array().sum() == 2 * 400
    assert read_project(folder).model is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "name": 3, "other": 1}', "\x00"])
def test_a_damaged_project_is_a_sentence(tmp_path: Path, text: str):
    folder = make(tmp_path / "a.unet-project")
    (folder / "project.json").write_text(text)
    with pytest.raises(ProjectError, match="choose another project"):
        read_project(folder)


def test_a_newer_project_is_left_alone(tmp_path: Path):
    folder = make(tmp_path / "a.unet-project")
    about = json.loads((folder / "project.json").read_text())
    (folder / "project.json").write_text(json.dumps({**about, "format": 2, "new": 1}))
    with pytest.raises(ProjectError, match="update napari-unet"):
        read_about(folder)


def test_no_project_is_a_sentence(tmp_path: Path):
    with pytest.raises(ProjectError, match="cannot be read"):
        read_project(tmp_path / "nothing.unet-project")


# ---------------------------------------------------------------------- images


def test_an_image_is_found_beside_the_project_after_both_were_moved(tmp_path: Path):
    array = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    (tmp_path / "new").mkdir()
    tifffile.imwrite(tmp_path / "new" / "cells.tif", array)
    entry = entry_for(tmp_path / "old" / "cells.tif", array, relative="../cells.tif")
    folder = make(tmp_path / "new" / "cells.unet-project", images=(entry,))
    assert np.array_equal(open_image(folder, entry).array, array)


def test_a_channel_of_an_image_is_known_by_its_pixels(tmp_path: Path):
    array = np.random.default_rng(0).random((3, 40, 50), dtype=np.float32)
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "CYX"})
    folder = make(tmp_path / "cells.unet-project")
    assert np.array_equal(open_image(folder, entry_for(path, array[1])).array, array[1])


def test_another_image_in_its_place_is_a_sentence(tmp_path: Path):
    array = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    path = tmp_path / "cells.tif"
    entry = entry_for(path, array)
    folder = make(tmp_path / "cells.unet-project")
    with pytest.raises(ImageError, match="not there any more"):
        open_image(folder, entry)
    tifffile.imwrite(path, array[:30])
    with pytest.raises(ImageError, match="another one"):
        open_image(folder, entry)


def test_a_copy_outside_the_project_is_not_opened(tmp_path: Path):
    array = np.zeros((5, 5), np.uint8)
    np.save(tmp_path / "secret.npy", array)
    folder = make(tmp_path / "cells.unet-project")
    entry = entry_for(tmp_path / "x", array, copied="../secret.npy").replace(path=None)
    with pytest.raises(ImageError, match="not there"):
        open_image(folder, entry)


@pytest.mark.parametrize("shape", [(5, 7), (600, 700), (3, 400, 300), (300, 400, 3), (2, 3, 50, 60), (1, 1)])
def test_a_fingerprint_knows_shape_type_and_pixels(shape):
    array = np.random.default_rng(1).integers(1, 200, shape).astype(np.uint16)
    known = fingerprint(array)
    assert fingerprint(array.copy()) == fingerprint(array.astype(">u2")) == known
    assert fingerprint(array + 1) != known
    assert fingerprint(array.astype(np.int16)) != known
    assert fingerprint(array[np.newaxis]) != known


# ---------------------------------------------------------------------- places


def test_two_writers_are_refused(tmp_path: Path):
    folder = make(tmp_path / "cells.unet-project")
    held = places.lock(folder)
    assert places.is_in_use(folder)
    with pytest.raises(ProjectError, match="other window"):
        places.lock(folder)
    held.release()
    assert not places.is_in_use(folder)


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_process_holds_no_lock(tmp_path: Path):
    folder = make(tmp_path / "cells.unet-project")
    line = "import sys, time; from pathlib import Path; from napari_unet.io.project_places import lock; "
    line += "held = lock(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", line, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        assert places.is_in_use(folder)
        process.kill()
    assert not places.is_in_use(folder)


def test_names_are_numbered_and_fit_every_system(tmp_path: Path):
    names = [places.new_folder(tmp_path, name).name for name in ("a.ome.tif", "a.png", "a", 'x:/?"<|', "")]
    assert names[:3] == ["a.unet-project", "a-2.unet-project", "a-3.unet-project"]
    assert not set('<>:"/\\|?*') & set("".join(names))


def test_recent_projects_come_latest_first_and_missing_ones_are_forgotten(tmp_path: Path, user_folder: Path):
    folders = [make(tmp_path / f"{name}.unet-project") for name in "abc"]
    for age, folder in enumerate(folders):
        places.remember(folder)
        os.utime(folder / "strokes.journal", (1e9 + age, 1e9 + age) if age == 0 else None)
    os.utime(folders[1] / "strokes.journal", (folders[2].stat().st_mtime - 50,) * 2)
    places.delete(folders[2])
    assert [entry.folder for entry in places.recent()] == [folders[1]]
    assert len(list((user_folder / "recent").iterdir())) == 1


def test_deleting_leaves_what_is_not_ours(tmp_path: Path):
    folder = make(tmp_path / "a.unet-project")
    (folder / "notes.txt").write_text("mine")
    places.delete(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_block_edge_is_what_files_say():
    assert BLOCK == 256
