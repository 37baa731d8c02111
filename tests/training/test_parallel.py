"""Two real processes train one network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun has no libuv on Windows")

SCRIPT = """
import os, sys
import numpy as np, torch
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.events import Step
from napari_unet.training.loop import Trainer
from napari_unet.training.parallel import leave

folder = sys.argv[1]
rng = np.random.default_rng(0)
image = rng.random((48, 48))
strokes = np.where(rng.random((48, 48)) < 0.1, 1 + (image > 0.5), 0)
rank = int(os.environ["RANK"])
config = TrainConfig(steps=1 if rank == 0 else 99, patch_size=16, batch_size=2, device="cpu", optimizer="sgd",
                     momentum=0, weight_decay=0, clip=0, warmup=0, schedule="constant", ema=0, threads=1)
trainer = Trainer(ModelConfig(width=2, depth=1, norm="none"), config)
trainer.set_image("a", image, "YX")
trainer.set_strokes("a", strokes)
before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
events = list(trainer.run())
gradients = {k: p.grad.clone() for k, p in trainer.network.named_parameters()}
alone = Trainer(trainer.model, config, state=before)
alone.set_image("a", image, "YX")
alone.set_strokes("a", strokes)
alone.team.size = 1
alone._use(config), list(alone._begin(False)), alone._learner.learn(alone._plan, 0.0)
own = {k: p.grad.clone() for k, p in alone.network.named_parameters()}
torch.save({"state": trainer.network.state_dict(), "gradients": gradients, "own": own,
            "losses": [e.loss for e in events if isinstance(e, Step)]}, f"{folder}/{rank}.pt")
leave()
"""


def torchrun(arguments, folder):
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_both_have_the_same_weights_from_the_mean_of_their_gradients(tmp_path: Path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = torchrun(["script.py", str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    # Rank 1 was told another number of steps: rank 0 decides when to end.
    assert [len(part["losses"]) for part in found] == [1, 1]
    assert found[0]["losses"] != found[1]["losses"]
    for name, value in found[0]["state"].items():
        assert torch.equal(value, found[1]["state"][name])
    for name, value in found[0]["gradients"].items():
        mean = (found[0]["own"][name] + found[1]["own"][name]) / 2
        torch.testing.assert_close(value, mean)
        assert not torch.equal(found[0]["own"][name], found[1]["own"][name])


def test_torchrun_trains_from_the_command_line_and_one_process_writes(tmp_path: Path):
    cells = touching_cells((64, 80), seed=2, diameter=16)
    tifffile.imwrite(tmp_path / "image.tif", cells.image)
    tifffile.imwrite(tmp_path / "strokes.tif", paint_strokes(cells.labels, seed=2, fraction=0.05))
    line = ["-m", "napari_unet", "train", "image.tif", "--strokes", "strokes.tif", "--model", "m.unet"]
    line += ["--checkpoint", "c.ckpt", "--steps", "3", "--width", "4", "--depth", "2", "--patch-size", "32"]
    done = torchrun([*line, "--device", "cpu"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved m.unet") == 1
    assert done.stderr.count("Training ended after 3 steps") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.ckpt", "image.tif", "m.unet", "strokes.tif"]
    from napari_unet import Model

    assert np.isin(Model.load(tmp_path / "m.unet").predict(cells.image, device="cpu"), (1, 2)).all()
