import pytest
import torch

from napari_unet.config import AugmentConfig, ModelConfig, TrainConfig
from napari_unet.data.augment import Augmenter
from napari_unet.networks import estimate
from napari_unet.presets import AUGMENTATIONS, TRAININGS, augmentation_name, training_name


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_preset_has_a_name_of_its_own_and_works(name):
    config = AUGMENTATIONS[name]
    assert augmentation_name(config) == name
    augmenter = Augmenter(config, 2)
    source = augmenter.source_shape((64, 64))
    if name == "none":
        assert source == (64, 64)
        return
    changes = augmenter.draw(2, torch.Generator().manual_seed(0))
    images, targets = torch.rand(2, 3, *source), torch.zeros(2, *source)
    out, labels, _ = augmenter.apply(changes, images, targets, targets, (64, 64))
    assert torch.isfinite(out).all()
    assert (labels == 0).float().mean() > 0.85


def test_strength_rises():
    gentle, standard, strong = (AUGMENTATIONS[name] for name in ("gentle", "standard", "strong"))
    for field in ("scale", "elastic", "brightness", "contrast", "gamma", "noise"):
        assert getattr(gentle, field) < getattr(standard, field) < getattr(strong, field)
    assert standard == AugmentConfig()
    assert not AUGMENTATIONS["none"].enabled


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_preset_comes_back_by_its_name_and_leaves_classes_alone(name):
    mine = ModelConfig(classes=("a", "b", "c"), in_channels=3, width=7, architecture="unetpp")
    model, training = TRAININGS[name].apply(mine, TrainConfig(seed=5, seconds=1.0, patience=7))
    assert training_name(model, training) == name
    assert (model.classes, model.in_channels, model.architecture, training.seed) == (mine.classes, 3, "unetpp", 5)


def test_a_better_training_costs_more():
    costs = []
    for preset in TRAININGS.values():
        model, training = preset.apply(ModelConfig(), TrainConfig())
        costs.append(estimate(model, [training.patch_size] * 2, training.batch_size, training=True))
    assert costs[0].flops < costs[1].flops < costs[2].flops
    assert costs[0].bytes < costs[1].bytes < costs[2].bytes < 4e9


def test_balanced_is_what_training_does_by_itself():
    assert training_name(ModelConfig(), TrainConfig()) == "balanced"
