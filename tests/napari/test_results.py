"""Results into files, with real clicks in real dialogs, and a session that really segments."""

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

from napari_unet._napari.prediction_layer import RECIPE
from napari_unet._napari.saving import spacing
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet._napari.widgets.result_file import completed
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.io.images import read_image
from napari_unet.session.inline import InlineSession

LEFT = Qt.MouseButton.LeftButton
SCALE, STEPS = (0.5, 0.25), 60


@pytest.fixture
def dock(make_napari_viewer, cells, cell_model, qtbot):
    """A dock with a model, on an image with scale, place and units."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(cells.image, name="cells", scale=SCALE, translate=(3, 4), units=("um", "um"))
    made = UNetWidget(viewer, InlineSession("cpu"))
    viewer.window.add_dock_widget(made, name="U-Net segmentation")
    made.viewer = viewer
    made.controller.set_live(False)
    made.controller.training = TrainConfig(batch_size=2)
    made.controller.load(cell_model)
    qtbot.waitUntil(lambda: made.controller.state.step == STEPS, timeout=60_000)
    made.show_page(made.segment)
    yield made
    made.close_session()


def click(qtbot, widget):
    assert widget.isVisible()
    qtbot.mouseClick(widget, LEFT)


def segment(dock, qtbot, output="labels"):
    dock.segment.output.setCurrentIndex(dock.segment.output.findData(output))
    dock.segment._on_output()
    click(qtbot, dock.segment.start)
    words = {"probabilities": "are there", "uncertainty": "shows where"}.get(output, "is segmented")
    qtbot.waitUntil(lambda: words in dock.status.text(), timeout=60_000)


def answering(qtbot, *answers):
    """Answer the dialogs that come up, one after the other: a path is typed, a button is clicked."""
    waiting, asked = list(answers), []

    def look():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QFileDialog) and isinstance(waiting[0], str):
            dialog.findChild(QLineEdit, "fileNameEdit").setText(waiting.pop(0))
            qtbot.keyClick(dialog.findChild(QLineEdit, "fileNameEdit"), Qt.Key.Key_Return)
        elif isinstance(dialog, QMessageBox) and not isinstance(waiting[0], str):
            asked.append(dialog.text())
            qtbot.mouseClick(dialog.button(waiting.pop(0)), LEFT)
        if waiting:
            QTimer.singleShot(50, look)

    QTimer.singleShot(50, look)
    return asked


def save(dock, qtbot, *answers):
    """Click *Save result...*, answer, and wait until it says that it was saved; the questions."""
    asked = answering(qtbot, *answers)
    click(qtbot, dock.segment.result.button)
    return asked


def saved(dock, qtbot):
    qtbot.waitUntil(lambda: "Saved the result" in dock.status.text(), timeout=20_000)


@pytest.mark.parametrize("name", ["r.ome.tif", "r.ome.zarr", "r.tif"])
def test_the_result_is_saved_with_its_scale(dock, qtbot, tmp_path, name):
    segment(dock, qtbot)
    layer = dock.viewer.layers["Prediction"]
    save(dock, qtbot, str(tmp_path / name))
    saved(dock, qtbot)
    found = read_image(tmp_path / name)
    assert np.array_equal(found.array, layer.data)
    assert found.axes == "YX"
    assert found.spacing == pytest.approx(SCALE)
    assert set(np.unique(layer.data)) == {1, 2}


def test_an_existing_file_is_asked_about_and_background_may_be_zero(dock, qtbot, tmp_path):
    segment(dock, qtbot)
    layer, path = dock.viewer.layers["Prediction"], tmp_path / "r.ome.tif"
    save(dock, qtbot, str(tmp_path / "r"))
    saved(dock, qtbot)
    before = path.read_bytes()
    dock.controller.board.say()
    dock.segment.result.zero.click()
    asked = save(dock, qtbot, str(path), QMessageBox.StandardButton.No)
    assert "exists" in asked[0]
    assert path.read_bytes() == before
    save(dock, qtbot, str(path), QMessageBox.StandardButton.Yes)
    saved(dock, qtbot)
    assert np.array_equal(read_image(path).array, layer.data - 1)


@pytest.mark.parametrize("name", ["r.ome.tif", "r.ome.zarr", "r.tif"])
@pytest.mark.parametrize("output", ["probabilities", "uncertainty"])
def test_maps_are_saved_with_scale_and_names(dock, qtbot, tmp_path, output, name):
    segment(dock, qtbot, output)
    assert not dock.segment.result.zero.isVisible()
    save(dock, qtbot, str(tmp_path / name))
    saved(dock, qtbot)
    found = read_image(tmp_path / name)
    names = ("background probability", "cell probability") if output == "probabilities" else ("Uncertainty",)
    planes = found.array if output == "probabilities" else [found.array]
    for plane, layer in zip(planes, names, strict=True):
        assert np.array_equal(plane, dock.viewer.layers[layer].data)
        assert 0 < np.max(plane) <= 1
    assert found.axes == ("CYX" if output == "probabilities" else "YX")
    assert found.spacing == pytest.approx(SCALE)
    assert found.channels == (("background", "cell") if output == "probabilities" else ())


def test_objects_are_saved_as_they_are(dock, qtbot, tmp_path):
    segment(dock, qtbot, "instances")
    save(dock, qtbot, str(tmp_path / "r.ome.zarr"))
    saved(dock, qtbot)
    objects = dock.viewer.layers["Objects"].data
    assert objects.max() > 0
    assert np.array_equal(read_image(tmp_path / "r.ome.zarr").array, objects)


@pytest.mark.parametrize(("output", "what"), [("labels", "classes"), ("instances", "objects")])
def test_nothing_can_be_saved_before_it_is_segmented(controller, tmp_path, output, what):
    """The session of this controller predicts nothing, not even the view."""
    controller.predicting = PredictConfig(output=output)
    for made in (
        lambda: None,
        lambda: controller.link.display.make(ModelConfig()),
        controller.link.display.make_objects,
    ):
        made()
        controller.results.save(tmp_path / "r.tif")
        assert controller.state.failed
        assert (
            f"There is nothing to save yet: make the {what} first, with the button above." in controller.state.message
        )
    controller.link.prediction.data[3, 3] = controller.link.objects.data[3, 3] = 1
    controller.results.save(tmp_path / "r.tif")
    assert not controller.state.failed


@pytest.mark.parametrize("output", ["probabilities", "uncertainty"])
def test_no_maps_can_be_saved_before_they_are_made(controller, tmp_path, output):
    controller.predicting = config = PredictConfig(output=output)
    for made in (lambda: None, lambda: controller.link.display.target(controller.link.image, ModelConfig(), config)):
        made()
        controller.results.save(tmp_path / "r.tif")
        assert f"There is nothing to save yet: make the {output} first" in controller.state.message


def test_what_cannot_be_saved_is_a_sentence(dock, qtbot, tmp_path):
    segment(dock, qtbot)
    dock.controller.results.save(tmp_path / "r.png")
    assert "ends in .ome.tif" in dock.status.text()
    dock.controller.results.save(tmp_path / "gone" / "r.tif")
    qtbot.waitUntil(lambda: "could not be written" in dock.status.text(), timeout=20_000)
    assert not list(tmp_path.glob("r*"))


def test_a_result_layer_says_where_it_lies_and_how_it_was_made(dock, qtbot, cells):
    segment(dock, qtbot)
    layer = dock.viewer.layers["Prediction"]
    assert tuple(layer.scale) == SCALE
    assert tuple(layer.translate) == (3, 4)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    recipe = layer.metadata[RECIPE]
    assert (recipe["image"], recipe["axes"], recipe["step"], recipe["complete"]) == ("cells", "YX", STEPS, True)
    assert recipe["model"]["width"] == 8
    assert recipe["training"]["batch_size"] == 2
    assert recipe["predicting"]["output"] == "labels"
    dock.controller.link.display.write((slice(0, 9), slice(0, 9)), np.full((9, 9), 3, np.uint8))
    assert not layer.metadata[RECIPE]["complete"]


def test_units_become_micrometres():
    from napari.layers import Labels

    def size(scale, units):
        return spacing(Labels(np.ones((2, 2, 2), np.uint8), scale=scale, units=units), "ZYX")

    assert size((1, 1, 1), None) is None
    assert size((2, 0.5, 0.5), None) == (2, 0.5, 0.5)
    assert size((0.002, 500, 500), ("mm", "nm", "nm")) == pytest.approx((2, 0.5, 0.5))


def test_a_file_in_a_store_means_the_store(tmp_path):
    assert completed(tmp_path / "a", "OME-Zarr (*.ome.zarr *.zarr)") == tmp_path / "a.ome.zarr"
    assert completed(tmp_path / "a.tif", "OME-Zarr (*.ome.zarr *.zarr)") == tmp_path / "a.tif"
    assert completed(tmp_path / "a.ome.zarr" / "result.ome.tif", "") == tmp_path / "a.ome.zarr"
