"""*Train*: start and stop, the learning curve, and the settings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton

from napari_unet._napari.axes import label_shape
from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button, Phase
from napari_unet._napari.machine import Question
from napari_unet._napari.members import MEMBERS
from napari_unet._napari.model_in_use import for_image
from napari_unet._napari.widgets.budget import Budget
from napari_unet._napari.widgets.copy_menu import CopyMenu
from napari_unet._napari.widgets.device_choice import DeviceChoice
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.learning_curve import LearningCurve
from napari_unet._napari.widgets.model_file import ask_for_model
from napari_unet._napari.widgets.network_card import NetworkCard
from napari_unet._napari.widgets.paragraph import Paragraph
from napari_unet._napari.widgets.patch_gallery import PatchGallery
from napari_unet._napari.widgets.tab import Tab, button, call, column, labelled
from napari_unet._napari.widgets.timeline import Timeline
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.presets import TRAININGS, training_name
from napari_unet.session.messages import Previewed
from napari_unet.session.projects import Settings
from napari_unet.standard import standard_model, start_words, suited

#: Costs are asked for when nothing was changed for so long.
PATIENCE_MILLISECONDS = 200


class TrainTab(Tab):
    """Let the network learn, and see how well it does."""

    title = "&Train"
    purpose = "Let the network learn from the strokes, and see how well it does."
    help = "training.md"

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.toggle = button("Train", "Learn from the strokes; press again to stop. The model is kept.")
        self.pause = button("Pause", "Hold on: nothing is learnt, whatever you paint, until you press Go on.")
        self.curve = LearningCurve(controller.teaching.course, self)
        self.timeline = Timeline(controller.teaching.course, self)
        self.budget = Budget(self)
        self.gallery = PatchGallery(self)
        self.settings = FoldedForm("Training settings", TrainConfig(), ("seconds", "device", "threads"))
        self.network = FoldedForm("Network settings", standard_model(), ("in_channels",))
        self.preset = QComboBox()
        for name, preset in TRAININGS.items():
            self.preset.addItem(name.capitalize(), name)
            self.preset.setItemData(self.preset.count() - 1, preset.words, Qt.ItemDataRole.ToolTipRole)
        self.preset.setPlaceholderText("Own settings")
        self.preset.setToolTip("\n".join(f"{name.capitalize()}: {preset.words}" for name, preset in TRAININGS.items()))
        self.card = NetworkCard(controller.teaching.machine, self)
        self.device = DeviceChoice(controller.teaching.machine, self)
        self._waiting = QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(PATIENCE_MILLISECONDS)
        self.sources = Paragraph()
        self.sources.setToolTip(
            "Choose another image at the top of Annotate and paint on it: its strokes count as well."
        )
        self.start = Paragraph()
        self.again = button("Start again", "Forget what was learnt; the strokes stay.")
        self.from_file = button("From a file…", "Go on with a saved model instead of the one in use; strokes stay.")
        self.copy = CopyMenu(
            controller,
            "training",
            "A training from the strokes as they are now, with these settings and as many steps. It is the same to the "
            "pixel when the number of steps was set before and nothing was painted meanwhile.",
        )
        self._arrange()
        self._connect()

    def show_state(self, state: State) -> None:
        """Say what a click on the button does."""
        idle, stopping = state.phase is Phase.IDLE, state.phase is Phase.STOPPING
        self.toggle.setText("Stopping…" if stopping else "Train" if idle and not state.paused else "Stop")
        self.toggle.setEnabled(not stopping)
        self.pause.setText("Go on" if state.paused else "Pause")
        self.pause.setEnabled(not stopping and (state.paused or not idle))
        self.again.setEnabled(state.step > 0)
        self.copy.setEnabled(state.step > 0)
        self.start.setText(_start(state, self.controller.model))
        self.sources.setText(_sources(state))
        self.sources.setVisible(bool(state.sources))

    def buttons(self) -> Mapping[Button, QPushButton]:
        return {"train": self.toggle, "pause": self.pause}

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Find out what the network costs."""
        super().showEvent(event)
        self._waiting.start()

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        row = QHBoxLayout()
        row.addWidget(self.toggle, 2)
        row.addWidget(self.pause, 1)
        layout.addLayout(row)
        for widget in (self.curve, self.timeline):
            layout.addWidget(widget)
        layout.addLayout(labelled(("Pr&eset", self.preset), ("Compute &on", self.device)))
        for widget in (self.budget, self.card, self.settings, self.network, self.gallery, self.start, self.sources):
            layout.addWidget(widget)
        row = QHBoxLayout()
        row.addWidget(self.again)
        row.addWidget(self.from_file)
        layout.addLayout(row)
        layout.addWidget(self.copy)
        layout.addStretch(1)

    def _connect(self) -> None:
        controller = self.controller
        self.toggle.clicked.connect(partial(call, controller.toggle))
        self.pause.clicked.connect(partial(call, self._on_pause))
        self.timeline.chosen.connect(controller.teaching.go_back)
        self.gallery.wanted.connect(controller.preview)
        controller.teaching.previewed.connect(self._on_previewed)
        self.preset.activated.connect(self._on_preset)
        self.from_file.clicked.connect(partial(call, self._on_file))
        self.again.clicked.connect(partial(call, controller.start_again))
        self.budget.valueChanged.connect(self._on_settings)
        self.settings.valueChanged.connect(self._on_settings)
        self.network.valueChanged.connect(self._on_model)
        self.card.chosen.connect(self._on_network)
        self._waiting.timeout.connect(self._ask)
        controller.link.roles_changed.connect(self._on_roles)
        for form in (self.settings, self.network):
            form.refused.connect(controller.board.complain)
        controller.model_changed.connect(self._show_model)
        controller.settings_restored.connect(self._show_settings)
        self._show_preset()

    # ------------------------------------------------------------------ events

    def _show_model(self, model: ModelConfig) -> None:
        if model != self.network.value():
            self.network.setValue(model)
        self.card.show_model(model)
        self.start.setText(_start(self.controller.state, model))
        self._show_preset()

    def _show_settings(self, settings: Settings) -> None:
        self.settings.setValue(settings.training)
        self.budget.setValue(settings.training.seconds)

    def _on_settings(self) -> None:
        settings = self.settings.value()
        self.controller.training = TrainConfig.model_validate(settings.replace(seconds=self.budget.value()))
        self._show_preset()

    def _show_preset(self) -> None:
        self._waiting.start()
        name = training_name(self.controller.model, self.controller.training)
        self.preset.setCurrentIndex(self.preset.findData(name) if name else -1)

    def _on_preset(self, index: int) -> None:
        now = self.controller.settings()
        model, training = TRAININGS[self.preset.itemData(index)].apply(now.model, now.training)
        self.controller.use(now.replace(model=model, training=training))

    def _on_model(self, model: ModelConfig) -> None:
        self.controller.set_model(suited(model, self.controller.model))

    def _on_network(self, index: int) -> None:
        self.controller.set_model(MEMBERS[index].apply(self.controller.model))

    def _on_roles(self) -> None:
        self._waiting.start()

    def _ask(self) -> None:
        """Find out what the network costs on the image in use, if anybody looks."""
        if not self.isVisible():
            return
        model, image = self.controller.model, self.controller.link.image
        size: tuple[int, ...] = ()
        if image is not None:
            model, size = for_image(model, image), label_shape(image)[-model.ndim :]
        self.card.show_model(model)
        fitting = len(size) == model.ndim and min(size, default=0) > 0
        self.controller.teaching.machine.ask(Question(model, self.controller.training, size if fitting else ()))

    def _on_previewed(self, found: Previewed) -> None:
        self.gallery.show_patches(found, self.controller.model.class_colors)

    def _on_file(self) -> None:
        path = ask_for_model(self)
        if path:
            self.controller.load(path)

    def _on_pause(self) -> None:
        if self.controller.state.paused:
            self.controller.train(resume=True)
        else:
            self.controller.teaching.pause()


def _start(state: State, model: ModelConfig) -> str:
    """What the next training begins with."""
    if not state.step:
        return f"Training begins with {start_words(model)}."
    return f"Training goes on from the model in use ({state.step:,} step{'s' * (state.step != 1)})."


def _sources(state: State) -> str:
    """The images that are learnt from."""
    return "Learns from " + ", ".join(f"{name} ({pixels:,} pixels painted)" for name, pixels in state.sources) + "."
