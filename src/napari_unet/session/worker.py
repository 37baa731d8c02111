"""The session's own process: ``python -m napari_unet.session.worker``, commands on stdin, events on stdout.

It is started as a module of its own, so that a user's script or notebook is never run twice, and it ends when the
pipe from its owner does.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from napari_unet.events import Event
from napari_unet.session.commands import Command, Shutdown
from napari_unet.session.messages import Failed
from napari_unet.session.pipe import read_message, write_message

if TYPE_CHECKING:
    from napari_unet.session.core import SessionCore

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
NICENESS = 10
LAST_SECONDS = 5.0  # to end the step in hand and write the model, when the owner was killed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a session until it is told to shut down or its owner is gone."""
    options = _parse(arguments)
    _yield_to_the_owner()
    events = _private_stdout()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(sys.stdin.buffer, commands), daemon=True).start()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from napari_unet.session.core import SessionCore

    core = SessionCore(options.device, Path(options.snapshot) if options.snapshot else None)
    try:
        _send(events, [core.ready()])
        _serve(core, commands, events)
    except OSError:
        log.info("nobody listens any more")
    core.close()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--snapshot", default="")
    return parser.parse_args(arguments)


def _yield_to_the_owner() -> None:
    """Lower the priority where the owner could not do it from outside."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _private_stdout() -> BinaryIO:
    """Keep stdout for events: whatever a library prints goes to stderr."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return events


def _read_commands(stream: BinaryIO, commands: queue.SimpleQueue[Command]) -> None:
    """Queue commands as they come; without an owner there is nothing to do but to keep the model."""
    try:
        command = None
        while not isinstance(command, Shutdown):
            command = read_message(stream)
            commands.put(command)
    except EOFError:
        commands.put(Shutdown())
        time.sleep(LAST_SECONDS)
        os._exit(0)


def _serve(core: SessionCore, commands: queue.SimpleQueue[Command], events: BinaryIO) -> None:
    """Take commands and work in turn; the first time that there is neither, make ready for the first training."""
    fresh = True
    while True:
        try:
            command = commands.get(timeout=0 if core.busy else IDLE_SECONDS)
        except queue.Empty:
            if fresh and not core.busy:
                core.make_ready()
                fresh = False
            _send(events, _guarded(core, None))
            continue
        if isinstance(command, Shutdown):
            return
        _send(events, _guarded(core, command))


def _guarded(core: SessionCore, command: Command | None) -> list[Event]:
    """One turn of the session; a defect is reported and ends the work in hand, not the process.

    This is the boundary of the process: nothing above could tell the user.
    """
    try:
        return core.work() if command is None else core.handle(command)
    except Exception as error:
        log.exception("the session failed")
        core.stop_work()
        return [Failed(f"Please report this defect of napari-unet, then go on: {type(error).__name__}: {error}")]


def _send(stream: BinaryIO, events: Sequence[Event]) -> None:
    for event in events:
        write_message(stream, event)


if __name__ == "__main__":
    os._exit(main())  # the reading thread still waits on stdin, and would disturb an orderly exit
