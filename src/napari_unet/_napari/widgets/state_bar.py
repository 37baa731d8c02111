"""The line below the pages: what the session does, on every page."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_unet._napari.board import State
from napari_unet._napari.guidance import Phase

_DOING = {
    Phase.IDLE: "ready",
    Phase.WAITING: "preparing",
    Phase.TRAINING: "learning",
    Phase.STOPPING: "stopping",
}


def in_words(state: State) -> str:
    """The session in a few words, for example ``"learning · 120 steps · cpu"``."""
    doing = _DOING[state.phase] if state.ready else "starting"
    learnt = f"{state.step:,} step{'s' * (state.step != 1)}" if state.step else "nothing learnt yet"
    return " · ".join(filter(None, (doing, learnt, state.device)))


class StateBar(QWidget):
    """Says what the session does.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = QLabel()
        self.words.setToolTip("What the network does, how many steps it has learnt, and where it computes.")
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(6, 2, 6, 2)
        self.row.addWidget(self.words, 1)

    def show_state(self, state: State) -> None:
        """Show a state."""
        self.words.setText(in_words(state))
