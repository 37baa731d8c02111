"""Training as a generator of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.annotations import check_annotated, class_names
from napari_unet.data.sampler import Example, Sampler
from napari_unet.data.source import ArrayLike
from napari_unet.data.strokes import Box
from napari_unet.errors import ConfigError, TrainingError
from napari_unet.events import (
    Event,
    Finished,
    KeptState,
    Started,
    StatesChanged,
    Step,
    StopReason,
    Warned,
    WentBack,
    never,
)
from napari_unet.networks.device import unsupported_card
from napari_unet.standard import begins_from_base
from napari_unet.training import memory
from napari_unet.training.batches import Batch, Batches
from napari_unet.training.learner import Learner
from napari_unet.training.monitor import Monitor
from napari_unet.training.parallel import Team
from napari_unet.training.patches import plan_patches
from napari_unet.training.preview import Preview, preview
from napari_unet.training.schedule import Budget, learning_rate
from napari_unet.training.snapshot import part_of, together

#: Patches that the output layers are solved for before the first step.
GLANCES = 12
#: What is not changed in them. Turns do good, for learnt features are not the same in all directions: two strokes per
#: class, nuclei in tissue 0.64 without and 0.74 with them, four other kinds of images the same or 0.01 to 0.03 better.
STILL = dict.fromkeys(("shear", "elastic", "brightness", "contrast", "gamma", "noise", "blur", "channel_drop"), 0)
_REASONS: tuple[StopReason, ...] = ("steps", "seconds", "stopped", "converged")


class Trainer:
    """A network that learns from strokes, step by step.

    Parameters
    ----------
    model : ModelConfig
        What the network is.
    config : TrainConfig
        How it learns.
    state : mapping of str to Tensor, optional
        Weights to start from; random ones by default, from ``config.seed``.
    step : int
        Steps that those weights have behind them.
    adapted : bool
        Whether a part of the weights is new: the averaged weights then follow the others sooner.

    Raises
    ------
    ConfigError
        When the weights do not fit the model, or the device is not there.

    Examples
    --------
    >>> image = np.zeros((64, 64), np.uint8)
    >>> image[16:48, 16:48] = 200
    >>> trainer = Trainer(ModelConfig(width=4, depth=2), TrainConfig(steps=3, patch_size=32, device="cpu"))
    >>> trainer.set_image("a", image, "YX")
    >>> trainer.set_strokes("a", np.where(image > 0, 2, 1))
    >>> [type(event).__name__ for event in trainer.run()]
    ['Started', 'Step', 'Step', 'Step', 'Finished']
    """

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig | None = None,
        *,
        state: Mapping[str, Tensor] | None = None,
        step: int = 0,
        adapted: bool = False,
    ) -> None:
        self.model = model
        self.config = config or TrainConfig()
        self._learner = Learner(model, self.config, state, step, adapted=adapted)
        self._sampler = Sampler(model)
        self._monitor = Monitor(model, self.config, learnt_before=step > 0)
        self._budget = Budget()
        self._rungs = 0

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self._learner.network

    @property
    def step(self) -> int:
        """Steps done in the life of the model."""
        return self._learner.step

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._learner.device

    @property
    def team(self) -> Team:
        """The processes that train together."""
        return self._learner.team

    # ------------------------------------------------------------------ what to learn from

    def set_image(self, key: str, image: ArrayLike, axes: str, names: Sequence[str] = ()) -> None:
        """Learn from an image; one of the same key is replaced, together with its strokes.

        Parameters
        ----------
        key : str
            Name of the image.
        image : array-like
            Pixels; never copied whole. The array that is known already is left as it is.
        axes : str
            One letter per axis, see `ImageSource`.
        names : sequence of str, optional
            What its channels are called: the network reads those that the model names.

        Raises
        ------
        ImageError
            When the image does not fit the network.
        """
        known = self._sampler.examples.get(key)
        if known is not None and known.image is image and known.axes == axes:
            return
        self.remove(key)
        example = Example(image, axes, self.model, self.config.loss.boundary, names)
        example.annotation.held_out = self._monitor.holdout.open(key, example.source)
        self._sampler.examples[key] = example

    def set_strokes(
        self, key: str, strokes: ArrayLike, complete: Sequence[Box] = (), changed: Box | None = None
    ) -> None:
        """Take over strokes, also while `run` is under way: the next batch learns from them.

        What is new in them is scored first, which `run` tells with `Corrected`, and areas may be held out.

        Parameters
        ----------
        key : str
            Name of their image.
        strokes : array-like of int
            0 = not annotated, 1 = background, 2 and up = classes or objects; the image's shape without channels.
            They are copied where something is annotated.
        complete : sequence of Box
            Boxes, (start, stop) per axis of `strokes`, where every 0 counts as background.
        changed : Box, optional
            Where the strokes differ from the last time; everywhere by default.

        Raises
        ------
        AnnotationError
            When the strokes do not fit the image or the classes.
        """
        if key in self._sampler.examples:
            asked = self.prediction_network(), self._sampler.examples[key], self.step
            self._monitor.set_strokes(key, strokes, complete, changed, asked)
        self._sampler.set_strokes(key, strokes, complete, changed)

    def remove(self, key: str) -> None:
        """Forget an image and its strokes."""
        self._sampler.remove(key)
        self._monitor.holdout.remove(key)

    def news(self) -> list[Event]:
        """`Corrected` events that `run` has not told yet: what a session without a training under way tells itself."""
        return list(self._monitor.take_news())

    # ------------------------------------------------------------------ what was learnt

    def prediction_network(self) -> nn.Module:
        """The network to predict with: averaged weights, evaluation mode, always the same object."""
        return self._learner.average.network

    def prediction_state(self) -> dict[str, Tensor]:
        """Copies of the averaged weights and the buffers, on the CPU."""
        return {
            name: value.detach().cpu().clone() for name, value in self._learner.average.network.state_dict().items()
        }

    def preview(self, count: int = 6, seed: int = 0, config: TrainConfig | None = None) -> Preview:
        """Augmented patches with their strokes, as a step would learn from them; nothing is learnt.

        Parameters
        ----------
        count : int
            Patches.
        seed : int
            Of all random choices.
        config : TrainConfig, optional
            Its patch size and augmentation; by default the one in force.

        Raises
        ------
        AnnotationError
            When there are no strokes yet.
        """
        config = config or self.config
        check_annotated(self._counts())
        batches = Batches(self._sampler, self.model, config, self.device)
        return preview(batches, plan_patches(self.model, config, self._shapes()), count, seed)

    # ------------------------------------------------------------------ going back

    @property
    def states(self) -> tuple[KeptState, ...]:
        """States that can be gone back to, the oldest first."""
        return self._monitor.states.list()

    def go_back(self, step: int) -> list[Event]:
        """Make the network what it was at `step`; training goes on from there with a fresh optimiser.

        What it is now is kept among the states, so that going back can be undone until training has gone on.

        Returns
        -------
        list of Event
            `WentBack` and `StatesChanged`.

        Raises
        ------
        ConfigError
            When there is no such state.
        """
        weights = self._monitor.states.weights(step)
        if weights is None:
            known = ", ".join(str(state.step) for state in self.states) or "none yet"
            raise ConfigError(f"choose a state that was kept: there is none of step {step} (kept: {known})")
        before = self.step
        self._monitor.go_back(step, before, self.prediction_state)
        self._learner.load(weights, step)
        return [WentBack(step, before), StatesChanged(self.states)]

    # ------------------------------------------------------------------ checkpoints

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain values from which `restore` goes on as if nothing had happened.

        Images and strokes are not among them.
        """
        best = self._monitor.states.best
        kept = {} if best is None else self._monitor.states.weights(best)
        tensors = self._learner.tensors() | together(best=kept)
        return tensors, {
            "budget": [self._budget.done, self._budget.used],
            "rungs": self._rungs,
            "learner": self._learner.facts(),
            "monitor": self._monitor.facts(),
            "sampler": self._sampler.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over a `checkpoint` of a trainer with the same model, config, images and strokes.

        Go on with ``run(resume=True)``.

        Raises
        ------
        ConfigError
            When it is one of another network or optimiser.
        """
        self._use(self.config)
        try:
            self._learner.restore(tensors, facts["learner"])
            self._monitor.load(facts["monitor"], part_of(tensors, "best"))
            done, used = facts["budget"]
            self._rungs = int(facts["rungs"])
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError("give the model and the settings that this checkpoint was written with") from error
        self._budget = Budget(done=int(done), before=float(used), used=float(used))
        self._choose_again()
        self._sampler.load_state_dict(facts["sampler"])

    # ------------------------------------------------------------------ learning

    def run(
        self, config: TrainConfig | None = None, should_stop: Callable[[], bool] = never, *, resume: bool = False
    ) -> Iterator[Event]:
        """Train until the budget is used up or a stop is asked for; may be called again to go on.

        Parameters
        ----------
        config : TrainConfig, optional
            Takes the place of the one in force.
        should_stop : callable
            Asked before every batch.
        resume : bool
            Go on with the budget and the schedule of the run before, instead of beginning new ones.

        Yields
        ------
        Event
            `Started`, perhaps `Warned`, `Step` after each batch, now and then `Validated` and `StatesChanged`,
            `Corrected` when strokes came, `Finished`.

        Raises
        ------
        AnnotationError
            When there are no strokes yet, or of one class only.
        TrainingError
            When the loss is no longer finite, or memory is too small for a single patch.
        """
        self._use(config or self.config)
        counts = self._counts()
        check_annotated(counts)
        parameters = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        yield Started(str(self.device), parameters, counts)
        yield from map(Warned, self._warnings(counts))
        yield from map(Warned, self._begin(resume))
        if self._monitor.is_due(self.step, self._plan, self.config):
            yield from self._check()
        while (reason := self._reason(should_stop)) is None:
            yield from self._monitor.take_news()
            yield from self._advance()
            if self._monitor.is_due(self.step, self._plan, self.config):
                yield from self._check()
        yield from self._end(reason)

    def _use(self, config: TrainConfig) -> None:
        """Put a config in force."""
        self.config = config
        self._learner.use(config)
        for example in self._sampler.examples.values():
            example.annotation.use(config.loss.boundary)
        if self._monitor.holdout.use(config.holdout, config.holdout_from, config.seed, anew=self.step == 0):
            self._choose_again()

    def _choose_again(self) -> None:
        """Let every annotation forget what is held out now, and take in what no longer is."""
        for key, example in self._sampler.examples.items():
            example.annotation.choose_again(self._monitor.holdout.blocks(key))

    def _begin(self, resume: bool) -> Iterator[str]:
        """Plan patches, budget and precision; what the user should know about them."""
        config = self.config
        self._full = plan_patches(self.model, config, self._shapes())
        if not resume:
            self._rungs = 0
            self._budget = Budget()
        self._plan = memory.lower(self._full, self._rungs)
        self._monitor.begin(self.step, resume=resume)
        self._prepare()
        if not resume:
            self._rungs, words = memory.fit(self.model, self._full, self.device)
            self._plan = memory.lower(self._full, self._rungs)
            if words:
                yield words
        if config.patience is not None and not self._monitor.measures:
            yield "no strokes are held out yet: training ends when its loss no longer falls"
        self._budget = self._budget.going_on(config.steps, config.seconds)
        if self.step == 0:
            self._learner.solve(self._glances(), min(filter(None, self._counts().values())))

    def _glances(self) -> Iterator[Batch]:
        """Batches of the strokes, turned and mirrored if training does that too, in the same order each time."""
        turned = self.config.replace(augment=self.config.augment.replace(scale=1, **STILL))
        batches = Batches(self._sampler, self.model, turned, self.device)
        return (batches.make(self._plan, seed) for seed in range(-(-GLANCES // self._plan.batch)))

    def _prepare(self) -> None:
        """What depends on device and config."""
        self._learner.prepare(Batches(self._sampler, self.model, self.config, self.device), self._plan)

    def _counts(self) -> dict[str, int]:
        return dict(zip(class_names(self.model), map(int, self._sampler.counts), strict=True))

    def _shapes(self) -> list[tuple[int, ...]]:
        """Spatial sizes of the images that have strokes."""
        return [e.source.spatial for e in self._sampler.examples.values() if e.annotation.blocks]

    def _warnings(self, counts: Mapping[str, int]) -> Iterator[str]:
        if card := unsupported_card(self.config.device):
            yield card
        missing = [name for name, count in counts.items() if not count]
        if missing:
            yield f"paint {', '.join(missing)} too: nothing can be learnt about it without strokes"
        for key, example in self._sampler.examples.items():
            if example.normalizer.nonfinite:
                yield f"check image '{key}': {example.normalizer.nonfinite} of its pixels are not finite and count as 0"

    def _reason(self, should_stop: Callable[[], bool]) -> StopReason | None:
        """Why to end now, if at all; the whole team ends together."""
        reason = self._budget.spent
        if reason is None and should_stop():
            reason = "stopped"
        patience = self.config.patience
        if reason is None and patience is not None and self._monitor.watch.idle(self.step) >= patience:
            reason = "converged"
        index = self.team.agree(-1 if reason is None else _REASONS.index(reason))
        return None if index < 0 else _REASONS[index]

    def _advance(self) -> Iterator[Event]:
        """One step, or one rung down the memory ladder."""
        rate = learning_rate(self.config, self._budget.done, self._budget.progress) * self._factor()
        try:
            loss = self._learner.learn(self._plan, rate)
        except RuntimeError as error:
            if not memory.is_shortage(error):
                raise
            if self.team.size > 1:
                raise TrainingError("choose a smaller --batch-size: memory ran out in one of the processes") from error
            yield Warned(self._step_down(error))
            return
        self._budget.step()
        self._monitor.saw(loss)
        yield Step(self.step, loss, rate, self._budget.elapsed, self._budget.progress)

    def _factor(self) -> float:
        base = self.config.base_rate if begins_from_base(self.model) else 1.0
        return base * (self._monitor.watch.factor if self.config.schedule == "plateau" else 1.0)

    def _step_down(self, error: RuntimeError) -> str:
        """Ask for less memory, and say how."""
        self._plan, leave = memory.step_down(self._plan, self._full, self.device, error)
        self._rungs += 1
        if not leave:
            return f"memory ran out; training goes on with {self._plan}"
        left, self._rungs = self.device, 0
        self._learner.move(memory.CPU)
        self._prepare()
        return f"the memory of {left} is too small for a single patch; training goes on on the CPU with {self._plan}"

    def _check(self) -> Iterator[Event]:
        yield from self._monitor.check(
            self.step, self.prediction_network(), self._sampler.examples, self.prediction_state
        )

    def _end(self, reason: StopReason) -> Iterator[Event]:
        """Tell how good it is now; training that stopped improving ends with its best state."""
        yield from self._monitor.take_news()
        if self.states and self.step not in [state.step for state in self.states]:
            yield from self._check()
        best = self._monitor.states.best
        if reason == "converged" and best is not None and best != self.step:
            yield from self.go_back(best)
        yield Finished(reason, self.step, self._budget.elapsed)
