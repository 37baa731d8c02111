"""Networks as boxes and arrows."""

import subprocess
import sys

import pytest

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.sketch import picture

OWN = ("unet", "unetpp", "unet3plus", "fcn8s", "fcn16s", "fcn32s")
ENCODED = ("unet", "unetpp", "fpn", "linknet", "pspnet")


@pytest.mark.parametrize(
    "config",
    [*(ModelConfig(architecture=name) for name in OWN)]
    + [ModelConfig(architecture=name, encoder="resnet18") for name in ENCODED],
    ids=lambda config: f"{config.architecture}-{config.encoder}",
)
def test_every_member_can_be_drawn(config):
    boxes = picture(config)
    places = [(box.level, box.column) for box in boxes]
    assert len(set(places)) == len(places)
    assert boxes[0].kind == "input"
    assert boxes[0].sources == ()
    for box in boxes[1:]:
        assert box.sources
        assert all(boxes[source].column < box.column for source in box.sources)


def test_a_deeper_network_has_more_levels():
    assert max(box.level for box in picture(ModelConfig(depth=2))) == 2
    assert max(box.level for box in picture(ModelConfig(depth=5))) == 5


def test_what_cannot_be_built_is_not_drawn():
    with pytest.raises(ConfigError):
        picture(ModelConfig(architecture="fpn"))


def test_pictures_and_costs_need_no_torch():
    code = (
        "import sys; from napari_unet.config import ModelConfig; from napari_unet.session.costs import costs, picture; "
        "costs(ModelConfig()); picture(ModelConfig(architecture='unetpp', encoder='resnet18')); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
