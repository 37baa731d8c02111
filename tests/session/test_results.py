"""Label images to files, as other programs read them."""

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import ImageError
from napari_unet.io.images import read_image
from napari_unet.session.results import Result, save_result

CLASSES = (("background", "#000000"), ("cell", "#E69F00"))
NAMES = ["a.ome.tif", "a.tif", "a.ome.zarr", "a.zarr", "A.OME.TIFF"]


def labels(shape=(3, 40, 50)):
    made = np.random.default_rng(0).integers(1, 3, shape, dtype=np.uint8)
    made[..., 0] = 0
    return made


def result(array=None, axes="ZYX", spacing=(2.0, 0.5, 0.25)):
    return Result(labels() if array is None else array, axes, spacing, CLASSES, {"step": 3})


@pytest.mark.parametrize("name", NAMES)
def test_pixels_axes_and_pixel_size_come_back(name, tmp_path):
    save_result(tmp_path / name, result())
    found = read_image(tmp_path / name)
    assert np.array_equal(found.array, labels())
    assert found.axes == "ZYX"
    assert found.spacing == pytest.approx((2.0, 0.5, 0.25))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES[:3])
def test_background_as_zero(name, tmp_path):
    save_result(tmp_path / name, result(), zero=True)
    assert np.array_equal(read_image(tmp_path / name).array, np.where(labels() == 2, 1, 0))


def test_single_objects_keep_their_numbers(tmp_path):
    objects = np.arange(2000, dtype=np.uint32).reshape(40, 50) * 100
    save_result(tmp_path / "a.ome.tif", Result(objects, "YX"), zero=True)
    assert np.array_equal(read_image(tmp_path / "a.ome.tif").array, objects)


def test_the_name_chooses_the_dialect(tmp_path):
    save_result(tmp_path / "a.ome.tif", result())
    save_result(tmp_path / "a.tif", result())
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as ome, tifffile.TiffFile(tmp_path / "a.tif") as plain:
        assert (ome.is_ome, ome.is_imagej) == (True, False)
        assert (plain.is_ome, plain.is_imagej) == (False, True)


def test_a_store_has_a_pyramid_of_labels_their_classes_and_the_recipe(tmp_path):
    array = labels((1100, 600))
    save_result(tmp_path / "a.ome.zarr", result(array, "YX", (0.5, 0.5)), zero=True)
    group = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="r")
    about = group.attrs["ome"]
    assert len(about["multiscales"][0]["datasets"]) == 3
    assert about["image-label"]["properties"] == [
        {"label-value": 0, "class": "background"},
        {"label-value": 1, "class": "cell"},
    ]
    assert np.array_equal(group["1"][:], np.where(array == 2, 1, 0)[::2, ::2])
    assert group["2"].shape == (275, 150)
    assert group.attrs["napari-unet"]["job"]["recipe"] == {"step": 3}
    assert group.attrs["napari-unet"]["complete"]
    assert not (tmp_path / "a.ome.zarr" / "0" / ".napari-unet").exists()


@pytest.mark.parametrize("name", NAMES[:3])
def test_what_is_there_is_replaced_only_when_it_may_be(name, tmp_path):
    save_result(tmp_path / name, result())
    other = result(np.ones((5, 6), np.uint8), "YX", None)
    with pytest.raises(ImageError, match="exists"):
        save_result(tmp_path / name, other)
    assert read_image(tmp_path / name).array.shape == (3, 40, 50)
    save_result(tmp_path / name, other, overwrite=True)
    assert read_image(tmp_path / name).array.shape == (5, 6)


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path):
    precious = tmp_path / "a.zarr" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years", encoding="utf-8")
    with pytest.raises(ImageError, match="no Zarr store"):
        save_result(tmp_path / "a.zarr", result(), overwrite=True)
    assert precious.read_text(encoding="utf-8") == "years"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("name", ["a.png", "labels", "missing/a.tif", "missing/a.zarr"])
def test_what_cannot_be_written_is_a_sentence(name, tmp_path):
    with pytest.raises(ImageError):
        save_result(tmp_path / name, result())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES[:3])
def test_five_axes(name, tmp_path):
    array = labels((2, 3, 2, 8, 9))
    save_result(tmp_path / name, result(array, "QTZYX"))
    found = read_image(tmp_path / name)
    expected = array if found.axes[0] != "T" else array.swapaxes(0, 1)
    assert np.array_equal(np.asarray(found.array), expected)


@pytest.mark.parametrize("name", NAMES[:3])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_probabilities_keep_values_names_and_pixel_size(name, kind, tmp_path):
    array = np.random.default_rng(0).random((2, 3, 40, 50)).astype(kind)
    save_result(tmp_path / name, Result(array, "CZYX", (2.0, 0.5, 0.25), CLASSES), zero=True)
    found = read_image(tmp_path / name)
    assert found.axes == "ZCYX" if name == "a.tif" else "CZYX"  # ImageJ knows one order only
    assert np.array_equal(np.moveaxis(np.asarray(found.array), found.axes.index("C"), 0), array)
    assert found.spacing == pytest.approx((2.0, 0.5, 0.25))
    if name == "a.tif":  # in ImageJ each plane has a name
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.imagej_metadata["Labels"] == ["background", "cell"] * 3
    else:
        assert found.channels == ("background", "cell")


def test_a_store_of_probabilities_is_smooth_and_tells_what_its_planes_are(tmp_path):
    array = np.random.default_rng(0).random((2, 600, 700), np.float32)
    save_result(tmp_path / "a.ome.zarr", Result(array, "CYX", (0.5, 0.5), CLASSES))
    group = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="r")
    assert np.allclose(group["1"][:, 0, 0], array[:, :2, :2].mean((1, 2)))
    about = group.attrs["ome"]
    assert "image-label" not in about
    shown = [(one["label"], one["color"], one["window"]["end"]) for one in about["omero"]["channels"]]
    assert shown == [("background", "000000", 1.0), ("cell", "E69F00", 1.0)]
