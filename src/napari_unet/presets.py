"""Named settings."""

from __future__ import annotations

from types import MappingProxyType

from napari_unet.config import AugmentConfig

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
