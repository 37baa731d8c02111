"""Which parts of the strokes are worth more attention: new ones, and those that are hard to learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import SamplingConfig
from napari_unet.data.strokes import Annotation, Key

#: What the last loss of a block counts in its running mean.
SHARE = 0.3
#: A hard block counts at most this many times the mean loss, an easy one at least one part in as many.
LIMIT = 4.0


class Focus:
    """Remembers when each block of strokes was painted, and how well it was learnt last.

    Attributes
    ----------
    clock : int
        Batches learnt from so far.
    """

    def __init__(self) -> None:
        self.clock = 0
        self._versions: dict[str, int] = {}
        self._born: dict[str, dict[Key, int]] = {}
        self._losses: dict[str, dict[Key, float]] = {}

    def look(self, image: str, annotation: Annotation) -> None:
        """Take note of the blocks that were painted on since the last look; their old losses no longer count."""
        seen = self._versions.get(image, -1)
        if annotation.version == seen:
            return
        born, losses = self._born.get(image, {}), self._losses.get(image, {})
        blocks = annotation.blocks
        new = {key for key, block in blocks.items() if block.version > seen or key not in born}
        self._born[image] = {key: self.clock if key in new else born[key] for key in blocks}
        self._losses[image] = {key: losses[key] for key in blocks if key not in new and key in losses}
        self._versions[image] = annotation.version

    def forget(self, image: str) -> None:
        """Drop what is known of an image."""
        for table in (self._versions, self._born, self._losses):
            table.pop(image, None)

    def learnt(self, image: str, key: Key, loss: float) -> None:
        """Note the loss of a patch that was drawn in a block, unless the block is gone."""
        if np.isfinite(loss) and key in self._born.get(image, {}):
            losses = self._losses[image]
            losses[key] = losses.get(key, loss) * (1 - SHARE) + loss * SHARE

    def weights(self, image: str, blocks: Sequence[Key], config: SamplingConfig) -> npt.NDArray[np.float64]:
        """How often each block is worth being drawn, beside its number of pixels; 1 is plain."""
        born = np.array([self._born[image][key] for key in blocks], np.float64)
        weights = 1 + config.recent * 0.5 ** ((self.clock - born) / config.recent_steps)
        mean = self._mean_loss()
        if config.hard == 0 or mean == 0:
            return weights
        losses = self._losses[image]
        relative = np.array([losses.get(key, mean) for key in blocks], np.float64) / mean
        return np.asarray(weights * np.clip(relative, 1 / LIMIT, LIMIT) ** config.hard, np.float64)

    def _mean_loss(self) -> float:
        known = [loss for losses in self._losses.values() for loss in losses.values()]
        return float(np.mean(known)) if known else 0.0

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"clock": self.clock, "blocks": [list(row) for image in self._born for row in self._rows(image)]}

    def _rows(self, image: str) -> Iterable[tuple[Any, ...]]:
        losses = self._losses[image]
        for key, born in self._born[image].items():
            yield image, list(key[0]), list(key[1]), born, losses.get(key)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over such a state, for the blocks that were looked at already."""
        self.clock = int(state.get("clock", 0))
        for image, lead, place, born, loss in state.get("blocks", ()):
            key = tuple(lead), tuple(place)
            if key in self._born.get(image, {}):
                self._born[image][key] = born
                if loss is not None:
                    self._losses[image][key] = loss
