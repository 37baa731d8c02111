"""Earlier states of the network, so that the best one, or any on the time line, can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from napari_unet.events import KeptState, Score

#: States that are kept at most, and the memory they may take together, bytes; the best and the latest always stay.
MOST = 12
MEMORY = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    about: KeptState
    weights: dict[str, Tensor]


class States:
    """A short list of states, dense near the present and sparse in the past.

    Parameters
    ----------
    most : int
        States kept at most, at least 2.
    memory : int
        Bytes they may take together; two are kept whatever they take.

    Examples
    --------
    >>> states = States(most=4)
    >>> for step in range(10, 110, 10):
    ...     states.keep({}, KeptState(step, 0.5))
    >>> [state.step for state in states.list()]
    [40, 80, 90, 100]
    """

    def __init__(self, most: int = MOST, memory: int = MEMORY) -> None:
        self._most = most
        self._memory = memory
        self._entries: list[_Entry] = []

    def list(self) -> tuple[KeptState, ...]:
        """What is kept, the oldest first."""
        best = self.best
        return tuple(replace(e.about, best=best is not None and e.about.step == best) for e in self._entries)

    @property
    def best(self) -> int | None:
        """Step of the best score on held-out strokes, the first of equal ones; None when nothing was scored."""
        scored = [(e.about.score.value, -e.about.step) for e in self._entries if e.about.score is not None]
        return -max(scored)[1] if scored else None

    @property
    def best_score(self) -> Score | None:
        """The best score on held-out strokes."""
        best = self.best
        return next((e.about.score for e in self._entries if e.about.step == best), None)

    def keep(self, weights: Mapping[str, Tensor], about: KeptState, spare: int | None = None) -> None:
        """Add a state; those of its age and above, left behind by going back, are forgotten.

        Parameters
        ----------
        weights : mapping of str to Tensor
        about : KeptState
        spare : int, optional
            Step of a state that makes no room for it.
        """
        self._entries = [e for e in self._entries if e.about.step < about.step]
        self._entries.append(_Entry(about, dict(weights)))
        while len(self._entries) > self._room():
            del self._entries[self._least_missed(spare)]

    def weights(self, step: int) -> dict[str, Tensor] | None:
        """Weights of a state; None when it is not kept."""
        return next((e.weights for e in self._entries if e.about.step == step), None)

    def forget_scores(self) -> None:
        """Keep the states, but not how good they were: they were measured with other strokes."""
        self._entries = [_Entry(replace(e.about, score=None), e.weights) for e in self._entries]

    def _room(self) -> int:
        size = sum(t.numel() * t.element_size() for t in self._entries[-1].weights.values())
        return max(2, min(self._most, self._memory // max(size, 1)))

    def _least_missed(self, spare: int | None) -> int:
        """The state, neither best, newest nor spared, whose neighbours in time are nearest, in parts of their age."""
        steps = [e.about.step for e in self._entries]
        inner = [i for i in range(len(steps) - 1) if steps[i] not in (self.best, spare)] or [0]
        now = steps[-1]
        return min(inner, key=lambda i: (steps[i + 1] - (steps[i - 1] if i else 0)) / (1 + now - steps[i]))
