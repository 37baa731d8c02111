"""A form for any config: ``value() -> frozen config``, ``setValue``, ``valueChanged``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_unet._napari.widgets.fields import Field, plain_type
from napari_unet._napari.words import Words, tooltip, words_for
from napari_unet.config import Config
from napari_unet.errors import ConfigError


class ConfigForm(QWidget):
    """Inputs for the settings of a config, nested configs included.

    Settings without an input (lists, and what is left out) keep their values.

    Parameters
    ----------
    config : Config
        What it shows first.
    leave_out : collection of str
        Names of settings without an input.
    parent : QWidget, optional
    """

    valueChanged = Signal(object)  # noqa: N815 - Qt's way to name signals
    refused = Signal(str)  #: the settings do not go together; one sentence

    def __init__(self, config: Config, leave_out: Collection[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._base = config
        self._fields: dict[str, Field | ConfigForm] = {}
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setVerticalSpacing(2)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for name, info in type(config).model_fields.items():
            if name not in leave_out:
                self._add(name, info)
        self.setValue(config)

    def value(self) -> Config:
        """The config as it stands in the form.

        Raises
        ------
        ConfigError
            When the settings do not go together.
        """
        shown = {name: field.value() if isinstance(field, ConfigForm) else field.get() for name, field in self._all()}
        return self._base.replace(**shown)

    def setValue(self, value: Config | Mapping[str, Any]) -> None:  # noqa: N802 - Qt's way to name methods
        """Show a config, or some of its settings."""
        self._base = value if isinstance(value, Config) else self._base.replace(**value)
        blocked = self.blockSignals(True)
        for name, field in self._all():
            part = getattr(self._base, name)
            if isinstance(field, ConfigForm):
                field.setValue(part)
            else:
                field.set(part)
        self.blockSignals(blocked)
        self._tell()

    def _all(self) -> list[tuple[str, Field | ConfigForm]]:
        return list(self._fields.items())

    def _add(self, name: str, info: Any) -> None:
        if isinstance(info.annotation, type) and issubclass(info.annotation, Config):
            self._add_form(name, info)
        elif plain_type(info) is not None:
            field = Field(name, info, self._words(name))
            field.changed.connect(self._tell)
            self._fields[name] = field
            self._layout.addRow(_label(field.label, tooltip(name, info.description)), field.native)

    def _words(self, name: str) -> Words:
        return words_for(type(self._base), name)

    def _add_form(self, name: str, info: Any) -> None:
        form = ConfigForm(getattr(self._base, name), parent=self)
        form.valueChanged.connect(self._tell)
        form.refused.connect(self.refused)
        self._fields[name] = form
        title = _label(f"<b>{self._words(name).label}</b>", tooltip(name, info.description))
        self._layout.addRow(title)
        self._layout.addRow(form)

    def _tell(self) -> None:
        try:
            value = self.value()
        except ConfigError as error:
            self.refused.emit(str(error))
        else:
            self.valueChanged.emit(value)


def _label(text: str, tooltip: str | None) -> QLabel:
    label = QLabel(text)
    label.setToolTip(tooltip or "")
    return label
