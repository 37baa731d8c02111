"""The project that the dock works on: everything the user does is kept, and can be gone on with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_unet._napari.axes import label_shape, pixels
from napari_unet._napari.changed_blocks import ChangedBlocks
from napari_unet._napari.project_layers import file_of, image_entry, is_small, shapes_of
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.errors import NapariUnetError
from napari_unet.session.commands import Command, KeepModel
from napari_unet.session.keeper import Keeper, Kept, Moved, Notice, NotKept, Remark
from napari_unet.session.projects import MODEL, ProjectStore, Settings, StrokesLayer

log = logging.getLogger(__name__)

#: Bytes of strokes that are handed over in one turn, and that may wait to be written.
TURN_BYTES, WAITING_BYTES = 2**23, 2**26
REST_SECONDS = 0.5  # between looks at names, regions and settings


@dataclass(slots=True)
class _Followed:
    """A strokes layer, its key in the project, and what of it is kept."""

    key: str
    image: str
    name: str
    blocks: ChangedBlocks
    announced: bool = False


@dataclass(frozen=True, slots=True)
class Keeping:
    """How safe the work is.

    Attributes
    ----------
    folder : Path or None
        Where it is kept; None as long as there is nothing to keep.
    time : float
        When it was last written, seconds since 1970.
    trouble : str
        Why it cannot be written; "" when all is well.
    note : str
        What is not kept; "" when everything is.
    """

    folder: Path | None = None
    time: float = 0.0
    trouble: str = ""
    note: str = ""


class OpenProject:
    """Follows strokes, regions and settings, and hands every change to a `Keeper`.

    A project begins by itself with the first stroke.

    Parameters
    ----------
    link : ViewerLink
    send : callable
        Takes commands to the session.
    settings : callable
        Gives what the forms say.
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    keeping : Keeping
    """

    changed = Signal(Keeping)
    told = Signal(str)  #: something the user should know; one sentence

    def __init__(
        self,
        link: ViewerLink,
        send: Callable[[Command], None],
        settings: Callable[[], Settings],
        clock: Callable[[], float],
    ) -> None:
        self._link, self._send, self._settings, self._clock = link, send, settings, clock
        self._keeper: Keeper | None = None
        self.keeping = Keeping()
        self._next_look = 0.0
        self._kept_settings: Settings | None = None
        self._kept_regions: dict[str, list[dict[str, Any]]] = {}
        self._reset()
        link.drawn.connect(self._on_drawn)
        link.redrawn.connect(self._on_redrawn)
        link.painted.connect(self._on_painted)
        link.regions_changed.connect(self._on_regions)
        link.pixels_changed.connect(self._on_pixels)

    def knows(self, image: Any) -> bool:
        """Whether the image layer is one of the project."""
        return image is not None and image in self._images

    # ------------------------------------------------------------------ the clock

    def tick(self) -> None:
        """Hand over what changed since."""
        self._follow()
        now = self._clock()
        slow = now >= self._next_look
        for layer, followed in list(self._layers.items()):
            self._hand_over(layer, followed, look=layer is self._link.strokes)
        if slow and self._keeper is not None:
            self._next_look = now + REST_SECONDS
            self._look_around(self._keeper)
            for notice in self._keeper.poll():
                self._on_notice(notice)

    def learnt(self, step: int) -> None:
        """The session wrote the model, trained for `step` steps, to the project."""
        if self._keeper is not None:
            self._keeper.mark(step=step)

    def save_as(self, folder: Path) -> None:
        """Give the project a place of the user's choice."""
        if self._keeper is not None:
            self._keeper.save_as(folder)

    def close(self) -> None:
        """Hand over what is left, and let go of the project."""
        for layer, followed in list(self._layers.items()):
            self._hand_over(layer, followed, size=WAITING_BYTES)
        if self._keeper is not None:
            self._look_around(self._keeper)
            self._let_go()

    # ------------------------------------------------------------------ another project

    def go_on(self, store: ProjectStore, folder: Path, strokes: int) -> None:
        """Work on a project that was opened; the one before stays where it is."""
        self._let_go()
        self._reset()
        self._strokes = strokes
        self._keeper = Keeper(store)
        self._show(Keeping(folder))

    def adopt_model(self) -> None:
        """Keep the model in the project from now on."""
        if self.keeping.folder is not None:
            self._send(KeepModel(str(self.keeping.folder / MODEL)))

    def adopt_image(self, layer: Any, key: str) -> None:
        """The image layer is one of the project."""
        self._images[layer] = key

    def adopt_strokes(self, layer: Any, key: str, image: str) -> None:
        """The strokes layer is one of the project, and as it was kept."""
        blocks = ChangedBlocks(layer.data)
        blocks.keep(layer.data)
        self._layers[layer] = _Followed(key, image, layer.name, blocks, announced=True)

    def adopt_settings(self, settings: Settings, regions: dict[str, list[dict[str, Any]]]) -> None:
        """These are kept already."""
        self._kept_settings, self._kept_regions = settings, dict(regions)

    # ------------------------------------------------------------------ parts

    def _reset(self) -> None:
        self._layers: WeakKeyDictionary[Any, _Followed] = WeakKeyDictionary()
        self._images: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._kept_settings = None
        self._kept_regions = {}
        self._regions_changed = True
        self._strokes = self._kept_strokes = 0

    def _follow(self) -> None:
        """Take up the strokes in use."""
        layer, image = self._link.strokes, self._link.image
        if layer is None or image is None or layer.multiscale or tuple(layer.data.shape) != label_shape(image):
            return
        followed = self._layers.get(layer)
        if followed is None:
            key = _free("strokes", {other.key for other in self._layers.values()})
            self._layers[layer] = _Followed(key, self._key(image), layer.name, ChangedBlocks(layer.data))
        elif not followed.blocks.matches(layer.data):
            followed.blocks, followed.announced = ChangedBlocks(layer.data), False

    def _key(self, image: Any) -> str:
        if image not in self._images:
            self._images[image] = _free("image", set(self._images.values()))
            if self._keeper is not None:
                self._tell_image(self._keeper, image)
        return self._images[image]

    def _hand_over(self, layer: Any, followed: _Followed, *, look: bool = False, size: int = TURN_BYTES) -> None:
        if not followed.blocks.matches(layer.data) or (self._keeper and self._keeper.waiting > WAITING_BYTES):
            return
        if look:
            followed.blocks.look(layer.data)
        changed = followed.blocks.take(layer.data, size)
        if not changed:
            return
        keeper = self._keeper or self._begin()
        if not followed.announced:
            self._announce(keeper, layer, followed)
        for at, pixels_ in changed:
            keeper.block(followed.key, at, pixels_)

    def _begin(self) -> Keeper:
        """Start a project; its folder is made when the first stroke is written."""
        image = self._link.image
        self._keeper = Keeper(ProjectStore(image.name, file_of(image)))
        for known in list(self._images):
            self._tell_image(self._keeper, known)
        return self._keeper

    def _tell_image(self, keeper: Keeper, image: Any) -> None:
        try:
            entry = image_entry(image, self._images[image])
        except NapariUnetError as error:
            log.info("the image is not part of the project: %s", error)
            return
        nowhere = entry.path is None
        keeper.image(entry, pixels(image), copy=nowhere and is_small(image))
        if nowhere and not is_small(image):
            note = f"Save '{image.name}' to a file: it is too large for a copy, only the strokes are kept."
            self._show(replace(self.keeping, note=note))
            self.told.emit(note)

    def _announce(self, keeper: Keeper, layer: Any, followed: _Followed) -> None:
        blocks = followed.blocks
        keeper.layer(followed.key, StrokesLayer(followed.image, layer.name, blocks.shape, blocks.dtype))
        followed.announced, followed.name = True, layer.name

    def _count(self, keeper: Keeper) -> None:
        if self._strokes != self._kept_strokes:
            self._kept_strokes = self._strokes
            keeper.mark(strokes=self._strokes)

    def _look_around(self, keeper: Keeper) -> None:
        """What changes seldom: names, deleted layers, regions, settings."""
        for layer, followed in list(self._layers.items()):
            self._look_at_layer(keeper, layer, followed)
        self._look_at_regions(keeper)
        self._count(keeper)
        settings = self._settings()
        if settings != self._kept_settings:
            self._kept_settings = settings
            keeper.settings(settings)

    def _look_at_layer(self, keeper: Keeper, layer: Any, followed: _Followed) -> None:
        """Strokes that the user deleted are deleted; when the image went too, it is the viewer that is closing."""
        if not self._link.has(layer):
            if any(self._link.has(image) for image, key in self._images.items() if key == followed.image):
                keeper.removed(followed.key)
                del self._layers[layer]
        elif followed.announced and layer.name != followed.name:
            self._announce(keeper, layer, followed)

    def _look_at_regions(self, keeper: Keeper) -> None:
        layer, image = self._link.regions, self._link.image
        if layer is None or image is None or not self._regions_changed:
            return
        self._regions_changed = False
        key, shapes = self._key(image), shapes_of(layer)
        if shapes != self._kept_regions.get(key, []):
            self._kept_regions[key] = shapes
            keeper.regions(key, shapes)

    def _on_notice(self, notice: Notice) -> None:
        match notice:
            case Kept(folder=folder, time=time):
                self._on_kept(folder, time)
            case Moved(folder=folder):
                self._on_kept(folder, self.keeping.time)
                self.told.emit(f"The project is now in {folder}.")
            case NotKept(message=message):
                self._show(replace(self.keeping, trouble=message))
                self.told.emit(message)
            case Remark(message=message):
                self.told.emit(message)

    def _on_kept(self, folder: Path, time: float) -> None:
        if folder != self.keeping.folder:
            self._send(KeepModel(str(folder / MODEL), now=True))
        self._show(replace(self.keeping, folder=folder, time=time, trouble=""))

    def _show(self, keeping: Keeping) -> None:
        if keeping != self.keeping:
            self.keeping = keeping
            self.changed.emit(keeping)

    def _let_go(self) -> None:
        if self._keeper is not None and not self._keeper.close():
            log.warning("the disk is slow: the project is still being written")
        self._keeper = None

    # ------------------------------------------------------------------ what the user does

    def _on_drawn(self, boxes: Any) -> None:
        followed = self._layers.get(self._link.strokes)
        if followed is not None and followed.blocks.matches(self._link.strokes.data):
            for box in boxes:
                followed.blocks.note(box)

    def _on_redrawn(self, plane: Any) -> None:
        followed = self._layers.get(self._link.strokes)
        if followed is not None and followed.blocks.matches(self._link.strokes.data):
            followed.blocks.note_known(plane)

    def _on_painted(self, box: Any) -> None:
        self._strokes += box is not None

    def _on_regions(self) -> None:
        self._regions_changed = True

    def _on_pixels(self) -> None:
        """The image has other pixels: what is known of it counts no more."""
        if self._keeper is not None and self._link.image in self._images:
            self._tell_image(self._keeper, self._link.image)


def _free(kind: str, taken: set[str]) -> str:
    """The first free key."""
    return next(key for number in range(1, len(taken) + 2) if (key := f"{kind}-{number}") not in taken)
