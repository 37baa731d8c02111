"""The strokes in use: checked, counted, and told to the session as they are painted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_unet._napari.axes import channels, label_shape, layer_axes, pixels
from napari_unet._napari.boxes import inside, union
from napari_unet._napari.mirror import VALUES, StrokesMirror
from napari_unet._napari.model_in_use import check_fit
from napari_unet._napari.sharing import Sharing
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError
from napari_unet.session.commands import Box, Command


class Strokes:
    """Follows the user's strokes; they are only ever read.

    Parameters
    ----------
    link : ViewerLink
    send : callable
        Takes commands to the session.

    Attributes
    ----------
    newest : Box or None
        Where the user painted last.
    """

    found = Signal()  #: strokes that were there before, in a layer too large to be looked at in one turn

    def __init__(self, link: ViewerLink, send: Callable[[Command], None]) -> None:
        self._link = link
        self._sharing = Sharing(send)
        self._mirrors: dict[Any, StrokesMirror] = {}
        self._dirty: Box | None = None
        self._regions_dirty = False
        self.newest: Box | None = None
        self._made: WeakKeyDictionary[Any, Counter[int]] = WeakKeyDictionary()

    # ------------------------------------------------------------------ following

    def look(self) -> None:
        """Take up the strokes layer in use, if it fits the image.

        Raises
        ------
        NapariUnetError
            When there is no memory left to share it.
        """
        layer = self._link.strokes
        self._dirty = None
        if layer is None or self._link.image is None or not self._fits(layer):
            return
        mirror = self._mirrors.get(layer)
        if mirror is not None and mirror.matches(layer.data):
            mirror.doubt()
            return
        self.forget(layer)
        self._mirrors[layer] = StrokesMirror(layer.data)

    def note(self, box: Box | None) -> None:
        """The user painted in `box`; None: perhaps anywhere."""
        mirror = self._mirror
        if mirror is None or not mirror.matches(self._link.strokes.data):
            self.look()
        elif box is None:
            mirror.doubt()
        else:
            self._dirty = union(self._dirty, box)

    def note_redrawn(self, plane: Box) -> None:
        """A plane was drawn again: perhaps by undo, which says nothing else."""
        if self._mirror is not None and self._mirror.matches(self._link.strokes.data):
            self._mirror.doubt_planes(plane)

    def note_regions(self) -> None:
        """The user changed the complete regions."""
        self._regions_dirty = True

    def send(self) -> bool:
        """Copy what was painted and tell the session; whether the user changed anything."""
        mirror, regions = self._mirror, self._regions_dirty
        self._regions_dirty = False
        if mirror is None:
            return False
        known = mirror.complete
        changed, found = self._copy(mirror)
        if changed or found or regions:
            self._tell(mirror, [*changed, *found], regions=regions)
        if found and not known:
            self.found.emit()
        return bool(changed or regions or (found and known))

    def _tell(self, mirror: StrokesMirror, changed: list[Box], *, regions: bool) -> None:
        image, complete = self._link.image, self._link.complete()
        self.newest = changed[-1] if changed else None
        for box in changed:
            self._sharing.painted(image, mirror, box, complete)
        if regions:
            self._sharing.painted(image, mirror, None, complete)

    def _copy(self, mirror: StrokesMirror) -> tuple[list[Box], list[Box]]:
        """Bring the mirror up to date: what the user was seen to change, and what else was found."""
        data, dirty = self._link.strokes.data, self._dirty
        self._dirty = None
        if not mirror.matches(data):
            return [], []
        cut = inside(dirty, mirror.shape) if dirty is not None else None
        return mirror.copy(data, cut) if cut else [], mirror.look(data)

    def count(self, value: int, number: int) -> None:
        """So many strokes of a class were made, or taken back when it is negative."""
        made = self._made.setdefault(self._link.strokes, Counter())
        made[value] = max(made[value] + number, 0)

    def made(self, model: ModelConfig) -> tuple[int, ...]:
        """Strokes of each class that were made since the layer came into use."""
        made = self._made.get(self._link.strokes, Counter()) if self._link.strokes is not None else Counter()
        return tuple(made[value] for value in range(1, len(model.classes) + 1))

    def painted(self, model: ModelConfig) -> tuple[int, ...]:
        """Painted pixels per class; what complete regions add to the background counts as well."""
        return self._per_class(self._mirror, model, self._link.complete() if self._mirror else ())

    def free_values(self) -> list[int]:
        """Values that no object was painted with yet, in order."""
        if self._mirror is None:
            return list(range(2, VALUES - 1))
        return [int(value) + 2 for value in np.flatnonzero(self._mirror.counts[2:-1] == 0)]

    # ------------------------------------------------------------------ teaching

    def check(self, model: ModelConfig) -> None:
        """Raise one sentence unless there is something to learn from."""
        layer_axes(self._link.image)
        layer = self._link.strokes
        if layer is None:
            raise AnnotationError("There are no strokes yet: press New strokes, then paint a few.")
        if not self._fits(layer):
            raise AnnotationError(
                f"The strokes '{layer.name}' have the shape {tuple(layer.data.shape)} and the image has "
                f"{label_shape(self._link.image)}: choose other strokes, or press New strokes."
            )
        self._catch_up()
        self._check_values(model)
        self._check_classes(self._painted_everywhere(model), model.classes)

    def teach(self) -> None:
        """Let the session learn from the image and its strokes, as `check` found them, and from others like it."""
        if self._mirror is None:
            return
        self.share_image()
        self._sharing.strokes(self._link.image, self._mirror, self._link.complete())
        for image, mirror, complete in self._others():
            self._sharing.image(image)
            self._sharing.strokes(image, mirror, complete)

    def join(self, model: ModelConfig) -> None:
        """Let a training under way learn from these strokes too, if it does not yet.

        Raises
        ------
        NapariUnetError
            When they cannot be learnt from together with what is learnt already.
        """
        mirror = self._mirror
        if mirror is not None and mirror.ref.name not in self._sharing.taught():
            check_fit(model, self._link.image)
            self._check_values(model)
            self.teach()

    def sources(self) -> tuple[tuple[str, int], ...]:
        """Images that the session learns from, and their annotated pixels."""
        counts = {mirror.ref.name: int(mirror.counts[1:].sum()) for mirror in self._mirrors.values()}
        return tuple((image, counts.get(name, 0)) for name, image in self._sharing.taught().items())

    def share_image(self, image: Any = None) -> str:
        """Make the session know an image layer, by default the one in use; its key."""
        return self._sharing.image(self._link.image if image is None else image)

    def import_mask(self, layer: Any, model: ModelConfig, *, objects: bool) -> None:
        """Add strokes made of a dense mask, in which 0 is background.

        Raises
        ------
        AnnotationError
            When the mask has another shape than the image, or more classes than the model.
        """
        if not self._fits(layer):
            raise AnnotationError(f"'{layer.name}' has another shape than the image: choose a mask of this image.")
        mask = np.asarray(pixels(layer))
        strokes = _from_objects(mask) if objects else _from_classes(mask, len(model.classes))
        self._link.new_strokes(model, strokes)

    # ------------------------------------------------------------------ ending

    def forget(self, layer: Any) -> None:
        """An image or strokes layer is gone or has changed as a whole."""
        if layer in self._mirrors:
            self._sharing.forget_strokes(self._mirrors[layer].ref.name)
            self._mirrors.pop(layer).close()
        self._sharing.forget(layer)

    def forget_others(self) -> None:
        """Keep only the image in use."""
        self._sharing.forget_others(self._link.image)

    def close(self) -> None:
        """Give all shared memory back."""
        self._sharing.close()
        for mirror in self._mirrors.values():
            mirror.close()
        self._mirrors.clear()

    # ------------------------------------------------------------------ parts

    def _catch_up(self) -> None:
        """Copy what no event told of; what is found later in large strokes is told then."""
        self.note(None)
        mirror = self._mirror
        if mirror is not None:
            self._copy(mirror)
            if not mirror.counts[1:].any():
                mirror.look(self._link.strokes.data, float("inf"))
        self._regions_dirty = False

    def _look_again(self, mirror: StrokesMirror, layer: Any) -> None:
        """Strokes that are not in use say nothing; large ones are taken as they were."""
        if mirror.is_small:
            mirror.doubt()
            mirror.look(layer.data)

    @property
    def _mirror(self) -> StrokesMirror | None:
        return self._mirrors.get(self._link.strokes)

    def _others(self) -> list[tuple[Any, StrokesMirror, tuple[Box, ...]]]:
        """Other images with as many channels and axes that were painted on, with their strokes as they are now."""
        found, like = [], self._link.image
        for image, layer, complete in self._link.others():
            mirror = self._mirrors.get(layer)
            same = channels(image) == channels(like) and len(label_shape(image)) == len(label_shape(like))
            if mirror is not None and same and mirror.matches(layer.data):
                self._look_again(mirror, layer)
                if mirror.counts[1:].any():
                    found.append((image, mirror, complete))
        return found

    def _painted_everywhere(self, model: ModelConfig) -> tuple[int, ...]:
        """Painted pixels per class, those of other images that are learnt from included."""
        others = [self._per_class(mirror, model, complete) for _, mirror, complete in self._others()]
        return tuple(map(sum, zip(self.painted(model), *others, strict=True)))

    def _per_class(
        self, mirror: StrokesMirror | None, model: ModelConfig, complete: tuple[Box, ...]
    ) -> tuple[int, ...]:
        """Painted pixels per class; what complete regions add to the background counts as well."""
        counts = np.zeros(VALUES, int) if mirror is None else mirror.counts
        single = model.task == "instances"
        counts = np.array([counts[1], counts[2:].sum()]) if single else counts[1 : len(model.classes) + 1]
        extra = sum(int(np.prod([b - a for a, b in box])) for box in complete) if mirror else 0
        return (int(counts[0]) + extra, *(int(count) for count in counts[1:]))

    def _fits(self, layer: Any) -> bool:
        return not layer.multiscale and tuple(layer.data.shape) == label_shape(self._link.image)

    def _check_values(self, model: ModelConfig) -> None:
        mirror, count = self._mirror, len(model.classes)
        if mirror is None or model.task == "instances" or not mirror.counts[count + 1 :].any():
            return
        value = count + 1 + int(np.flatnonzero(mirror.counts[count + 1 :])[0])
        raise AnnotationError(f"Value {value} is painted but there are {count} classes: add a class, or erase it.")

    def _check_classes(self, painted: tuple[int, ...], classes: tuple[str, ...]) -> None:
        missing = [f"{name} ({value})" for value, name in enumerate(classes, 1) if not painted[value - 1]]
        if len(missing) == len(classes):
            raise AnnotationError("Nothing is painted yet: paint a few strokes on background (1) and on cells (2).")
        if missing and len(classes) - len(missing) < 2:
            raise AnnotationError(f"One class is not enough to learn from: paint a little {' or '.join(missing)} too.")


def _from_objects(mask: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """0 is background (1), all else the first class (2)."""
    return np.where(mask == 0, np.uint8(1), np.uint8(2))


def _from_classes(mask: npt.NDArray[Any], classes: int) -> npt.NDArray[np.uint8]:
    """0 is background (1), 1 the first class (2), and so on."""
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    if low < 0 or high >= classes:
        raise AnnotationError(f"The mask has {high + 1} classes: add classes to the list, or import it as objects.")
    return (mask + 1).astype(np.uint8)
