"""*Segment*: the whole image, how far it is, and the model in a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QProgressBar, QPushButton

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button
from napari_unet._napari.segmenting import Progress
from napari_unet._napari.widgets.copy_menu import CopyMenu
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.model_file import ModelFile
from napari_unet._napari.widgets.result_file import ResultFile
from napari_unet._napari.widgets.tab import Tab, button, call, column, heading, labelled, line
from napari_unet.config import PredictConfig
from napari_unet.session.projects import Settings


class SegmentTab(Tab):
    """Use what was learnt: on the whole image, and in other places."""

    title = "&Segment"
    purpose = "Segment the whole image, and keep the result and the model."

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.start = button("Segment image", "Predict the whole image, or stack, into the Prediction layer.")
        self.output = QComboBox()
        self.output.setToolTip(
            "Classes: each pixel its class, into the Prediction layer. Objects: each connected piece of a class a "
            "number of its own, into the Objects layer."
        )
        for name, output in (("Classes", "labels"), ("Objects", "instances")):
            self.output.addItem(name, output)
        self.cancel = button("Cancel", "Stop here; finished tiles stay.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.settings = FoldedForm("Segmentation settings", PredictConfig(), ("output", "device", "background_zero"))
        self.copy = CopyMenu(
            controller, "prediction", "This segmentation as a command or a script, equal to the layer to the pixel."
        )
        self.result = ResultFile()
        self.model = ModelFile()
        self._arrange()
        self._connect()

    def show_state(self, state: State) -> None:
        """Show what can be done, and how far it is."""
        self._show_progress(state.progress)
        self.start.setEnabled(state.step > 0)
        self.copy.setEnabled(state.step > 0)
        self.model.save_button.setEnabled(state.step > 0)

    def buttons(self) -> Mapping[Button, QPushButton]:
        return {"segment": self.start, "save": self.model.save_button}

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        row = QHBoxLayout()
        row.addWidget(self.start, 2)
        row.addWidget(self.bar, 2)
        row.addWidget(self.cancel, 1)
        layout.addLayout(labelled(("&Result", self.output)))
        layout.addLayout(row)
        layout.addWidget(self.result)
        layout.addWidget(self.settings)
        layout.addWidget(self.copy)
        layout.addWidget(line())
        layout.addWidget(heading("Model", "What was learnt, to be used again anywhere."))
        layout.addWidget(self.model)
        layout.addStretch(1)

    def _connect(self) -> None:
        controller = self.controller
        self.start.clicked.connect(partial(call, controller.segment))
        self.cancel.clicked.connect(partial(call, controller.cancel))
        self.output.activated.connect(partial(call, self._on_output))
        self.settings.valueChanged.connect(self._on_settings)
        self.settings.refused.connect(controller.board.complain)
        self.result.save.connect(self._on_save)
        self.model.save.connect(controller.save)
        self.model.load.connect(controller.load)
        controller.settings_restored.connect(self._show_settings)

    # ------------------------------------------------------------------ events

    def _show_progress(self, progress: Progress | None) -> None:
        self.start.setVisible(progress is None)
        self.bar.setVisible(progress is not None)
        self.cancel.setVisible(progress is not None)
        if progress is not None:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            self.bar.setFormat(f"%p %{_remaining(progress.seconds)}")

    def _on_save(self, path: str, zero: bool, overwrite: bool) -> None:
        self.controller.results.save(path, zero=zero, overwrite=overwrite)

    def _show_settings(self, settings: Settings) -> None:
        self.settings.setValue(settings.predicting)

    def _on_settings(self, settings: PredictConfig) -> None:
        self.controller.predicting = settings.replace(output=self.output.currentData())

    def _on_output(self) -> None:
        self.controller.predicting = self.controller.predicting.replace(output=self.output.currentData())


def _remaining(seconds: float | None) -> str:
    """Time left, in words."""
    if seconds is None:
        return ""
    return f", {ceil(seconds)} s left" if seconds < 90 else f", {ceil(seconds / 60)} min left"
