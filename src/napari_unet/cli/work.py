"""What more than one command does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.terminal import Progress, stop_on_interrupt
from napari_unet.errors import ConfigError
from napari_unet.events import Finished

if TYPE_CHECKING:
    from napari_unet.session.model import Model


def learn(images: Any, strokes: Any, **options: Any) -> Model:
    """Run `napari_unet.train` with progress on the terminal; Ctrl-C ends it and keeps what was learnt."""
    from napari_unet.session.model import train
    from napari_unet.training.parallel import rank

    progress, finished, speaks = Progress(), [], rank() == 0
    with stop_on_interrupt() as should_stop:
        for event in train(images, strokes, should_stop=should_stop, **options):
            if speaks:
                progress.show(event)
            if isinstance(event, Finished):
                finished.append(event)
    model: Model = finished[-1].model
    return model


def make_folder(path: Path) -> None:
    """Make the folder `path` unless it is there; `ConfigError` when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"choose another folder: {path} cannot be made ({error.strerror})") from error
