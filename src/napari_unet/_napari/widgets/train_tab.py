"""*Train*: start and stop, the learning curve, and the settings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button, Phase
from napari_unet._napari.widgets.budget import Budget
from napari_unet._napari.widgets.copy_menu import CopyMenu
from napari_unet._napari.widgets.folded import FoldedForm
from napari_unet._napari.widgets.learning_curve import LearningCurve
from napari_unet._napari.widgets.tab import Tab, button, call, column
from napari_unet._napari.widgets.timeline import Timeline
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.projects import Settings


class TrainTab(Tab):
    """Let the network learn, and see how well it does."""

    title = "&Train"
    purpose = "Let the network learn from the strokes, and see how well it does."

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self.toggle = button("Train", "Learn from the strokes; press again to stop. The model is kept.")
        self.pause = button("Pause", "Hold on: nothing is learnt, whatever you paint, until you press Go on.")
        self.curve = LearningCurve(controller.teaching.course, self)
        self.timeline = Timeline(controller.teaching.course, self)
        self.budget = Budget(self)
        self.settings = FoldedForm("Training settings", TrainConfig(), ("seconds", "device", "threads"))
        self.network = FoldedForm("Network settings", ModelConfig(), ("in_channels",))
        self.again = button("Start again", "Forget what was learnt; the strokes stay.")
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

    def buttons(self) -> Mapping[Button, QPushButton]:
        return {"train": self.toggle, "pause": self.pause}

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        layout = column(self)
        row = QHBoxLayout()
        row.addWidget(self.toggle, 2)
        row.addWidget(self.pause, 1)
        layout.addLayout(row)
        for widget in (self.curve, self.timeline, self.budget, self.settings, self.network, self.again, self.copy):
            layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        controller = self.controller
        self.toggle.clicked.connect(partial(call, controller.toggle))
        self.pause.clicked.connect(partial(call, self._on_pause))
        self.timeline.chosen.connect(controller.teaching.go_back)
        self.again.clicked.connect(partial(call, controller.start_again))
        self.budget.valueChanged.connect(self._on_settings)
        self.settings.valueChanged.connect(self._on_settings)
        self.network.valueChanged.connect(controller.set_model)
        for form in (self.settings, self.network):
            form.refused.connect(controller.board.complain)
        controller.model_changed.connect(self._show_model)
        controller.settings_restored.connect(self._show_settings)

    # ------------------------------------------------------------------ events

    def _show_model(self, model: ModelConfig) -> None:
        if model != self.network.value():
            self.network.setValue(model)

    def _show_settings(self, settings: Settings) -> None:
        self.settings.setValue(settings.training)
        self.budget.setValue(settings.training.seconds)

    def _on_settings(self) -> None:
        settings = self.settings.value()
        self.controller.training = TrainConfig.model_validate(settings.replace(seconds=self.budget.value()))

    def _on_pause(self) -> None:
        if self.controller.state.paused:
            self.controller.train(resume=True)
        else:
            self.controller.teaching.pause()
