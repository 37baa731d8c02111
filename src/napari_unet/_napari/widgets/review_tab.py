"""*Review*: where the prediction is to be corrected, and how good it is."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)

from napari_unet._napari.advice import NEXT_KEY
from napari_unet._napari.controller import Controller
from napari_unet._napari.widgets.check_list import CheckList
from napari_unet._napari.widgets.layer_combo import LayerCombo
from napari_unet._napari.widgets.object_table import ObjectTable
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.tab import Tab, button, call, column, heading, labelled, line
from napari_unet.session.commands import Meaning

_MEANINGS: tuple[Meaning, ...] = ("objects", "classes", "strokes")
#: Score, its name for people, and what it means.
_SCORES = (
    ("iou", "Overlap (IoU)", "Common pixels divided by all pixels of either; 1 is perfect."),
    ("dice", "Dice", "Twice the common pixels divided by the sum of both; 1 is perfect."),
    ("precision", "Precision", "How much of what was predicted is right."),
    ("recall", "Recall", "How much of what is there was found."),
    (
        "ap50",
        "Objects found (AP 50)",
        "Objects that overlap by half or more, divided by all objects, missed and false ones too.",
    ),
    ("boundary_f1", "Boundaries (F1)", "How many boundary pixels agree within 2 pixels."),
    ("rand_error", "Rand error", "How often two pixels are together in one and apart in the other; 0 is perfect."),
    ("warping_error", "Warping error", "Splits, mergers, holes and lost objects, per pixel; 0 is perfect."),
    ("true_objects", "Objects in the truth", "Number of objects in the truth."),
    ("predicted_objects", "Objects predicted", "Number of objects in the prediction."),
    ("compared", "Part compared", "Pixels that were predicted and whose truth is known, parts of the image."),
)


class ReviewTab(Tab):
    """Go where a stroke teaches most; compare the prediction with the truth."""

    title = "&Review"
    purpose = "Find what is to be corrected, and see how good the prediction is."
    help = "tutorials/correcting.md"

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.next = button(
            f"Next place to paint ({NEXT_KEY})",
            "Go to where a stroke teaches most, brush in hand: where the model is unsure, far from all strokes.",
        )
        self.objects = ObjectTable(controller)
        self.checks = CheckList(controller)
        self.truth = LayerCombo("choose a labels layer", self)
        self.truth.setToolTip("A labels layer of this image that is known to be right.")
        self.meaning = QComboBox()
        self.meaning.addItems(_MEANINGS)
        self.meaning.setToolTip(
            "Objects: 0 is background, every other value one object. Classes: 0 is background. "
            "Strokes: 0 is not known, 1 is background."
        )
        self.meaning.setMinimumContentsLength(8)
        self.meaning.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.compare = button("Compare", "Score the Prediction layer against the truth.")
        self.table = _table()
        self.table.setVisible(False)
        self._arrange()
        self._connect()
        self._show_layers()

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        layout.addWidget(heading("Correct", "Paint where it teaches the model most."))
        layout.addWidget(self.next)
        layout.addWidget(self.objects)
        layout.addWidget(self.checks)
        layout.addWidget(line())
        layout.addWidget(heading("Scores", "Numbers that say how good the prediction is."))
        layout.addLayout(labelled(("Tr&uth", self.truth), ("Its valu&es", self.meaning)))
        layout.addWidget(self.compare)
        layout.addWidget(self.table)
        layout.addWidget(_hint())
        layout.addStretch(1)

    def _connect(self) -> None:
        controller = self.controller
        self.next.clicked.connect(
            partial(call, partial(controller.reviewing.attempt, controller.reviewing.advice.next))
        )
        self.compare.clicked.connect(partial(call, self._on_compare))
        controller.reviewing.scored.connect(self._show_scores)
        for signal in (controller.link.layers_changed, controller.link.roles_changed):
            signal.connect(self._show_layers)

    # ------------------------------------------------------------------ events

    def _show_layers(self) -> None:
        self.truth.show_layers(self.controller.link.labels, self.truth.layer)

    def _on_compare(self) -> None:
        self.controller.reviewing.compare(self.truth.layer, _MEANINGS[self.meaning.currentIndex()])

    def _show_scores(self, scores: dict[str, Any]) -> None:
        self.controller.board.say("Compared.")
        rows = [(name, _shown(scores[key]), tip) for key, name, tip in _SCORES if key in scores]
        for name, parts in scores.get("per_class", {}).items():
            rows.append((f"Overlap of {name}", _shown(parts["iou"]), "Common pixels of this class by all of either."))
        self.table.setRowCount(len(rows))
        for row, (name, value, tip) in enumerate(rows):
            for column_, text in enumerate((name, value)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                self.table.setItem(row, column_, item)
        self.table.resizeRowsToContents()
        height = sum(self.table.rowHeight(row) for row in range(len(rows))) + 2 * self.table.frameWidth() + 2
        self.table.setFixedHeight(height)
        self.table.setVisible(True)


def _table() -> QTableWidget:
    table = QTableWidget(0, 2)
    table.horizontalHeader().setVisible(False)
    table.verticalHeader().setVisible(False)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
    return table


def _hint() -> Paragraph:
    return Paragraph(
        "Scores count only where the network did not learn: strokes it was taught with look better than the rest."
    )


def _shown(value: float) -> str:
    """A score with three digits, a number without."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
