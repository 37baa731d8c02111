import pytest
import torch

from napari_unet.config import AugmentConfig
from napari_unet.data.augment import Augmenter
from napari_unet.presets import AUGMENTATIONS, augmentation_name


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
