"""The manifest, beyond what ``npe2 validate`` looks at."""

from dataclasses import asdict
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.contributions import ContributionPoints

import napari_unet
from napari_unet._napari.preferences import Preferences
from napari_unet.presets import TRAININGS

FILE = Path(napari_unet.__file__).with_name("napari.yaml")
RAW = yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifest():
    made = PluginManifest.from_file(FILE)
    made.validate_imports()
    return made


def test_is_the_manifest_of_this_distribution(manifest):
    entries = distribution("napari-unet").entry_points.select(group="napari.manifest")
    assert [entry.value for entry in entries] == ["napari_unet:napari.yaml"]
    assert manifest.name == distribution("napari-unet").name
    assert set(manifest.categories) == {"Segmentation", "Annotation"}


def test_the_root_has_the_same_file():
    root = Path(__file__).parents[2] / "napari.yaml"
    assert root.exists()
    text = root.read_text(encoding="utf-8")  # a clone without symbolic links holds the link's target instead
    assert text == FILE.read_text(encoding="utf-8") or text.strip() == "src/napari_unet/napari.yaml"


def test_no_unknown_sections():
    assert set(RAW) <= set(PluginManifest.model_fields)
    assert set(RAW["contributions"]) <= set(ContributionPoints.model_fields)


def test_every_command_is_declared_and_used(manifest):
    points = manifest.contributions
    declared = [command.id for command in points.commands]
    used = [item.command for items in points.menus.values() for item in items if hasattr(item, "command")]
    used += [part.command for part in (*points.widgets, *points.sample_data, *points.readers)]
    assert len(set(declared)) == len(declared)
    assert set(used) == set(declared)
    assert all(command.startswith("napari-unet.") for command in declared)


def test_every_menu_takes_plugins(manifest):
    allowed = {menu.value for menu in MenuId.contributables()}
    assert set(manifest.contributions.menus) <= allowed
    for menu in ("napari/layers/segment", "napari/layers/annotate"):
        assert "napari-unet.segment" in [item.command for item in manifest.contributions.menus[menu]]


def test_titles_are_told_apart(manifest):
    titles = [command.title for command in manifest.contributions.commands]
    names = [sample.display_name for sample in manifest.contributions.sample_data]
    assert len(set(titles)) == len(titles)
    assert len(set(names)) == len(names)


def test_every_sample_gives_an_image(manifest):
    from napari.layers import Image, Labels, Layer
    from npe2.manifest.utils import import_python_name

    names = {command.id: command.python_name for command in manifest.contributions.commands}
    for sample in manifest.contributions.sample_data:
        for data in import_python_name(names[sample.command])():
            layer = Layer.create(*data)
            assert isinstance(layer, Image if data[2] == "image" else Labels)
            assert layer.data.std() > 0
            assert layer.name not in ("Image", "Labels")


def test_preferences_are_those_of_the_dock_and_presets_that_exist(manifest):
    (section,) = manifest.contributions.configurations.values()
    defaults = {name: part.default for name, part in section.properties.items()}
    assert defaults == asdict(Preferences())
    assert section.properties["preset"].enum == list(TRAININGS)
