"""The classes: number, colour, name, painted pixels, and the rule that holds for them."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet.config import CLASS_COLORS, ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.standard import standard_model

_MOST_ROWS = 6


def rule(classes: Sequence[str]) -> str:
    """What the numbers in the strokes mean."""
    numbered = ", ".join(f"{value} = {name}" for value, name in enumerate(classes, start=1))
    return f"Not painted = unknown, not learnt from. {numbered}."


class ClassList(QWidget):
    """A table of classes; a click takes the brush of a class, a double click renames or recolours it.

    Parameters
    ----------
    parent : QWidget, optional
    """

    picked = Signal(int)  #: value to paint
    valueChanged = Signal(object)  # noqa: N815 #: a ModelConfig with other class names
    hidden = Signal(object)  #: values that are not to be shown: frozenset of int
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = standard_model()
        self._table = self._make_table()
        self._rule = Paragraph()
        self._add = QPushButton("Add class")
        self._add.setToolTip("One more class to paint and to learn; what a trained model knows of the others stays.")
        self._remove = QPushButton("Remove class")
        self._remove.setToolTip("Take the last class away; what is painted stays in the layer.")
        self._arrange()
        self._add.clicked.connect(self._on_add)
        self._remove.clicked.connect(self._on_remove)
        self.setValue(self._model)

    def value(self) -> ModelConfig:
        """The config with the class names as they stand in the table."""
        return self._model

    def setValue(self, model: ModelConfig) -> None:  # noqa: N802 - Qt's way to name methods
        """Show the classes of `model`."""
        self._model = model
        self._table.blockSignals(True)
        self._table.setRowCount(len(model.classes))
        for row, (name, color) in enumerate(zip(model.classes, model.class_colors, strict=True)):
            self._fill(row, name, color)
        self._table.blockSignals(False)
        self._table.setFixedHeight(self._height())
        self._rule.setText(rule(model.classes))
        self._remove.setEnabled(len(model.classes) > 2)

    def show_painted(self, counts: Sequence[int], strokes: Sequence[int] = ()) -> None:
        """Show painted pixels per class, and in how many strokes, where that is known."""
        self._table.blockSignals(True)
        for row, count in enumerate(counts[: self._table.rowCount()]):
            made = strokes[row] if row < len(strokes) else 0
            words = f"{made} stroke{'s' * (made != 1)}, " if made and count else ""
            self._table.item(row, 2).setText(f"{words}{count:,} px" if count else "none yet")
        self._table.blockSignals(False)

    def select(self, value: int) -> None:
        """Mark the class that is painted."""
        self._table.blockSignals(True)
        self._table.clearSelection()
        if 0 < value <= self._table.rowCount():
            self._table.selectRow(value - 1)
        self._table.blockSignals(False)

    # ------------------------------------------------------------------ building

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 3, self)
        table.setTabKeyNavigation(False)  # Tab leads on to the tools; arrow keys choose a class
        table.horizontalHeader().setVisible(False)
        table.verticalHeader().setVisible(False)
        table.setShowGrid(False)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setToolTip(
            "Click to paint this class, double-click its name or colour to change it. Its number is its key on the "
            "image; without the tick it is not shown."
        )
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        table.cellClicked.connect(self._on_click)
        table.cellDoubleClicked.connect(self._on_double_click)
        table.itemSelectionChanged.connect(self._on_selected)
        table.itemChanged.connect(self._on_changed)
        return table

    def _arrange(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._table)
        layout.addWidget(self._rule)
        buttons = QHBoxLayout()
        buttons.addWidget(self._add)
        buttons.addWidget(self._remove)
        layout.addLayout(buttons)

    def _fill(self, row: int, name: str, color: str) -> None:
        texts = (str(row + 1), name, "none yet")
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            if column != 1:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self._table.setItem(row, column, item)
        number = self._table.item(row, 0)
        number.setIcon(_swatch(color))
        number.setFlags(number.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        number.setCheckState(Qt.CheckState.Checked)

    def _height(self) -> int:
        self._table.resizeRowsToContents()
        rows = [self._table.rowHeight(row) for row in range(min(self._table.rowCount(), _MOST_ROWS))]
        return int(sum(rows) + 2 * self._table.frameWidth() + 2)

    # ------------------------------------------------------------------ events

    def _on_click(self, row: int, column: int) -> None:
        self.picked.emit(row + 1)

    def _on_selected(self) -> None:
        """The arrow keys choose as well."""
        if self._table.selectedItems():
            self.picked.emit(self._table.currentRow() + 1)

    def _on_double_click(self, row: int, column: int) -> None:
        """Ask for another colour."""
        if column != 0:
            return
        color = QColorDialog.getColor(QColor(self._model.class_colors[row]), self, "Colour of the class")
        if color.isValid():
            colors = list(self._model.class_colors)
            colors[row] = color.name().upper()
            self._offer(list(self._model.classes), tuple(colors))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == 0:
            rows = range(self._table.rowCount())
            unticked = [row for row in rows if self._table.item(row, 0).checkState() == Qt.CheckState.Unchecked]
            self.hidden.emit(frozenset(row + 1 for row in unticked))
        elif item.column() == 1:
            self._on_renamed()

    def _on_renamed(self) -> None:
        names = [self._table.item(row, 1).text().strip() for row in range(self._table.rowCount())]
        self._offer(names, self._model.colors)

    def _on_add(self) -> None:
        count = len(self._model.classes) + 1
        names = [*self._model.classes, f"class {count}"]
        colors = self._model.colors and (*self._model.colors, CLASS_COLORS[(count - 1) % len(CLASS_COLORS)])
        self._offer(names, colors)

    def _on_remove(self) -> None:
        self._offer(list(self._model.classes[:-1]), self._model.colors[:-1])

    def _offer(self, names: list[str], colors: tuple[str, ...]) -> None:
        try:
            if not all(names):
                raise ConfigError("Give the class a name.")
            model = self._model.replace(classes=tuple(names), colors=colors)
        except ConfigError as error:
            self.setValue(self._model)
            self.refused.emit(str(error))
            return
        self.setValue(model)
        self.valueChanged.emit(model)


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(color))
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon
