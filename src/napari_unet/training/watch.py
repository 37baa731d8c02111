"""Whether training still gets better: early stopping, and the learning rate on a plateau."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

#: Smaller gains than this are noise: of a score (0 to 1), and of a loss in parts of it.
GAIN = 0.001
LOSS_GAIN = 0.01
#: Steps without a gain after which the rate is halved, and how often at most.
PLATEAU = 200
MOST_CUTS = 7


@dataclass(slots=True)
class Watch:
    """Sees scores (higher is better) or, where there are none, losses (lower is better).

    Attributes
    ----------
    best : float
        The best value so far; scores and losses are not mixed.
    best_step : int
        When it was seen.
    cuts : int
        How often the rate was halved on a plateau.

    Examples
    --------
    >>> watch = Watch()
    >>> for step, score in ((50, 0.5), (100, 0.6), (150, 0.55)):
    ...     watch.see(step, score, True)
    >>> watch.best, watch.idle(150)
    (0.6, 50)
    """

    best: float = -math.inf
    best_step: int = 0
    cuts: int = 0
    cut_step: int = 0
    scored: bool = False

    def restart(self, step: int) -> None:
        """Judge anew from `step` on."""
        self.best, self.best_step, self.cut_step = -math.inf, step, step

    def see(self, step: int, value: float, is_score: bool) -> None:
        """Take note of a score, or of a mean loss."""
        if is_score != self.scored:
            self.scored = is_score
            self.restart(step)
        value = value if is_score else -value
        needed = GAIN if is_score else LOSS_GAIN * abs(self.best)
        if math.isinf(self.best) or value > self.best + needed:
            self.best, self.best_step = value, step
        elif step - max(self.best_step, self.cut_step) >= PLATEAU and self.cuts < MOST_CUTS:
            self.cuts, self.cut_step = self.cuts + 1, step

    def idle(self, step: int) -> int:
        """Steps since the best value."""
        return step - self.best_step

    @property
    def factor(self) -> float:
        """What the plateaus seen so far leave of the learning rate."""
        return float(0.5**self.cuts)

    def facts(self) -> dict[str, Any]:
        """The state as plain values."""
        return asdict(self) | {"best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Watch:
        """The watch of those values."""
        return cls(**{**facts, "best": -math.inf if facts["best"] is None else facts["best"]})
