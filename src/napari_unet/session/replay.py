"""What a new process must be told to go on where the old one stopped."""

from __future__ import annotations

from pathlib import Path

from napari_unet.events import Event
from napari_unet.session import commands as do
from napari_unet.session.messages import ModelChanged


class Replay:
    """Remembers the images, strokes and model of a session.

    Parameters
    ----------
    snapshot : Path
        File the model is written to while it learns.
    """

    def __init__(self, snapshot: Path) -> None:
        self._snapshot = snapshot
        self._images: dict[str, do.SetImage] = {}
        self._strokes: dict[str, do.SetStrokes] = {}
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
            case do.Forget(key=key):
                self._images.pop(key, None)
                self._strokes.pop(key, None)

    def observe(self, event: Event) -> None:
        """Take note of the model in use; a snapshot of an older one is worthless."""
        if isinstance(event, ModelChanged):
            self._model = do.LoadModel(event.path) if event.path else do.NewModel(event.config)
            if event.path != str(self._snapshot):
                self._snapshot.unlink(missing_ok=True)

    def commands(self) -> list[do.Command]:
        """Everything the new process needs, in order."""
        model: list[do.Command] = [self._model] if self._model else []
        if self._snapshot.exists():
            model = [do.LoadModel(str(self._snapshot))]
        return [*self._images.values(), *model, *self._strokes.values()]
