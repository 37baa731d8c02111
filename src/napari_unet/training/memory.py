"""Fitting a training into memory: an estimate before it starts, and a ladder down when it runs out."""

from __future__ import annotations

import torch

from napari_unet.config import ModelConfig
from napari_unet.errors import TrainingError
from napari_unet.networks.device import available_memory
from napari_unet.networks.estimate import estimate
from napari_unet.training.patches import PatchPlan

CPU = torch.device("cpu")
#: What the errors of devices without an own exception say.
_SHORTAGES = ("DefaultCPUAllocator: ", "not enough memory: you tried to allocate", "MPS backend out of memory")


def is_shortage(error: RuntimeError) -> bool:
    """Whether an error says that memory ran out; all others are none of ours."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _SHORTAGES)


def needed(model: ModelConfig, plan: PatchPlan) -> int:
    """Bytes of one training step, by estimate."""
    return estimate(model, plan.shape, plan.batch, training=True).bytes


def lower(plan: PatchPlan, rungs: int) -> PatchPlan:
    """The plan that many rungs down the ladder."""
    for _ in range(rungs):
        plan = plan.smaller() or plan
    return plan


def fit(model: ModelConfig, plan: PatchPlan, device: torch.device) -> tuple[int, str]:
    """How many rungs down the ladder to begin, and a sentence when the plan that was asked for does not fit.

    The CPU gets a smaller plan at once, for Linux rather kills a process than telling it that memory ran out. On a GPU
    training begins as asked for and goes down the ladder when it must.
    """
    room = available_memory(device)
    wanted = needed(model, plan)
    if room is None or wanted <= room:
        return 0, ""
    about = f"a step of {plan} needs about {_size(wanted)} and {device} has {_size(room)} free"
    if device.type != "cpu":
        return 0, f"{about}: training may have to go on with smaller patches"
    rungs = 0
    while needed(model, lower(plan, rungs)) > room and lower(plan, rungs).smaller() is not None:
        rungs += 1
    return rungs, f"{about}: training begins with {lower(plan, rungs)}"


def step_down(plan: PatchPlan, full: PatchPlan, device: torch.device, error: RuntimeError) -> tuple[PatchPlan, bool]:
    """The next rung: half the batch with twice the accumulation, half the patch, at last the CPU.

    Parameters
    ----------
    plan, full : PatchPlan
        What did not fit, and what was asked for.
    device : torch.device
        Where it did not fit.
    error : RuntimeError
        The shortage.

    Returns
    -------
    plan : PatchPlan
        What to try next.
    leave : bool
        Whether to try it on the CPU.

    Raises
    ------
    TrainingError
        When even the CPU has not enough for a single patch.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    smaller = plan.smaller()
    if smaller is not None:
        return smaller, False
    if device == CPU:
        raise TrainingError(
            "choose a narrower or less deep network, or close other programs: memory is too small for one patch"
        ) from error
    return full, True


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
