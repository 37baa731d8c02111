"""The parts of the dock. Each shows a state and tells what the user wants; none knows the session."""

from __future__ import annotations

from math import ceil

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet._napari.guidance import Phase
from napari_unet._napari.segmenting import Progress
from napari_unet._napari.widgets.budget import Budget
from napari_unet._napari.widgets.class_list import ClassList
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.layer_combo import LayerCombo
from napari_unet._napari.widgets.loss_curve import LossCurve
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig

SUFFIX = ".unet"
_FILTER = f"U-Net models (*{SUFFIX});;All files (*)"


class LayersSection(QWidget):
    """Which image, which strokes, and the classes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = LayerCombo("no image", self)
        self.image.setToolTip("The image to segment.")
        self.strokes = LayerCombo("no strokes yet", self)
        self.strokes.setToolTip("The labels layer the network learns from.")
        self.new_strokes = _button("New strokes", "Add a layer to paint on, and take the brush.")
        self.more = QPushButton("More")
        self.more.setToolTip("Complete regions, and masks from elsewhere.")
        self.menu = QMenu(self.more)
        self.more.setMenu(self.menu)
        self.classes = ClassList(self)
        self._arrange()

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Image"), 0, 0)
        grid.addWidget(self.image, 0, 1, 1, 2)
        grid.addWidget(QLabel("Strokes"), 1, 0)
        grid.addWidget(self.strokes, 1, 1, 1, 2)
        buttons = QHBoxLayout()
        buttons.addWidget(self.new_strokes, 2)
        buttons.addWidget(self.more, 1)
        grid.addLayout(buttons, 2, 0, 1, 3)
        grid.addWidget(self.classes, 3, 0, 1, 3)


class TrainSection(QWidget):
    """Train or stop, the learning curve, and the settings behind them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.toggle = _button("Train", "Learn from the strokes; press again to stop. The model is kept.")
        self.budget = Budget(self)
        self.curve = LossCurve(self)
        self.settings = FoldedForm("Training settings", TrainConfig(), ("seconds", "steps", "device", "threads"))
        self.network = FoldedForm("Network settings", ModelConfig(), ("in_channels",))
        self.again = _button("Start again", "Forget what was learnt; the strokes stay.")
        layout = _column(self)
        for widget in (self.toggle, self.curve, self.budget, self.settings, self.network, self.again):
            layout.addWidget(widget)

    def show_phase(self, phase: Phase) -> None:
        """Say what a click on the button does."""
        self.toggle.setText({Phase.IDLE: "Train", Phase.STOPPING: "Stopping…"}.get(phase, "Stop"))
        self.toggle.setEnabled(phase is not Phase.STOPPING)


class SegmentSection(QWidget):
    """Segment the whole image, and see how far it is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.start = _button("Segment image", "Predict the whole image, or stack, into the Prediction layer.")
        self.cancel = _button("Cancel", "Stop here; finished tiles stay.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.settings = FoldedForm("Segmentation settings", PredictConfig(), ("output", "device", "background_zero"))
        row = QHBoxLayout()
        row.addWidget(self.start, 2)
        row.addWidget(self.bar, 2)
        row.addWidget(self.cancel, 1)
        layout = _column(self)
        layout.addLayout(row)
        layout.addWidget(self.settings)
        self.show_progress(None)

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far it is; None when nothing is under way."""
        self.start.setVisible(progress is None)
        self.bar.setVisible(progress is not None)
        self.cancel.setVisible(progress is not None)
        if progress is not None:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            self.bar.setFormat(f"%p %{_remaining(progress.seconds)}")


class ModelSection(QWidget):
    """Save and load the model."""

    save = Signal(str)
    load = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.save_button = _button("Save model…", "Keep what was learnt, to use it again anywhere.")
        self.load_button = _button("Load model…", "Use or go on training a saved model.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save_button)
        row.addWidget(self.load_button)
        self.save_button.clicked.connect(self._on_save)
        self.load_button.clicked.connect(self._on_load)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", f"model{SUFFIX}", _FILTER)
        if path:
            self.save.emit(path if "." in path.rsplit("/", 1)[-1] else path + SUFFIX)

    def _on_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a model", "", _FILTER)
        if path:
            self.load.emit(path)


def _remaining(seconds: float | None) -> str:
    """Time left, in words."""
    if seconds is None:
        return ""
    return f", {ceil(seconds)} s left" if seconds < 90 else f", {ceil(seconds / 60)} min left"


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button


def _column(widget: QWidget) -> QVBoxLayout:
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    return layout
