import pytest

from napari_unet._napari.members import MEMBERS
from napari_unet.networks.plan import check
from napari_unet.standard import begins_from_base, standard_model, start_words, suited


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_each_network_that_can_be_chosen_is_allowed_from_the_standard_one_and_back(member):
    before = standard_model(width=8)
    chosen = member.apply(before)
    assert chosen.stem == ("scale_space" if member is MEMBERS[0] else "none")
    check(chosen)
    assert MEMBERS[0].apply(chosen) == before


def test_a_stem_that_was_asked_for_stays():
    before = standard_model()
    asked = before.replace(ndim=3, stem="none")
    assert suited(asked, before) == asked
    with_stem = asked.replace(stem="scale_space")
    assert suited(with_stem, asked) == with_stem
    assert suited(before.replace(stem="none", width=4), before).stem == "none"
    assert standard_model(ndim=3, stem="scale_space").stem == "scale_space"


@pytest.mark.parametrize("changes", [{"ndim": 3}, {"architecture": "unetpp"}, {"architecture": "fcn8s"}])
def test_other_networks_have_no_stem_by_themselves(changes):
    assert standard_model(**changes).stem == "none"


def test_words_say_what_a_training_begins_with():
    model = standard_model()
    assert begins_from_base(model)
    assert "come with napari-unet" in start_words(model)
    assert start_words(model.replace(weights="random")) == "random weights"
    assert start_words(model.replace(width=7)) == "random weights"
    on_encoder = model.replace(encoder="resnet18", stem="none")
    assert start_words(on_encoder) == "random weights"
    assert "encoder" in start_words(on_encoder.replace(encoder_weights="imagenet"))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [(None, True), ((3, 1, 1), True), ((1, 1, 1), True), ((1, 2, 2), False), ((3, 2, 1), False)],
)
def test_a_volume_begins_from_planes_that_are_even_and_no_coarser_than_z(spacing, expected):
    assert begins_from_base(standard_model(ndim=3, stem="scale_space", spacing=spacing)) is expected
    assert not begins_from_base(standard_model(ndim=3, spacing=spacing))
