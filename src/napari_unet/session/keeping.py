"""Checkpoints of a training, written while it goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.errors import ModelFileError
from napari_unet.events import CheckpointSaved, Event, Warned
from napari_unet.io.checkpoint import CheckpointHeader, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unet.training.loop import Trainer


class Keeper:
    """Writes a checkpoint now and then; of several processes only the first does.

    Parameters
    ----------
    path : path-like
        The file.
    seconds : float
        Time between two.
    """

    def __init__(self, path: str | os.PathLike[str], seconds: float) -> None:
        self._path = Path(path)
        self._seconds = seconds
        self._last = time.monotonic()
        self._failed = False

    def load(self) -> tuple[dict[str, Tensor], CheckpointHeader] | None:
        """What the file holds; None when there is none yet.

        Raises
        ------
        ModelFileError
            When it is damaged, or no checkpoint.
        """
        return load_checkpoint(self._path) if self._path.exists() else None

    def keep(self, trainer: Trainer, history: Sequence[dict[str, Any]], *, force: bool) -> Iterator[Event]:
        """Write when it is time; that it cannot be written is no reason to stop, and said once."""
        if trainer.team.rank or (not force and time.monotonic() - self._last < self._seconds):
            return
        self._last = time.monotonic()
        tensors, facts = trainer.checkpoint()
        try:
            save_checkpoint(
                self._path, tensors, CheckpointHeader.now(model=trainer.model, facts=facts, history=tuple(history))
            )
        except ModelFileError as error:
            told, self._failed = self._failed, True
            if not told:
                yield Warned(f"Training goes on without a checkpoint: {error}")
            return
        self._failed = False
        yield CheckpointSaved(str(self._path), trainer.step)
