"""What a new process must be told to go on where the old one stopped."""

from __future__ import annotations

from pathlib import Path

from napari_unet.events import Event
from napari_unet.session import commands as do
from napari_unet.session.messages import ModelChanged, SnapshotSaved


class Replay:
    """Remembers the images, strokes and model of a session."""

    def __init__(self) -> None:
        self._snapshot: str | None = None
        self._keep: do.KeepModel | None = None
        self._images: dict[str, do.SetImage] = {}
        self._strokes: dict[str, do.SetStrokes] = {}
        self._device: do.UseDevice | None = None
        self._model: do.NewModel | do.LoadModel | None = None

    def remember(self, command: do.Command) -> None:
        """Take note of what `command` changes."""
        match command:
            case do.SetImage(key=key):
                self._images[key] = command
            case do.SetStrokes(key=key):
                self._strokes[key] = command
            case do.StrokesChanged(key=key, complete=complete) if key in self._strokes:
                self._strokes[key] = do.SetStrokes(key, self._strokes[key].array, complete)
            case do.KeepModel(path=path):
                self._keep = do.KeepModel(path)
            case do.UseDevice():
                self._device = command
            case do.Forget(key=key):
                self._images.pop(key, None)
                self._strokes.pop(key, None)

    def observe(self, event: Event) -> None:
        """Take note of the model in use; a snapshot of an older one is worthless."""
        if isinstance(event, SnapshotSaved):
            self._snapshot = event.path
        if isinstance(event, ModelChanged):
            self._model = do.LoadModel(event.path) if event.path else do.NewModel(event.config)
            self._snapshot = self._snapshot if event.path == self._snapshot else None

    def commands(self) -> list[do.Command]:
        """Everything the new process needs, in order."""
        model: list[do.Command] = [self._model] if self._model else []
        if self._snapshot is not None and Path(self._snapshot).exists():
            model = [do.LoadModel(self._snapshot)]
        keep: list[do.Command] = [self._keep] if self._keep else []
        device: list[do.Command] = [self._device] if self._device else []
        return [*device, *self._images.values(), *keep, *model, *self._strokes.values()]
