"""*Segment*: the whole image, how far it is, and the model in a file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QMessageBox, QProgressBar, QPushButton

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button
from napari_unet._napari.segmentation import Folder, What
from napari_unet._napari.segmenting import Progress
from napari_unet._napari.widgets.copy_menu import CopyMenu
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.folder_choice import FolderChoice
from napari_unet._napari.widgets.model_file import ModelFile
from napari_unet._napari.widgets.object_settings import ObjectSettings
from napari_unet._napari.widgets.result_file import ResultFile
from napari_unet._napari.widgets.tab import Tab, button, call, column, heading, labelled, line, narrow
from napari_unet._napari.words import words_for
from napari_unet.config import Augmented, Output, PredictConfig
from napari_unet.session.projects import Settings

_WHATS: tuple[tuple[str, What], ...] = (
    ("Whole image or stack", "image"),
    ("What is in view", "view"),
    ("This slice", "slice"),
    ("Selected layers", "layers"),
    ("Folder of images", "folder"),
)
#: Name, output, what it is, and where it goes.
_OUTPUTS: tuple[tuple[str, Output, str, str], ...] = (
    ("Classes", "labels", "Each pixel its likeliest class.", "the Prediction layer"),
    ("Objects", "instances", "Each object a number of its own, to be counted and measured.", "the Objects layer"),
    (
        "Probabilities",
        "probabilities",
        "How likely each pixel belongs to each class, from 0 to 1: an image layer for each class.",
        "a layer for each class",
    ),
    (
        "Uncertainty",
        "uncertainty",
        "How unsure the model is of each pixel, from 0 (sure) to 1 (could be any class): where to look, and to paint.",
        "the Uncertainty layer",
    ),
)
_QUALITIES: Mapping[Augmented, str] = {
    "none": "The image is looked at once.",
    "flips": "The mean over the image and its mirrored copies: better, 4 times slower (8 times in volumes).",
    "rotations": "The mean over mirrored and turned copies: best, 8 times slower (16 times in volumes).",
}
_TIPS: Mapping[What, str] = {
    "image": "Predict the whole image, or stack",
    "view": "Predict what is on the screen",
    "slice": "Predict the slice that the sliders are at (with a 3D network its volume)",
    "layers": "Predict each image that is selected in the layer list",
    "folder": "Predict every image of the folder",
}
#: Settings that have a place of their own.
_LEFT_OUT = ("output", "device", "background_zero", "instances", "augmented")


class SegmentTab(Tab):
    """Use what was learnt: on the view, the image, several images, a folder, and in other places."""

    title = "Se&gment"
    purpose = "Segment the whole image, and keep the result and the model."
    help = "tutorials/image.md#5-segment-and-keep-the-result"

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.start = button("Segment image", "")
        self.what = QComboBox()
        self.what.setToolTip("What is segmented when you press the button below.")
        for text, what in _WHATS:
            self.what.addItem(text, what)
        self.folder = FolderChoice()
        self.objects = ObjectSettings()
        self.output = QComboBox()
        self.output.setToolTip("What is made of the image.")
        for row, (name, output, tip, _) in enumerate(_OUTPUTS):
            self.output.addItem(name, output)
            self.output.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        self.quality = narrow(QComboBox())
        for value, name in words_for(PredictConfig, "augmented").choices.items():
            self.quality.addItem(name, value)
            self.quality.setItemData(self.quality.count() - 1, _QUALITIES[value], Qt.ItemDataRole.ToolTipRole)
        self.cancel = button("Cancel", "Stop here; finished tiles stay.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.settings = FoldedForm("Segmentation settings", PredictConfig(), _LEFT_OUT)
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
        self.start.setEnabled(state.predicts)
        self.copy.setEnabled(state.predicts)
        self.model.save_button.setEnabled(state.predicts)

    def buttons(self) -> Mapping[Button, QPushButton]:
        return {"segment": self.start, "save": self.model.save_button}

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        row = QHBoxLayout()
        row.addWidget(self.start, 2)
        row.addWidget(self.bar, 2)
        row.addWidget(self.cancel, 1)
        layout.addLayout(labelled(("What", self.what), ("Res&ult", self.output), ("Qualit&y", self.quality)))
        layout.addWidget(self.folder)
        layout.addWidget(self.objects)
        layout.addLayout(row)
        layout.addWidget(self.result)
        layout.addWidget(self.settings)
        layout.addWidget(self.copy)
        layout.addWidget(line())
        layout.addWidget(heading("Model", "What was learnt, to be used again anywhere."))
        layout.addWidget(self.model)
        layout.addStretch(1)
        self._show_what()

    def _connect(self) -> None:
        controller = self.controller
        self.start.clicked.connect(self._on_start)
        self.what.activated.connect(partial(call, self._on_what))
        self.folder.valueChanged.connect(self._on_folder)
        self.objects.valueChanged.connect(partial(call, self._on_objects))
        self.objects.refused.connect(controller.board.complain)
        self.objects.previewed.connect(self._on_preview)
        controller.segmentation.file_done.connect(self.folder.add)
        self.cancel.clicked.connect(partial(call, controller.segmentation.cancel))
        self.output.activated.connect(partial(call, self._on_output))
        self.quality.activated.connect(partial(call, self._on_quality))
        self.settings.valueChanged.connect(self._on_settings)
        self.settings.refused.connect(controller.board.complain)
        self.result.save.connect(self._on_save)
        self.model.save.connect(controller.save)
        self.model.load.connect(controller.load)
        controller.settings_restored.connect(self._show_settings)
        controller.link.roles_changed.connect(self._on_subject)
        controller.model_changed.connect(partial(call, self._on_subject))

    # ------------------------------------------------------------------ events

    def _show_progress(self, progress: Progress | None) -> None:
        self.start.setVisible(progress is None)
        self.bar.setVisible(progress is not None)
        self.cancel.setVisible(progress is not None)
        if progress is not None:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            self.bar.setFormat(f"%p %{_remaining(progress.seconds)}")
            self.bar.setToolTip(progress.name)

    def _on_start(self) -> None:
        segmentation, config = self.controller.segmentation, self.controller.predicting
        there = segmentation.existing(config)
        replace = bool(there) and self._may_replace(there)
        if replace is None:
            return
        self.folder.begin()
        self.controller.preview_objects.end()
        segmentation.start(config, overwrite=replace)

    def _may_replace(self, there: Sequence[Path]) -> bool | None:
        """Whether results that are there are replaced; None when the user wants nothing done."""
        yes, no, cancel = (getattr(QMessageBox.StandardButton, name) for name in ("Yes", "No", "Cancel"))
        names = f"{there[0].name} is" if len(there) == 1 else f"{len(there)} results are"
        text = f"{names} in that folder already. Replace them? With No these images are left out."
        answer = QMessageBox.question(self, "Segment folder", text, yes | no | cancel, no)
        return None if answer == cancel else bool(answer == yes)

    def _on_what(self) -> None:
        self.controller.segmentation.what = self.what.currentData()
        self._show_what()

    def _show_what(self) -> None:
        """Show what belongs to the choice."""
        what, output = self.what.currentData(), self.output.currentData()
        name, _, tip, where = _OUTPUTS[self.output.currentIndex()]
        self.folder.setVisible(what == "folder")
        self.objects.setVisible(output == "instances")
        self.result.setVisible(what != "folder")
        self.result.show_output(output)
        self.output.setToolTip(tip)
        self.quality.setToolTip(_QUALITIES[self.quality.currentData()])
        self.start.setText(f"Segment {what}" if output in ("labels", "instances") else f"Make {name.lower()}")
        self.controller.board.name("segment", self.start.text())
        self.start.setToolTip(f"{_TIPS[what]}, into {'files of their own' if what == 'folder' else where}.")

    def _on_folder(self, folder: Folder) -> None:
        self.controller.segmentation.folder = folder

    def _on_objects(self) -> None:
        self.controller.predicting = self.controller.predicting.replace(instances=self.objects.value())
        self.controller.preview_objects.changed(time.monotonic())

    def _on_preview(self, on: bool) -> None:
        self.controller.preview_objects.on = on
        self._on_objects() if on else self.controller.preview_objects.end()

    def _on_save(self, path: str, zero: bool, overwrite: bool) -> None:
        self.controller.results.save(path, zero=zero, overwrite=overwrite)

    def _show_settings(self, settings: Settings) -> None:
        self.settings.setValue(settings.predicting)
        self.objects.setValue(settings.predicting.instances)
        self.output.setCurrentIndex(max(self.output.findData(settings.predicting.output), 0))
        self.quality.setCurrentIndex(max(self.quality.findData(settings.predicting.augmented), 0))
        self._show_what()

    def _on_settings(self, settings: PredictConfig) -> None:
        self.controller.predicting = settings.replace(
            output=self.output.currentData(),
            instances=self.objects.value(),
            augmented=self.quality.currentData(),
        )

    def _on_quality(self) -> None:
        self.controller.predicting = self.controller.predicting.replace(augmented=self.quality.currentData())
        self._show_what()

    def _on_output(self) -> None:
        self.controller.predicting = self.controller.predicting.replace(output=self.output.currentData())
        self._show_what()
        if self.output.currentData() == "instances":
            self._suggest()
            self._on_objects()
        else:
            self.controller.preview_objects.end()

    def _on_subject(self) -> None:
        """Another image or network: other settings of objects may suit it."""
        if self.output.currentData() == "instances":
            before = self.objects.value()
            self._suggest()
            if self.objects.value() != before:
                self._on_objects()

    def _suggest(self) -> None:
        self.objects.suggest(self.controller.segmentation.goes_through_time())


def _remaining(seconds: float | None) -> str:
    """Time left, in words."""
    if seconds is None:
        return ""
    return f", {ceil(seconds)} s left" if seconds < 90 else f", {ceil(seconds / 60)} min left"
