"""A user who works through the tutorials with mouse and keys, in a real window, with a session that really learns."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QScrollArea
from scipy import ndimage

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets import dock as dock_module
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.inline import InlineSession

SMALL = ModelConfig(width=8, depth=1)
QUICK = TrainConfig(patch_size=48, batch_size=2, warmup=5, learning_rate=5e-3, ema=0.8, threads=1)
PATIENCE = 180_000  # milliseconds; a busy machine gives a test a few percent of its time


class Clicks(QObject):
    """Counts how often a button of the mouse is pressed anywhere but on the image."""

    def __init__(self, canvas):
        super().__init__()
        self._canvas = canvas
        self._strokes, self._seen = set(), set()

    def eventFilter(self, receiver, event):  # noqa: N802 - Qt's way to name methods
        if event.type() == QEvent.Type.MouseButtonPress:
            # a press that a widget has no use for is offered to its parents too, with the same time
            (self._strokes if receiver is self._canvas else self._seen).add(event.timestamp())
        return False

    @property
    def count(self):
        return len(self._seen - self._strokes)


class User:
    """Looks at one image in one window."""

    def __init__(self, viewer, qtbot, hand):
        self.viewer, self.qtbot, self.hand = viewer, qtbot, hand
        self.canvas = hand.canvas(viewer)
        self.dock = None
        self._counter = Clicks(self.canvas.native)
        QApplication.instance().installEventFilter(self._counter)

    def leave(self):
        QApplication.instance().removeEventFilter(self._counter)
        if self.dock is not None:
            self.dock.close_session()

    @property
    def clicks(self):
        """Presses of the mouse outside the image, as Qt was told of them."""
        return self._counter.count

    # ------------------------------------------------------------------ hands

    def show(self, widget):
        """Scroll the page until the widget is seen."""
        page = widget.parentWidget()
        while page is not None and not isinstance(page, QScrollArea):
            page = page.parentWidget()
        if page is not None:
            page.ensureWidgetVisible(widget, 0, 20)
        self.qtbot.waitUntil(lambda: not widget.visibleRegion().isEmpty(), timeout=PATIENCE)

    def click(self, widget, place=None):
        self.show(widget)
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
        self.qtbot.waitUntil(self.dock.isVisible, timeout=PATIENCE)
        self.controller.set_model(model)
        self.controller.training = training

    def new_strokes(self, brush=3):
        self.click(self.dock.annotate.new_strokes)
        self.strokes.brush_size = brush

    def goes_to(self, page, *, keys=False):
        """A page of the dock, by a click on its tab or with the arrow keys."""
        bar, wanted = self.dock.tabs.tabBar(), self.dock.pages.index(page)
        if not keys:
            self.click(bar, bar.tabRect(wanted).center())
        while bar.currentIndex() != wanted:
            self.qtbot.keyClick(bar, Qt.Key.Key_Right if bar.currentIndex() < wanted else Qt.Key.Key_Left)
        self.show(page)

    def press(self, key):
        self.hand.press(self.canvas, key)

    def slides_to(self, index):
        """Another plane or frame, with the arrow keys on the image."""
        for _ in range(self.controller.link.image.data.shape[0]):
            now = self.viewer.dims.current_step[0]
            if now != index:
                self.press(Qt.Key.Key_Right if now < index else Qt.Key.Key_Left)
        assert self.viewer.dims.current_step[0] == index

    def chooses(self, box, text):
        """An entry of a list, with the arrow keys."""
        self.show(box)
        while box.currentText() != text:
            before = box.currentIndex()
            self.qtbot.keyClick(box, Qt.Key.Key_Down if box.findText(text) > before else Qt.Key.Key_Up)
            assert box.currentIndex() != before, text

    def types(self, field, text):
        """Another number into a field."""
        self.show(field)
        field.setFocus()
        field.selectAll()
        self.qtbot.keyClicks(field, text)
        self.qtbot.keyClick(field, Qt.Key.Key_Return)

    def will_answer(self, path):
        """Type a path into the next dialog for files."""

        def look():
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QFileDialog):
                QTimer.singleShot(50, look)
                return
            name = dialog.findChild(QLineEdit, "fileNameEdit")
            name.setText(str(path))
            self.qtbot.keyClick(name, Qt.Key.Key_Return)

        QTimer.singleShot(50, look)

    def stroke(self, mask, reach=4, *, down=False):
        """Draw along a row (or a column) through the inside of what `mask`, of the plane in view, shows."""
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        middle = np.unravel_index(int(depth.argmax()), mask.shape)
        way = np.array((reach, 0) if down else (0, reach))
        ends = np.clip([middle - way, middle + way], 0, np.subtract(mask.shape, 1))
        self.hand.drag(self.canvas, *(self._place(*end) for end in ends))

    def strokes_on_both(self, labels):
        """Strokes in three cells, then, one key later, in background."""
        for cell in cells_of(labels):
            self.stroke(cell)
        self.press(Qt.Key.Key_1)
        assert self.strokes.selected_label == 1
        self.stroke(labels == 0, reach=10)

    def stops(self):
        self.goes_to(self.dock.train)
        self.click(self.dock.train.toggle)
        self.qtbot.waitUntil(lambda: self.controller.state.phase is Phase.IDLE, timeout=PATIENCE)

    def segments(self, result="Classes"):
        """*Segment image* on *Segment*, to the end."""
        page = self.dock.segment
        self.goes_to(page)
        self.chooses(page.output, result)
        self.qtbot.waitUntil(page.start.isVisible, timeout=PATIENCE)
        self.click(page.start)
        self.qtbot.waitUntil(lambda: "is segmented" in self.dock.status.text(), timeout=PATIENCE)

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
            return np.zeros(self.strokes.data.shape[-2:], bool)
        return prediction.data[self.viewer.dims.current_step[: prediction.ndim - 2]] > 1

    def waits_until_it_shows(self, truth, at_least=0.5):
        """Look until the prediction in view agrees with the truth."""

        def check():
            assert iou(self.plane(), truth) > at_least, self.dock.status.text()

        self.qtbot.waitUntil(check, timeout=PATIENCE)

    def corrects(self, truth, reach=2):
        """A stroke where the prediction in view is wrong; look until it is another."""
        wrong, step = self.plane() != truth, self.controller.state.step
        before = self.viewer.layers["Probability"].data.copy()
        background = (wrong & ~truth).any()
        self.press(Qt.Key.Key_1 if background else Qt.Key.Key_2)
        self.stroke(wrong & ~truth if background else wrong & truth if wrong.any() else truth, reach)
        self.qtbot.waitUntil(lambda: (self.viewer.layers["Probability"].data != before).any(), timeout=PATIENCE)
        self.qtbot.waitUntil(lambda: self.controller.state.step > step, timeout=PATIENCE)


def cells_of(labels, count=3):
    """Some cells of a plane, one mask each."""
    return [labels == number for number in np.unique(labels[labels > 0])[1::3][:count]]


def iou(found, true):
    return float((found & true).sum() / max((found | true).sum(), 1))


def discs(shape, seed=0, drift=0):
    """Bright discs in noise, ``(..., Y, X)``, and their numbers; each plane moves on by `drift` pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    rows, columns = np.indices(shape[-2:])
    middles = [(row, column) for row in range(12, shape[-2] - 8, 22) for column in range(12, shape[-1] - 8, 22)]
    for at, plane in enumerate(labels.reshape(-1, *shape[-2:])):
        for number, (row, column) in enumerate(middles, start=1):
            plane[(rows - row) ** 2 + (columns - column - drift * at) ** 2 < 7**2] = number
    return (np.where(labels > 0, 160, 30) + rng.normal(0, 12, shape)).astype(np.float32), labels


@pytest.fixture
def spots():
    return discs


@pytest.fixture
def overlap():
    return iou


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    """The dock of the menu with a session in this process."""
    monkeypatch.setattr(dock_module, "ProcessSession", lambda: InlineSession("cpu"))


@pytest.fixture
def look(make_napari_viewer, qtbot, hand):
    """Opens an image, an array or a file, in a window."""
    users = []

    def look(image, **more):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1300, 900)
        if isinstance(image, np.ndarray):
            viewer.add_image(image, **more)
        else:
            viewer.open(str(image), plugin="napari")
        users.append(User(viewer, qtbot, hand))
        return users[-1]

    yield look
    for user in users:
        user.leave()


@pytest.fixture
def files(tmp_path):
    """A folder with three images of the same kind, `a.tif` to `c.tif`, and their numbered objects."""
    folder, truth = tmp_path / "images", {}
    folder.mkdir()
    for number, name in enumerate("abc"):
        image, labels = discs((80, 96), seed=number)
        tifffile.imwrite(folder / f"{name}.tif", np.roll(image, 5 * number, axis=1), compression="zlib")
        truth[name] = np.roll(labels, 5 * number, axis=1)
    return folder, truth
