"""The tutorials as a user plays them: real clicks, strokes and keys in a real window, and a session that really learns.

Only what is pressed with the mouse outside the image counts as a click: three from the opened image to the first
prediction (the menu, its entry, *New strokes*), none from there to a corrected one.
"""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from scipy import ndimage

from napari_unet._napari.widgets import dock as dock_module
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.inline import InlineSession

SMALL = ModelConfig(width=8, depth=1)
QUICK = TrainConfig(patch_size=48, batch_size=2, warmup=5, learning_rate=5e-3, ema=0.8, threads=1)
PATIENCE = 240_000  # milliseconds; a busy machine gives a test a few percent of its time


class User:
    """Looks at one image in one window."""

    def __init__(self, viewer, qtbot, hand):
        self.viewer, self.qtbot, self.hand = viewer, qtbot, hand
        self.canvas = hand.canvas(viewer)
        self.clicks = 0
        self.dock = None

    # ------------------------------------------------------------------ hands

    def click(self, widget, place=None):
        self.clicks += 1
        self.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place or widget.rect().center())

    def open_dock(self, model=SMALL, training=QUICK):
        """*Plugins > U-Net segmentation*, two clicks; then settings small enough for a test."""
        bar = self.viewer.window._qt_window.menuBar()
        plugins = next(entry for entry in bar.actions() if entry.text().replace("&", "") == "Plugins")
        self.click(bar, bar.actionGeometry(plugins).center())
        menu = plugins.menu()
        self.qtbot.waitUntil(menu.isVisible)
        entry = next(entry for entry in menu.actions() if "U-Net" in entry.text())
        self.click(menu, menu.actionGeometry(entry).center())
        self.dock = self.viewer.window._qt_window.findChild(UNetWidget)
        assert self.dock is not None
        self.controller.set_model(model)
        self.controller.training = training

    def new_strokes(self, brush=3):
        self.click(self.dock.annotate.new_strokes)
        self.strokes.brush_size = brush

    def press(self, key):
        self.hand.press(self.canvas, key)

    def stroke(self, mask, reach=4, *, down=False):
        """Draw along a row (or a column) through the inside of what `mask`, of the plane in view, shows."""
        middle = np.unravel_index(int(ndimage.distance_transform_edt(mask).argmax()), mask.shape)
        way = np.array((reach, 0) if down else (0, reach))
        self.hand.drag(self.canvas, self._place(*(middle - way)), self._place(*(middle + way)))

    def _place(self, row, column):
        """A pixel of the image as a place on the canvas."""
        camera, layer = self.viewer.scene.camera, self.controller.link.image
        world = np.multiply((row, column), layer.scale[-2:])
        y, x = (world - camera.center[-2:]) * camera.zoom
        return QPoint(self.canvas.native.width() // 2 + int(x), self.canvas.native.height() // 2 + int(y))

    # ------------------------------------------------------------------ eyes

    @property
    def controller(self):
        return self.dock.controller

    @property
    def strokes(self):
        return self.controller.link.strokes

    def plane(self):
        """The plane of the prediction that is in view: true where there is something."""
        prediction = self.controller.link.prediction
        if prediction is None:
            return np.zeros(self.controller.link.image.data.shape[-2:], bool)
        return prediction.data[self.viewer.dims.current_step[: prediction.ndim - 2]] > 1

    def waits_until_it_shows(self, truth, at_least=0.5):
        """Look until the prediction in view agrees with the truth."""
        self.qtbot.waitUntil(lambda: iou(self.plane(), truth) > at_least, timeout=PATIENCE)


def spots(shape, seed=0, drift=0):
    """Bright discs in noise, ``(..., Y, X)``, and their numbers; each plane moves on by `drift` pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    rows, columns = np.indices(shape[-2:])
    middles = [(row, column) for row in range(12, shape[-2] - 8, 22) for column in range(12, shape[-1] - 8, 22)]
    for at, plane in enumerate(labels.reshape(-1, *shape[-2:])):
        for number, (row, column) in enumerate(middles, start=1):
            plane[(rows - row) ** 2 + (columns - column - drift * at) ** 2 < 7**2] = number
    return (np.where(labels > 0, 160, 30) + rng.normal(0, 12, shape)).astype(np.float32), labels


def iou(found, true):
    return float((found & true).sum() / max((found | true).sum(), 1))


@pytest.fixture
def inline(monkeypatch):
    """The dock of the menu with a session in this process."""
    monkeypatch.setattr(dock_module, "ProcessSession", lambda: InlineSession("cpu"))


@pytest.fixture
def look(make_napari_viewer, qtbot, hand):
    """Opens an image in a window."""
    users = []

    def look(image, **more):
        viewer = make_napari_viewer(show=True)
        viewer.add_image(image, **more)
        users.append(User(viewer, qtbot, hand))
        return users[-1]

    yield look
    for user in users:
        if user.dock is not None:
            user.dock.close_session()


def cells_of(labels, count=3):
    """Some cells of a plane, one mask each."""
    return [labels == number for number in np.unique(labels[labels > 0])[1::3][:count]]


def paint_both(user, labels):
    """Strokes in three cells, then, one key later, in background."""
    for cell in cells_of(labels):
        user.stroke(cell)
    user.press(Qt.Key.Key_1)
    assert user.strokes.selected_label == 1
    user.stroke(labels == 0)


def test_three_clicks_to_the_first_prediction_and_none_to_a_corrected_one(look, inline):
    image, labels = spots((96, 112))
    user = look(image, name="cells")
    user.open_dock()
    user.new_strokes()
    paint_both(user, labels)
    user.waits_until_it_shows(labels > 0)
    assert user.clicks == 3
    wrong = user.plane() & (labels == 0)
    before, step = user.viewer.layers["Probability"].data.copy(), user.controller.state.step
    user.stroke(wrong if wrong.any() else labels == 0, reach=2)
    user.qtbot.waitUntil(lambda: (user.viewer.layers["Probability"].data != before).any(), timeout=PATIENCE)
    assert user.controller.state.step > step
    assert user.clicks == 3
