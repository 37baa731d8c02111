"""The page *Segment* with real clicks in a real window, and a session that really segments."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

import napari_unet as nu
from napari_unet._napari.prediction_layer import RECIPE
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.io.images import read_image
from napari_unet.session.inline import InlineSession

LEFT = Qt.MouseButton.LeftButton
STEPS = 60


@pytest.fixture
def dock(make_napari_viewer, cells, cell_model, qtbot, monkeypatch):
    """A dock with a model, on a stack of two slices; the field of view is not predicted by itself."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 900)
    viewer.add_image(np.stack([cells.image, cells.image[::-1]]), name="cells", scale=(2, 0.5, 0.5))
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.viewer = viewer
    monkeypatch.setattr(made.controller._looking, "look", lambda *_: None)
    made.controller.set_live(False)
    made.controller.load(cell_model)
    qtbot.waitUntil(lambda: made.controller.state.step == STEPS, timeout=60_000)
    made.show_page(made.segment)
    yield made
    made.close_session()


def picture(dock, name):
    """Keep a picture of the window where somebody wants to look at it."""
    if os.environ.get("NAPARI_UNET_PICTURES"):
        QApplication.processEvents()
        dock.viewer.window.screenshot(
            f"{os.environ['NAPARI_UNET_PICTURES']}/{name}.png", canvas_only=False, flash=False
        )


def choose(qtbot, combo, text):
    """Open the list with a key and type until the entry is there."""
    combo.setFocus()
    while combo.currentText() != text:
        before = combo.currentIndex()
        step = Qt.Key.Key_Down if combo.findText(text) > before else Qt.Key.Key_Up
        qtbot.keyClick(combo, step)
        assert combo.currentIndex() != before


def segment(dock, qtbot, words):
    assert dock.segment.start.isVisible()
    qtbot.mouseClick(dock.segment.start, LEFT)
    qtbot.waitUntil(lambda: words in dock.status.text(), timeout=60_000)
    assert dock.segment.start.isVisible()


def answering(qtbot, *answers):
    """Answer dialogs as they come up: a path is typed, a button is clicked."""
    waiting, asked = list(answers), []

    def look():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QFileDialog) and isinstance(waiting[0], str):
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            line.setText(waiting.pop(0))
            qtbot.keyClick(line, Qt.Key.Key_Return)
        elif isinstance(dialog, QMessageBox) and not isinstance(waiting[0], str):
            asked.append(dialog.text())
            qtbot.mouseClick(dialog.button(waiting.pop(0)), LEFT)
        if waiting:
            QTimer.singleShot(50, look)

    QTimer.singleShot(50, look)
    return asked


def whole(cell_model, dock):
    return nu.Model.load(cell_model).predict(dock.viewer.layers["cells"].data, axes="ZYX")


def test_this_slice_only(dock, cell_model, qtbot):
    dock.viewer.dims.set_point(0, 2)
    choose(qtbot, dock.segment.what, "This slice")
    assert dock.segment.start.text() == "Segment slice"
    segment(dock, qtbot, "The slice is segmented")
    layer = dock.viewer.layers["Prediction"]
    assert np.array_equal(layer.data[1], whole(cell_model, dock)[1])
    assert not layer.data[0].any()
    assert not layer.metadata[RECIPE]["complete"]
    assert layer.metadata[RECIPE]["part"]["leads"] == ((1,),)
    picture(dock, "slice")


def test_what_is_in_view_only(dock, cell_model, qtbot):
    dock.viewer.scene.camera.zoom *= 3
    QApplication.processEvents()
    choose(qtbot, dock.segment.what, "What is in view")
    segment(dock, qtbot, "The view is segmented")
    layer = dock.viewer.layers["Prediction"]
    seen = layer.data > 0
    assert 0 < seen.sum() < layer.data[0].size
    assert np.array_equal(layer.data[seen], whole(cell_model, dock)[seen])
    picture(dock, "view")


def test_selected_layers_each_into_its_own(dock, cells, cell_model, qtbot):
    second = dock.viewer.add_image(cells.image[:60, ::-1].copy(), name="other", translate=(0, 50))
    third = dock.viewer.add_image(cells.image[::2].copy(), name="third")
    dock.viewer.layers.selection = {second, third}
    choose(qtbot, dock.segment.what, "Selected layers")
    segment(dock, qtbot, "2 of 2 images are segmented")
    picture(dock, "layers")
    loaded = nu.Model.load(cell_model)
    for image in (second, third):
        layer = dock.viewer.layers[f"Prediction of {image.name}"]
        assert np.array_equal(layer.data, loaded.predict(image.data, axes="YX"))
        assert tuple(layer.translate) == tuple(image.translate)
        assert layer.metadata[RECIPE]["image"] == image.name
    assert set(dock.viewer.layers.selection) == {second, third}
    dock.controller.choose_image(second)
    assert dock.controller.link.prediction is dock.viewer.layers["Prediction of other"]


def test_a_layer_that_does_not_fit_is_named(dock, qtbot):
    colour = dock.viewer.add_image(np.zeros((40, 40, 3), np.uint8), name="colour", rgb=True)
    dock.viewer.layers.selection = {colour}
    choose(qtbot, dock.segment.what, "Selected layers")
    segment(dock, qtbot, "Leave 'colour' out of the selection")


@pytest.fixture
def folder(cells, tmp_path):
    made = tmp_path / "images"
    made.mkdir()
    tifffile.imwrite(made / "a.tif", cells.image)
    np.save(made / "b.npy", cells.image[:50])
    iio.imwrite(made / "colour.png", np.zeros((40, 40, 3), np.uint8))
    return made


def test_a_folder_of_images(dock, folder, cell_model, qtbot, tmp_path):
    choose(qtbot, dock.segment.what, "Folder of images")
    qtbot.mouseClick(dock.segment.start, LEFT)
    assert "Choose a folder of images first" in dock.status.text()
    answering(qtbot, str(folder))
    qtbot.mouseClick(dock.segment.folder.choose, LEFT)
    assert dock.segment.folder.choose.text() == "images"
    picture(dock, "folder-chosen")
    segment(dock, qtbot, "2 of 3 images are segmented. 1 could not be, the first is colour.png")
    picture(dock, "folder-done")
    lines = [dock.segment.folder.list.item(row).text() for row in range(dock.segment.folder.list.count())]
    assert lines[:2] == ["✓ a.tif → a-labels.ome.tif", "✓ b.npy → b-labels.ome.tif"]
    assert lines[2].startswith("✗ colour.png: ")
    loaded = nu.Model.load(cell_model)
    assert np.array_equal(read_image(folder / "b-labels.ome.tif").array, loaded.predict(np.load(folder / "b.npy")))

    before = (folder / "a-labels.ome.tif").read_bytes()
    (folder / "b-labels.ome.tif").unlink()
    asked = answering(qtbot, QMessageBox.StandardButton.No)
    dock.controller.board.say()
    segment(dock, qtbot, "1 of 3 images are segmented")
    assert "a-labels.ome.tif is in that folder already" in asked[0]
    assert (folder / "a-labels.ome.tif").read_bytes() == before
    (folder / "a-labels.ome.tif").write_bytes(b"old")
    answering(qtbot, QMessageBox.StandardButton.Cancel)
    qtbot.mouseClick(dock.segment.start, LEFT)
    assert (folder / "a-labels.ome.tif").read_bytes() == b"old"
    answering(qtbot, QMessageBox.StandardButton.Yes)
    dock.controller.board.say()
    segment(dock, qtbot, "2 of 3 images are segmented")
    found = read_image(folder / "a-labels.ome.tif").array
    assert np.array_equal(found, loaded.predict(tifffile.imread(folder / "a.tif")))


def test_objects_are_previewed_as_settings_change(dock, qtbot):
    choose(qtbot, dock.segment.output, "Objects")
    qtbot.waitUntil(lambda: "In view:" in dock.status.text(), timeout=60_000)
    layer = dock.viewer.layers["Objects (preview)"]
    first = layer.data.max()
    assert first > 0
    picture(dock, "objects-preview")
    field = dock.segment.objects.form._fields["min_size"].native
    size = int(np.bincount(layer.data[layer.data > 0]).max())
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, str(size))
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: layer.data.max() == 1, timeout=60_000)
    picture(dock, "objects-preview-large-only")
    segment(dock, qtbot, "The whole image is segmented")
    assert "Objects (preview)" not in dock.viewer.layers
    objects = dock.viewer.layers["Objects"]
    assert np.bincount(objects.data.ravel())[1:].min() >= size
    assert objects.metadata[RECIPE]["predicting"]["instances"]["min_size"] == size
    picture(dock, "objects")


def test_a_preview_can_be_switched_off(dock, qtbot):
    choose(qtbot, dock.segment.output, "Objects")
    qtbot.waitUntil(lambda: "Objects (preview)" in dock.viewer.layers, timeout=60_000)
    dock.segment.objects.preview.click()
    assert "Objects (preview)" not in dock.viewer.layers
    dock.segment.objects.form.setValue({"min_size": 3})
    qtbot.wait(600)
    assert "Objects (preview)" not in dock.viewer.layers


def test_objects_of_one_slice_leave_those_of_others(dock, qtbot):
    dock.segment.objects.preview.click()
    choose(qtbot, dock.segment.output, "Objects")
    choose(qtbot, dock.segment.what, "This slice")
    segment(dock, qtbot, "The slice is segmented")
    layer = dock.viewer.layers["Objects"]
    first = layer.data.copy()
    assert first.max() > 0
    dock.viewer.dims.set_point(0, 0 if first[1].any() else 2)
    dock.controller.board.say()
    segment(dock, qtbot, "The slice is segmented")
    kept = first > 0
    assert np.array_equal(layer.data[kept], first[kept])
    assert not np.intersect1d(layer.data[~kept], first[kept]).size


def test_probabilities_are_a_layer_for_each_class(dock, cell_model, qtbot):
    choose(qtbot, dock.segment.output, "Probabilities")
    assert dock.segment.start.text() == "Make probabilities"
    segment(dock, qtbot, "The probabilities of the whole image are there")
    image = dock.viewer.layers["cells"]
    wanted = nu.Model.load(cell_model).predict(image.data, axes="ZYX", output="probabilities")
    layers = [dock.viewer.layers[f"{name} probability"] for name in ("background", "cell")]
    for layer, plane in zip(layers, wanted, strict=True):
        assert np.array_equal(layer.data, plane)
        assert layer.data.dtype == np.float32
        assert (tuple(layer.contrast_limits), layer.multiscale) == ((0, 1), False)
        assert np.array_equal(layer.scale, image.scale)
        assert layer.metadata[RECIPE]["predicting"]["output"] == "probabilities"
        assert layer.metadata[RECIPE]["complete"]
    assert [layer.visible for layer in layers] == [False, True]
    assert dock.controller.link.images == [image]  # a map is no image to work on
    picture(dock, "probabilities")

    rest = dock.viewer.layers["background probability"]
    dock.viewer.layers.remove("cell probability")
    dock.viewer.dims.set_point(0, 2)
    choose(qtbot, dock.segment.what, "This slice")
    segment(dock, qtbot, "The probabilities of the slice are there")
    assert dock.viewer.layers["background probability"] is rest  # written into what was there
    # of two slices at once the last digit is another one
    np.testing.assert_allclose(dock.viewer.layers["cell probability"].data, wanted[1], atol=1e-6)
    assert not rest.metadata[RECIPE]["complete"]


def test_maps_come_tile_by_tile_and_can_be_given_up(dock, qtbot):
    dock.viewer.add_image(np.random.default_rng(0).random((900, 900), np.float32), name="large")
    dock.controller.choose_image(dock.viewer.layers["large"])
    dock.segment.settings.unfold().setValue({"tile": 64})
    choose(qtbot, dock.segment.output, "Uncertainty")
    qtbot.mouseClick(dock.segment.start, LEFT)
    layer = dock.viewer.layers["Uncertainty"]
    qtbot.waitUntil(lambda: np.count_nonzero(layer.data) > 0, timeout=60_000)
    assert dock.segment.cancel.isVisible()
    qtbot.mouseClick(dock.segment.cancel, LEFT)
    assert "Cancelled; the finished tiles stay" in dock.status.text()
    assert 0 < np.count_nonzero(layer.data) < layer.data.size
    assert RECIPE not in layer.metadata
    picture(dock, "uncertainty-cancelled")


def test_maps_of_half_the_size_and_of_more_than_one_image(dock, cells, cell_model, qtbot):
    other = dock.viewer.add_image(cells.image[:50], name="other", translate=(0, 50))
    dock.viewer.layers.selection = {dock.viewer.layers["cells"], other}
    dock.segment.settings.unfold().setValue({"half": True})
    choose(qtbot, dock.segment.quality, "Better (mirrored copies)")
    choose(qtbot, dock.segment.output, "Uncertainty")
    choose(qtbot, dock.segment.what, "Selected layers")
    segment(dock, qtbot, "2 of 2 images are segmented")
    layer = dock.viewer.layers["Uncertainty of other"]
    assert layer.data.dtype == np.float16
    assert tuple(layer.translate) == (0, 50)
    config = nu.PredictConfig(output="uncertainty", half=True, augmented="flips")
    assert np.array_equal(layer.data, nu.Model.load(cell_model).predict(other.data, "YX", config=config))
    picture(dock, "uncertainty-of-two")
    dock.segment.settings.form.setValue({"half": False})
    segment(dock, qtbot, "2 of 2 images are segmented")
    assert dock.viewer.layers["Uncertainty of other"].data.dtype == np.float32  # in the place of the other one
    assert sum(one.name.startswith("Uncertainty") for one in dock.viewer.layers) == 2


def test_objects_of_a_stack_go_on_from_slice_to_slice_and_those_of_a_movie_do_not(dock, cells, qtbot):
    stack = np.stack([cells.image] * 3)
    for name, labels in (("stack", ("z", "y", "x")), ("movie", ("t", "y", "x"))):
        dock.viewer.add_image(stack, name=name, axis_labels=labels)
    objects = dock.segment.objects
    objects.preview.click()
    dock.controller.choose_image(dock.viewer.layers["stack"])
    choose(qtbot, dock.segment.output, "Objects")
    assert objects.stack.isVisible()
    assert objects.stack.currentText() == "one object through the slices"
    segment(dock, qtbot, "The whole image is segmented")
    found = dock.viewer.layers["Objects"].data
    assert found.max() > 0
    assert np.array_equal(found[0], found[2])
    picture(dock, "stack-linked")
    dock.controller.choose_image(dock.viewer.layers["movie"])
    assert (objects.stack_label.text(), objects.stack.currentText()) == ("Frames", "each by itself")
    segment(dock, qtbot, "The whole image is segmented")
    found = dock.controller.link.objects.data
    assert not np.intersect1d(found[0][found[0] > 0], found[1]).size
    choose(qtbot, objects.stack, "keep numbers over time")
    assert dock.controller.predicting.instances.link == 0.3
    dock.controller.choose_image(dock.viewer.layers["stack"])  # what the user chose stays
    choose(qtbot, objects.stack, "each by itself")
    dock.controller.choose_image(dock.viewer.layers["movie"])
    assert dock.controller.predicting.instances.link == 0
    dock.controller.choose_image(dock.viewer.add_image(cells.image, name="one plane"))
    assert not objects.stack.isVisible()


def copied(dock, qtbot, kind, folder):
    """What *Copy as* puts on the clipboard."""
    answering(qtbot, str(folder))
    dock.segment.copy.copy(kind)
    qtbot.waitUntil(lambda: not dock.controller.answers.saving, timeout=20_000)
    assert not dock.controller.state.failed, dock.status.text()
    return QApplication.clipboard().text()


def run(text, kind, folder):
    """As a user would: line after line in a terminal, or as a script."""
    if kind == "python":
        (folder / "script.py").write_text(text)
        lines = [[sys.executable, str(folder / "script.py")]]
    else:
        start = [sys.executable, "-c", "import sys, napari_unet.cli as c; sys.exit(c.main())"]
        lines = [[*start, *shlex.split(line)[1:]] for line in text.splitlines()]
    for line in lines:
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
    return done


@pytest.mark.parametrize("kind", ["command", "python"])
def test_a_copied_part_gives_the_pixels_of_the_layer(dock, qtbot, tmp_path, kind):
    dock.viewer.scene.camera.zoom *= 3
    QApplication.processEvents()
    choose(qtbot, dock.segment.what, "What is in view")
    segment(dock, qtbot, "The view is segmented")
    dock.viewer.scene.camera.zoom /= 3  # what was segmented counts, not what is in view now
    (tmp_path / "files").mkdir()
    done = run(copied(dock, qtbot, kind, tmp_path / "files"), kind, tmp_path / "files")
    assert done.returncode == 0, done.stderr
    found = tifffile.imread(tmp_path / "files" / "cells-labels.tif")
    assert np.array_equal(found, dock.viewer.layers["Prediction"].data)


@pytest.mark.parametrize("kind", ["command", "python"])
def test_copied_layers_and_objects_give_the_pixels_of_the_layers(dock, cells, qtbot, tmp_path, kind):
    dock.segment.objects.form.setValue({"min_size": 12, "smoothing": 0.7})
    images = [dock.viewer.add_image(cells.image[k:].copy(), name="same name") for k in (0, 9)]
    choose(qtbot, dock.segment.output, "Objects")
    choose(qtbot, dock.segment.what, "Selected layers")
    dock.viewer.layers.selection = set(images)
    segment(dock, qtbot, "2 of 2 images are segmented")
    (tmp_path / "files").mkdir()
    text = copied(dock, qtbot, kind, tmp_path / "files")
    done = run(text, kind, tmp_path / "files")
    assert done.returncode == 0, done.stderr
    written = sorted(Path(tmp_path / "files").glob("*-instances.tif"))
    layers = [dock.controller.link.result_of(image, "objects") for image in images]
    assert len(written) == 2
    for layer in layers:
        assert layer.data.max() > 0
        assert any(np.array_equal(tifffile.imread(path), layer.data) for path in written)


@pytest.mark.parametrize("kind", ["command", "python"])
def test_copied_probabilities_give_the_pixels_of_the_layers(dock, qtbot, tmp_path, kind):
    dock.segment.settings.unfold().setValue({"tile": 48})
    choose(qtbot, dock.segment.quality, "Better (mirrored copies)")
    choose(qtbot, dock.segment.output, "Probabilities")
    segment(dock, qtbot, "The probabilities of the whole image are there")
    (tmp_path / "files").mkdir()
    done = run(copied(dock, qtbot, kind, tmp_path / "files"), kind, tmp_path / "files")
    assert done.returncode == 0, done.stderr
    found = read_image(tmp_path / "files" / "cells-probabilities.tif")
    assert found.axes == "CZYX"
    for plane, name in zip(found.array, ("background", "cell"), strict=True):
        assert np.array_equal(plane, dock.viewer.layers[f"{name} probability"].data)


@pytest.mark.parametrize("kind", ["command", "python"])
def test_a_copied_folder_gives_the_same_files(dock, folder, qtbot, tmp_path, kind):
    choose(qtbot, dock.segment.what, "Folder of images")
    answering(qtbot, str(folder))
    qtbot.mouseClick(dock.segment.folder.choose, LEFT)
    choose(qtbot, dock.segment.folder.format, "TIFF for ImageJ")
    segment(dock, qtbot, "2 of 3 images are segmented")
    wanted = {path.name: tifffile.imread(path) for path in folder.glob("*-labels.tif")}
    for name in wanted:
        (folder / name).unlink()
    (tmp_path / "files").mkdir()
    run(copied(dock, qtbot, kind, tmp_path / "files"), kind, tmp_path / "files")
    assert sorted(wanted) == ["a-labels.tif", "b-labels.tif"]
    for name, labels in wanted.items():
        assert np.array_equal(tifffile.imread(folder / name), labels)
    shutil.rmtree(folder)
