"""A session in its own process does the work, survives its worker, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.events import (
    Corrected,
    Event,
    Finished,
    Saved,
    Started,
    StatesChanged,
    Step,
    Validated,
    Warned,
    WentBack,
)
from napari_unet.io.model_file import read_header
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray, share
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import Failed, ModelChanged, PredictionDone, Ready, SnapshotSaved, Tile, WorkerDied
from napari_unet.session.process import ProcessSession, sweep
from napari_unet.session.threads import spare_threads

SMALL = ModelConfig(width=4, depth=2)
FAST = TrainConfig(patch_size=32, batch_size=2)


def collect(session, until: Callable[[Event], bool], seconds: float = 60) -> list[Event]:
    """All events up to the first that `until` accepts."""
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in session.poll():
            events.append(event)
            if until(event):
                return events
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s; got {events[-5:]}")


def kinds(*wanted: type[Event]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, wanted)


@pytest.fixture(params=[InlineSession, ProcessSession])
def session(request) -> Iterator[InlineSession | ProcessSession]:
    opened = request.param(device="cpu")
    yield opened
    opened.close()


@pytest.fixture
def field() -> Iterator[tuple[SharedArray, SharedArray]]:
    cells = touching_cells((96, 80), seed=1, diameter=16)
    image, strokes = share(cells.image), share(paint_strokes(cells.labels, seed=1, fraction=0.05))
    yield image, strokes
    image.close()
    strokes.close()


def teach(session, field, steps: int | None = 3) -> None:
    session.send(do.SetImage("a", field[0].ref, "YX"))
    session.send(do.NewModel(SMALL))
    session.send(do.SetStrokes("a", field[1].ref))
    session.send(do.Train(FAST.model_copy(update={"steps": steps})))


def test_training_and_prediction_end_to_end(session, field, tmp_path: Path):
    teach(session, field)
    events = collect(session, kinds(Finished, Failed))
    assert [type(event) for event in events if not isinstance(event, (Step, SnapshotSaved))] == [
        Ready,
        ModelChanged,
        Started,
        Finished,
    ]
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3]

    target = SharedArray((96, 80), np.uint8)
    session.send(do.PredictImage(5, "a", target.ref, PredictConfig(tile=32)))
    events = collect(session, kinds(PredictionDone, Failed))
    tiles = [event for event in events if isinstance(event, Tile)]
    assert tiles[-1].done == tiles[-1].total == len(tiles) > 1
    assert set(np.unique(target.array)) <= {1, 2}

    session.send(do.PredictView(6, "a", (), ((10, 50), (20, 60))))
    view = [event for event in collect(session, kinds(PredictionDone)) if isinstance(event, Tile)]
    for tile in view:
        np.testing.assert_array_equal(tile.data, target.array[tile.index])
    assert sum(tile.data.size for tile in view) == 40 * 40

    session.send(do.SaveModel(str(tmp_path / "cells.unet")))
    assert collect(session, kinds(Saved, Failed))[-1] == Saved(str(tmp_path / "cells.unet"))
    session.send(do.LoadModel(str(tmp_path / "cells.unet")))
    loaded = collect(session, kinds(ModelChanged, Failed))[-1]
    assert (loaded.step, loaded.config) == (3, SMALL)
    target.close()


def test_stop_keeps_the_model(session, field):
    teach(session, field, steps=None)
    collect(session, lambda event: isinstance(event, Step) and event.step >= 2)
    session.send(do.StopTraining())
    finished = collect(session, kinds(Finished))[-1]
    assert finished.reason == "stopped"
    session.send(do.PredictView(1, "a", (), ((0, 16), (0, 16))))
    done = collect(session, kinds(PredictionDone, Failed))[-1]
    assert isinstance(done, PredictionDone)
    assert done.step == finished.step


def test_pause_go_on_and_back(session, field):
    """A pause keeps the schedule, earlier states can be gone back to, and new strokes are scored first."""
    image, strokes = field
    session.send(do.SetImage("a", image.ref, "YX"))
    session.send(do.NewModel(ModelConfig(width=2, depth=1)))
    session.send(do.SetStrokes("a", strokes.ref))
    config = FAST.replace(steps=70, batch_size=1, patch_size=16)
    session.send(do.Train(config))
    collect(session, lambda event: isinstance(event, Step) and event.step >= 3)
    session.send(do.StopTraining())
    paused = collect(session, kinds(Finished))[-1].step
    assert paused < 70
    strokes.array[:6, :6] = 1 + (strokes.array[:6, :6] != 2)
    session.send(do.StrokesChanged("a", ((0, 6), (0, 6))))
    session.send(do.Train(config, resume=True))
    events = collect(session, kinds(Finished, Failed))
    assert (events[-1].reason, events[-1].step) == ("steps", 70)
    assert [event.step for event in events if isinstance(event, Step)] == list(range(paused + 1, 71))
    (corrected,) = (event for event in events if isinstance(event, Corrected))
    assert (corrected.key, corrected.pixels, corrected.step) == ("a", 36, paused)
    (validated,) = (event for event in events if isinstance(event, Validated))
    assert validated.score is None
    assert "too few strokes" in validated.reason
    states = [event for event in events if isinstance(event, StatesChanged)][-1].states
    assert [state.step for state in states] == [50, 70]
    session.send(do.GoBack(50))
    assert collect(session, kinds(WentBack))[-1] == WentBack(50, 70)
    session.send(do.GoBack(49))
    assert "none of step 49" in collect(session, kinds(Failed))[-1].message


def test_a_class_is_added_to_a_trained_model(session, field, tmp_path: Path):
    teach(session, field)
    collect(session, kinds(Finished))
    wider = SMALL.replace(classes=("background", "edge", "cell"))
    session.send(do.AdaptModel(wider))
    changed = collect(session, lambda event: isinstance(event, (ModelChanged, Failed)) and event.config == wider)[-1]
    assert changed.step == 3
    session.send(do.SaveModel(str(tmp_path / "wider.unet")))
    collect(session, kinds(Saved))
    assert read_header(tmp_path / "wider.unet").model == wider


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (do.GoBack(3), "make a new model"),
        (do.AdaptModel(SMALL), "make a new model"),
        (do.Train(FAST), "make a new model"),
        (do.PredictView(1, "a", (), ((0, 4), (0, 4))), "make a new model"),
        (do.SaveModel("x.unet"), "make a new model"),
        (do.LoadModel("/nowhere/x.unet"), "x.unet"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(command, words):
    session = InlineSession(device="cpu")
    session.send(command)
    failed = collect(session, kinds(Failed))[-1]
    assert words in failed.message
    session.close()


def test_an_untrained_model_says_so(field):
    session = InlineSession(device="cpu")
    session.send(do.SetImage("a", field[0].ref, "YX"))
    session.send(do.NewModel(SMALL))
    session.send(do.PredictView(9, "a", (), ((0, 4), (0, 4))))
    failed = collect(session, kinds(Failed))[-1]
    assert failed.request == 9
    assert "train the model first" in failed.message
    session.close()


def test_what_was_trained_is_written_into_the_model(field, tmp_path: Path):
    session = InlineSession(device="cpu")
    teach(session, field)
    collect(session, kinds(Finished))
    session.send(do.SaveModel(str(tmp_path / "m.unet")))
    (entry,) = read_header(tmp_path / "m.unet").history
    assert (entry["steps"], entry["ended"]) == (3, "steps")
    assert np.isfinite(entry["loss"])
    session.close()


def test_a_safety_copy_that_cannot_be_written_does_not_stop_the_training(field, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("napari_unet.session.safety.SNAPSHOT_SECONDS", 0.0)
    session = InlineSession(device="cpu", snapshot=tmp_path / "nowhere" / "snapshot.unet")
    teach(session, field)
    events = collect(session, kinds(Finished, Failed))
    assert isinstance(events[-1], Finished)
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert "safety copy" in warned.message
    session.close()


def test_a_newer_view_replaces_an_older_one(field):
    session = InlineSession(device="cpu")
    teach(session, field)
    collect(session, kinds(Finished))
    session.send(do.PredictView(1, "a", (), ((0, 16), (0, 16))))
    session.send(do.PredictView(2, "a", (), ((0, 8), (0, 8))))
    events = collect(session, lambda event: isinstance(event, PredictionDone) and event.request == 2)
    assert PredictionDone(1, cancelled=True, step=3) in events
    assert {event.request for event in events if isinstance(event, Tile)} == {2}
    session.close()


def test_cancel_ends_a_prediction_of_the_whole_image(field):
    session = InlineSession(device="cpu")
    teach(session, field)
    collect(session, kinds(Finished))
    target = SharedArray((96, 80), np.uint8)
    session.send(do.PredictImage(5, "a", target.ref, PredictConfig(tile=16)))
    collect(session, kinds(Tile))
    session.send(do.Cancel(5))
    assert collect(session, kinds(PredictionDone))[-1].cancelled
    assert session.poll() == []
    target.close()
    session.close()


def test_forgetting_an_image_while_it_is_predicted(field):
    session = InlineSession(device="cpu")
    teach(session, field)
    collect(session, kinds(Finished))
    session.send(do.PredictView(1, "a", (), ((0, 16), (0, 16))))
    session.send(do.Forget("a"))
    assert session.poll() == []
    session.send(do.PredictView(2, "a", (), ((0, 16), (0, 16))))
    assert "choose the image again" in collect(session, kinds(Failed))[-1].message
    session.close()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a POSIX signal")
def test_a_killed_worker_is_replaced_and_goes_on_from_its_snapshot(field):
    session = ProcessSession(device="cpu")
    teach(session, field)
    finished = collect(session, kinds(Finished))[-1]
    first = session.pid
    os.kill(first, signal.SIGKILL)
    events = collect(session, lambda event: isinstance(event, ModelChanged))
    died = next(event for event in events if isinstance(event, WorkerDied))
    assert died.restarted
    assert session.pid != first
    assert events[-1].step == finished.step == 3
    session.send(do.Train(FAST.model_copy(update={"steps": 2})))
    assert collect(session, kinds(Finished, Failed))[-1].step == 5
    session.close()


@pytest.mark.skipif(os.name != "posix", reason="looks for a process by a POSIX signal")
def test_closing_ends_the_process_even_while_it_trains(field):
    session = ProcessSession(device="cpu")
    teach(session, field, steps=None)
    collect(session, kinds(Step))
    pid, folder = session.pid, session._folder.name
    session.close()
    session.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not Path(folder).exists()
    assert session.poll() == []


@pytest.mark.skipif(os.name != "posix", reason="looks for a process by a POSIX signal")
def test_remains_of_a_killed_owner_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE, check=True)
    for pid in (int(gone.stdout), os.getpid()):
        (tmp_path / f"napari-unet-{pid}-x").mkdir()
    (tmp_path / "napari-unet-notes").mkdir()
    sweep()
    assert {path.name for path in tmp_path.iterdir()} == {f"napari-unet-{os.getpid()}-x", "napari-unet-notes"}


OWNER = """
import os, sys, time
from napari_unet.session.process import ProcessSession
session = ProcessSession(device="cpu")
while not session.poll():
    time.sleep(0.01)
print(session.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for a process in /proc")
def test_the_worker_dies_with_its_owner():
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    worker = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}/cmdline").exists() and Path(f"/proc/{worker}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_owner_never_imports_torch():
    line = (
        "import sys, napari_unet.session.process, napari_unet.session.inline, napari_unet.session.messages; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", line], check=True)


def test_a_session_that_made_ready_loads_nothing_more_for_its_first_training():
    program = """if True:
        import sys
        import numpy as np
        from napari_unet import ModelConfig, TrainConfig
        from napari_unet.session.core import SessionCore
        from napari_unet.training.loop import Trainer

        SessionCore("cpu").make_ready()
        trainer = Trainer(ModelConfig(width=4, depth=1), TrainConfig(steps=1, patch_size=32, device="cpu"))
        trainer.set_image("a", np.eye(48, dtype=np.float32), "YX")
        trainer.set_strokes("a", np.eye(48, dtype=int) + 1)
        before = set(sys.modules)
        list(trainer.run())
        print(len({name for name in set(sys.modules) - before if name.startswith("torch.")}))
    """
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 50  # hundreds otherwise


def test_one_core_is_left_to_the_window(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert spare_threads() == 7
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3}, raising=False)
    assert spare_threads() == 1
    session = ProcessSession(device="cpu")
    try:
        assert session._options[session._options.index("--threads") + 1] == "1"
    finally:
        session.close()
