"""Half precision is taken where it is faster and right, and nowhere else."""

import time

import pytest
import torch
from torch import nn

from napari_unet.networks.precision import choose_precision


class Timed(nn.Module):
    """Takes as long as it is told in each precision, and may be wrong in half precision."""

    def __init__(self, single, half, wrong=0.0):
        super().__init__()
        self.pause = {False: single, True: half}
        self.wrong = wrong

    def forward(self, x):
        half = torch.is_autocast_enabled("cpu")
        time.sleep(self.pause[half])
        logits = torch.cat([x, -x], 1)
        flipped = int(self.wrong * x.shape[-1]) if half else 0
        logits[..., :flipped] *= -1
        return logits


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Timed(0.02, 0.001), torch.bfloat16),
        (Timed(0.001, 0.02), torch.float32),
        (Timed(0.02, 0.001, wrong=0.01), torch.float32),
    ],
)
def test_faster_and_equal_is_taken(network, expected):
    assert choose_precision(network, torch.rand(1, 1, 4, 1000) + 0.1, seconds=0.1) is expected


def test_it_takes_about_the_time_it_is_given():
    begin = time.perf_counter()
    choose_precision(Timed(0.001, 0.001), torch.rand(1, 1, 4, 4), seconds=0.2)
    assert time.perf_counter() - begin < 2
