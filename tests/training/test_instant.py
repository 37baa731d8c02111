"""Output layers solved at once for the strokes, and the weights that come with the package."""

import hashlib
from importlib.resources import files

import pytest
import torch
from torch.nn import functional

from napari_unet.config import AugmentConfig, ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network
from napari_unet.networks.base import FILE, SHA256, base_weights
from napari_unet.networks.finetune import adapt
from napari_unet.standard import BASE_FORM, standard_model
from napari_unet.training import instant
from napari_unet.training.instant import PENALTY, Painted, output_layers, solve
from napari_unet.training.start import start_network

SMALL = {"width": 2, "depth": 1}


def _first_weights(trainer, **config):
    """The network before the first step, after its output layers were solved for."""
    trainer.config = trainer.config.replace(**config)
    for event in trainer.run(should_stop=lambda: True):
        assert type(event).__name__ in ("Started", "Finished")
    return trainer.prediction_network()


def _share_right(network, trainer):
    """Part of the painted pixels that a network gives the class of their stroke."""
    batch = next(trainer._glances())
    with torch.no_grad():
        found = network(batch.images).argmax(1)
    painted = batch.targets >= 0
    return float((found == batch.targets)[painted].float().mean())


def test_strokes_are_followed_before_the_first_step(make_trainer):
    solved = make_trainer(ModelConfig(**SMALL, stem="scale_space"))
    assert _share_right(_first_weights(solved), solved) > 0.85


def test_strokes_are_turned_for_the_solution_only_where_training_turns_them(make_trainer):
    def solved(**augment):
        trainer = make_trainer(ModelConfig(**SMALL, stem="scale_space"))
        return _first_weights(trainer, augment=AugmentConfig(**augment)).state_dict()["local.weight"]

    plain = solved(enabled=False)
    assert torch.allclose(solved(rotation=0, flip=False), plain, atol=1e-4)
    assert not torch.allclose(solved(), plain, atol=1e-2)
    assert torch.equal(solved(), solved(noise=0.2, gamma=0.5, elastic=9, scale=2))


def test_random_features_are_left_to_training(make_trainer):
    trainer = make_trainer(ModelConfig(**SMALL))
    before = trainer.prediction_state()
    _first_weights(trainer)
    after = trainer.prediction_state()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_model_that_has_learnt_keeps_its_output_layers(make_trainer):
    model = ModelConfig(**SMALL, stem="scale_space")
    state = build_network(model).state_dict()
    trainer = make_trainer(model, start={"state": state, "step": 7})
    _first_weights(trainer)
    assert torch.equal(trainer.prediction_state()["local.weight"], state["local.weight"])


@pytest.mark.parametrize(
    "changes", [{"architecture": "unetpp", "depth": 2, "deep_supervision": True}, {"classes": ("cell",)}]
)
def test_other_outputs_are_not_solved_for(changes):
    network = build_network(ModelConfig(**SMALL).replace(**changes))
    assert output_layers(network, features_known=True) == {}


def test_the_solution_is_where_the_balanced_cost_is_flat(monkeypatch):
    monkeypatch.setattr(instant, "SURE", 0.0)
    monkeypatch.setattr(instant, "UNPAINTED", 0.0)
    monkeypatch.setattr(instant, "EVEN", 1e9)
    network = build_network(ModelConfig(**SMALL, stem="scale_space"))
    layers = output_layers(network, features_known=True)
    sizes = [layer.weight.shape[1] for layer in layers.values()]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(300, sum(sizes), generator=generator) * 3 + 1
    targets = (values[:, 0] + values[:, -1] + torch.randn(300, generator=generator) > 4).long()
    solve(network, layers, Painted(values, targets, values), rarest=100_000)
    spread = values.double().std(0)
    weights = [layer.weight.detach()[:, :, 0, 0].double().requires_grad_() for layer in layers.values()]
    bias = layers["head"].bias.detach().double().requires_grad_()
    logits = functional.linear(values.double(), torch.cat(weights, 1), bias)
    each = functional.cross_entropy(logits, targets, reduction="none")
    cost = (each[targets == 0].mean() + each[targets == 1].mean()) / 2
    for name, weight, part in zip(layers, weights, spread.split(sizes), strict=True):
        cost = cost + PENALTY[name] * (weight * part).square().sum()
    gradients = torch.autograd.grad(cost, [*weights, bias])
    assert max(float(g.abs().max()) for g in gradients) < 2e-3


def _solved(rarest):
    """Layers solved for pixels of which only the first feature tells the class, and their logits."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 2
    network = build_network(ModelConfig(**SMALL, stem="scale_space"))
    layers = output_layers(network, features_known=True)
    values = torch.randn(60, sum(layer.in_channels for layer in layers.values()), generator=generator)
    values[:, 0] += 3 * targets
    solve(network, layers, Painted(values, targets, values), rarest)
    weight = torch.cat([layer.weight.detach()[:, :, 0, 0] for layer in layers.values()], 1)
    return weight[1] - weight[0], functional.linear(values, weight, layers["head"].bias.detach()), targets


def test_few_painted_pixels_say_less_about_which_feature_counts():
    weights = [_solved(rarest)[0].abs() for rarest in (30, 300, 3000, 30000)]
    shares = [float(weight[1:].sum() / weight.sum()) for weight in weights]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] + 0.1


@pytest.mark.parametrize("rarest", [30, 300, 3000])
def test_the_solution_is_as_sure_however_few_the_strokes(rarest):
    _, logits, targets = _solved(rarest)
    right = logits.softmax(1).gather(1, targets[:, None]).mean()
    assert 0.75 < float(right) < 0.97


def _weight_of_first(seen):
    """How much of the solution is the first of two features that tell the painted pixels apart alike."""
    targets = torch.arange(60) % 2
    network = build_network(ModelConfig(**SMALL, stem="scale_space"))
    layers = output_layers(network, features_known=True)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, sum(layer.in_channels for layer in layers.values()), generator=generator)
    values[:, :2] = 0.3 * values[:, :1] + 2 * targets[:, None]
    solve(network, layers, Painted(values, targets, seen(torch.randn(400, values.shape[1], generator=generator))), 30)
    weight = torch.cat([layer.weight.detach()[:, :, 0, 0] for layer in layers.values()], 1)
    first, second = (weight[1] - weight[0]).abs()[:2].tolist()
    return first / (first + second)


def test_what_varies_together_in_all_that_is_seen_is_trusted_more():
    def together(seen):
        seen[:, 2:] = seen[:, :1] + 0.2 * seen[:, 2:]
        return seen

    assert _weight_of_first(lambda seen: seen) == pytest.approx(0.5, abs=0.05)
    assert _weight_of_first(together) > 0.6


def test_what_pixels_without_a_stroke_have_in_common_with_painted_ones_counts(monkeypatch):
    network = build_network(ModelConfig(**SMALL, stem="scale_space"))
    layers = output_layers(network, features_known=True)
    generator = torch.Generator().manual_seed(0)
    count = sum(layer.in_channels for layer in layers.values())
    targets, unknown = torch.arange(40) % 2, torch.arange(2000) % 2
    values, seen = torch.randn(40, count, generator=generator), torch.randn(2000, count, generator=generator)
    values[:, 0] += 4 * targets
    seen[:, :2] += 4 * unknown[:, None]  # the second feature happened not to differ under the strokes

    def share_of_second():
        solve(network, layers, Painted(values, targets, seen), 20)
        weight = torch.cat([layer.weight.detach()[:, :, 0, 0] for layer in layers.values()], 1)
        return float((weight[1] - weight[0])[1] / (weight[1] - weight[0])[0])

    with_them = share_of_second()
    monkeypatch.setattr(instant, "UNPAINTED", 0.0)
    assert with_them > share_of_second() + 0.1


def test_guessed_frequencies_do_not_move_the_edge():
    network = build_network(ModelConfig(**SMALL, stem="scale_space"))
    layers = output_layers(network, features_known=True)
    generator = torch.Generator().manual_seed(0)
    count = sum(layer.in_channels for layer in layers.values())
    targets = torch.arange(40) % 2
    values, seen = (0.1 * torch.randn(n, count, generator=generator) for n in (40, 2000))
    values[:, 0] += 2.0 * targets - 1
    seen[:, 0] += torch.where(
        torch.arange(2000) % 20 == 0, 3, -1
    )  # objects are rare, and brighter than the painted one
    solve(network, layers, Painted(values, targets, seen), 20)
    weight = torch.cat([layer.weight.detach()[:, :, 0, 0] for layer in layers.values()], 1)
    bias = layers["head"].bias.detach()
    assert abs(float((bias[1] - bias[0]) / (weight[1] - weight[0])[0])) < 0.3


def test_the_standard_model_begins_from_the_weights_of_the_package():
    state = start_network(standard_model(), seed=3).state_dict()
    base = base_weights()
    learnt = [name for name in base if name.split(".")[0] not in ("head", "local")]
    assert len(learnt) > 50
    assert all(torch.equal(state[name].float(), base[name].float()) for name in learnt)


@pytest.mark.parametrize("changes", [{"width": 8}, {"weights": "random"}, {"stem": "none"}, {"spacing": (2, 1)}])
def test_another_model_begins_from_random_weights(changes):
    model = standard_model(**changes)
    state = start_network(model, seed=3).state_dict()
    name = "decoder.0.conv1.weight"
    assert state[name].shape != base_weights()[name].shape or not torch.equal(state[name], base_weights()[name])


def test_channels_that_are_all_alike_give_the_base_networks_features():
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    found = []
    for channels in (1, 3):
        network = start_network(standard_model(in_channels=channels), seed=0).eval()
        network.get_submodule("head").register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        with torch.no_grad():
            network(image.expand(-1, channels, -1, -1))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-3)


def test_statistics_of_the_base_are_held_while_learning(make_trainer):
    trainer = make_trainer(standard_model(), patch_size=32)
    before = trainer.prediction_state()
    list(trainer.run())
    after = trainer.prediction_state()
    assert torch.equal(before["encoder.0.norm0.running_mean"], after["encoder.0.norm0.running_mean"])
    assert not torch.equal(before["encoder.0.conv0.weight"], after["encoder.0.conv0.weight"])


def test_weights_are_not_carried_over_to_another_stem():
    with pytest.raises(ConfigError, match="stem"):
        adapt(base_weights(), ModelConfig(**BASE_FORM), ModelConfig(**{**BASE_FORM, "stem": "none"}))


def test_the_file_of_the_base_weights_is_the_one_of_its_card():
    data = (files("napari_unet.networks") / FILE).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256
    assert len(data) <= 8e6


def test_base_features_follow_strokes_before_the_first_step(make_trainer):
    trainer = make_trainer(standard_model(), shape=(96, 96), patch_size=64)
    assert _share_right(_first_weights(trainer), trainer) > 0.9


def test_known_weights_follow_corrections_sooner_than_random_ones_settle(make_trainer):
    def lag(model, **config):
        trainer = make_trainer(model, patch_size=32, steps=1, **config)
        trainer._learner.average.count = 10_000
        list(trainer.run())  # solves the output layers first, which no average may lag behind
        before = trainer.prediction_state()
        list(trainer.run(trainer.config.replace(steps=1)))
        name = "encoder.0.conv0.weight"
        raw, after = trainer.network.state_dict()[name], trainer.prediction_state()[name]
        return float((raw - after).norm() / (raw - before[name]).norm())

    assert lag(standard_model()) == pytest.approx(0.98, abs=0.002)
    assert lag(standard_model(weights="random")) == pytest.approx(0.99, abs=0.002)
    assert lag(standard_model(), ema=0.0) == 0
