"""A network on its device, with everything that moves its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.networks.device import choose_device, keep_memory
from napari_unet.networks.finetune import freeze
from napari_unet.standard import begins_from_base
from napari_unet.training.average import Average
from napari_unet.training.batches import Batch, Batches
from napari_unet.training.descent import Descent
from napari_unet.training.instant import look, output_layers, solve
from napari_unet.training.losses import Loss
from napari_unet.training.parallel import Team, local_device
from napari_unet.training.patches import PatchPlan
from napari_unet.training.precision import choose_dtype
from napari_unet.training.pseudo import pseudo_loss
from napari_unet.training.snapshot import part_of, together
from napari_unet.training.start import hold_statistics, seeded, start_network

#: The base weights count as those of so many steps: what they know is not forgotten with the first step.
STEPS_OF_BASE = 1000


class Learner:
    """Takes steps: batches in, weights moved.

    Parameters
    ----------
    model : ModelConfig
        What the network is.
    config : TrainConfig
        How it learns.
    state : mapping of str to Tensor, optional
        Weights to start from; random ones by default.
    step : int
        Steps that those weights have behind them.
    adapted : bool
        Whether a part of learnt weights is new, which the average has to forget soon.

    Attributes
    ----------
    network : nn.Module
        The network that is trained.
    average : Average
        Its averaged weights.
    device : torch.device
        Where both are.
    team : Team
        The processes that train together.
    step : int
        Steps done in the life of the model.
    """

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        state: Mapping[str, Tensor] | None,
        step: int,
        *,
        adapted: bool = False,
    ) -> None:
        self.step = step
        self.device = choose_device(local_device(config.device))
        if self.device.type == "cpu":
            keep_memory()
        self.team = Team(self.device)
        self.network = start_network(model, config.seed, state).to(self.device)
        behind = step or (STEPS_OF_BASE if begins_from_base(model) else 0)
        self.average = Average(self.network, 0 if adapted and step else behind)
        self._model = model
        self._config = config
        self._descent: Descent | None = None
        self._kind: tuple[Any, ...] = ()

    # ------------------------------------------------------------------ set up

    def use(self, config: TrainConfig) -> None:
        """Put a config in force."""
        self._config = config
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        device = choose_device(local_device(config.device))
        if device != self.device:
            self.move(device)
        freeze(self.network, config.learns)
        self.loss = Loss(config.loss)

    def move(self, device: torch.device) -> None:
        """Go on on another device, with a fresh optimiser."""
        self.device = device
        self.network.to(device)
        self.average.network.to(device)
        self._descent = None

    def load(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Go on from other weights, with a fresh optimiser."""
        self.network.load_state_dict(weights)
        self.average.network.load_state_dict(weights)
        self._descent = None
        self.step = step

    def prepare(self, batches: Batches, plan: PatchPlan) -> None:
        """Make ready for `learn`; on a GPU it may try for a second which precision is the fastest."""
        self._batches = batches
        self._outputs = self.team.wrap(Outputs(self.network, deep=self._model.deep_supervision))
        if self._descent is None or self._optimizer_kind() != self._kind:
            batch = cache(lambda: batches.make(plan, self.seed()))
            dtype = choose_dtype(self._config.precision, self.network, lambda n: self._trial(n, batch()), self.device)
            self._new_descent(dtype)

    def _new_descent(self, dtype: torch.dtype) -> Descent:
        self._descent = Descent(self.network, self._config, self.device, dtype)
        self._kind = self._optimizer_kind()
        return self._descent

    def _optimizer_kind(self) -> tuple[Any, ...]:
        """What the optimiser depends on; a change of it starts a new one."""
        c = self._config
        return self.device, c.optimizer, c.momentum, c.clip, c.learns, c.encoder_rate, c.precision

    # ------------------------------------------------------------------ learning

    def solve(self, batches: Iterable[Batch], rarest: int) -> None:
        """Set the output layers to what the strokes ask of the features that are there; see `instant`."""
        layers = output_layers(self.network, features_known=begins_from_base(self._model))
        if layers:
            solve(self.network, layers, look(self.network.eval(), layers, batches), rarest)
            self.average.reset(self.network)

    def learn(self, plan: PatchPlan, rate: float) -> float:
        """One optimiser step; the mean loss of its batches.

        Raises
        ------
        TrainingError
            When the loss is no longer finite; the weights are as before.
        """
        descent = self._descent or self._new_descent(torch.float32)
        descent.begin(rate, self._config.weight_decay)
        self.network.train()
        if begins_from_base(self._model):
            hold_statistics(self.network)
        total = 0.0
        for part in range(plan.accumulate):
            batch = self._batches.make(plan, self.seed(part))
            last = part == plan.accumulate - 1
            with self._dropout_seed(part), nullcontext() if last else self.team.alone(self._outputs):
                with descent.autocast():
                    outputs = self.forward(batch.images)
                    loss = self._whole_loss(outputs, batch)
                descent.backward(loss / plan.accumulate)
            total += float(loss.detach()) / plan.accumulate
            self._batches.learnt(batch, outputs[0])
        descent.step(total)
        self.team.share_buffers(self.network)
        self.average.update(self.network, self._decay())
        self.step += 1
        return total

    def _decay(self) -> float:
        """That of the average; 0 means none for any network."""
        known = begins_from_base(self._model)
        return min(self._config.ema, self._config.base_ema) if known else self._config.ema

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits; with deep supervision those of all outputs."""
        return self._outputs(images)

    def _whole_loss(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The loss on strokes, and what the averaged network teaches where there are none."""
        loss, pseudo = self._mean_loss(outputs, batch), self._config.pseudo
        if pseudo.weight == 0:
            return loss
        teacher = self.average.network
        return loss + pseudo_loss(outputs[0], batch.images, batch.targets, teacher, pseudo, self.step)

    def _mean_loss(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        return self.loss.deep(outputs, batch.targets, batch.weights)

    def _trial(self, network: nn.Module, batch: Batch) -> Tensor:
        """Loss of a copy of the network, for the test of precisions."""
        return self._mean_loss(Outputs(network, deep=self._model.deep_supervision)(batch.images), batch)

    def _dropout_seed(self, part: int) -> AbstractContextManager[Any]:
        """Dropout from a seed of this step, the global generators left as they were."""
        if self._model.dropout == 0:
            return nullcontext()
        return seeded(self.seed(part), self.device)

    def seed(self, part: int = 0) -> int:
        """Seed of this step: an interrupted training goes on as if it had not been."""
        more = (part, self.team.rank) if part or self.team.rank else ()
        return int(np.random.SeedSequence((self._config.seed, self.step, *more)).generate_state(1, np.uint32)[0])

    # ------------------------------------------------------------------ state

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averaged weights and the moments of the optimiser."""
        descent = self._descent or self._new_descent(torch.float32)
        return together(
            network=self.network.state_dict(),
            average=self.average.network.state_dict(),
            optimizer=descent.tensors(),
        )

    def facts(self) -> dict[str, Any]:
        """The rest of the state, as plain values."""
        descent = self._descent or self._new_descent(torch.float32)
        dtype = str(descent.dtype).removeprefix("torch.")
        return {"step": self.step, "averaged": self.average.count, "dtype": dtype, "descent": descent.facts()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over such a state of the same network and config."""
        self.network.load_state_dict(part_of(tensors, "network"))
        self.average.network.load_state_dict(part_of(tensors, "average"))
        self.average.count, self.step = int(facts["averaged"]), int(facts["step"])
        dtype: torch.dtype = getattr(torch, facts["dtype"])
        self._new_descent(dtype).load(part_of(tensors, "optimizer"), facts["descent"])


class Outputs(nn.Module):
    """The outputs of a network as a list, as one call: what several processes share gradients of."""

    def __init__(self, network: nn.Module, *, deep: bool) -> None:
        super().__init__()
        self.network = network
        self._deep = deep and hasattr(network, "forward_deep")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of all outputs, the main one first."""
        network: Any = self.network
        return list(network.forward_deep(images)) if self._deep else [network(images)]
