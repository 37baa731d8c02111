"""The table of objects, the doubtful ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSpinBox,
    QTableView,
    QWidget,
)

from napari_unet._napari.controller import Controller
from napari_unet._napari.widgets.tab import button, call, column
from napari_unet.events import ObjectRows

_COLUMNS = (
    ("Class", "What it is."),
    ("Size", "Pixels."),
    ("Mean", "Mean intensity of its pixels."),
    ("Sure", "How sure the model is of its pixels, in percent; the least sure come first."),
    ("Done", "What you did to it."),
)
_SURE, _DONE = 3, 4
#: Name, key, tooltip.
_ACTIONS = (
    ("accept", "A", "It is right: paint it into the strokes, with a line of background around it."),
    ("delete", "Delete", "There is nothing: paint it as background."),
    ("merge", "M", "Two or more are one: paint them as one, with what is between them."),
    ("split", "S", "It is two: paint a cut of background at its narrowest place."),
)


class ObjectModel(QAbstractTableModel):
    """Columns of arrays, shown in an order; cells are made only when they are looked at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: ObjectRows | None = None
        self._classes: Sequence[str] = ()
        self._done: dict[int, str] = {}
        self._order = np.zeros(0, np.int64)

    def show_rows(self, rows: ObjectRows | None, classes: Sequence[str], smallest: int = 0) -> None:
        """Show another list, the doubtful objects first, without those of fewer than `smallest` pixels."""
        self.beginResetModel()
        self._rows, self._classes, self._done = rows, classes, {}
        self._order = np.zeros(0, np.int64) if rows is None else np.flatnonzero(rows.sizes >= smallest)
        self.endResetModel()
        self.sort(_SURE)

    def leave_out(self, smallest: int) -> None:
        """Show objects of so many pixels and more, the doubtful ones first; what was done to them stays."""
        done = self._done
        self.show_rows(self._rows, self._classes, smallest)
        self._done = done

    def mark(self, rows: Sequence[int], done: str) -> None:
        """Say what was done to objects."""
        self._done.update(dict.fromkeys(rows, done))
        if len(self._order):
            self.dataChanged.emit(self.index(0, _DONE), self.index(len(self._order) - 1, _DONE))

    def object_at(self, line: int) -> int:
        """Number of the object on a line, from 0."""
        return int(self._order[line])

    def next_open(self, line: int) -> int | None:
        """The next line on which nothing was done yet."""
        lines = range(line, len(self._order))
        return next((at for at in lines if self.object_at(at) not in self._done), None)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's way to name methods
        return len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's way to name methods
        return len(_COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (1, 2, 3):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or self._rows is None:
            return None
        return self._text(self.object_at(index.row()), index.column())

    def headerData(  # noqa: N802 - Qt's way to name methods
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        texts = {Qt.ItemDataRole.DisplayRole: 0, Qt.ItemDataRole.ToolTipRole: 1}
        return _COLUMNS[section][texts[Qt.ItemDataRole(role)]] if role in texts else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order by a column; equal objects stay as they were found."""
        if self._rows is None:
            return
        self.layoutAboutToBeChanged.emit()
        shown, rows = np.sort(self._order), self._rows
        done = np.array([self._done.get(row, "") for row in range(len(rows.sizes))], dtype=str)
        keys = (rows.values, rows.sizes, rows.intensities, rows.confidences, done)
        sorted_ = shown[np.argsort(keys[column][shown], kind="stable")]
        self._order = sorted_ if order == Qt.SortOrder.AscendingOrder else sorted_[::-1]
        self.layoutChanged.emit()

    def _text(self, row: int, column: int) -> str:
        rows = self._rows
        if rows is None or column == _DONE:
            return self._done.get(row, "")
        if column == 0:
            value = int(rows.values[row])
            return self._classes[value - 1] if value <= len(self._classes) else str(value)
        if column == 1:
            return f"{int(rows.sizes[row]):,}"
        return f"{rows.intensities[row]:.3g}" if column == 2 else f"{rows.confidences[row]:.0%}"


class ObjectTable(QWidget):
    """Lists objects; click to go there, then accept, delete, merge or split it.

    Parameters
    ----------
    controller : Controller
    """

    chosen = Signal(int)  #: an object, from 0

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller, self._objects = controller, controller.reviewing.objects
        self.list = button("List objects", "Find the objects of the prediction, the doubtful ones first.")
        self.model = ObjectModel(self)
        self.view = _View(self.model)
        self.smallest = QSpinBox()
        self.smallest.setRange(1, 2**31 - 1)
        self.smallest.setSuffix(" px")
        self.smallest.setToolTip("Smaller objects are crumbs, and not in the table; 1 shows all.")
        self.hidden = QLabel()
        self.actions = {name: button(name.capitalize(), f"{tip} Key: {key}.") for name, key, tip in _ACTIONS}
        self._panel = QWidget()
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        layout, panel = column(self, 0), column(self._panel, 0)
        layout.addWidget(self.list)
        size = QHBoxLayout()
        size.addWidget(QLabel("From"))
        size.addWidget(self.smallest)
        size.addWidget(self.hidden, 1)
        panel.addLayout(size)
        panel.addWidget(self.view)
        line = QHBoxLayout()
        for made in self.actions.values():
            line.addWidget(made)
        panel.addLayout(line)
        layout.addWidget(self._panel)
        self._panel.setVisible(False)

    def _connect(self) -> None:
        self.list.clicked.connect(partial(call, partial(self._controller.reviewing.attempt, self._objects.find)))
        for name, key, _ in _ACTIONS:
            act = partial(self._act, getattr(self._objects, name))
            self.actions[name].clicked.connect(partial(call, act))
            self.view.keys[QKeySequence(key)[0].key()] = act
        self.view.selectionModel().currentRowChanged.connect(self._on_current)
        self.smallest.valueChanged.connect(self._on_smallest)
        self._objects.listed.connect(self._on_listed)
        self._objects.marked.connect(self.model.mark)

    def _on_listed(self, rows: ObjectRows | None) -> None:
        self.view.sortByColumn(_SURE, Qt.SortOrder.AscendingOrder)
        smallest = self._objects.smallest
        with QSignalBlocker(self.smallest):
            self.smallest.setValue(smallest)
        self.model.show_rows(rows, self._controller.model.classes, smallest)
        self._show_hidden()
        self._panel.setVisible(rows is not None)

    def _on_smallest(self, smallest: int) -> None:
        self.model.leave_out(smallest)
        self._show_hidden()

    def _show_hidden(self) -> None:
        rows = self._objects.rows
        less = 0 if rows is None else len(rows.sizes) - self.model.rowCount()
        self.hidden.setText(f"{less:,} smaller left out" if less else "")

    def _on_current(self, current: QModelIndex, _: QModelIndex) -> None:
        if current.isValid():
            self._objects.go(self.model.object_at(current.row()))

    def _act(self, action: Callable[[Sequence[int]], None]) -> None:
        """Do it to the chosen objects, then go on to the next one."""
        lines = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        rows = [self.model.object_at(line) for line in lines]
        self._controller.reviewing.attempt(partial(action, rows))
        if not lines or self._controller.state.failed:
            return
        further = self.model.next_open(lines[-1] + 1)
        if further is not None:
            self.view.selectRow(further)
        self.view.setFocus()


class _View(QTableView):
    """A table with keys of its own, before napari's shortcuts and the search by letters.

    Attributes
    ----------
    keys : dict
        What each key does.
    """

    def __init__(self, model: ObjectModel) -> None:
        super().__init__()
        self.keys: dict[Any, Callable[[], object]] = {}
        self.setModel(model)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setSortingEnabled(True)
        self.setWordWrap(False)
        self.setMinimumHeight(200)
        self.setTabKeyNavigation(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setMinimumSectionSize(30)

    def event(self, event: QEvent) -> bool:
        """Keep keys from the shortcuts of the window."""
        if event.type() == QEvent.Type.ShortcutOverride and self._action(event) is not None:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's way to name methods
        action = self._action(event)
        if action is None:
            super().keyPressEvent(event)
        else:
            action()

    def _action(self, event: Any) -> Callable[[], object] | None:
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        return self.keys.get(event.key()) if plain else None
