"""Checkpoints survive kills and full disks, and nothing but a whole one is ever read."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.errors import ModelFileError
from napari_unet.io.checkpoint import CheckpointHeader, load_checkpoint, save_checkpoint
from napari_unet.io.model_file import ModelHeader, load_model, save_model

MODEL = ModelConfig(width=2, depth=1)
KILLS = 50

_SAVE_FOR_EVER = """
import os, signal, sys, torch
from napari_unet.config import ModelConfig
from napari_unet.io.checkpoint import CheckpointHeader, save_checkpoint

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
number = 0
while sys.stdin.readline():
    process = os.fork()
    while process == 0:
        number += 1
        tensors = {"w": torch.full((200_000,), float(number)), "v": torch.full((9,), float(number))}
        save_checkpoint(sys.argv[1], tensors, CheckpointHeader.now(model=ModelConfig(), facts={"number": number}))
        if number == 1:
            print("saved", flush=True)
    print(process, flush=True)
"""


def header(number=1):
    return CheckpointHeader.now(model=MODEL, facts={"number": number, "nested": [1.5, None, {"a": True}]})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "c.ckpt"
    save_checkpoint(path, {"network/w": torch.arange(6.0).reshape(2, 3)}, header())
    return path


def test_what_is_written_is_read(saved):
    tensors, found = load_checkpoint(saved)
    assert torch.equal(tensors["network/w"], torch.arange(6.0).reshape(2, 3))
    assert (found.model, found.facts) == (MODEL, header().facts)


def test_a_model_is_no_checkpoint_nor_the_other_way_round(saved, tmp_path):
    save_model(tmp_path / "m.unet", {"w": torch.zeros(1)}, ModelHeader.now(model=MODEL))
    with pytest.raises(ModelFileError, match="another checkpoint"):
        load_checkpoint(tmp_path / "m.unet")
    with pytest.raises(ModelFileError, match="another model file"):
        load_model(saved)


def test_every_damage_is_found(saved):
    whole = saved.read_bytes()
    random.seed(0)
    for _ in range(200):
        broken = bytearray(whole)
        broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
        saved.write_bytes(broken)
        with pytest.raises(ModelFileError):
            load_checkpoint(saved)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_fifty_kills_while_saving_leave_a_whole_file_and_no_remains(tmp_path):
    path = tmp_path / "c.ckpt"
    command = [sys.executable, "-W", "ignore", "-c", _SAVE_FOR_EVER, str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    generator, orphans = random.Random(0), 0
    for kill in range(KILLS):
        parent.stdin.write("go\n")
        parent.stdin.flush()
        words = [parent.stdout.readline().strip() for _ in range(2)]
        process = int(next(word for word in words if word.isdigit()))
        time.sleep(generator.random() * 0.02)
        # Every second one comes just when something is being written, however slow the machine.
        until = time.monotonic() + 5
        while kill % 2 and len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
            pass
        os.kill(process, signal.SIGKILL)
        while Path(f"/proc/{process}").exists():
            time.sleep(0.001)
        orphans += len(list(tmp_path.iterdir())) > 1
        tensors, found = load_checkpoint(path)
        assert list(tmp_path.iterdir()) == [path]
        assert (tensors["w"] == found.facts["number"]).all()
        assert (tensors["v"] == found.facts["number"]).all()
    parent.stdin.close()
    parent.wait(10)
    parent.stdout.close()
    assert orphans >= 3
