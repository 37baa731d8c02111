"""Buttons for the tools of annotation; each has a key on the image too."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_unet._napari.controller import Controller
from napari_unet._napari.tools import BLINK_KEY, REDO_KEY, REGION_KEY, TOOLS, UNDO_KEY
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import button, call

_WORDS = {
    "paint": ("Brush", "Paint the class that is chosen."),
    "erase": ("Eraser", "Take paint away: not known again."),
    "fill": ("Fill", "Fill what is connected and has one value."),
    "polygon": ("Polygon", "Click corners, close with a double click: the inside is painted."),
    "pan_zoom": ("Move", "Move and zoom the image."),
}
_COLUMNS = 4


class ToolBox(QWidget):
    """Takes tools, undoes, redoes.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        tools = controller.tools
        self.tools: dict[str, QPushButton] = {}
        for tool, (text, what) in _WORDS.items():
            self.tools[tool] = _keyed(text, what, TOOLS[tool])
            self.tools[tool].setCheckable(True)
            self.tools[tool].clicked.connect(partial(call, partial(tools.take, tool)))
        self.region = _keyed("Region", "Drag a rectangle: everything unpainted in it is then background.", REGION_KEY)
        self.undo = _keyed("Undo", "Take the last change back, on whatever slice it was.", UNDO_KEY)
        self.redo = _keyed("Redo", "Bring back what was taken back.", REDO_KEY)
        self.region.clicked.connect(partial(call, controller.new_regions))
        self.undo.clicked.connect(partial(call, tools.undo))
        self.redo.clicked.connect(partial(call, tools.redo))
        self._arrange()
        tools.changed.connect(self._show_tool)

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        for number, widget in enumerate((*self.tools.values(), self.region, self.undo, self.redo)):
            widget.setStyleSheet("QPushButton { padding: 3px 2px; }")
            grid.addWidget(widget, number // _COLUMNS, number % _COLUMNS)
        keys = {"1 to 9": "classes"} | {TOOLS[tool]: _WORDS[tool][0].lower() for tool in _WORDS}
        keys |= {REGION_KEY: "region", BLINK_KEY: "hide predictions"}
        hint = Paragraph("Keys on the image: " + ", ".join(f"{key} {what}" for key, what in keys.items()) + ".")
        grid.addWidget(hint, grid.rowCount(), 0, 1, _COLUMNS)

    def _show_tool(self, mode: str) -> None:
        for tool, widget in self.tools.items():
            widget.setChecked(tool == mode)


def _keyed(text: str, what: str, key: str) -> QPushButton:
    return button(text, f"{what} Key: {key.replace('Control', 'Ctrl').replace('-', '+')}.")
