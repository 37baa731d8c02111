"""Optimisers, gradients, half precision."""

import pytest
import torch
from torch import nn

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import TrainingError
from napari_unet.events import Started, Step
from napari_unet.training.descent import Descent
from napari_unet.training.precision import choose_dtype

CPU = torch.device("cpu")


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)

    def forward(self, x):
        return self.head(self.encoder(x))


def tiny():
    torch.manual_seed(0)
    return Tiny()


def one_step(network, losses, dtype=torch.float32, rate=0.1, **changes):
    descent = Descent(network, TrainConfig(**changes), CPU, dtype)
    descent.begin(rate, 0.0)
    for loss in losses:
        with descent.autocast():
            value = loss(network)
        descent.backward(value / len(losses))
    descent.step(1.0)
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({"optimizer": "adamw"}, lambda ps: torch.optim.AdamW(ps, lr=0.1, weight_decay=0.0)),
        ({"optimizer": "sgd", "momentum": 0.9}, lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, nesterov=True)),
        ({"optimizer": "sgd", "momentum": 0.0}, lambda ps: torch.optim.SGD(ps, lr=0.1)),
    ],
)
def test_a_step_is_that_of_torch(changes, reference):
    x = torch.randn(5, 3)
    ours = one_step(tiny(), [lambda network: network(x).square().mean()], clip=0, **changes)
    network = tiny()
    optimizer = reference(network.parameters())
    network(x).square().mean().backward()
    optimizer.step()
    for name, value in network.named_parameters():
        torch.testing.assert_close(ours[name], value.detach())


def test_accumulated_batches_are_one_large_one():
    x, settings = torch.randn(6, 3), {"optimizer": "sgd", "clip": 0}
    whole = one_step(tiny(), [lambda n: n(x).square().mean()], **settings)
    parts = one_step(tiny(), [lambda n, i=i: n(x[i : i + 2]).square().mean() for i in (0, 2, 4)], **settings)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])


def test_gradients_are_clipped():
    before = tiny()
    after = one_step(tiny(), [lambda n: 1e4 * n(torch.ones(1, 3)).sum()], optimizer="sgd", momentum=0.0, clip=2.0)
    moved = sum((after[name] - p.detach()).square().sum() for name, p in before.named_parameters()).sqrt()
    assert moved == pytest.approx(0.1 * 2.0, rel=1e-4)


def test_the_encoder_may_learn_more_slowly():
    def moved(**changes):
        after = one_step(tiny(), [lambda n: n(torch.ones(1, 3)).sum()], optimizer="sgd", clip=0, **changes)
        return {name: float((after[name] - p.detach()).norm()) for name, p in tiny().named_parameters()}

    fast, slow = moved(), moved(encoder_rate=0.1)
    assert slow["encoder.weight"] == pytest.approx(0.1 * fast["encoder.weight"], rel=1e-4)
    assert slow["head.weight"] == pytest.approx(fast["head.weight"], rel=1e-6)


def test_half_precision_leaves_out_a_step_that_overflows():
    network = tiny()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    descent = Descent(network, TrainConfig(), CPU, torch.float16)
    scale = descent.facts()["scaler"]["scale"]
    descent.begin(0.1, 0.0)
    descent.backward(network(torch.full((1, 3), 1e37)).sum())
    descent.step(1.0)
    assert all(torch.equal(before[name], p) for name, p in network.named_parameters())
    assert descent.facts()["scaler"]["scale"] < scale


def test_full_precision_calls_it_an_error():
    network = tiny()
    descent = Descent(network, TrainConfig(), CPU, torch.float32)
    descent.begin(0.1, 0.0)
    descent.backward(network(torch.full((1, 3), float("inf"))).sum())
    with pytest.raises(TrainingError, match="learning rate"):
        descent.step(1.0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_about_the_same(make_trainer, precision):
    losses = []
    for wanted in ("off", precision):
        trainer = make_trainer(ModelConfig(width=4, depth=1), steps=8, precision=wanted)
        losses.append([event.loss for event in trainer.run() if isinstance(event, Step)])
        assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_on_a_cpu_auto_is_full_precision():
    def fails(network):
        raise AssertionError("nothing is to be tried")

    assert choose_dtype("auto", tiny(), fails, CPU) == torch.float32


def test_the_test_of_precisions_takes_the_fastest_and_spares_the_network(monkeypatch):
    import time

    monkeypatch.setattr("napari_unet.networks.precision._CANDIDATES", {"cpu": (torch.float16, torch.bfloat16)})
    monkeypatch.setattr("napari_unet.networks.precision.SECONDS", 0.06)
    network = tiny()

    def objective(copy, slow):
        assert copy is not network
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        time.sleep(slow[dtype])
        return copy(torch.ones(1, 3)).sum()

    fast_half = {torch.float32: 0.01, torch.float16: 0.012, torch.bfloat16: 0.001}
    no_gain = {torch.float32: 0.001, torch.float16: 0.01, torch.bfloat16: 0.01}
    assert choose_dtype("auto", network, lambda copy: objective(copy, fast_half), CPU) == torch.bfloat16
    assert choose_dtype("auto", network, lambda copy: objective(copy, no_gain), CPU) == torch.float32
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(("learns", "moving"), [("all", {"encoder", "decoder", "head"}), ("head", {"head"})])
def test_what_is_frozen_stays(make_trainer, learns, moving):
    trainer = make_trainer(learns=learns)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    started = next(event for event in trainer.run() if isinstance(event, Started))
    list(trainer.run())
    after = trainer.network.state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == moving
    learning = sum(v.numel() for n, v in trainer.network.named_parameters() if n.split(".")[0] in moving)
    assert started.parameters == learning
