"""Nothing is lost: what the dock keeps, and how it goes on, with a viewer without a window."""

import threading
import time

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManifest

from napari_unet._napari.changed_blocks import ChangedBlocks
from napari_unet._napari.controller import Controller
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.io.project import read_project
from napari_unet.session import commands as do
from napari_unet.session.messages import SnapshotSaved

SHAPE = (40, 60)


@pytest.fixture(autouse=True)
def readers(npe2pm):
    """Napari's own readers, and no plugin's."""
    npe2pm.register(PluginManifest.from_distribution("napari"))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "images" / "cells.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8))
    return path


@pytest.fixture
def start(clock, session):
    """Starts docks, one after the other."""
    started = []

    def begin(path=None, array=None):
        viewer = ViewerModel()
        if path is not None:
            viewer.open(str(path), plugin="napari")
        if array is not None:
            viewer.add_image(array, name="sample")
        made = Controller(viewer, type(session)(), clock)
        made.viewer = viewer
        started.append(made)
        return made

    yield begin
    for made in started:
        made.close()


def keep(controller, clock, until=None):
    """Let the clock run until what was done is on the disk."""
    end = time.monotonic() + 10
    seen = controller.safe.project.keeping.time
    while time.monotonic() < end:
        clock.now += 0.5
        controller.tick()
        keeping = controller.safe.project.keeping
        if keeping.time != seen if until is None else until(keeping):
            return keeping
        time.sleep(0.02)
    raise AssertionError("nothing was kept")


def strokes_in(folder, number=1):
    return read_project(folder).state.layers[f"strokes-{number}"].array()


@pytest.fixture
def kept(start, clock, image, paint_both):
    """A closed project with two strokes, and the strokes."""
    controller = start(image)
    controller.tick()
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.set_model(ModelConfig(classes=("background", "nucleus"), width=8))
    controller.training, controller.predicting = TrainConfig(patch_size=64), PredictConfig(tile=32)
    keeping = keep(controller, clock)
    controller.close()
    return keeping.folder, controller.link, read_project(keeping.folder)


# ---------------------------------------------------------------------- keeping


def test_opening_a_dock_leaves_nothing_behind(start, image, projects):
    before = threading.active_count()
    controller = start(image)
    for _ in range(5):
        controller.tick()
    controller.new_strokes()
    controller.tick()
    controller.close()
    assert [path.name for path in image.parent.iterdir()] == ["cells.tif"]
    assert not projects.exists()
    assert threading.active_count() == before


def test_strokes_are_kept_beside_the_image(start, clock, image, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    assert keeping.folder == image.parent / "cells.unet-project"
    assert np.array_equal(strokes_in(keeping.folder), controller.link.strokes.data)
    entry = read_project(keeping.folder).about.images[0]
    assert (entry.path, entry.plugin, entry.axes) == (str(image.resolve()), "napari", "YX")


@pytest.mark.parametrize("change", ["erase", "undo", "redo", "fill", "write", "replace"])
def test_every_change_is_kept(start, clock, image, paint_both, change):
    controller = start(image)
    controller.new_strokes()
    layer = controller.link.strokes
    paint_both(layer)
    if change == "redo":
        layer.undo()
    keeping = keep(controller, clock)
    before = layer.data.copy()
    if change == "erase":
        layer.paint((5, 5), 0)
    elif change in ("undo", "redo"):
        getattr(layer, change)()
    elif change == "fill":
        layer.fill((30, 30), 2)
    elif change == "write":
        layer.data[20:24, 30:34] = 1
    else:
        layer.data = np.flipud(layer.data).copy()
    keep(controller, clock)
    assert not np.array_equal(layer.data, before)
    assert np.array_equal(strokes_in(keeping.folder), layer.data)


def test_undo_on_another_slice_is_kept(start, clock):
    controller = start(array=np.random.default_rng(0).random((6, 300, 300), dtype=np.float32))
    controller.new_strokes()
    layer = controller.link.strokes
    controller.viewer.dims.set_point(0, 1)
    layer.paint((1, 50, 50), 2)
    layer.paint((1, 280, 280), 1)
    keeping = keep(controller, clock)
    controller.viewer.dims.set_point(0, 4)
    layer.undo()
    keep(controller, clock)
    assert np.array_equal(strokes_in(keeping.folder), layer.data)


def test_a_stroke_is_kept_before_it_ends(start, clock, image, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    layer = controller.link.strokes
    with layer.block_history():  # as while the button is held
        layer.paint((30, 40), 2)
        keep(controller, clock)
        assert strokes_in(keeping.folder)[30, 40] == 2


def test_settings_classes_and_regions_are_kept(start, clock, image, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    controller.set_model(
        ModelConfig(classes=("background", "nucleus", "dirt"), colors=("#000001", "#000002", "#000003"))
    )
    controller.training = TrainConfig(patch_size=64)
    controller.predicting = PredictConfig(tile=64)
    controller.new_regions()
    controller.link.regions.add([[2, 2], [2, 20], [10, 20], [10, 2]], shape_type="rectangle")
    keep(controller, clock)
    state = read_project(keeping.folder).state
    assert state.settings == controller.settings()
    assert state.settings.model.classes[2] == "dirt"
    assert state.regions["image-1"][0]["vertices"][2] == [10.0, 20.0]


def test_the_model_is_kept_in_the_project(start, clock, image, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    told = controller._client._session.sent(do.KeepModel)
    assert told[-1].path == str(keeping.folder / "model.unet")
    controller._client._session.events.append(SnapshotSaved(told[-1].path, 812))
    keep(controller, clock)
    assert read_project(keeping.folder).state.step == 812


def test_an_image_without_a_file_is_kept_as_a_copy(start, clock, projects, paint_both):
    array = np.random.default_rng(3).random(SHAPE, dtype=np.float32)
    first = start(array=array)
    first.new_strokes()
    paint_both(first.link.strokes)
    keeping = keep(first, clock)
    assert keeping.folder.parent == projects
    first.close()
    again = start()
    again.tick()
    assert again.safe.offers.offer.image == "sample"
    again.safe.go_on()
    assert np.array_equal(again.link.image.data, array)
    assert np.array_equal(again.link.strokes.data, strokes_in(keeping.folder))


def test_an_image_too_large_for_a_copy_is_said(start, clock, monkeypatch, paint_both):
    monkeypatch.setattr("napari_unet._napari.project_layers.LARGEST_COPY", 100)
    controller = start(array=np.zeros(SHAPE, np.float32))
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keep(controller, clock)
    assert "too large for a copy" in controller.safe.project.keeping.note


def test_deleted_strokes_are_deleted_but_a_closing_viewer_deletes_nothing(start, clock, image, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    controller.tick()
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    keep(controller, clock, lambda _: len(read_project(keeping.folder).state.layers) == 2)
    controller.viewer.layers.remove("Strokes")
    keep(controller, clock, lambda _: list(read_project(keeping.folder).state.layers) == ["strokes-2"])
    controller.viewer.layers.clear()
    controller.close()
    assert strokes_in(keeping.folder, 2).any()


def test_a_second_viewer_has_a_project_of_its_own(start, clock, image, paint_both):
    folders = []
    for value in (1, 2):
        controller = start(image)
        controller.tick()
        assert controller.safe.offers.offer is None
        controller.new_strokes()
        controller.link.strokes.data[:value] = value
        folders.append(keep(controller, clock).folder)
    assert [folder.name for folder in folders] == ["cells.unet-project", "cells-2.unet-project"]
    assert [int(strokes_in(folder).max()) for folder in folders] == [1, 2]


@pytest.mark.parametrize("rude", ["deleted", "renamed", "replaced"])
def test_strokes_are_kept_whatever_happens_to_the_image(start, clock, image, paint_both, rude):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    if rude == "deleted":
        image.unlink()
    elif rude == "renamed":
        image = image.rename(image.with_name("other.tif"))
    else:
        tifffile.imwrite(image, np.zeros((10, 10), np.uint8))
    controller.link.strokes.paint((30, 30), 2)
    keep(controller, clock)
    controller.close()
    again = start(image if rude == "renamed" else None)
    again.tick()
    if rude == "renamed":
        assert again.safe.offers.offer.folder == keeping.folder
    again.safe.open(keeping.folder)
    assert np.array_equal(again.viewer.layers["Strokes"].data, strokes_in(keeping.folder))
    assert again.state.failed == (rude != "renamed")
    if rude != "renamed":
        assert "cells" in again.state.message


def test_a_disk_that_cannot_be_written_is_a_sentence(start, clock, image, paint_both, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("napari_unet.io.project_places.new_folder", refuse)
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keep(controller, clock, lambda keeping: keeping.trouble)
    assert "not kept" in controller.safe.project.keeping.trouble
    monkeypatch.undo()


# ---------------------------------------------------------------------- going on


def test_going_on_brings_everything_back(start, clock, image, kept):
    folder, _, project = kept
    controller = start(image)
    controller.tick()
    offer = controller.safe.offers.offer
    assert (offer.folder, offer.image, offer.strokes) == (folder, "cells", 2)
    controller.safe.go_on()
    assert np.array_equal(controller.link.strokes.data, project.state.layers["strokes-1"].array())
    assert controller.link.strokes.mode == "paint"
    assert controller.settings() == project.state.settings
    assert controller.model.classes == ("background", "nucleus")
    assert [layer.name for layer in controller.viewer.layers] == ["cells", "Strokes"]
    assert controller.safe.offers.offer is None
    controller.link.strokes.paint((30, 30), 2)
    keep(controller, clock)
    assert np.array_equal(strokes_in(folder), controller.link.strokes.data)
    assert read_project(folder).state.strokes == 3


def test_going_on_without_an_image_opens_it(start, image, kept):
    controller = start()
    controller.tick()
    assert controller.safe.offers.offer.folder == kept[0]
    controller.safe.go_on()
    assert controller.link.image.source.path == str(image)
    assert controller.link.strokes.data.any()


def test_going_on_loads_the_model_before_it_keeps_one(start, image, kept):
    model = kept[0] / "model.unet"
    model.write_bytes(b"model")
    controller = start(image)
    controller.tick()
    controller.safe.go_on()
    sent = controller._client._session.commands
    assert [type(command) for command in sent] == [do.LoadModel, do.KeepModel]
    assert not sent[1].now


def test_regions_come_back(start, clock, image, paint_both):
    first = start(image)
    first.new_strokes()
    paint_both(first.link.strokes)
    first.new_regions()
    first.link.regions.add([[2, 2], [2, 20], [10, 20], [10, 2]], shape_type="rectangle")
    keep(first, clock)
    boxes = first.link.complete()
    first.close()
    again = start(image)
    again.tick()
    again.safe.go_on()
    assert again.link.complete() == boxes != ()


def test_later_asks_next_time_and_discard_does_not(start, image, kept):
    first = start(image)
    first.tick()
    first.safe.offers.later()
    assert first.safe.offers.offer is None
    first.close()
    second = start(image)
    second.tick()
    assert second.safe.offers.offer is not None
    second.safe.offers.discard()
    second.close()
    third = start(image)
    third.tick()
    assert third.safe.offers.offer is None
    third.safe.open(kept[0])  # from the recent projects, until tomorrow
    assert third.link.strokes.data.any()


def test_a_project_that_is_open_elsewhere_is_a_sentence(start, image, kept):
    first = start(image)
    first.safe.open(kept[0])
    second = start(image)
    second.safe.open(kept[0])
    assert "other window" in second.state.message
    assert second.link.strokes is None


def test_no_project_is_a_sentence(start, image, tmp_path):
    controller = start(image)
    controller.safe.open(tmp_path / "nothing")
    assert "cannot be read" in controller.state.message
    controller.safe.save_as(tmp_path / "x")
    assert "nothing to save" in controller.state.message


def test_saving_elsewhere_takes_the_work_along(start, clock, image, tmp_path, paint_both):
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keep(controller, clock)
    controller.safe.save_as(tmp_path / "mine")
    wanted = tmp_path / "mine.unet-project"
    keep(controller, clock, lambda keeping: keeping.folder == wanted)
    controller.link.strokes.paint((30, 30), 2)
    keep(controller, clock)
    assert np.array_equal(strokes_in(wanted), controller.link.strokes.data)
    assert controller._client._session.sent(do.KeepModel)[-1].path == str(wanted / "model.unet")
    assert not (image.parent / "cells.unet-project").exists()


def test_two_images_share_a_project(start, clock, image, paint_both):
    other = image.with_name("other.tif")
    tifffile.imwrite(other, np.random.default_rng(5).integers(0, 200, (50, 50)).astype(np.uint8))
    controller = start(image)
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keeping = keep(controller, clock)
    controller.viewer.open(str(other), plugin="napari")
    controller.choose_image(controller.viewer.layers["other"])
    controller.new_strokes()
    paint_both(controller.link.strokes)
    keep(controller, clock, lambda _: len(read_project(keeping.folder).state.layers) == 2)
    controller.close()
    project = read_project(keeping.folder)
    assert [entry.name for entry in project.about.images] == ["cells", "other"]
    again = start(other)
    again.tick()
    assert again.safe.offers.offer.image == "other"
    again.safe.go_on()
    names = sorted(layer.name for layer in again.viewer.layers)
    assert names == ["Strokes", "Strokes [1]", "cells", "other"]


# ---------------------------------------------------------------------- which blocks


def test_looking_finds_what_nobody_told_of():
    data = np.zeros((3, 700, 600), np.uint8)
    blocks = ChangedBlocks(data)
    data[2, 650, 10] = 1
    for _ in range(3):
        blocks.look(data)
    assert [at for at, _ in blocks.take(data, 2**30)] == [(2, 2, 0)]
    assert blocks.take(data, 2**30) == []
    data[2, 650, 10] = 0
    blocks.look(data)
    blocks.look(data)
    ((at, block),) = blocks.take(data, 2**30)
    assert at == (2, 2, 0)
    assert not block.any()


def test_only_some_bytes_are_taken_in_a_turn():
    data = np.ones((2048, 2048), np.uint8)
    blocks = ChangedBlocks(data)
    blocks.note(((0, 2048), (0, 2048)))
    sizes = []
    while taken := blocks.take(data, 2**20):
        sizes.append(sum(block.nbytes for _, block in taken))
    assert max(sizes) == 2**20
    assert sum(sizes) == data.nbytes
