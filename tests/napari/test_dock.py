"""The dock in a real viewer, with a session that plays back."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtTest import QTest

from napari_unet._napari.guidance import NAMES
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig
from napari_unet.events import Finished, Started, Step
from napari_unet.session import commands as do
from napari_unet.session.messages import Failed, ModelChanged, PredictionDone, Ready, Tile
from napari_unet.standard import standard_model

MENU_ID = "napari-unet.segment"


@pytest.fixture
def window(make_napari_viewer):
    made = make_napari_viewer()
    made.add_image(np.random.default_rng(0).random((60, 80), dtype=np.float32), name="image")
    return made


@pytest.fixture
def dock(window, session):
    """The widget in its dock; the timer does not run, tests tick."""
    made = UNetWidget(window, session)
    window.window.add_dock_widget(made, name="U-Net segmentation")
    made._timer.stop()
    yield made
    made.close_session()


def tick(dock, session, *events):
    session.events += events
    dock.controller.tick()


def train(dock, session):
    dock.annotate.new_strokes.click()
    strokes = dock.controller.link.strokes
    strokes.paint((5, 5), 1)
    strokes.paint((30, 30), 2)
    dock.train.toggle.click()
    tick(dock, session, Ready("cpu", "2"), Started("cpu", 1), Step(1, 0.7, 1e-3, 0.1), Step(2, 0.5, 1e-3, 0.2))


def test_two_clicks_and_two_strokes_start_the_training(dock, session):
    train(dock, session)
    assert session.sent(do.Train)
    assert dock.train.toggle.text() == "Stop"
    assert len(dock.controller.teaching.course.losses) == 2
    assert "Learning" in dock.status.text()


def test_the_next_button_is_coloured(dock, session):
    coloured = [bool(button.styleSheet()) for button in (dock.annotate.new_strokes, dock.train.toggle)]
    assert coloured == [True, False]
    dock.annotate.new_strokes.click()
    assert not dock.annotate.new_strokes.styleSheet()


def test_buttons_that_need_a_model_wait_for_one(dock, session):
    needy = (dock.segment.start, dock.segment.model.save_button, dock.train.again)
    assert not any(button.isEnabled() for button in needy)
    train(dock, session)
    assert all(button.isEnabled() for button in needy)


def test_segmenting_shows_progress_and_can_be_cancelled(dock, session):
    train(dock, session)
    dock.segment.start.click()
    request = session.sent(do.PredictImage)[0].request
    tick(dock, session, Tile(request, (slice(0, 30), slice(0, 80)), None, 1, 4, 2))
    assert not dock.segment.bar.isHidden()
    assert dock.segment.bar.value() == 1
    assert "left" in dock.segment.bar.format()
    dock.segment.cancel.click()
    assert dock.segment.bar.isHidden()
    assert session.sent(do.Cancel)[0].request == request


def test_a_segmentation_ends(dock, session):
    train(dock, session)
    dock.segment.start.click()
    request = session.sent(do.PredictImage)[0].request
    tick(dock, session, PredictionDone(request, cancelled=False, step=2))
    assert not dock.segment.start.isHidden()
    assert "is segmented" in dock.status.text()


def test_settings_reach_the_training(dock, session):
    dock.train.budget.setValue(45.0)
    dock.train.settings.unfold().setValue({"batch_size": 3})
    dock.train.network.unfold().setValue({"width": 8, "depth": 2})
    train(dock, session)
    assert session.sent(do.Train)[0].config.seconds == 45
    assert session.sent(do.Train)[0].config.batch_size == 3
    assert session.sent(do.NewModel)[0].config == standard_model(width=8, depth=2)


def test_classes_and_network_settings_do_not_overwrite_each_other(dock):
    form = dock.train.network.unfold()
    form.setValue({"width": 8})
    dock.annotate.classes._add.click()
    form.setValue({"depth": 2})
    model = dock.controller.model
    assert (model.width, model.depth, model.classes) == (8, 2, ("background", "cell", "class 3"))
    assert dock.annotate.classes.value().classes == model.classes


def test_a_loaded_model_fills_the_forms(dock, session):
    dock.segment.model.load.emit("a.unet")
    config = ModelConfig(classes=("background", "nucleus", "gland"), width=8)
    tick(dock, session, ModelChanged(config, 9, "a.unet"))
    assert dock.annotate.classes.value().classes == config.classes
    assert dock.train.network.value() == config
    assert dock.segment.start.isEnabled()


def test_errors_are_one_sentence_in_the_dock_and_in_napari(dock, session):
    from napari.utils.notifications import notification_manager

    tick(dock, session, Failed("use smaller patches"))
    assert dock.status.text() == "Use smaller patches."
    assert notification_manager.records[-1].message == "Use smaller patches."


def test_the_class_in_the_table_is_the_class_of_the_brush(dock):
    dock.annotate.new_strokes.click()
    strokes = dock.controller.link.strokes
    assert dock.annotate.classes._table.currentRow() == 1
    dock.annotate.classes.picked.emit(1)
    assert strokes.selected_label == 1
    strokes.selected_label = 2
    assert dock.annotate.classes._table.currentRow() == 1


def test_layers_are_offered_by_name_and_without_predictions(dock, window, session):
    train(dock, session)
    window.add_labels(np.zeros((60, 80), int), name="mask")
    window.layers["image"].name = "cells"
    combos = dock.annotate.image, dock.annotate.strokes
    offered = [[combo.itemText(index) for index in range(1, combo.count())] for combo in combos]
    assert offered == [["cells"], ["Strokes", "mask"]]


def test_the_menu_offers_masks_by_their_meaning(dock, window):
    window.add_labels(np.ones((60, 80), int), name="mask")
    dock.annotate.menu.aboutToShow.emit()
    texts = [action.text() for action in dock.annotate.menu.actions()]
    assert len(texts) == 4
    dock.annotate.menu.actions()[2].trigger()
    assert (dock.controller.link.strokes.data == 2).all()


@pytest.mark.parametrize("mode", ["soft", "fill", "outline"])
def test_a_live_tile_is_on_the_screen_as_after_a_refresh(make_napari_viewer, session, mode):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((64, 64), np.float32))
    dock = UNetWidget(viewer, session)
    dock._timer.stop()
    train(dock, session)
    viewer.layers["Strokes"].visible = False
    dock.controller.show_as(mode)
    index = (slice(10, 40), slice(20, 60))
    dock.controller.link.display.write(index, np.full((30, 40), 2, np.uint8))
    partial = viewer.screenshot(flash=False)
    dock.controller.link.display.refresh()
    assert np.array_equal(partial, viewer.screenshot(flash=False))
    assert len(np.unique(partial.reshape(-1, 4), axis=0)) > 1
    dock.close_session()
    dock.deleteLater()


def test_the_view_follows_zoom_and_pan(make_napari_viewer, session, qtbot):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((5, 400, 600), np.float32), scale=(2, 0.5, 0.5), translate=(0, 10, 0))
    dock = UNetWidget(viewer, session)
    dock._timer.stop()
    viewer.dims.set_point(0, 6)
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = (0, 10 + 50, 75)
    qtbot.waitUntil(lambda: image.corner_pixels[1][-1] < 599, timeout=5000)
    view = dock.controller.link.view(2)
    assert view.lead == (3,)
    (y0, y1), (x0, x1) = view.box
    assert y0 < 100 < y1
    assert x0 < 150 < x1
    assert y1 - y0 < 200
    assert dock.controller.link.view(3).box[0] == (3, 4)
    viewer.dims.order = (1, 0, 2)
    assert dock.controller.link.view(2) is None
    dock.close_session()
    dock.deleteLater()


# ---------------------------------------------------------------------- the end


def test_closing_the_dock_ends_the_session_and_keeps_the_layers(window, session):
    widget = UNetWidget(window, session)
    holder = window.window.add_dock_widget(widget, name="U-Net segmentation")
    train(widget, session)
    assert not session.closed
    holder.hide()
    assert not session.closed
    window.window.remove_dock_widget(holder)
    assert session.closed == 1
    assert not widget._timer.isActive()
    assert [layer.name for layer in window.layers] == ["image", "Probability", "Prediction", "Strokes"]
    widget.deleteLater()


def test_closing_the_viewer_ends_the_session(make_napari_viewer, session, qtbot):
    viewer = make_napari_viewer()
    viewer.window.add_dock_widget(UNetWidget(viewer, session), name="U-Net segmentation")
    viewer.close()
    qtbot.waitUntil(lambda: session.closed == 1, timeout=3000)


def test_nothing_keeps_a_closed_dock_alive(window, session, qtbot):
    widget = UNetWidget(window, session)
    holder = window.window.add_dock_widget(widget, name="U-Net segmentation")
    train(widget, session)
    controller, kept = weakref.ref(widget.controller), weakref.ref(widget)
    window.window.remove_dock_widget(holder)
    widget.deleteLater()
    del widget, holder

    def gone():
        gc.collect()
        assert kept() is None
        assert controller() is None

    qtbot.waitUntil(gone, timeout=3000)
    window.layers["Strokes"].paint((20, 20), 2)


def test_many_docks_leave_nothing_behind(window, session, qtbot):
    from qtpy.QtWidgets import QApplication

    def cycle():
        widget = UNetWidget(window, session)
        holder = window.window.add_dock_widget(widget, name="U-Net segmentation")
        widget.train.settings.unfold()
        window.window.remove_dock_widget(holder)
        widget.deleteLater()

    def widgets():
        gc.collect()
        qtbot.wait(20)
        return len(QApplication.allWidgets())

    cycle()
    before = widgets()
    for _ in range(5):
        cycle()
    assert widgets() <= before
    assert session.closed == 6


# ---------------------------------------------------------------------- napari finds it


def test_napari_opens_it_from_the_plugins_and_the_layers_menu(make_napari_viewer, monkeypatch, session):
    from napari._app_model import get_app_model
    from napari._app_model.constants import MenuId
    from npe2 import PluginManager

    from napari_unet._napari.widgets import dock as module

    monkeypatch.setattr(module, "ProcessSession", lambda: session)
    if "napari-unet" not in PluginManager.instance():
        pytest.skip("napari's test setup hides installed plugins")
    viewer = make_napari_viewer()
    items = get_app_model().menus.get_menu(MenuId.LAYERS_SEGMENT)
    assert MENU_ID in [getattr(item.command, "id", "") for item in items]
    holder, widget = viewer.window.add_plugin_dock_widget("napari-unet", "U-Net segmentation")
    assert isinstance(widget, UNetWidget)
    assert isinstance(viewer.open_sample("napari-unet", "cells")[0], Image)
    assert widget.controller.link.image is viewer.layers[0]
    widget.annotate.new_strokes.click()
    assert isinstance(viewer.layers["Strokes"], Labels)
    viewer.window.remove_dock_widget(holder)
    assert session.closed == 1
    widget.deleteLater()


def test_finished_training_returns_the_button(dock, session):
    train(dock, session)
    dock.train.toggle.click()
    assert not dock.train.toggle.isEnabled()
    tick(dock, session, Finished("stopped", 2, 0.2))
    assert dock.train.toggle.text() == "Train"
    assert dock.train.toggle.isEnabled()


def test_hints_call_a_button_what_stands_on_it(dock, session):
    train(dock, session)
    tick(dock, session, Finished("stopped", 3, 1.0))
    segment, seen = dock.segment, set()
    for what in range(segment.what.count()):
        for output in range(segment.output.count()):
            for combo, row in ((segment.what, what), (segment.output, output)):
                combo.setCurrentIndex(row)
                combo.activated.emit(row)
            assert f"Press {segment.start.text()}" in dock.status.text()
            assert segment.start.styleSheet()
            seen.add(segment.start.text())
    assert {"Segment image", "Segment folder", "Make probabilities"} <= seen


def test_other_buttons_are_called_what_stands_on_them(dock, session):
    assert dock.annotate.new_strokes.text() == NAMES["new_strokes"]
    assert dock.train.toggle.text() == NAMES["train"]
    assert dock.segment.model.save_button.text().removesuffix("…") == NAMES["save"]
    train(dock, session)
    dock.train.pause.click()
    assert dock.train.pause.text() == NAMES["pause"]


def test_the_key_f1_opens_the_help_of_the_page_in_front(dock, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    dock.window().show()
    canvas = dock.controller.link.viewer.window._qt_viewer.canvas.native
    for page, words in ((dock.train, "training"), (dock.review, "correcting")):
        dock.show_page(page)
        with qtbot.waitExposed(dock.window()):
            dock.window().activateWindow()
        for widget in (page, canvas):
            widget.setFocus()
            QTest.qWait(50)
            qtbot.keyClick(widget, Qt.Key.Key_F1)
            assert words in opened.pop()
