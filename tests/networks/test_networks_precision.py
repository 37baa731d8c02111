"""Half precision is taken where it is faster and right, and nowhere else."""

import itertools
import time

import pytest
import torch
from torch import nn

from napari_unet.networks import precision
from napari_unet.networks.precision import candidates, choose_precision
from napari_unet.networks.timing import shortest

HALVES = (torch.float16, torch.bfloat16)
EXAMPLE = torch.rand(1, 1, 4, 1000) + 0.1
keys = itertools.count()


class Timed(nn.Module):
    """Takes as long as it is told in each precision, and may be wrong in some."""

    def __init__(self, single, half, brain, wrong=()):
        super().__init__()
        self.pause = {torch.float32: single, torch.float16: half, torch.bfloat16: brain}
        self.wrong, self.asked = wrong, []

    def forward(self, x):
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        self.asked.append(dtype)
        time.sleep(self.pause[dtype])
        logits = torch.cat([x, -x], 1)
        logits[..., : int(0.01 * x.shape[-1]) if dtype in self.wrong else 0] *= -1
        return logits


@pytest.fixture
def tried(monkeypatch):
    """A CPU on which half precision is tried, for a short time."""
    monkeypatch.setattr(precision, "_CANDIDATES", {"cpu": HALVES})
    monkeypatch.setattr(precision, "SECONDS", 0.1)


@pytest.mark.usefixtures("tried")
@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Timed(0.02, 0.001, 0.01), torch.float16),
        (Timed(0.02, 0.01, 0.001), torch.bfloat16),
        (Timed(0.001, 0.02, 0.02), torch.float32),
        (Timed(0.02, 0.001, 0.01, wrong=HALVES[:1]), torch.bfloat16),
        (Timed(0.02, 0.001, 0.01, wrong=HALVES), torch.float32),
    ],
)
def test_faster_and_equal_is_taken(network, expected):
    assert choose_precision(network, EXAMPLE, next(keys)) is expected


@pytest.mark.usefixtures("tried")
def test_times_are_remembered_and_labels_are_compared_again():
    key = next(keys)
    assert choose_precision(Timed(0.02, 0.001, 0.03), EXAMPLE, key) is torch.float16
    again = Timed(0.0, 0.0, 0.0)
    assert choose_precision(again, EXAMPLE, key) is torch.float16
    assert again.asked == [torch.float32, torch.float16]
    assert choose_precision(Timed(0.0, 0.0, 0.0, wrong=HALVES), EXAMPLE, key) is torch.float32


def test_on_a_cpu_nothing_is_tried():
    network = Timed(0.02, 0.001, 0.001)
    assert candidates(torch.device("cpu")) == ()
    assert choose_precision(network, EXAMPLE, next(keys)) is torch.float32
    assert network.asked == []


def test_bfloat16_is_tried_on_cards_that_compute_in_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert candidates(torch.device("cuda", 0)) == (torch.float16,)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert candidates(torch.device("cuda", 0)) == HALVES


def test_the_first_run_warms_up_and_the_shortest_counts():
    pauses = iter([0.0, 0.05, 0.02, 0.05])
    assert 0.02 <= shortest(lambda: time.sleep(next(pauses)), 10, most=3) < 0.05
    assert next(pauses, None) is None


def test_one_run_is_timed_however_little_time_there_is():
    runs = []
    shortest(lambda: runs.append(None), 0)
    assert len(runs) == 2
