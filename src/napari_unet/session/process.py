"""A session in a process of its own: it never blocks its owner, and its death takes nothing along."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from napari_unet.errors import SessionError
from napari_unet.events import Event
from napari_unet.session.arrays import is_filled
from napari_unet.session.commands import Command, SetImage, Shutdown
from napari_unet.session.messages import Failed, Ready, WorkerDied
from napari_unet.session.pipe import read_message, write_message
from napari_unet.session.replay import Replay
from napari_unet.session.threads import PATIENT_THREADS, spare_threads

log = logging.getLogger(__name__)

PREFIX = "napari-unet-"
CLOSE_SECONDS = 1.5
WAIT_SECONDS = 0.05
MOST_RESTARTS = 3
RESTART_WINDOW_SECONDS = 120.0


class ProcessSession:
    """Starts ``python -m napari_unet.session.worker`` and talks to it through its standard streams.

    Neither `send` nor `poll` waits. When the process dies, a new one is started, is told about images and strokes
    again, and goes on from the last snapshot of the model.

    Parameters
    ----------
    device : str
        As in `TrainConfig`.
    threads : int, optional
        CPU threads of the process; by default one less than there are cores, so that the owner's window stays fluid.
    """

    def __init__(self, device: str = "auto", threads: int | None = None) -> None:
        sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True)
        snapshot = Path(self._folder.name) / "snapshot.unet"
        self._options = [
            "--device",
            device,
            "--threads",
            str(threads or spare_threads()),
            "--snapshot",
            str(snapshot),
        ]
        self._replay = Replay()
        self._deaths: list[float] = []
        self._worker: _Worker | None = _Worker(self._options, Path(self._folder.name))

    @property
    def pid(self) -> int | None:
        """Process number of the worker; None when there is none."""
        return self._worker.process.pid if self._worker else None

    def send(self, command: Command) -> None:
        """Pass `command` on; it is answered by events."""
        self._replay.remember(command)
        if self._worker is not None:
            self._worker.send(command)

    def poll(self) -> list[Event]:
        """What happened since the last call."""
        if self._worker is None:
            return []
        events = self._worker.received()
        for event in events:
            self._replay.observe(event)
        if self._worker.is_dead():
            events += self._worker.received() + self._recover(self._worker)
        return events

    def close(self) -> None:
        """End the process, at most 1.5 s later; further calls do nothing."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
            self._folder.cleanup()

    def _recover(self, worker: _Worker) -> list[Event]:
        """Start a new process unless that is hopeless."""
        worker.close()
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < RESTART_WINDOW_SECONDS), now]
        if not worker.was_ready or len(self._deaths) > MOST_RESTARTS:
            self._worker = None
            return [WorkerDied(_hopeless(worker), restarted=False)]
        self._worker = _Worker(self._options, Path(self._folder.name))
        for command in self._replay.commands():
            self._worker.send(command)
        return [WorkerDied("The training process stopped unexpectedly and was started again; press Train to go on.")]


def sweep() -> None:
    """Remove the folders of owners that were killed; only where a process can be looked for."""
    if os.name != "posix":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Worker:
    """One process, a thread that writes to it and a thread that reads from it."""

    def __init__(self, options: list[str], folder: Path) -> None:
        self.was_ready = False
        self._log = folder / "worker.log"
        with self._log.open("ab") as stderr:
            self.process = _start([sys.executable, "-m", "napari_unet.session.worker", *options], stderr)
        self._ending = threading.Event()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def send(self, command: Command) -> None:
        self._commands.put(command)

    def received(self) -> list[Event]:
        events = []
        while not self._events.empty():
            events.append(self._events.get())
        self.was_ready = self.was_ready or any(isinstance(event, Ready) for event in events)
        return events

    def is_dead(self) -> bool:
        return self.process.poll() is not None and not self._threads[1].is_alive()

    def last_words(self) -> str:
        """Last line the process wrote to its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def close(self) -> None:
        """Ask it to end, then make it; one that is still starting has nothing to lose."""
        self._ending.set()
        self.send(Shutdown())
        self._commands.put(None)
        if not self.was_ready:
            self.process.kill()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        """Send what is queued; a closed pipe ends it."""
        with _closing(self.process.stdin) as stream:
            try:
                while (command := self._commands.get()) is not None:
                    if not isinstance(command, SetImage) or self._is_there(command):
                        write_message(stream, command)
            except OSError:
                log.debug("the session's process no longer listens")

    def _is_there(self, command: SetImage) -> bool:
        """Let a large image be copied first, unless all is to end: what comes after it waits here, not in a window."""
        try:
            while not is_filled(command.array, WAIT_SECONDS):
                if self._ending.is_set():
                    return False
        except SessionError as error:
            self._events.put(Failed(str(error)))
            return False
        return True

    def _read(self) -> None:
        with _closing(self.process.stdout) as stream:
            try:
                while True:
                    self._events.put(read_message(stream))
            except EOFError:
                log.debug("the session's process has ended")


@contextmanager
def _closing(stream: Any) -> Iterator[BinaryIO]:
    """A pipe's end, closed at last even when the other side is gone."""
    try:
        yield stream
    finally:
        with suppress(OSError):
            stream.close()


def _start(line: list[str], stderr: BinaryIO) -> subprocess.Popen[bytes]:
    """Start the process at low priority, so that painting stays fluid."""
    environment = PATIENT_THREADS | dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
        extra: dict[str, object] = {"creationflags": flags}
    else:
        extra = {"start_new_session": True}
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            **extra,  # type: ignore[call-overload]
        )
    except OSError as error:
        raise SessionError(f"check the Python installation: {line[0]} could not be started ({error})") from error
    return process


def _hopeless(worker: _Worker) -> str:
    return f"Run 'napari-unet doctor' in a terminal: the training process cannot run ({worker.last_words()})."
