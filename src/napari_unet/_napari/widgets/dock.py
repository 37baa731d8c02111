"""The dock widget: connects its parts with the controller."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import finalize

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_unet._napari.board import State
from napari_unet._napari.client import Session
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Button
from napari_unet._napari.widgets.sections import LayersSection, ModelSection, SegmentSection, TrainSection
from napari_unet._napari.widgets.status_line import StatusLine
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.events import Step
from napari_unet.session.process import ProcessSession

TICK_MILLISECONDS = 50
_NEXT = "QPushButton { background-color: #0072B2; color: white; font-weight: bold; }"


class UNetWidget(QWidget):
    """Paint strokes, watch a U-Net learn from them, segment the image.

    The session ends when the dock is closed; hiding it leaves everything going on.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    session : Session, optional
        What trains and predicts; by default a process of its own, started now.

    Attributes
    ----------
    controller : Controller
        Does what the buttons say; every button has a method there.
    """

    def __init__(self, napari_viewer: Any, session: Session | None = None) -> None:
        super().__init__()
        self.controller = Controller(napari_viewer, session or ProcessSession())
        self.status = StatusLine()
        self.layers = LayersSection()
        self.training = TrainSection()
        self.segmenting = SegmentSection()
        self.model = ModelSection()
        self._arrange()
        self._listen_to_controller()
        self._listen_to_user()
        self._show_layers()
        self._on_state(self.controller.state)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.controller.tick)
        self._timer.start(TICK_MILLISECONDS)
        # whichever comes first: the dock is closed, Qt deletes the widget, Python does, or Python ends
        self._end = finalize(self, self.controller.close)
        self.destroyed.connect(partial(_call, self._end))

    def close_session(self) -> None:
        """End the session and let go of the viewer; layers stay."""
        self._timer.stop()
        self._end()

    def event(self, event: QEvent) -> bool:
        """End the session when napari takes the widget out of its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_session()
        return bool(super().event(event))

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(6)
        for part in (self.layers, _line(), self.training, _line(), self.segmenting, self.model):
            column.addWidget(part)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.status)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(270)

    def _listen_to_controller(self) -> None:
        controller, link = self.controller, self.controller.link
        controller.board.changed.connect(self._on_state)
        controller.board.complained.connect(show_error)
        controller.answers.stepped.connect(self._on_step)
        controller.answers.loaded.connect(self._show_model)
        link.picked.connect(self.layers.classes.select)
        for signal in (link.layers_changed, link.roles_changed):
            signal.connect(self._show_layers)

    def _listen_to_user(self) -> None:
        controller, layers, training = self.controller, self.layers, self.training
        layers.image.chosen.connect(controller.choose_image)
        layers.strokes.chosen.connect(controller.choose_strokes)
        layers.new_strokes.clicked.connect(partial(_call, controller.new_strokes))
        layers.classes.picked.connect(controller.pick_class)
        layers.classes.valueChanged.connect(self._on_classes)
        layers.menu.aboutToShow.connect(self._fill_menu)
        training.toggle.clicked.connect(partial(_call, controller.toggle))
        training.again.clicked.connect(partial(_call, controller.start_again))
        training.budget.valueChanged.connect(self._on_training_settings)
        training.settings.valueChanged.connect(self._on_training_settings)
        training.network.valueChanged.connect(self._on_network_settings)
        self.segmenting.start.clicked.connect(partial(_call, controller.segment))
        self.segmenting.cancel.clicked.connect(partial(_call, controller.cancel))
        self.segmenting.settings.valueChanged.connect(self._on_segmentation_settings)
        self.model.save.connect(controller.save)
        self.model.load.connect(controller.load)
        for part in (layers.classes, training.settings, training.network, self.segmenting.settings):
            part.refused.connect(controller.board.complain)

    def _fill_menu(self) -> None:
        """Offer complete regions, and each labels layer as a mask, by its two possible meanings."""
        menu, controller = self.layers.menu, self.controller
        menu.clear()
        menu.addAction(
            "Draw a complete region (all unpainted in it is background)", partial(_call, controller.new_regions)
        )
        for layer in controller.link.labels:
            if layer is not controller.link.strokes:
                for objects, meaning in ((True, "objects"), (False, "classes")):
                    text = f"Import '{layer.name}' as mask of {meaning} (0 = background)"
                    menu.addAction(text, partial(_call, partial(controller.import_mask, layer, objects=objects)))

    # ------------------------------------------------------------------ showing

    def _show_layers(self) -> None:
        link = self.controller.link
        self.layers.image.show_layers(link.images, link.image)
        self.layers.strokes.show_layers(link.labels, link.strokes)

    def _show_model(self, model: ModelConfig) -> None:
        self.layers.classes.setValue(model)
        self.training.network.setValue(model)

    def _on_state(self, state: State) -> None:
        self.status.show_message(state.message, failed=state.failed)
        self.training.show_phase(state.phase)
        self.segmenting.show_progress(state.progress)
        self.layers.classes.show_painted(state.painted)
        self.training.again.setEnabled(state.step > 0)
        self.segmenting.start.setEnabled(state.step > 0)
        self.model.save_button.setEnabled(state.step > 0)
        self._point_at(state.button)

    def _point_at(self, button: Button) -> None:
        """Colour the button that comes next."""
        buttons = {
            "new_strokes": self.layers.new_strokes,
            "train": self.training.toggle,
            "segment": self.segmenting.start,
            "save": self.model.save_button,
        }
        for name, widget in buttons.items():
            style = _NEXT if name == button else ""
            if widget.styleSheet() != style:
                widget.setStyleSheet(style)

    def _on_step(self, step: Step) -> None:
        self.training.curve.add(step.step, step.loss)

    # ------------------------------------------------------------------ the user's settings

    def _on_classes(self, named: ModelConfig) -> None:
        model = self.controller.model.replace(classes=named.classes, colors=named.colors)
        self.training.network.setValue(model)
        self.controller.set_model(model)

    def _on_network_settings(self, model: ModelConfig) -> None:
        self.controller.set_model(model)

    def _on_training_settings(self) -> None:
        settings = self.training.settings.value()
        seconds = self.training.budget.value()
        self.controller.training = TrainConfig.model_validate(settings.replace(seconds=seconds))

    def _on_segmentation_settings(self, settings: PredictConfig) -> None:
        self.controller.predicting = settings


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line


def _call(action: Any, *_: object) -> None:
    """Do it without the arguments that Qt hands to slots."""
    action()
