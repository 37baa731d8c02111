"""What the machine that a session runs on can do, and what a network would cost it."""

from __future__ import annotations

import torch

from napari_unet.errors import NapariUnetError
from napari_unet.networks.device import available_memory, choose_device, devices
from napari_unet.session.commands import EstimateCosts
from napari_unet.session.costs import costs
from napari_unet.session.messages import CostsEstimated, Ready


def ready(device: str) -> Ready:
    """What a session on `device` says first.

    Raises
    ------
    ConfigError
        When there is no such device.
    """
    return Ready(str(choose_device(device)), torch.__version__, devices())


def use_threads(count: int) -> None:
    """Compute with so many CPU threads."""
    torch.set_num_threads(count)


def estimate_costs(command: EstimateCosts, device: str) -> CostsEstimated:
    """Answer what a network would cost on `device`."""
    free = available_memory(choose_device(device))
    try:
        found = costs(command.model, command.training, command.image)
    except NapariUnetError as error:
        return CostsEstimated(command.request, None, free, str(error))
    return CostsEstimated(command.request, found, free)
