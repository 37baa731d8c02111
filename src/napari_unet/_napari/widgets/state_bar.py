"""The lines below the pages: what the session does and how predictions are shown, on every page."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_unet._napari.board import State
from napari_unet._napari.controller import Controller
from napari_unet._napari.display import Mode
from napari_unet._napari.guidance import Phase
from napari_unet._napari.widgets.tab import call, column

_MODES: dict[Mode, str] = {"soft": "Probabilities", "fill": "Classes, filled", "outline": "Classes, outlined"}
_DOING = {
    Phase.IDLE: "ready",
    Phase.WAITING: "preparing",
    Phase.TRAINING: "learning",
    Phase.STOPPING: "stopping",
}


def in_words(state: State) -> str:
    """The session in a few words, for example ``"learning · 120 steps · cpu"``."""
    doing = _DOING[state.phase] if state.ready else "starting"
    nothing = "a suggestion" if state.suggested else "nothing learnt yet"
    learnt = f"{state.step:,} step{'s' * (state.step != 1)}" if state.step else nothing
    return " · ".join(filter(None, (doing, learnt, state.device)))


class StateBar(QWidget):
    """Says what the session does; has the switch of live learning, and how predictions are shown.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.words = QLabel()
        self.words.setToolTip("What the network does, how many steps it has learnt, and where it computes.")
        self.live = QCheckBox("L&ive")
        self.live.setToolTip(
            "Strokes start learning by themselves, and the rest of the image is segmented when there is nothing else "
            "to do. After Stop nothing starts before the next stroke."
        )
        self.mode = QComboBox()
        self.mode.setToolTip("How predictions are shown. The key B hides them for a moment.")
        for mode, name in _MODES.items():
            self.mode.addItem(name, mode)
        self.blink = QPushButton("Hide (B)")
        self.blink.setCheckable(True)
        self.blink.setToolTip("Hide predictions, and show them again.")
        self._arrange()
        self.live.clicked.connect(controller.set_live)
        self.mode.activated.connect(self._on_mode)
        self.blink.clicked.connect(partial(call, controller.link.display.blink))
        controller.link.display.changed.connect(self._show_display)

    def show_state(self, state: State) -> None:
        """Show a state."""
        self.words.setText(in_words(state))
        self.live.setChecked(state.live)

    def _arrange(self) -> None:
        layout = column(self, margin=4)
        layout.setSpacing(3)
        row = QHBoxLayout()
        row.addWidget(self.live)
        row.addWidget(self.mode, 1)
        row.addWidget(self.blink)
        layout.addLayout(row)
        layout.addWidget(self.words)

    def _on_mode(self, index: int) -> None:
        self._controller.show_as(self.mode.itemData(index))

    def _show_display(self) -> None:
        display = self._controller.link.display
        self.mode.setCurrentIndex(self.mode.findData(display.mode))
        self.blink.setChecked(display.blinked)
