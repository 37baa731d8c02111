"""Training as the user steers it: stop, pause, go back to an earlier state; and what is known of how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from psygnal import Signal

from napari_unet._napari.autopilot import Autopilot
from napari_unet._napari.board import Board
from napari_unet._napari.course import Course
from napari_unet._napari.guidance import Phase
from napari_unet._napari.machine import Machine
from napari_unet.config import TrainConfig
from napari_unet.events import Event, WentBack
from napari_unet.session.commands import Command, GoBack, StopTraining
from napari_unet.session.messages import Previewed


class Client(Protocol):
    """What takes commands."""

    def send(self, command: Command) -> None: ...
    def preview(self, config: TrainConfig, seed: int) -> None: ...


class Teaching:
    """Ends trainings and takes the network back; `Controller.train` starts them.

    Parameters
    ----------
    client : Client
    board : Board
    autopilot : Autopilot
    take_strokes : callable
        Tells the session what was painted just now: what was painted before *Stop* does not start it again.

    Attributes
    ----------
    course : Course
        What the curve and the time line show.
    machine : Machine
        Where it computes, and what networks cost there.
    """

    previewed = Signal(Previewed)  #: augmented patches came

    def __init__(self, client: Client, board: Board, autopilot: Autopilot, take_strokes: Callable[[], object]) -> None:
        self._client, self._board, self._autopilot = client, board, autopilot
        self._take_strokes = take_strokes
        self.course = Course()
        self.machine = Machine(client.send)

    def stop(self) -> None:
        """Stop after the current step; the model stays, and nothing starts by itself before the next stroke."""
        self._end(paused=False)
        self._board.say()

    def pause(self) -> None:
        """Stop after the current step until the user goes on, whatever is painted meanwhile."""
        if self._board.state.phase in (Phase.WAITING, Phase.TRAINING):
            self._end(paused=True)
        self._board.say()

    def go_back(self, step: int) -> None:
        """Make the network what it was at `step`, and stop: the next step would lead away from there again."""
        self._end(paused=False)
        self._client.send(GoBack(step))
        self._board.say()

    def preview(self, config: TrainConfig, seed: int) -> None:
        """Ask for augmented patches of what the session learns from; `previewed` tells them."""
        self._client.preview(config, seed)

    def take(self, event: Event) -> None:
        """Take note of what the session told."""
        self.course.take(event)
        self.machine.take(event)
        if isinstance(event, Previewed):
            self.previewed.emit(event)
        if isinstance(event, WentBack):
            self._board.set(step=event.step)
            self._board.say(f"The network is as it was at step {event.step:,}; Undo brings step {event.before:,} back.")

    def _end(self, *, paused: bool) -> None:
        self._take_strokes()
        self._autopilot.stopped()
        if self._board.state.phase in (Phase.WAITING, Phase.TRAINING):
            self._client.send(StopTraining())
            self._board.set(phase=Phase.STOPPING)
        self._board.set(paused=paused)
