"""What the user set in napari's Preferences (napari 0.9 and later; with an older one, what holds without them)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

log = logging.getLogger(__name__)

PLUGIN, SECTION = "napari-unet", "start"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a dock begins with; the manifest has the same names and defaults.

    Attributes
    ----------
    device : str
        As in `TrainConfig`.
    threads : int
        Of the processor; 0 for all but one.
    projects : str
        Folder for new projects; "" to keep them beside their image.
    live : bool
        Whether strokes start training by themselves.
    preset : str
        Name of one of `napari_unet.presets.TRAININGS`.
    """

    device: str = "auto"
    threads: int = 0
    projects: str = ""
    live: bool = True
    preset: str = "balanced"


NAMES = tuple(field.name for field in fields(Preferences))


def preferences() -> Preferences:
    """The preferences as they are now."""
    section = _section()
    return Preferences() if section is None else Preferences(**{name: getattr(section, name) for name in NAMES})


class PreferencesWatch:
    """Tells what is changed in Preferences while the dock is open.

    Parameters
    ----------
    changed : callable
        Gets the name of what changed, and all preferences.
    """

    def __init__(self, changed: Callable[[str, Preferences], None]) -> None:
        self._changed = changed
        self._section = _section()
        self._connections = [
            (getattr(self._section.events, name), self._listener(name)) for name in NAMES if self._section is not None
        ]
        for emitter, callback in self._connections:
            emitter.connect(callback)

    def close(self) -> None:
        """Listen no more."""
        for emitter, callback in self._connections:
            emitter.disconnect(callback)
        self._connections.clear()

    def _listener(self, name: str) -> Callable[..., None]:
        def told(event: object = None) -> None:
            self._changed(name, preferences())

        return told


def _section() -> Any:
    """The settings that napari keeps for this plugin; None where there are none."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(get_plugin_settings(PLUGIN), SECTION)
    except (ImportError, LookupError, AttributeError, ValueError) as error:
        log.debug("no preferences: %s", error)
        return None
