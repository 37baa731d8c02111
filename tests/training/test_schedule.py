import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.networks.geometry import geometry
from napari_unet.training.average import Average
from napari_unet.training.patches import plan_patches
from napari_unet.training.schedule import FLOOR, Budget, learning_rate


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_budget_of_steps():
    budget = Budget(steps=4)
    assert budget.spent is None
    budget.done = 3
    assert budget.progress == 0.75
    budget.done = 4
    assert budget.spent == "steps"


def test_a_budget_of_seconds():
    clock = Clock()
    budget = Budget(seconds=10, clock=clock)
    clock.now += 5
    assert (budget.elapsed, budget.progress, budget.spent) == (5, 0.5, None)
    clock.now += 6
    assert (budget.progress, budget.spent) == (1, "seconds")


def test_of_two_budgets_the_first_one_ends_it():
    clock = Clock()
    budget = Budget(steps=10, seconds=10, clock=clock)
    budget.done, clock.now = 2, 109.0
    assert budget.progress == pytest.approx(0.9)


def test_open_ended():
    budget = Budget()
    budget.done = 10**6
    assert budget.progress is None
    assert budget.spent is None
    assert learning_rate(TrainConfig(), budget.done, budget.progress) == TrainConfig().learning_rate


def test_rate_rises_then_falls_to_the_floor():
    config = TrainConfig(learning_rate=1, warmup=10)
    rates = [learning_rate(config, done, done / 200) for done in range(201)]
    peak = rates.index(max(rates))
    assert 5 <= peak <= 10
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(FLOOR)


def test_average_follows_and_forgets_its_start():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network)
    before = average.network
    with torch.no_grad():
        network[0].weight.fill_(3)
        network[1].running_mean.fill_(7)
    for _ in range(60):
        average.update(network, 0.98)
    assert average.network is before
    assert not average.network.training
    torch.testing.assert_close(average.network[0].weight, network[0].weight, atol=0.01, rtol=0)
    torch.testing.assert_close(average.network[1].running_mean, network[1].running_mean, atol=0.01, rtol=0)


def test_statistics_are_averaged_as_the_weights_are_and_counters_copied():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network, count=1000)
    before = network[0].bias.clone()
    with torch.no_grad():
        network[0].bias += 1
        network[1].running_mean += 1
        network[1].num_batches_tracked += 5
    average.update(network, 0.98)
    torch.testing.assert_close(average.network[0].bias - before, torch.full((2,), 0.02))
    torch.testing.assert_close(average.network[1].running_mean, torch.full((2,), 0.02))
    assert int(average.network[1].num_batches_tracked) == 5


def test_average_with_decay_0_is_the_network():
    network = nn.Linear(3, 3)
    average = Average(network)
    with torch.no_grad():
        network.weight.add_(1)
    average.update(network, 0)
    assert torch.equal(average.network.weight, network.weight)


@given(
    st.sampled_from([2, 3]),
    st.integers(1, 4),
    st.sampled_from(["same", "valid"]),
    st.integers(8, 300),
    st.lists(st.tuples(*[st.integers(1, 400)] * 3), min_size=1, max_size=3),
)
def test_patches_are_legal(ndim, depth, padding, patch, images):
    model = ModelConfig(ndim=ndim, depth=depth, padding=padding, width=2)
    plan = plan_patches(model, TrainConfig(patch_size=patch), [image[-ndim:] for image in images])
    grid = geometry(model)
    while plan is not None:
        for axis, (size, kept) in enumerate(zip(plan.shape, plan.kept, strict=True)):
            assert size % grid.stride[axis] == grid.residue[axis] % grid.stride[axis]
            assert size == kept + 2 * grid.margin[axis]
            assert kept >= 1
        assert plan.batch >= 1
        plan = plan.smaller()


def test_patches_follow_the_settings_and_the_images():
    plan = plan_patches(ModelConfig(depth=2), TrainConfig(patch_size=64, batch_size=5), [(500, 30), (20, 20)])
    assert (plan.kept, plan.batch) == ((64, 32), 5)


def test_volume_patches_are_thin_where_the_pixels_are_thick():
    model = ModelConfig(ndim=3, depth=1, spacing=(4.0, 1.0, 1.0))
    plan = plan_patches(model, TrainConfig(patch_size=128, batch_size=8), [(100, 500, 500)])
    assert plan.kept[0] * 3 < plan.kept[1]
    assert plan.kept[1] == plan.kept[2]
    assert plan.batch == 2


def test_smaller_halves_the_batch_then_the_patch():
    plan = plan_patches(ModelConfig(depth=2), TrainConfig(patch_size=64, batch_size=4), [(500, 500)])
    seen = []
    while plan is not None:
        seen.append(str(plan))
        plan = plan.smaller()
    assert seen[0] == "4 patches of 64 x 64 pixels"
    assert seen[2] == "1 patch of 64 x 64 pixels, 4 times for each step"
    assert seen[-1] == "1 patch of 8 x 8 pixels, 4 times for each step"
