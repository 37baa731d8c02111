"""Where it computes, and what the network that is chosen costs there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from psygnal import Signal

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import NapariUnetError
from napari_unet.events import Event
from napari_unet.session.commands import Command, EstimateCosts, UseDevice
from napari_unet.session.costs import Costs, costs
from napari_unet.session.messages import CostsEstimated, Ready
from napari_unet.session.threads import spare_threads


@dataclass(frozen=True, slots=True)
class Question:
    """A network, how it is to learn, and the spatial size of its image."""

    model: ModelConfig
    training: TrainConfig
    image: tuple[int, ...] = ()


class Machine:
    """Asks the session, and knows what it answered last.

    Costs are known at once; what only the session can tell (of networks of another package, and how much memory is
    free) comes later.

    Parameters
    ----------
    send : callable
        Takes commands to the session.

    Attributes
    ----------
    device, threads : str, int
        What the user chose; "auto" and 0 at first.
    where : str
        Where the session computes; "" before it has started.
    devices : tuple of (str, str)
        Names to choose from, and what they are; empty before the session has started.
    costs : Costs or None
        Of the network that was asked for last.
    free : int or None
        Bytes that are free where the session computes.
    trouble : str
        Why there are no costs; one sentence.
    """

    changed = Signal()

    def __init__(self, send: Callable[[Command], None]) -> None:
        self._send = send
        self._numbers = count(1)
        self._asked = 0
        self._question: Question | None = None
        self.device, self.threads = "auto", 0
        self.where = ""
        self.devices: tuple[tuple[str, str], ...] = ()
        self.costs: Costs | None = None
        self.free: int | None = None
        self.trouble = ""

    def use(self, device: str | None = None, threads: int | None = None) -> None:
        """Compute on another device, or with another number of threads; 0 leaves one core to the window."""
        self.device = self.device if device is None else device
        self.threads = self.threads if threads is None else threads
        self._send(UseDevice(self.device, self.threads or spare_threads()))
        self._question = None
        self.changed.emit()

    def ask(self, question: Question) -> None:
        """Find out what a network costs, unless that was the last question."""
        if question == self._question:
            return
        self._question, self._asked = question, next(self._numbers)
        self.costs, self.trouble = None, ""
        if not question.model.encoder:
            self._estimate(question)
        self._send(EstimateCosts(self._asked, question.model, question.training, question.image))
        self.changed.emit()

    def take(self, event: Event) -> None:
        """Take note of what the session told."""
        if isinstance(event, Ready):
            self.devices, self.where = event.devices, event.device
            if not event.device.startswith(self.device):
                self.device = "auto"  # there is no such device
        elif isinstance(event, CostsEstimated) and event.request == self._asked:
            self.costs, self.free, self.trouble = event.costs, event.free, event.trouble
        else:
            return
        self.changed.emit()

    def _estimate(self, question: Question) -> None:
        try:
            self.costs = costs(question.model, question.training, question.image)
        except NapariUnetError as error:
            self.trouble = str(error)


def in_words(found: Costs, ndim: int) -> str:
    """The costs of a network as one line.

    Examples
    --------
    >>> in_words(costs(ModelConfig()), 2)
    '1.9 million parameters · 91 GFLOP per megapixel · sees 215 x 215 pixels'
    """
    field = found.receptive_field
    seen = f"{' x '.join(map(str, field))} pixels" if field else "the whole image"
    pixels = "megapixel" if ndim == 2 else "megavoxel"
    giga = found.flops_per_megapixel / 1e9
    return f"{_million(found.parameters)} parameters · {giga:,.0f} GFLOP per {pixels} · sees {seen}"


def memory_in_words(found: Costs, free: int | None, device: str) -> str:
    """The memory of a training step as one sentence."""
    patches = f"{found.patches} patch{'es' * (found.patches != 1)} of {' x '.join(map(str, found.patch))}"
    words = f"A step of training ({patches}) needs about {_bytes(found.training_bytes)}"
    if free is None:
        return f"{words}."
    there = f"{_bytes(free)} are free" + (f" on {device}" if device else "")
    if fits(found, free):
        return f"{words}; {there}."
    return f"{words}, and only {there}: choose a smaller network or patch size."


def fits(found: Costs, free: int | None) -> bool:
    """Whether a training step fits into the memory that is free."""
    return free is None or found.training_bytes <= free


def _million(count_: int) -> str:
    return f"{count_ / 1e6:.1f} million" if count_ >= 100_000 else f"{count_:,}"


def _bytes(count_: int) -> str:
    return f"{count_ / 1e9:.1f} GB" if count_ >= 1e9 else f"{count_ / 1e6:.0f} MB"
