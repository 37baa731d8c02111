"""A session in the same process: for tests, scripts and the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import SessionError
from napari_unet.events import Event
from napari_unet.session.commands import Command, Shutdown

if TYPE_CHECKING:
    from napari_unet.session.core import SessionCore


class InlineSession:
    """Does one small piece of work at each `poll`.

    Parameters
    ----------
    device : str
        As in `TrainConfig`.
    snapshot : path, optional
        Where the model is written to every few seconds while it learns.
    """

    def __init__(self, device: str = "auto", snapshot: str | os.PathLike[str] | None = None) -> None:
        from napari_unet.session.core import SessionCore

        self._core: SessionCore | None = SessionCore(device, Path(snapshot) if snapshot else None)
        self._events: list[Event] = [self._core.ready()]

    def send(self, command: Command) -> None:
        """Handle `command`; its events come with the next `poll`."""
        if self._core is None:
            raise SessionError("open the session again: it was closed")
        if isinstance(command, Shutdown):
            self.close()
            return
        self._events += self._core.handle(command)

    def poll(self) -> list[Event]:
        """What happened since the last call, after one more piece of work."""
        if self._core is not None and not self._events:
            self._events += self._core.work()
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """End all work; further calls do nothing."""
        if self._core is not None:
            self._core.close()
            self._core = None
