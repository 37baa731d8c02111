"""A model reads the channels it names, wherever they lie in an image."""

import numpy as np
import pytest

from napari_unet.config import ModelConfig
from napari_unet.data.channels import finest, source_for
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, ImageError

NAMED = ModelConfig(in_channels=2, channels=("DAPI", "actin"))
IMAGE = np.arange(4 * 5 * 6).reshape(4, 5, 6)
NAMES = ("GFP", "Actin ", "brightfield", "DAPI")
WHOLE = [slice(0, 5), slice(0, 6)]


def test_channels_are_found_by_name():
    source = source_for(NAMED, IMAGE, "CYX", names=NAMES)
    assert source.channels == 2
    np.testing.assert_array_equal(source.read((), WHOLE), IMAGE[[3, 1]])


@pytest.mark.parametrize("wanted", [("dapi", "GFP"), ("3", "0"), (3, 0)])
def test_a_choice_goes_over_the_names_of_the_model(wanted):
    source = source_for(NAMED, IMAGE, "CYX", names=NAMES, wanted=wanted)
    np.testing.assert_array_equal(source.read((), WHOLE), IMAGE[[3, 0]])


@pytest.mark.parametrize("axes", ["CYX", "YXC", "YCX", "TCYX", "CZTYX", "ZYXC"])
def test_chosen_channels_of_any_axes(axes):
    sizes = {"C": 4, "Y": 5, "X": 6, "T": 2, "Z": 3}
    image = np.random.default_rng(0).integers(0, 99, [sizes[a] for a in axes])
    source, plain = ImageSource(image, axes, 2, (2, 0)), ImageSource(image, axes, 2)
    for lead in plain.planes():
        np.testing.assert_array_equal(source.read(lead, WHOLE), plain.read(lead, WHOLE)[[2, 0]])


@pytest.mark.parametrize(
    ("names", "wanted", "words"),
    [
        (("GFP", "actin"), (), "channel 'DAPI'.*GFP, actin"),
        ((), ("far red",), "channel 'far red'.*4 without names"),
        ((), ("0", "4"), "channel '4'"),
        ((), (), "choose 2 of the image's 4 channels .DAPI, actin., for example channels=0,1;"),
        (NAMES, ("0",), "image with 2 channels .* has 1"),
    ],
)
def test_a_missing_channel_is_named(names, wanted, words):
    with pytest.raises(ImageError, match=words):
        source_for(NAMED, IMAGE, "CYX", names=names, wanted=wanted)


def test_without_names_the_channels_are_taken_as_they_come():
    assert source_for(NAMED, IMAGE[:2], "CYX").chosen is None
    assert source_for(ModelConfig(), IMAGE[0], "YX").channels == 1


def test_a_channel_that_is_not_there_is_refused():
    with pytest.raises(ImageError, match="0 to 3"):
        ImageSource(IMAGE, "CYX", 2, (1, 4))


@pytest.mark.parametrize("channels", [("a",), ("a", "a"), ("a", "b", "c")])
def test_a_model_names_all_its_channels_or_none(channels):
    with pytest.raises(ConfigError, match="2 different channels"):
        ModelConfig(in_channels=2, channels=channels)


def test_the_finest_of_several_resolutions_is_taken():
    levels = [IMAGE, IMAGE[:, ::2, ::2]]
    assert finest(levels) is IMAGE
    assert finest(IMAGE) is IMAGE
    assert source_for(ModelConfig(in_channels=4), levels, "CYX").spatial == (5, 6)


@pytest.mark.parametrize("wrong", [None, [[1, 2], [3, 4]], "image.tif"])
def test_what_is_no_array_is_said_in_one_sentence(wrong):
    with pytest.raises(ImageError, match="array of NumPy"):
        source_for(ModelConfig(), wrong, "YX")
