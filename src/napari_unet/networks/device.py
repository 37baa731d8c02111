"""Where torch computes."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
from functools import cache
from pathlib import Path

import torch

from napari_unet.errors import ConfigError

log = logging.getLogger(__name__)

#: mallopt's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD: blocks under 1 GB come from the heap, which stays.
_MALLOC_OPTIONS = ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**26))


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``"auto"`` takes a GPU, and one that this torch has no kernels for is the CPU.

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
    if device.type == "cuda" and not has_kernels(device.index):
        log.warning(unsupported_card(name))
        return torch.device("cpu")
    return device


def devices() -> tuple[tuple[str, str], ...]:
    """Where this machine can compute: names for `choose_device`, and what they are, in words.

    Examples
    --------
    >>> [name for name, words in devices()][0]
    'cpu'
    """
    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    found = [(f"cuda:{index}", torch.cuda.get_device_name(index)) for index in cards if has_kernels(index)]
    if torch.backends.mps.is_available():
        found.append(("mps", "graphics of this Mac"))
    return ("cpu", "processor"), *found


def _best() -> torch.device:
    if torch.cuda.is_available():
        if has_kernels():
            return torch.device("cuda", torch.cuda.current_device())
        log.warning(unsupported_card())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def unsupported_card(name: str = "auto") -> str:
    """What to do about a card that this torch was not built for, in one sentence; "" when there is no such card.

    Torch for CUDA 13 begins with Turing (compute capability 7.5); 2.14 is the last one with a build for older cards.
    """
    if (name != "auto" and not name.startswith("cuda")) or not torch.cuda.is_available():
        return ""
    index = torch.device(name).index if name != "auto" else None
    if has_kernels(index):
        return ""
    return (
        f"this torch was not built for {torch.cuda.get_device_name(index)} (but for "
        f"{', '.join(torch.cuda.get_arch_list())}), so the CPU is used; cards before Turing need: pip install "
        '"torch<2.15" --index-url https://download.pytorch.org/whl/cu126'
    )


def has_kernels(index: int | None = None) -> bool:
    """Whether this build was compiled for a card: its own architecture, or an older one of the same generation."""
    major, minor = torch.cuda.get_device_capability(index)
    known = [name.split("_")[1].rstrip("af") for name in torch.cuda.get_arch_list() if name.startswith("sm_")]
    return any(int(code[:-1]) == major and int(code[-1]) <= minor for code in known) or not known


def available_memory(device: torch.device) -> int | None:
    """Bytes that are free on `device`, within the limits of the container; None where it cannot be known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    return min(free, _container_memory(free))


def _container_memory(most: int) -> int:
    """What a control group leaves to its processes; `most` where there is none."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return most if limit == "max" else max(int(limit) - used, 0)
    except (OSError, ValueError):
        return most


@cache
def keep_memory() -> bool:
    """Let the C library keep freed memory for the next layer instead of handing every block back to the system.

    Each layer of a large tile otherwise pays for fresh, zeroed pages: a U-Net of width 16 on 2 cores took 0.6 us per
    pixel at 1536x1536, and 0.27 with the memory kept. It concerns the whole process, and only Linux's glibc.

    Returns
    -------
    bool
        Whether it could be set.
    """
    libc = _glibc()
    if libc is None:
        return False
    return all(libc.mallopt(option, value) for option, value in _MALLOC_OPTIONS)


def return_memory() -> None:
    """Hand memory that `keep_memory` kept back to the system."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
