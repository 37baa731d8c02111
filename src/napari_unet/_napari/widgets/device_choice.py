"""Where to compute."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QWidget

from napari_unet._napari.machine import Machine


class DeviceChoice(QComboBox):
    """The devices that the session has found; before that only *Automatic*.

    Parameters
    ----------
    machine : Machine
    parent : QWidget, optional
    """

    def __init__(self, machine: Machine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._machine = machine
        self.setToolTip("Where the network learns and predicts: a graphics card (cuda) is many times faster.")
        self.activated.connect(self._on_chosen)
        machine.changed.connect(self.show_devices)
        self.show_devices()

    def show_devices(self) -> None:
        """Show what there is, and what is chosen."""
        where = f" ({self._machine.where})" if self._machine.where and self._machine.device == "auto" else ""
        wanted = [(f"Automatic{where}", "auto"), *(_named(*device) for device in self._machine.devices)]
        if self._machine.device not in [name for _, name in wanted]:
            wanted.append((self._machine.device, self._machine.device))
        if wanted != [(self.itemText(index), self.itemData(index)) for index in range(self.count())]:
            self.clear()
            for text, name in wanted:
                self.addItem(text, name)
        self.setCurrentIndex(self.findData(self._machine.device))

    def _on_chosen(self, index: int) -> None:
        self._machine.use(self.itemData(index))


def _named(name: str, words: str) -> tuple[str, str]:
    """A device as it is listed, for example ``"Processor (cpu)"``, and its name."""
    return f"{words[:1].upper()}{words[1:]} ({name})", name
