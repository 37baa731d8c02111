"""One step down: the optimiser, half precision, clipped gradients."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.config import TrainConfig
from napari_unet.errors import TrainingError
from napari_unet.networks.finetune import parameter_groups

_BAD = "lower the learning rate and train again: the loss is no longer finite"
#: Steps in a row that half precision may skip because its gradients overflow, before that is an error.
MOST_SKIPPED = 50


def load_optimizers() -> None:
    """Let torch load what it loads with a process's first optimiser, which takes more than a second."""
    torch.optim.AdamW([nn.Parameter(torch.zeros(1))])


class Descent:
    """Moves the weights against the gradient.

    AdamW is Loshchilov and Hutter 2019; SGD has Nesterov's momentum. With 16-bit floats the loss is scaled up before
    the backward pass (Micikevicius et al. 2018), and a step whose gradients overflow is left out.

    Parameters
    ----------
    network : nn.Module
        What learns; frozen parameters are left out.
    config : TrainConfig
        Optimiser and its settings.
    device : torch.device
        Where the network is.
    dtype : torch.dtype
        Of the forward pass.
    """

    def __init__(self, network: nn.Module, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._network = network
        self._device = device
        self._clip = config.clip
        self._scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        groups = parameter_groups(network, 1.0, config.encoder_rate)
        self._shares = [group["lr"] for group in groups]
        self._optimizer = _optimizer(groups, config)
        self._skipped = 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of the forward pass."""
        return torch.autocast(self._device.type, self.dtype, enabled=self.dtype != torch.float32)

    def begin(self, rate: float, decay: float) -> None:
        """Forget gradients, and set the learning rate of the step."""
        for group, share in zip(self._optimizer.param_groups, self._shares, strict=True):
            group.update(lr=rate * share, weight_decay=decay)
        self._optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, loss: float) -> None:
        """Move the weights.

        Raises
        ------
        TrainingError
            When the loss or the gradients are not finite; the weights are as before.
        """
        self._scaler.unscale_(self._optimizer)
        values = [p for p in self._network.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(values, self._clip or float("inf"))
        finite = bool(torch.isfinite(norm))
        self._skipped = 0 if finite else self._skipped + 1
        if loss != loss or abs(loss) == float("inf") or self._skipped > (MOST_SKIPPED if self._scaling else 0):
            raise TrainingError(_BAD)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    @property
    def _scaling(self) -> bool:
        return bool(self._scaler.is_enabled())

    # ------------------------------------------------------------------ state

    def tensors(self) -> dict[str, Tensor]:
        """Moments of the optimiser, by parameter number and name."""
        state = self._optimizer.state_dict()["state"]
        return {f"{number}.{name}": value for number, part in state.items() for name, value in part.items()}

    def facts(self) -> dict[str, Any]:
        """The rest of the state, as plain values."""
        return {"scaler": self._scaler.state_dict(), "skipped": self._skipped}

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over a state of the same network and optimiser."""
        whole = self._optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        for key, value in tensors.items():
            number, name = key.split(".", 1)
            like = parameters[int(number)]
            # In the layout of the parameter: the same values in another layout may be rounded in another order.
            state.setdefault(int(number), {})[name] = (
                torch.empty_like(like).copy_(value) if value.shape == like.shape else value.clone()
            )
        self._optimizer.load_state_dict({**whole, "state": state})
        self._scaler.load_state_dict(dict(facts["scaler"]))
        self._skipped = int(facts["skipped"])


def _optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=0.0)
