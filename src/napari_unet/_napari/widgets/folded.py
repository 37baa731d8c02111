"""A form that is built when it is first unfolded: a dock with many settings opens at once."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_unet._napari.widgets.form import ConfigForm
from napari_unet._napari.widgets.tab import tab_in_order
from napari_unet.config import Config


class FoldedForm(QCollapsible):
    """A folded `ConfigForm`, with its ``value``, ``setValue`` and ``valueChanged``.

    Parameters
    ----------
    title : str
    config : Config
        What it shows first.
    leave_out : collection of str
        Settings without an input.
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 - Qt's way to name signals
    refused = Signal(str)

    def __init__(
        self, title: str, config: Config, leave_out: Collection[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(title, parent, expandedIcon="▼", collapsedIcon="▶")
        self.setDuration(0)
        self._config = config
        self._leave_out = leave_out
        self.form: ConfigForm | None = None
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.toggled.connect(self._on_toggled)

    def value(self) -> Config:
        """The config as it stands."""
        return self._config

    def setValue(self, config: Config) -> None:  # noqa: N802 - Qt's way to name methods
        """Show a config."""
        self._config = config
        if self.form is not None:
            self.form.setValue(config)

    def unfold(self) -> ConfigForm:
        """Show the form."""
        self.expand(animate=False)
        return self._form()

    def _form(self) -> ConfigForm:
        if self.form is None:
            self.form = ConfigForm(self._config, self._leave_out)
            self.form.valueChanged.connect(self._on_value)
            self.form.refused.connect(self.refused)
            self.addWidget(self.form)
            tab_in_order(self)
        return self.form

    def _on_toggled(self, unfolded: bool) -> None:
        if unfolded:
            self._form()
        if self.form is not None:
            self.form.setEnabled(unfolded)  # the key Tab passes by what is folded
        if self.form is not None:
            self.form.setEnabled(unfolded)  # the key Tab passes by what is folded

    def _on_value(self, config: Config) -> None:
        self._config = config
        self.valueChanged.emit(config)
