"""When training ends, and how large a step is until then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from napari_unet.config import TrainConfig
from napari_unet.events import StopReason

#: Learning rate at the end of a budget, parts of the peak.
FLOOR = 0.01


@dataclass(slots=True)
class Budget:
    """Steps and seconds that a training may use.

    Attributes
    ----------
    steps : int or None
        Optimiser steps.
    seconds : float or None
        Wall time from now.
    clock : callable
        Time in seconds; for tests.
    done : int
        Steps used.
    before : float
        Seconds used before a pause.
    used : float
        Seconds used up to the last step; what comes after it is a pause.
    """

    steps: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    before: float = 0.0
    used: float = 0.0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds used."""
        return self.before + self.clock() - self._began

    def step(self) -> None:
        """One more step is done."""
        self.done += 1
        self.used = self.elapsed

    def going_on(self, steps: int | None, seconds: float | None) -> Budget:
        """The budget after a pause, of which some is used already."""
        return Budget(steps, seconds, self.clock, self.done, self.used, self.used)

    @property
    def progress(self) -> float | None:
        """Part of the budget that is used, 0 to 1; None when there is none."""
        parts = []
        if self.steps is not None:
            parts.append(self.done / self.steps)
        if self.seconds is not None:
            parts.append(self.elapsed / self.seconds)
        return min(max(parts), 1.0) if parts else None

    @property
    def spent(self) -> StopReason | None:
        """Which budget is used up, if any."""
        if self.steps is not None and self.done >= self.steps:
            return "steps"
        if self.seconds is not None and self.elapsed >= self.seconds:
            return "seconds"
        return None


def learning_rate(config: TrainConfig, done: int, progress: float | None) -> float:
    """Rate of the next step: a linear rise, then half a cosine over the budget (Loshchilov and Hutter 2017).

    With another schedule than "cosine" it stays; what "plateau" takes off is known to `Watch`.

    Parameters
    ----------
    config : TrainConfig
        Peak and warm-up.
    done : int
        Steps of this training so far.
    progress : float or None
        Part of the budget that is used; None for open-ended training, where the rate stays at its peak.

    Examples
    --------
    >>> config = TrainConfig(learning_rate=0.1, warmup=10)
    >>> [round(learning_rate(config, done, None), 3) for done in (0, 4, 9, 1000)]
    [0.01, 0.05, 0.1, 0.1]
    """
    rise = min(1.0, (done + 1) / config.warmup) if config.warmup else 1.0
    if progress is None or config.schedule != "cosine":
        return config.learning_rate * rise
    fall = FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * min(rise, fall)
