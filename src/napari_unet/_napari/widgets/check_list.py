"""The strokes to look at again."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_unet._napari.checks import Line
from napari_unet._napari.controller import Controller
from napari_unet._napari.widgets.tab import button, call, column


class CheckList(QWidget):
    """Lists strokes that the model does not fit; click to go there.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._checks = controller.reviewing.checks
        self.check = button(
            "Check strokes", "List strokes that the model does not fit: wrong classes, missing ones, shared objects."
        )
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setMinimumHeight(110)
        self.list.setVisible(False)
        layout = column(self, 0)
        layout.addWidget(self.check)
        layout.addWidget(self.list)
        self.check.clicked.connect(partial(call, partial(controller.reviewing.attempt, self._checks.check)))
        self._checks.listed.connect(self._show)
        self.list.currentItemChanged.connect(self._on_current)

    def _show(self, lines: list[Line]) -> None:
        self.list.clear()
        for text, point in lines:
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, point)
            self.list.addItem(item)
        self.list.setVisible(bool(lines))

    def _on_current(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        point = None if item is None else item.data(Qt.ItemDataRole.UserRole)
        if point is not None:
            self._checks.go(tuple(point))
