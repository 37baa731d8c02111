"""Where torch computes."""

from __future__ import annotations

import logging

import torch

from napari_unet.errors import ConfigError

log = logging.getLogger(__name__)


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``"auto"`` takes a GPU that this torch has kernels for, else the CPU.

    Raises
    ------
    ConfigError
        When this machine, or this build of torch, has no such device.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return _best()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"choose another device than '{name}': this torch cannot use it") from error
    return device


def _best() -> torch.device:
    if torch.cuda.is_available():
        if _has_kernels():
            return torch.device("cuda", torch.cuda.current_device())
        log.warning("this torch has no kernels for %s; the CPU is used", torch.cuda.get_device_name())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _has_kernels() -> bool:
    """Whether this build was compiled for this card: its own architecture, or an older one of the same generation."""
    major, minor = torch.cuda.get_device_capability()
    known = [name.split("_")[1].rstrip("af") for name in torch.cuda.get_arch_list() if name.startswith("sm_")]
    return any(int(code[:-1]) == major and int(code[-1]) <= minor for code in known) or not known
