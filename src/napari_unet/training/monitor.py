"""Honest progress: held-out scores, corrections scored before they are learnt, and states to go back to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor, nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.annotations import class_names
from napari_unet.data.sampler import Example
from napari_unet.events import Corrected, Event, KeptState, Score, StatesChanged, Validated
from napari_unet.training.holdout import HoldOut, Trial, digest
from napari_unet.training.patches import PatchPlan
from napari_unet.training.states import States
from napari_unet.training.validation import MOST_AREAS, Judge, mean_score
from napari_unet.training.watch import Watch

#: Steps between two looks at the held-out strokes, at least.
EVERY = 50
#: Part of the training's work that looking may cost; a backward pass costs twice the forward pass.
SHARE = 0.08
PASSES = 3
#: Corrections of the running mean, and pieces of a single one that are looked at, at most.
RECENT = 20
MOST_PIECES = 4


class Monitor:
    """Sees how training goes, and keeps what is worth going back to.

    Parameters
    ----------
    model : ModelConfig
        The network.
    config : TrainConfig
        What is held out.
    learnt_before : bool
        Whether the weights may have learnt from the first strokes already, so that none of them can be held out.

    Attributes
    ----------
    holdout : HoldOut
        All strokes, and which are held out.
    states : States
        What can be gone back to.
    watch : Watch
        Whether it still gets better.
    """

    def __init__(self, model: ModelConfig, config: TrainConfig, *, learnt_before: bool) -> None:
        self.holdout = HoldOut(model, config.holdout, config.holdout_from, config.seed)
        self.states = States()
        self.watch = Watch()
        self.news: deque[Event] = deque()
        self._judge = Judge(model)
        self._names = class_names(model)
        self._learnt_before = learnt_before
        self._begun = False
        self._losses: list[float] = []
        self._rights: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._number = 0
        self._said = ""
        self._checked = 0
        self._trials: tuple[int, list[Trial]] = (-1, [])
        self._asked = ""

    # ------------------------------------------------------------------ strokes

    def set_strokes(
        self, key: str, strokes: Any, complete: Sequence[Any], changed: Any, try_on: tuple[nn.Module, Example, int]
    ) -> None:
        """Score new strokes with the network as it is, before anything is learnt from them."""
        network, example, step = try_on
        fresh = self.holdout.update(key, strokes, complete, changed, may_hold=self._begun or not self._learnt_before)
        if fresh and step and self._begun:
            self.news.append(self._correct(key, fresh, network, example, step))

    def _correct(self, key: str, fresh: Sequence[Trial], network: nn.Module, example: Example, step: int) -> Corrected:
        fresh = sorted(fresh, key=lambda trial: -int((trial.targets >= 0).sum()))[:MOST_PIECES]
        table = np.sum([self._judge.confusion(network, {key: example}, trial) for trial in fresh], axis=0)
        pixels, hits = int(table.sum()), np.diagonal(table)
        right = float(hits.sum() / pixels)
        rows = table.sum(1)
        classes = {name: float(hits[i] / rows[i]) for i, name in enumerate(self._names) if rows[i]}
        self._rights.append((right, pixels))
        self._number += 1
        recent = mean_score([r for r, _ in self._rights], sum(n for _, n in self._rights))
        return Corrected(self._number, step, key, pixels, right, classes, recent)

    # ------------------------------------------------------------------ training

    def begin(self, step: int, *, resume: bool) -> None:
        """A training begins; one that is resumed is judged as if it had not paused."""
        self._begun, self._said = True, ""
        if not resume:
            self._losses, self._checked = [], step
            self.watch = Watch(best_step=step, cut_step=step)

    def saw(self, loss: float) -> None:
        """Take note of the loss of a step."""
        self._losses.append(loss)

    def take_news(self) -> Iterator[Event]:
        """Events that wait to be told."""
        while self.news:
            yield self.news.popleft()

    def is_due(self, step: int, plan: PatchPlan, config: TrainConfig) -> bool:
        """Whether to check now; a training that is resumed makes up for the check it was killed before."""
        return step != self._checked and step % self._interval(plan, config) == 0

    def _interval(self, plan: PatchPlan, config: TrainConfig) -> int:
        """Steps between two checks: few enough that they cost a small part of the training, whatever is held out."""
        step = PASSES * math.prod(plan.shape) * plan.batch * plan.accumulate
        cost = self._judge.pixels(self._held_out())
        return max(min(EVERY, config.patience or EVERY), math.ceil(cost / (SHARE * step)))

    def check(
        self, step: int, network: nn.Module, examples: Mapping[str, Example], weights: Callable[[], dict[str, Tensor]]
    ) -> Iterator[Event]:
        """Try the network on the held-out strokes, and keep its state."""
        self._checked = step
        self._compare_like_with_like(step)
        before = self.states.best_score
        score, classes, areas, reason = self._score(network, examples)
        loss = float(np.mean(self._losses)) if self._losses else math.nan
        self._losses = []
        if score is not None:
            best = before is None or score.value > before.value
            yield Validated(step, score, classes, areas, best)
        elif reason != self._said:
            self._said = reason
            yield Validated(step, None, classes, areas, reason=reason)
        if score is not None or math.isfinite(loss):
            self.watch.see(step, score.value if score is not None else loss, score is not None)
        self.states.keep(weights(), KeptState(step, loss, score))
        yield StatesChanged(self.states.list())

    def go_back(self, step: int, now: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """The network becomes what it was at `step`; what it is `now` is kept, so that it can be had again."""
        if now not in [state.step for state in self.states.list()]:
            loss = float(np.mean(self._losses)) if self._losses else math.nan
            self.states.keep(weights(), KeptState(now, loss), spare=step)
        self._losses, self._checked = [], step
        self.watch.restart(step)

    def _compare_like_with_like(self, step: int) -> None:
        """Scores on other held-out strokes than today's are forgotten: the best of them need not be the best."""
        asked = digest(self._held_out())
        if asked != self._asked:
            self._asked = asked
            self.states.forget_scores()
            self.watch.restart(step)

    @property
    def measures(self) -> bool:
        """Whether any strokes are held out."""
        return bool(self._held_out())

    def _held_out(self) -> list[Trial]:
        """At most `MOST_AREAS` held-out areas, evenly chosen; made again when strokes have changed."""
        if self._trials[0] != self.holdout.version:
            trials = self.holdout.trials()
            step = max(1, math.ceil(len(trials) / MOST_AREAS))
            self._trials = (self.holdout.version, trials[::step])
        return self._trials[1]

    def _score(
        self, network: nn.Module, examples: Mapping[str, Example]
    ) -> tuple[Score | None, dict[str, Score], int, str]:
        trials = self._held_out()
        if not trials:
            return None, {}, 0, self.holdout.lack()
        score, classes = self._judge.scores([self._judge.confusion(network, examples, trial) for trial in trials])
        reason = "" if score else "the held-out strokes are too few, or of one class only; paint more areas to measure"
        return score, classes, len(trials), reason

    # ------------------------------------------------------------------ state

    def facts(self) -> dict[str, Any]:
        """The state as plain values, without the kept weights."""
        return {
            "watch": self.watch.facts(),
            "losses": self._losses,
            "checked": self._checked,
            "asked": self._asked,
            "held_out": self.holdout.facts(),
            "corrections": [self._number, [list(right) for right in self._rights]],
            "best": _plain(next((state for state in self.states.list() if state.best), None)),
        }

    def load(self, facts: Mapping[str, Any], best: Mapping[str, Tensor]) -> None:
        """Take over a state and the weights of the best one; the annotations have to choose again afterwards."""
        if facts["best"] is not None:
            about = facts["best"]
            self.states.keep(best, KeptState(about["step"], about["loss"], Score(**about["score"])))
        self.watch = Watch.of(facts["watch"])
        self._losses, self._checked = list(facts["losses"]), int(facts["checked"])
        self._asked = str(facts["asked"])
        self.holdout.load(facts["held_out"])
        self._number, rights = facts["corrections"]
        self._rights = deque(((float(r), int(n)) for r, n in rights), maxlen=RECENT)
        self._begun = True


def _plain(state: KeptState | None) -> dict[str, Any] | None:
    """A scored state as plain values."""
    return None if state is None else asdict(state)
