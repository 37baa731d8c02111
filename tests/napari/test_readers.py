"""Models and OME-Zarr images that are opened in napari."""

import napari
import numpy as np
import pytest
import zarr
from npe2 import PluginManifest

import napari_unet as nu
from napari_unet._napari.readers import get_model_reader, get_zarr_reader, read_model
from napari_unet.errors import ImageError, ModelFileError

UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
SCALE = {"t": 2.0, "c": 1.0, "z": 0.5, "y": 0.2, "x": 0.2}


def ome_zarr(path, version, data, axes, channels=(), levels=2):
    """An OME-Zarr with falling resolutions."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for level in range(levels):
        step = {name: 2**level if name in "yx" else 1 for name in axes}
        group.create_array(str(level), data=data[tuple(slice(None, None, step[name]) for name in axes)])
        scale = {"type": "scale", "scale": [SCALE[name] * step[name] for name in axes]}
        moved = {"type": "translation", "translation": [3.0 if name == "y" else 0.0 for name in axes]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale, moved]})
    named = [{"name": name, **({"unit": UNITS[name]} if name in UNITS else {})} for name in axes]
    about = {"multiscales": [{"version": version, "axes": named, "datasets": datasets}]}
    if channels:
        about["omero"] = {"channels": list(channels)}
    group.attrs.update({"ome": {"version": version, **about}} if version == "0.5" else about)
    return group


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 200, (2, 3, 4, 32, 40), dtype=np.uint16)


def layers_of(path):
    read = get_zarr_reader(str(path))
    return [napari.layers.Layer.create(*data) for data in read(str(path))]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_channels_scales_units_and_axes_of_an_ome_zarr(tmp_path, pixels, version):
    told = [{"label": "DAPI", "color": "0000FF", "window": {"start": 5, "end": 150}}, {"label": "GFP"}, {}]
    ome_zarr(tmp_path / "five.ome.zarr", version, pixels, "tczyx", told)
    layers = layers_of(tmp_path / "five.ome.zarr")
    assert [layer.name for layer in layers] == ["five: DAPI", "five: GFP", "five: 2"]
    for number, layer in enumerate(layers):
        assert layer.multiscale
        np.testing.assert_array_equal(np.asarray(layer.data[0]), pixels[:, number])
        np.testing.assert_array_equal(np.asarray(layer.data[1]), pixels[:, number, :, ::2, ::2])
        assert tuple(layer.scale) == (2.0, 0.5, 0.2, 0.2)
        assert tuple(layer.translate) == (0.0, 0.0, 3.0, 0.0)
        assert layer.axis_labels == ("t", "z", "y", "x")
        assert [str(unit) for unit in layer.units] == ["second", *["micrometer"] * 3]
    assert layers[0].contrast_limits == [5, 150]


def test_one_resolution_is_one_array_that_another_process_can_open(tmp_path, pixels):
    from napari_unet.session.arrays import FileArray, share

    ome_zarr(tmp_path / "flat.zarr", "0.5", pixels[0, 0, 0], "yx", levels=1)
    (layer,) = layers_of(tmp_path / "flat.zarr")
    assert not layer.multiscale
    assert isinstance(share(layer.data), FileArray)


def test_red_green_and_blue_are_one_picture(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (3, 32, 40), dtype=np.uint8)
    ome_zarr(tmp_path / "h.zarr", "0.4", data, "cyx", [{"color": c} for c in ("FF0000", "00FF00", "0000FF")])
    (layer,) = layers_of(tmp_path / "h.zarr")
    assert layer.rgb
    np.testing.assert_array_equal(np.asarray(layer.data[0]), np.moveaxis(data, 0, -1))


def test_label_images_are_labels(tmp_path, pixels):
    group = ome_zarr(tmp_path / "i.zarr", "0.4", pixels[0, 0, 0], "yx")
    group.create_group("labels").attrs["labels"] = ["cells"]
    ome_zarr(tmp_path / "i.zarr" / "labels" / "cells", "0.4", pixels[1, 0, 0], "yx", levels=1)
    image, labels = layers_of(tmp_path / "i.zarr")
    assert type(labels).__name__ == "Labels"
    np.testing.assert_array_equal(np.asarray(labels.data), pixels[1, 0, 0])
    assert tuple(labels.scale) == tuple(image.scale)


def test_our_own_results_open(tmp_path, pixels):
    from napari_unet.io.zarr_labels import write_store

    found = (pixels[0, 0, 0] > 100).astype(np.uint8)
    layout = {"axes": "YX", "shape": found.shape, "chunks": (16, 16), "unit": (32, 32), "dtype": "uint8"}
    write_store(tmp_path / "r.ome.zarr", found, {**layout, "spacing": (0.5, 0.5)}, {"classes": []})
    (layer,) = layers_of(tmp_path / "r.ome.zarr")
    assert type(layer).__name__ == "Labels"
    assert tuple(layer.scale) == (0.5, 0.5)


def test_a_missing_resolution_is_said_in_one_sentence(tmp_path, pixels):
    group = ome_zarr(tmp_path / "bad.zarr", "0.5", pixels[0, 0, 0], "yx")
    del group["0"]
    with pytest.raises(ImageError, match=r"^choose another image: 'bad.zarr'"):
        layers_of(tmp_path / "bad.zarr")


def test_a_plate_is_said_in_one_sentence(tmp_path):
    zarr.open_group(str(tmp_path / "p.zarr"), mode="w").attrs["ome"] = {"version": "0.5", "plate": {}}
    with pytest.raises(ImageError, match="whole plate"):
        layers_of(tmp_path / "p.zarr")


def test_other_folders_are_left_to_others(tmp_path):
    zarr.open_group(str(tmp_path / "plain.zarr"), mode="w")
    (tmp_path / "empty.zarr").mkdir()
    assert get_zarr_reader(str(tmp_path / "plain.zarr")) is None
    assert get_zarr_reader(str(tmp_path / "empty.zarr")) is None
    assert get_model_reader(str(tmp_path / "missing.unet")) is None


@pytest.fixture
def window(make_napari_viewer, npe2pm):
    for name in ("napari", "napari-unet"):
        npe2pm.register(PluginManifest.from_distribution(name))
    return make_napari_viewer(show=True)


def test_a_model_that_is_opened_is_used_and_leaves_no_layer(window, tmp_path, qtbot):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    strokes = np.zeros((64, 64), np.uint8)
    strokes[:9], strokes[30:40] = 1, 2
    config = nu.ModelConfig(width=4, depth=2, classes=("background", "spot"))
    nu.fit(image, strokes, model=config, steps=2).save(tmp_path / "spots.unet")
    window.add_image(image, name="image")
    window.window._qt_viewer._qt_open([str(tmp_path / "spots.unet")], stack=False)
    qtbot.waitUntil(lambda: dock(window) is not None, timeout=20_000)
    made = dock(window)
    qtbot.waitUntil(lambda: made.controller.state.step == 2, timeout=90_000)
    assert made.controller.model.classes == ("background", "spot")
    assert {layer.name for layer in window.layers} <= {"image", "Prediction", "Probability"}
    made.close_session()


def dock(window):
    """The dock, if it is open."""
    from napari_unet._napari.widgets.dock import UNetWidget

    found = window.window._qt_window.findChildren(UNetWidget)
    return found[0] if found else None


def test_without_a_window_a_model_is_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr(napari, "current_viewer", lambda: None)
    with pytest.raises(ModelFileError):
        read_model(str(tmp_path / "m.unet"))
