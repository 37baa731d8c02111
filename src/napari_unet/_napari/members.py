"""The networks to choose from, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from napari_unet.config import ModelConfig
from napari_unet.standard import suited

_PACKAGE = "segmentation_models_pytorch"
_ENCODER = "resnet18"


@dataclass(frozen=True, slots=True)
class Member:
    """One network.

    Attributes
    ----------
    name : str
        As people call it.
    words : str
        What it is good for, in a sentence.
    architecture : str
    encoded : bool
        Whether its contracting path is one of segmentation-models-pytorch.
    """

    name: str
    words: str
    architecture: Any
    encoded: bool = False

    @property
    def available(self) -> bool:
        """Whether what it takes is installed."""
        return not self.encoded or find_spec(_PACKAGE) is not None

    def apply(self, model: ModelConfig) -> ModelConfig:
        """The same model with this network; an encoder that was chosen before stays."""
        if not self.encoded:
            return suited(model.replace(architecture=self.architecture, encoder=None, encoder_weights=None), model)
        return suited(model.replace(architecture=self.architecture, encoder=model.encoder or _ENCODER, ndim=2), model)


MEMBERS = (
    Member("U-Net", "Learns fast and suits most images.", "unet"),
    Member("U-Net++", "More ways between its halves: often better with many strokes, and slower.", "unetpp"),
    Member("U-Net 3+", "Joins all scales at each level: good where size varies much, and slow.", "unet3plus"),
    Member("FCN-8s", "The older network without the U: coarser borders.", "fcn8s"),
    Member("FCN-16s", "As FCN-8s with coarser borders; for comparison.", "fcn16s"),
    Member("FCN-32s", "As FCN-8s with the coarsest borders; for comparison.", "fcn32s"),
    Member("U-Net on an encoder", "A U-Net on a known network such as ResNet-18.", "unet", encoded=True),
    Member("U-Net++ on an encoder", "U-Net++ on a known network such as ResNet-18.", "unetpp", encoded=True),
    Member("FPN on an encoder", "A pyramid of features, added up; light.", "fpn", encoded=True),
    Member("LinkNet on an encoder", "Adds what a U-Net joins: light and fast.", "linknet", encoded=True),
    Member(
        "PSPNet on an encoder", "Looks at the whole image at several scales; coarse borders.", "pspnet", encoded=True
    ),
)


def member_of(model: ModelConfig) -> int | None:
    """Place of a model's network among `MEMBERS`; None when it is none of them.

    Examples
    --------
    >>> MEMBERS[member_of(ModelConfig())].name
    'U-Net'
    """
    wanted = model.architecture, model.encoder is not None
    found = [index for index, member in enumerate(MEMBERS) if (member.architecture, member.encoded) == wanted]
    return found[0] if found else None
