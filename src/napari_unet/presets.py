"""Named settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from napari_unet.config import AugmentConfig, ModelConfig, TrainConfig
from napari_unet.standard import BASE_FORM

#: Augmentations by name. The first four rise in strength; the others suit one kind of image.
AUGMENTATIONS = MappingProxyType(
    {
        "none": AugmentConfig(enabled=False),
        "gentle": AugmentConfig(scale=1.1, elastic=4.0, brightness=0.05, contrast=0.1, gamma=0.1, noise=0.01),
        "standard": AugmentConfig(),
        "strong": AugmentConfig(
            scale=1.5,
            shear=8.0,
            elastic=14.0,
            brightness=0.2,
            contrast=0.4,
            gamma=0.4,
            noise=0.06,
            blur=1.5,
            channel_drop=0.1,
        ),
        # Stains differ from sample to sample, photons are few, and the focus drifts; shapes hardly bend.
        "fluorescence": AugmentConfig(elastic=6.0, contrast=0.4, gamma=0.4, noise=0.06, blur=1.5, channel_drop=0.1),
        # Sections are squeezed and torn (Ronneberger et al. 2015), and contrast differs from section to section.
        "electron microscopy": AugmentConfig(elastic=12.0, shear=8.0, contrast=0.3, noise=0.05, blur=0.8),
        # Halos and shading turn with the light: intensities stay near what they are.
        "phase contrast": AugmentConfig(elastic=6.0, brightness=0.05, contrast=0.15, gamma=0.1, noise=0.03, blur=0.8),
        # Where up and down mean something: tissue in layers, plants, whole animals.
        "upright": AugmentConfig(flip=False, rotation=15.0, elastic=6.0),
    }
)


def augmentation_name(config: AugmentConfig) -> str | None:
    """Name of the preset that a config equals; None when it is none of them.

    Examples
    --------
    >>> augmentation_name(AugmentConfig()), augmentation_name(AugmentConfig(noise=1))
    ('standard', None)
    """
    return next((name for name, preset in AUGMENTATIONS.items() if preset == config), None)


@dataclass(frozen=True, slots=True)
class TrainingPreset:
    """Settings of a network and of its training that go together.

    Attributes
    ----------
    words : str
        What it is for, in a sentence.
    model, training : dict
        What it sets; all other settings stay.
    """

    words: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def apply(self, model: ModelConfig, training: TrainConfig) -> tuple[ModelConfig, TrainConfig]:
        """The settings with those of the preset among them; classes, channels and architecture stay."""
        return model.replace(**self.model), training.replace(**self.training)


#: Whole trainings by name, from the fastest to the most thorough; "balanced" is what a training does by itself.
#: Gentle intensities learn faster at first and do worse later, see `AugmentConfig`.
TRAININGS = MappingProxyType(
    {
        "quick": TrainingPreset(
            "One minute on smaller patches: to see soon whether it can be learnt at all.",
            {"width": BASE_FORM["width"], "depth": BASE_FORM["depth"]},
            {"patch_size": 96, "seconds": 60.0, "patience": None, "augment": AUGMENTATIONS["gentle"]},
        ),
        "balanced": TrainingPreset(
            "What suits most images; learns until you stop it.",
            {"width": BASE_FORM["width"], "depth": BASE_FORM["depth"]},
            {
                "patch_size": TrainConfig().patch_size,
                "seconds": None,
                "patience": None,
                "augment": AUGMENTATIONS["standard"],
            },
        ),
        "best": TrainingPreset(
            "A large network from random weights, until nothing improves, one hour at most: for the final model.",
            {"width": 32, "depth": 4},
            {"patch_size": 192, "seconds": 3600.0, "patience": 2000, "augment": AUGMENTATIONS["standard"]},
        ),
    }
)


def training_name(model: ModelConfig, training: TrainConfig) -> str | None:
    """Name of the preset that settings agree with; None when it is none of them.

    Examples
    --------
    >>> training_name(ModelConfig(), TrainConfig()), training_name(ModelConfig(width=5), TrainConfig())
    ('balanced', None)
    """
    settings = model, training
    return next((name for name, preset in TRAININGS.items() if preset.apply(*settings) == settings), None)
