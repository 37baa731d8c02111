"""What the base weights are trained on: the programs in ``tools/``, which the package does not hold."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_unet.io.model_file import load_model

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.base_model.appearances import borders, contacts, depth, render  # noqa: E402
from tools.base_model.batches import Batches  # noqa: E402
from tools.base_model.images import read_pictures  # noqa: E402
from tools.base_model.shapes import random_labels  # noqa: E402

TWO = np.zeros((9, 12), np.int32)
TWO[2:7, 1:6], TWO[2:7, 6:11] = 1, 2


@pytest.fixture
def folder(tmp_path):
    """Images as the data sets hold them; the one to be measured on is bright."""
    names = {
        "dsb2018_stage1": ["seen", "measured"],
        "qcanet_mouse_embryo_3d": ["q"],
        "stardist_samples": ["s"],
        "usiigaci_t98g_phc": ["train_set01", "train_set06"],
        "plantseg_3d": ["nuclei_1135", "ovule_cells"],
    }
    for name, files in names.items():
        for part in ("images", "labels"):
            (tmp_path / name / part).mkdir(parents=True)
        for file in files:
            shape = (7, 40, 50) if name == "qcanet_mouse_embryo_3d" else (40, 50)
            labels = np.zeros(shape, np.uint16)
            labels[..., 10:20, 10:30] = 1
            tifffile.imwrite(tmp_path / name / "labels" / f"{file}.tif", labels)
            tifffile.imwrite(tmp_path / name / "images" / f"{file}.tif", labels * 100 + np.arange(50, dtype=np.uint16))
    split = {"pretraining_only": ["seen"], "benchmark": ["measured"]}
    (tmp_path / "dsb2018_stage1" / "split.json").write_text(json.dumps(split))
    return tmp_path


def test_borders_and_contacts_of_two_touching_objects():
    assert borders(TWO)[2:7, 5:7].all()
    assert not borders(TWO)[3:6, 2:5].any()
    assert contacts(TWO)[4, 5]
    assert contacts(TWO)[4, 6]
    assert not contacts(TWO)[4, 2]


def test_depth_rises_to_one_in_the_middle_and_is_nothing_outside():
    found = depth(TWO)
    assert found[4, 3] == found[4, 8] == 1
    assert (found[TWO == 0] == 0).all()
    assert not depth(np.zeros((4, 4), np.int32)).any()


def test_shapes_and_appearances_are_varied_and_finite():
    drawn = [random_labels(np.random.default_rng(seed), 64) for seed in range(40)]
    counts = [len(np.unique(labels)) - 1 for labels in drawn]
    assert min(counts) < 5
    assert max(counts) > 40
    images = [render(np.random.default_rng(seed), labels) for seed, labels in enumerate(drawn)]
    assert all(np.isfinite(image).all() and image.shape == (64, 64) for image in images)
    brighter = [
        np.mean(i[lab > 0]) > np.mean(i[lab == 0])
        for i, lab in zip(images, drawn, strict=True)
        if 0 in lab and lab.any()
    ]
    assert 5 < sum(brighter) < len(brighter) - 5


def test_the_same_step_gives_the_same_batch(folder):
    pictures = read_pictures(folder, shipped=False)
    first, again = (Batches(pictures, 32, 2, 2, seed=1).draw(5) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert first[0].shape == (4, 1, 32, 32)
    assert first[1].shape == (4, 4, 32, 32)
    assert not torch.equal(first[0], Batches(pictures, 32, 2, 2, seed=1).draw(6)[0])


def test_what_is_measured_on_is_left_out(folder):
    def count(shipped):
        return Counter(picture.source for picture in read_pictures(folder, shipped=shipped))

    measured = count(True) - count(False)
    assert measured == {"dsb2018_stage1": 1, "usiigaci_t98g_phc": 1, "plantseg_3d": 1}
    assert count(False).keys() == count(True).keys()


def test_an_interrupted_training_goes_on_and_writes_half_precision(folder, tmp_path):
    out = tmp_path / "base.unet"
    command = [sys.executable, "-m", "tools.base_model.pretrain", "--data", folder, "--out", out, "--patch", "32"]
    command += ["--real", "1", "--synthetic", "1", "--device", "cpu", "--model", '{"width": 2, "depth": 2}']
    steps = []
    for seconds in ("0.2", "0.5"):
        subprocess.run(
            [*map(str, command), "--seconds", seconds], cwd=ROOT, check=True, capture_output=True, timeout=120
        )
        state, header = load_model(out)
        steps.append(header.step)
    assert 0 < steps[0] < steps[1]
    assert {value.dtype for name, value in state.items() if name.endswith("weight")} == {torch.float16}
