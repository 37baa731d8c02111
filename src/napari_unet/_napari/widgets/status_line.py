"""The sentence that always says the next step."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

_STYLE = "QLabel {{ border-left: 4px solid {color}; padding: 6px 8px; font-weight: {weight}; }}"
_CALM, _ALARM = "#0072B2", "#D55E00"


class StatusLine(QLabel):
    """A framed sentence; orange when something went wrong.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setMinimumHeight(4 * self.fontMetrics().lineSpacing() + 24)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.MinimumExpanding)
        self.show_message("", failed=False)

    def show_message(self, message: str, *, failed: bool) -> None:
        """Show a sentence."""
        self.setText(message)
        style = _STYLE.format(color=_ALARM if failed else _CALM, weight="bold" if failed else "normal")
        if self.styleSheet() != style:
            self.setStyleSheet(style)
