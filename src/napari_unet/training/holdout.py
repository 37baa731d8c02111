"""Strokes that are held out: whole areas of the image, chosen once, never learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import BoundaryConfig, ModelConfig
from napari_unet.data.annotations import IGNORE, class_count
from napari_unet.data.source import ImageSource
from napari_unet.data.strokes import EDGE, Annotation, Block, Box, Key, Lead, Place

#: Blocks of an annotation along each side of an area: 128 pixels in 2D, 64 in 3D, about a patch.
BLOCKS = 2
#: Strokes nearer than this to the border of a held-out area are neither scored nor learnt: their neighbours are learnt.
GAP = {2: 16, 3: 8}

Area = tuple[str, Lead, Place]


@dataclass(frozen=True, slots=True)
class Trial:
    """A part of an image on which a network can be tried.

    Attributes
    ----------
    key, lead : str, tuple of int
        Image, and position along its leading axes.
    start : tuple of int
        Corner of `targets` in the image.
    targets : ndarray
        int16, class indices, -1 where nothing is asked.
    """

    key: str
    lead: Lead
    start: tuple[int, ...]
    targets: npt.NDArray[np.int16]


class HoldOut:
    """All strokes of a training, and which areas of them are held out.

    An area is assigned when it gets its first stroke, and keeps its part: what was learnt from is never held out
    afterwards. The first `first` areas are learnt from; of all after them a `share` is held out, by a hash of their
    place. No area is held out that has most of the pixels of a class.

    Parameters
    ----------
    model : ModelConfig
        Classes and task.
    share : float
        Part of the areas to hold out; 0 for none.
    first : int
        Areas that are learnt from before any is held out.
    seed : int
        Other areas with another seed.
    """

    def __init__(self, model: ModelConfig, share: float, first: int, seed: int) -> None:
        self._model = model
        self._rule = (share, first, seed)
        self._books: dict[str, Annotation] = {}
        self._held: dict[Area, bool] = {}
        self._unsure = False
        self.version = 0

    # ------------------------------------------------------------------ strokes in

    def open(self, key: str, source: ImageSource) -> Callable[[Key], bool]:
        """Begin an image; the answer tells which of its blocks are held out."""
        self.remove(key)
        self._books[key] = Annotation(source, self._model, BoundaryConfig(w0=0))
        return lambda block: self._held.get(self._area(key, block), False)

    def remove(self, key: str) -> None:
        """Forget an image."""
        self._books.pop(key, None)
        self._held = {area: held for area, held in self._held.items() if area[0] != key}
        self.version += 1

    def update(
        self, key: str, strokes: Any, complete: Sequence[Box], changed: Box | None, *, may_hold: bool = True
    ) -> list[Trial]:
        """Take over strokes; what is new in them, block by block, before anybody learns from it.

        Parameters
        ----------
        key, strokes, complete, changed
            As in `Annotation.update`.
        may_hold : bool
            False when areas that are new here may have been learnt from before.
        """
        book = self._books[key]
        before = dict(book.blocks)
        book.update(strokes, complete, changed)
        self.version += 1
        self._assign(key, book, before, may_hold)
        blocks = book.blocks.items()
        fresh = [(at, block) for at, block in blocks if block is not before.get(at)]
        return [trial for at, block in fresh if (trial := self._news(key, at, block, before.get(at))) is not None]

    def use(self, share: float, first: int, seed: int, *, anew: bool) -> bool:
        """Change the rule; with `anew`, before anything was learnt, all areas are assigned again.

        Returns
        -------
        bool
            Whether another choice came out, so that the annotations have to choose again.
        """
        if (share, first, seed) == self._rule:
            return False
        self._rule = (share, first, seed)
        before = dict(self._held)
        if anew:
            self._held = {}
            for key, book in self._books.items():
                self._assign(key, book, {}, True)
        elif share == 0:
            self._held = dict.fromkeys(self._held, False)
        self.version += 1
        return self._held != before

    def blocks(self, key: str) -> Mapping[Key, Block]:
        """All blocks of an image, held out or not."""
        return self._books[key].blocks

    # ------------------------------------------------------------------ what is held out

    def trials(self) -> list[Trial]:
        """The held-out strokes, one trial for each area that has any far enough from its border."""
        found = (self._trial(area) for area, held in sorted(self._held.items()) if held and area[0] in self._books)
        return [trial for trial in found if trial is not None]

    def lack(self) -> str:
        """Why there is nothing to measure with, as one sentence."""
        share, first, _ = self._rule
        if share == 0:
            return "no strokes are held out, so progress is not measured on strokes that were not learnt from"
        if self._unsure and len(self._held) > first:
            return (
                "the model may have learnt from these strokes before, so none of them can be held out; "
                "strokes in new areas can be, and each new stroke is scored before it is learnt"
            )
        return (
            f"too few strokes to hold any out: they lie in {len(self._held)} areas, and more than {first} are needed; "
            "until then each new stroke is scored before it is learnt"
        )

    def facts(self) -> list[list[Any]]:
        """The choice made so far, as plain values."""
        return [[key, list(lead), list(place), held] for (key, lead, place), held in sorted(self._held.items())]

    def load(self, facts: Iterable[Sequence[Any]]) -> None:
        """Take over a choice; the annotations have to choose again afterwards."""
        self._held = {(str(key), tuple(lead), tuple(place)): bool(held) for key, lead, place, held in facts}
        self.version += 1

    # ------------------------------------------------------------------ parts

    def _area(self, key: str, block: Key) -> Area:
        lead, place = block
        return key, lead, tuple(p // BLOCKS for p in place)

    def _assign(self, key: str, book: Annotation, before: Mapping[Key, Block], may_hold: bool) -> None:
        """Give every new area its part, in the order of a hash that knows nothing of their content."""
        share, first, seed = self._rule
        fresh: dict[Area, npt.NDArray[np.int64]] = {}
        for at, block in book.blocks.items():
            area = self._area(key, at)
            if area not in self._held:
                fresh[area] = fresh.get(area, np.zeros(class_count(self._model), np.int64)) + block.counts
        total = sum((b.counts for b in self._books.values()), start=np.zeros(class_count(self._model), np.int64))
        held = sum(self._held.values())
        self._unsure = self._unsure or not may_hold
        for area in sorted(fresh, key=lambda area: _hash(seed, area)):
            rest = len(self._held) - held
            fits = rest >= first and held + 1 <= share * (len(self._held) + 1)
            hold = may_hold and share > 0 and fits and not (2 * fresh[area] > total).any()
            self._held[area] = hold
            held += hold

    def _trial(self, area: Area) -> Trial | None:
        key, lead, place = area
        book = self._books[key]
        edge, gap = EDGE[self._model.ndim] * BLOCKS, GAP[self._model.ndim]
        sides = [(p * edge, min((p + 1) * edge, n)) for p, n in zip(place, book.source.spatial, strict=True)]
        start = tuple(a + gap * (a > 0) for a, _ in sides)
        stop = tuple(b - gap * (b < n) for (_, b), n in zip(sides, book.source.spatial, strict=True))
        if any(a >= b for a, b in zip(start, stop, strict=True)):
            return None
        return _trimmed(key, lead, start, book.targets(lead, start, stop))

    def _news(self, key: str, at: Key, block: Block, old: Block | None) -> Trial | None:
        """The pixels of a block that say something else than before."""
        targets = block.targets.copy()
        if old is not None:
            targets[old.targets == targets] = IGNORE
        start = tuple(side.start for side in self._books[key].box(at[1]))
        return _trimmed(key, at[0], start, targets)


def _trimmed(key: str, lead: Lead, start: Sequence[int], targets: npt.NDArray[np.int16]) -> Trial | None:
    """A trial of the box around what is asked; None when nothing is."""
    asked = np.argwhere(targets != IGNORE)
    if not len(asked):
        return None
    low, high = asked.min(0), asked.max(0) + 1
    part = targets[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return Trial(key, lead, tuple(int(a + o) for a, o in zip(start, low, strict=True)), part)


def digest(trials: Iterable[Trial]) -> str:
    """A name for what is asked in all of them; "" for none."""
    found = hashlib.blake2b(digest_size=8)
    empty = found.hexdigest()
    for trial in trials:
        found.update(f"{trial.key} {trial.lead} {trial.start} {trial.targets.shape}".encode())
        found.update(trial.targets.tobytes())
    return "" if found.hexdigest() == empty else found.hexdigest()


def _hash(seed: int, area: Area) -> bytes:
    return hashlib.blake2b(f"{seed} {area}".encode(), digest_size=8).digest()
