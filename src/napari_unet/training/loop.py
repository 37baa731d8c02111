"""Training as a generator of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.annotations import check_annotated, class_names
from napari_unet.data.augment import Augmenter
from napari_unet.data.sampler import Example, Sampler
from napari_unet.data.source import ArrayLike
from napari_unet.data.strokes import Box
from napari_unet.errors import TrainingError
from napari_unet.events import Event, Finished, Started, Step, Warned, never
from napari_unet.networks.device import choose_device, keep_memory
from napari_unet.training.average import Average
from napari_unet.training.losses import Loss
from napari_unet.training.patches import PatchPlan, plan_patches
from napari_unet.training.schedule import Budget, learning_rate
from napari_unet.training.start import memory_format, seeded, start_network

#: Gradients are scaled down to this norm.
CLIP = 5.0


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

    Raises
    ------
    ConfigError
        When the weights do not fit the model, or the device is not there.

    Attributes
    ----------
    network : nn.Module
        The network that is trained.
    step : int
        Steps done in the life of the model.
    device : torch.device
        Where it is.

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
    ) -> None:
        self.model = model
        self.config = config or TrainConfig()
        self.step = step
        self.device = choose_device(self.config.device)
        if self.device.type == "cpu":
            keep_memory()
        self.network = start_network(model, self.config.seed, state).to(self.device)
        self._average = Average(self.network)
        self._sampler = Sampler(model)
        self._optimizer = self._new_optimizer()

    # ------------------------------------------------------------------ what to learn from

    def set_image(self, key: str, image: ArrayLike, axes: str) -> None:
        """Learn from an image; one of the same key is replaced, together with its strokes.

        Parameters
        ----------
        key : str
            Name of the image.
        image : array-like
            Pixels; never copied whole. The array that is known already is left as it is.
        axes : str
            One letter per axis, see `ImageSource`.

        Raises
        ------
        ImageError
            When the image does not fit the network.
        """
        known = self._sampler.examples.get(key)
        if known is not None and known.image is image and known.axes == axes:
            return
        self._sampler.remove(key)
        self._sampler.examples[key] = Example(image, axes, self.model, self.config.loss.boundary)

    def set_strokes(
        self, key: str, strokes: ArrayLike, complete: Sequence[Box] = (), changed: Box | None = None
    ) -> None:
        """Take over strokes, also while `run` is under way: the next batch learns from them.

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
        self._sampler.set_strokes(key, strokes, complete, changed)

    def remove(self, key: str) -> None:
        """Forget an image and its strokes."""
        self._sampler.remove(key)

    # ------------------------------------------------------------------ what was learnt

    def prediction_network(self) -> nn.Module:
        """The network to predict with: averaged weights, evaluation mode, always the same object."""
        return self._average.network

    def prediction_state(self) -> dict[str, Tensor]:
        """Copies of the averaged weights and the buffers, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self._average.network.state_dict().items()}

    # ------------------------------------------------------------------ learning

    def run(self, config: TrainConfig | None = None, should_stop: Callable[[], bool] = never) -> Iterator[Event]:
        """Train until the budget is used up or a stop is asked for; may be called again to go on.

        Parameters
        ----------
        config : TrainConfig, optional
            Takes the place of the one in force.
        should_stop : callable
            Asked before every batch.

        Yields
        ------
        Event
            `Started`, perhaps `Warned`, `Step` after each batch, `Finished`.

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
        plan = plan_patches(self.model, self.config, self._shapes())
        budget = Budget(self.config.steps, self.config.seconds)
        while (reason := budget.spent) is None:
            if should_stop():
                reason = "stopped"
                break
            rate = learning_rate(self.config, budget.done, budget.progress)
            try:
                loss = self._learn(plan, rate)
            except torch.OutOfMemoryError as error:
                plan = _smaller(plan, error)
                yield Warned(f"memory ran out; training goes on with {plan}")
                continue
            budget.done += 1
            yield Step(self.step, loss, rate, budget.elapsed, budget.progress)
        yield Finished(reason, self.step, budget.elapsed)

    def _use(self, config: TrainConfig) -> None:
        """Put a config in force."""
        self.config = config
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        device = choose_device(config.device)
        if device != self.device:
            self.device = device
            self.network.to(device)
            self._average.network.to(device)
            self._optimizer = self._new_optimizer()
        for example in self._sampler.examples.values():
            example.annotation.use(config.loss.boundary)
        self._augmenter = Augmenter(config.augment, self.model.ndim, self.model.spacing)
        self._loss = Loss(config.loss)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.network.parameters(), lr=0.0)

    def _counts(self) -> dict[str, int]:
        return dict(zip(class_names(self.model), map(int, self._sampler.counts), strict=True))

    def _shapes(self) -> list[tuple[int, ...]]:
        """Spatial sizes of the images that have strokes."""
        return [e.source.spatial for e in self._sampler.examples.values() if e.annotation.blocks]

    def _warnings(self, counts: Mapping[str, int]) -> Iterator[str]:
        missing = [name for name, count in counts.items() if not count]
        if missing:
            yield f"paint {', '.join(missing)} too: nothing can be learnt about it without strokes"
        for key, example in self._sampler.examples.items():
            if example.normalizer.nonfinite:
                yield f"check image '{key}': {example.normalizer.nonfinite} of its pixels are not finite and count as 0"

    def _learn(self, plan: PatchPlan, rate: float) -> float:
        """One optimiser step; the loss of its batch."""
        images, targets, weights = self._batch(plan)
        for group in self._optimizer.param_groups:
            group.update(lr=rate, weight_decay=self.config.weight_decay)
        self.network.train()
        self._optimizer.zero_grad(set_to_none=True)
        with self._dropout_seed():
            loss = torch.stack([self._loss(logits, targets, weights) for logits in self._forward(images)]).mean()
            torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        value = float(loss.detach())
        if not np.isfinite(value) or not bool(torch.isfinite(norm)):
            raise TrainingError("lower the learning rate and train again: the loss is no longer finite")
        self._optimizer.step()
        self._average.update(self.network, self.config.ema)
        self.step += 1
        return value

    def _forward(self, images: Tensor) -> list[Tensor]:
        """Logits; with deep supervision those of all outputs."""
        network: Any = self.network
        if self.model.deep_supervision and hasattr(network, "forward_deep"):
            return list(network.forward_deep(images))
        return [network(images)]

    def _dropout_seed(self) -> AbstractContextManager[Any]:
        """Dropout from a seed of this step, the global generators left as they were."""
        if self.model.dropout == 0:
            return nullcontext()
        return seeded(self._seed(), self.device)

    def _seed(self) -> int:
        """Seed of this step: an interrupted training goes on as if it had not been."""
        return int(np.random.SeedSequence((self.config.seed, self.step)).generate_state(1, np.uint32)[0])

    @torch.no_grad()
    def _batch(self, plan: PatchPlan) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented patches on the device: images, targets, weights; the latter two of the kept part."""
        rng = np.random.default_rng(self._seed())
        generator = torch.Generator().manual_seed(self._seed())
        spots = self._sampler.draw(rng, plan.batch)
        source = self._augmenter.source_shape(plan.shape)
        starts = [self._sampler.start(rng, spot, source, plan.kept) for spot in spots]
        batch = self._sampler.read(spots, starts, source)
        images, targets, boundary = (
            torch.from_numpy(array).to(self.device) for array in (batch.images, batch.targets, batch.boundary)
        )
        if self.config.augment.enabled:
            changes = self._augmenter.draw(plan.batch, generator)
            images, targets, boundary = self._augmenter.apply(changes, images, targets, boundary, plan.shape)
        targets, boundary = (_crop(tensor, plan.geometry.margin) for tensor in (targets.long(), boundary))
        return (
            images.contiguous(memory_format=memory_format(self.model.ndim)),
            targets,
            self._weights(targets, boundary),
        )

    def _weights(self, targets: Tensor, boundary: Tensor) -> Tensor:
        """Class weight plus boundary term of each pixel."""
        if not self.config.loss.boundary.class_balance:
            return boundary + 1
        counts = torch.from_numpy(self._sampler.counts).to(self.device, torch.float32)
        share = counts.sum() / (counts.clamp(min=1) * (counts > 0).sum())
        return boundary + share[targets.clamp(min=0)]


def _crop(tensor: Tensor, margin: Sequence[int]) -> Tensor:
    """Without `margin` pixels at each side of the spatial axes."""
    return tensor[(slice(None), *(slice(m, n - m) for m, n in zip(margin, tensor.shape[1:], strict=True)))]


def _smaller(plan: PatchPlan, error: torch.OutOfMemoryError) -> PatchPlan:
    """The next smaller plan."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    smaller = plan.smaller()
    if smaller is None:
        raise TrainingError(
            "choose a narrower or less deep network, or the CPU: memory is too small for one patch"
        ) from error
    return smaller
