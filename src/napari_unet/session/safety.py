"""Safety copies of a model that learns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from napari_unet.errors import ModelFileError
from napari_unet.events import Event, Warned
from napari_unet.session.messages import SnapshotSaved
from napari_unet.session.model import Model

SNAPSHOT_SECONDS = 10.0


class Safety:
    """Writes the model to a file every few seconds.

    Parameters
    ----------
    spare : Path, optional
        The file, unless there is another one, or when that cannot be written.

    Attributes
    ----------
    kept : Path or None
        The file of the project.
    """

    def __init__(self, spare: Path | None) -> None:
        self.kept: Path | None = None
        self._spare = spare
        self._time = 0.0
        self._warned = False

    def begin(self) -> None:
        """Training begins now: the first copy has time."""
        self._time = time.monotonic()

    def write(self, model: Callable[[], Model], step: int, *, force: bool = False) -> list[Event]:
        """Write the `model` of so many steps when it is time; that it cannot be is no reason to stop, and said once."""
        now = time.monotonic()
        places = [place for place in (self.kept, self._spare) if place is not None]
        if not places or not step or (not force and now - self._time < SNAPSHOT_SECONDS):
            return []
        self._time = now
        warnings: list[Event] = []
        for place in places:
            try:
                model().save(place)
            except ModelFileError as error:
                warnings = [Warned(f"Training goes on without a safety copy of the model: {error}")]
            else:
                return [*self._once(warnings), SnapshotSaved(str(place), step)]
        return self._once(warnings)

    def _once(self, warnings: list[Event]) -> list[Event]:
        """The warnings, unless they were given at the last copy."""
        told, self._warned = self._warned, bool(warnings)
        return [] if told else warnings
