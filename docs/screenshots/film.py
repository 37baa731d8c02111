"""One napari window that plays what a tutorial tells, and stands still for its pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
import numpy.typing as npt
from docs.screenshots import picture
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFormLayout, QLabel, QMenu, QPushButton, QScrollArea, QWidget
from scipy import ndimage

from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.config import InstanceConfig
from napari_unet.session.inline import InlineSession

SIZE = (1240, 780)
PLUGIN, WIDGET = "napari-unet", "U-Net segmentation"
PATIENCE = 900.0
TURNS = 20  # of Qt's events, until a window has found its layout
_ROLES = (QFormLayout.ItemRole.LabelRole, QFormLayout.ItemRole.FieldRole)


class Film:
    """A window with the image of one story, and the folder its pictures go to.

    Parameters
    ----------
    folder : Path
    story : str
        The beginning of the pictures' names.
    theme : str
        Of napari.
    """

    def __init__(self, folder: Path, story: str, theme: str) -> None:
        self.folder, self.story = folder, story
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.dock: Any = None
        self._shots = 0

    def close(self) -> None:
        """End the session and the window."""
        if self.dock is not None:
            self.dock.close_session()
        self.viewer.close()

    # ------------------------------------------------------------------ what a user does

    def open_sample(self, key: str) -> Any:
        """*File > Open Sample*."""
        (layer,) = self.viewer.open_sample(PLUGIN, key)
        wait(0.5)
        return layer

    def open_dock(self) -> None:
        """*Plugins > U-Net segmentation*, learning within this process: a busy machine makes the same pictures."""
        self.dock = UNetWidget(self.viewer, InlineSession("cpu"))
        self.viewer.window.add_dock_widget(self.dock, name=WIDGET, area="right")
        self.set_training(threads=1)
        wait(0.5)
        self.viewer.reset_view()

    def click(self, widget: QPushButton) -> None:
        """The left mouse button on a button of the dock."""
        self.show(widget)
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        wait(0.2)

    def press(self, key: Qt.Key) -> None:
        """A key on the canvas."""
        QTest.keyClick(self.canvas, key)
        wait(0.2)

    def choose(self, box: QComboBox, text: str) -> None:
        """An entry of a list."""
        self.show(box)
        box.setCurrentIndex(box.findText(text))
        box.activated.emit(box.currentIndex())

    def new_strokes(self) -> Any:
        """**New strokes**; gives the layer."""
        self.page(self.dock.annotate)
        self.click(self.dock.annotate.new_strokes)
        return self.dock.controller.link.strokes

    def add_image(self, data: npt.NDArray[Any], name: str) -> Any:
        """*File > Open*, of an image that is in no sample."""
        layer = self.viewer.add_image(data, name=name)
        wait(0.5)
        return layer

    def paint_objects(self, values: npt.NDArray[Any]) -> None:
        """Paint whole objects, each with a number of its own, and background (1) around them."""
        strokes = self.dock.controller.link.strokes
        for value in (1, *np.unique(values[values > 1])):
            strokes.data_setitem(np.nonzero(values == value), int(value))
        wait(0.3)

    def paint(self, painted: npt.NDArray[Any], at: tuple[int, ...] = (), values: Sequence[int] = ()) -> None:
        """Paint strokes one by one, in the order of their values; `at` says where on the sliders."""
        strokes = self.dock.controller.link.strokes
        for value in values or np.unique(painted[painted > 0]):
            pieces, count = ndimage.label(painted == value, np.ones((3,) * painted.ndim))
            for number in range(1, count + 1):
                inside = np.nonzero(pieces == number)
                lead = [np.full(len(inside[0]), index) for index in at]
                strokes.data_setitem((*lead, *inside), int(value))
        wait(0.3)

    def menu(self, *titles: str) -> QMenu:
        """Open a menu of the window, and one in it, and so on."""
        place: Any = self.window.menuBar()
        for title in titles:
            action = next(entry for entry in place.actions() if entry.text().replace("&", "") == title)
            place.setActiveAction(action)
            wait(0.5)
            place = action.menu() or place
        return place

    def entry(self, menu: QMenu, title: str) -> QRect:
        """Where an entry of an open menu is in the window."""
        action = next(entry for entry in menu.actions() if entry.text().replace("&", "").startswith(title))
        box = menu.actionGeometry(action)
        return QRect(self.window.mapFromGlobal(menu.mapToGlobal(box.topLeft())), box.size())

    def pop_up(self, button: QPushButton) -> QMenu:
        """Open the menu of a button."""
        menu = button.menu()
        menu.popup(button.mapToGlobal(QPoint(0, button.height())))
        wait(0.5)
        return menu

    def close_menus(self) -> None:
        """Leave the menu."""
        for popup in QApplication.topLevelWidgets():
            if isinstance(popup, QMenu):
                popup.close()
        wait(0.3)

    # ------------------------------------------------------------------ what it waits for

    def learn(self, steps: int) -> None:
        """Wait until so many steps are learnt; on a slow machine learning rests before, and is woken up."""

        def learnt() -> bool:
            if self.state.phase is Phase.IDLE and self.state.step < steps:
                self.dock.controller.train()
            return bool(self.state.step >= steps)

        self.until(learnt)

    def stop(self) -> None:
        """**Stop** on *Train*, if it learns."""
        if self.state.phase is not Phase.IDLE:
            self.dock.controller.stop()
        self.until(lambda: self.state.phase is Phase.IDLE)

    def objects(self, **changes: float) -> QWidget:
        """Choose *Objects* and say below how they are made; gives the choice of what becomes of slices."""
        self.until(lambda: self.state.progress is None)
        page = self.dock.segment
        self.choose(page.output, "Objects")
        page.objects.setValue(InstanceConfig(**changes))
        self.show(page.objects.stack)
        return page.objects.stack

    def segment(self, result: str = "Classes") -> None:
        """**Segment image** on *Segment*, to the end."""
        self.page(self.dock.segment)
        self.choose(self.dock.segment.output, result)
        self.click(self.dock.segment.start)
        self.until(lambda: self.state.progress is None)
        wait(1)

    def slide(self, index: int) -> None:
        """The slider of the first axis."""
        self.viewer.dims.set_current_step(0, index)
        wait(0.3)

    def hide(self, *names: str) -> None:
        """Close the eyes of layers."""
        for name in names:
            self.viewer.layers[name].visible = False
        wait(0.2)

    def turn(self) -> None:
        """The view in 3D, seen from the side."""
        self.viewer.dims.ndisplay = 3
        self.viewer.reset_view()
        self.viewer.scene.camera.angles = (-20, 35, 140)
        wait(1)

    def until(self, done: Callable[[], Any]) -> None:
        """Wait for something that must come."""
        if not wait(PATIENCE, done):
            raise TimeoutError(f"{self.story}: waited {PATIENCE:.0f} s in vain; the dock says: {self.state.message}")

    # ------------------------------------------------------------------ what is seen

    @property
    def state(self) -> Any:
        """What the dock shows."""
        return self.dock.controller.state

    @property
    def canvas(self) -> QWidget:
        """The part of the window with the image."""
        return self.viewer.window._qt_viewer.canvas.native

    def page(self, page: Any) -> None:
        """Bring a page of the dock to the front."""
        self.dock.show_page(page)
        wait(0.2)

    def show(self, widget: QWidget) -> None:
        """Scroll the page until a part of it is seen."""
        parent = widget.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            parent.ensureWidgetVisible(widget, 0, 40)
        wait(0.2)

    def sliders(self) -> QWidget:
        """The sliders below the canvas."""
        return self.viewer.window._qt_viewer.dims

    def field(self, form: QWidget, label: str) -> QWidget:
        """The input beside a label of a form, brought into view."""
        for layout in form.findChildren(QFormLayout):
            for row in range(layout.rowCount()):
                name, field = (layout.itemAt(row, role) for role in _ROLES)
                if name and field and isinstance(name.widget(), QLabel) and name.widget().text() == label:
                    self.show(field.widget())
                    return field.widget()
        raise LookupError(f"{self.story}: no input is called '{label}'")

    def hover(self, row: float, column: float) -> None:
        """Rest the mouse at a place of the image, so that the brush is seen there."""
        self.point(row, column)
        wait(0.2)

    def point(self, row: float, column: float) -> None:
        """Move the mouse to a place on the canvas, parts of its size."""
        size = self.canvas.size()
        QTest.mouseMove(self.canvas, QPoint(int(column * size.width()), int(row * size.height())))

    def set_training(self, **changes: Any) -> None:
        """Change settings of the training."""
        controller = self.dock.controller
        now = controller.settings()
        controller.use(now.replace(training=now.training.replace(**changes)))

    def quick(self) -> None:
        """The preset *Quick* of *Train*, without an end."""
        preset = self.dock.train.preset
        preset.setCurrentIndex(preset.findData("quick"))
        preset.activated.emit(preset.currentIndex())
        self.set_training(seconds=None, threads=1)

    def set_model(self, **changes: Any) -> None:
        """Change settings of the next new network."""
        controller = self.dock.controller
        controller.set_model(controller.model.replace(**changes))

    def shoot(self, what: str, *marked: QWidget | QRect) -> None:
        """Save a picture of the window, with frames around what the text speaks of."""
        wait(0.6)
        self._shots += 1
        path = self.folder / f"{self.story}-{self._shots}-{what}.png"
        picture.save(picture.take(self.window, marked), path)


def wait(seconds: float, done: Callable[[], Any] = lambda: False) -> bool:
    """Let Qt work until `done`, at most for `seconds` (on a busy machine, for `TURNS`); whether it was done."""
    end = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < end or turns < TURNS:
        if done():
            return True
        QApplication.processEvents()
        time.sleep(0.01)
        turns += 1
    return bool(done())
