"""Image files: axes and pixel sizes come out right, results go back, and bad files are one sentence."""

import os
import random
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError
from napari_unet.io import tiff
from napari_unet.io.images import read_image, write_labels

DATA = Path(os.environ.get("NAPARI_UNET_DATA", "/nowhere"))


def pixels(*shape, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def refused(path, match=None):
    with pytest.raises(ImageError, match=match) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def opens_or_is_refused(path):
    """The image, or None where it was refused in one sentence."""
    message, found = "", None
    try:
        found = read_image(path)
    except ImageError as error:
        message = str(error)
    assert "\n" not in message
    assert found is None or len(found.axes) == len(found.array.shape)
    return found


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((20, 30), "YX"), ((5, 20, 30), "ZYX"), ((3, 20, 30), "TYX"), ((2, 20, 30), "CYX"), ((4, 3, 2, 20, 30), "TZCYX")],
)
@pytest.mark.parametrize("dialect", ["imagej", "ome"])
def test_tiff_dialects(tmp_path, shape, axes, dialect):
    image = pixels(*shape)
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": axes}, **{dialect: True})
    found = read_image(tmp_path / "a.tif")
    assert (found.axes, found.name, found.spacing) == (axes, "a", None)
    np.testing.assert_array_equal(found.array, image)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i2", "<f4", ">f4", "f8", "i4", "u4", "i8", "f2"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_tiff_pixel_types(tmp_path, dtype, compression):
    image = pixels(40, 31, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression, byteorder=">" if dtype[0] == ">" else "<")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, image)


def test_colours_are_channels(tmp_path):
    image = pixels(20, 30, 3, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    found = read_image(tmp_path / "a.tif")
    assert found.axes == "YXC"
    assert ImageSource(found.array, found.axes, 2).channels == 3


def test_coloured_channels_become_one_axis(tmp_path):
    image = pixels(2, 20, 30, 3, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", ome=True, metadata={"axes": "CYXS"})
    found = read_image(tmp_path / "a.tif")
    assert (found.axes, found.array.shape) == ("CYX", (6, 20, 30))
    np.testing.assert_array_equal(found.array[4], image[1, ..., 1])


@pytest.mark.parametrize("shape", [(6, 20, 30), (2, 6, 20, 30)])
def test_axes_without_meaning_are_leading_axes(tmp_path, shape):
    image = pixels(*shape)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    found = read_image(tmp_path / "a.tif")
    assert len(set(found.axes)) == len(shape)
    assert ImageSource(found.array, found.axes, 2).lead == shape[:-2]


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_large_files_stay_on_the_disk(tmp_path, monkeypatch, compression):
    image = pixels(3, 64, 70)
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": "ZYX"}, ome=True, compression=compression)
    monkeypatch.setattr(tiff, "LARGE", 0)
    found = read_image(tmp_path / "a.tif")
    assert isinstance(found.array, np.memmap if compression is None else zarr.Array)
    block = ImageSource(found.array, found.axes, 3).read((), [slice(1, 3), slice(60, 64), slice(0, 70)])
    np.testing.assert_array_equal(block[0], image[1:3, 60:])


def test_pixel_sizes_of_imagej(tmp_path):
    options = {"imagej": True, "resolution": (4.0, 2.0), "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "um"}}
    tifffile.imwrite(tmp_path / "a.tif", pixels(4, 20, 30), **options)
    assert read_image(tmp_path / "a.tif").spacing == (3.0, 0.5, 0.25)


def test_pixel_sizes_of_ome(tmp_path):
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    tifffile.imwrite(tmp_path / "a.tif", pixels(4, 20, 30), ome=True, metadata={"axes": "ZYX", **sizes})
    assert read_image(tmp_path / "a.tif").spacing == pytest.approx((2.0, 0.5, 0.25))


@pytest.mark.parametrize("unit", ["", "pixel", "furlong"])
def test_sizes_without_a_unit_are_none(tmp_path, unit):
    options = {"imagej": True, "resolution": (4.0, 2.0), "metadata": {"axes": "YX", "unit": unit}}
    tifffile.imwrite(tmp_path / "a.tif", pixels(20, 30), **options)
    assert read_image(tmp_path / "a.tif").spacing is None


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("suffix", ["png", "PNG", "jpg"])
def test_pictures(tmp_path, channels, suffix):
    if suffix == "jpg" and channels == (4,):
        return
    image = np.full((20, 30, *channels), 77, np.uint8)
    iio.imwrite(tmp_path / f"a.{suffix}", image)
    found = read_image(tmp_path / f"a.{suffix}")
    assert found.axes == ("YXC" if channels else "YX")
    np.testing.assert_allclose(found.array, image, atol=2)


def test_numpy_files_are_mapped(tmp_path):
    image = pixels(3, 20, 30)
    np.save(tmp_path / "a.npy", image)
    found = read_image(tmp_path / "a.npy")
    assert isinstance(found.array, np.memmap)
    assert found.axes == "ZYX"
    np.save(tmp_path / "rgb.npy", pixels(20, 30, 3))
    assert read_image(tmp_path / "rgb.npy").axes == "YXC"


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_a_numpy_file_with_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([[Bomb()]], dtype=object), allow_pickle=True)
    refused(tmp_path / "a.npy")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_arrays(tmp_path, version):
    image = pixels(3, 20, 30)
    zarr.create_array(tmp_path / "a.zarr", data=image, zarr_format=version)
    found = read_image(tmp_path / "a.zarr")
    assert (found.axes, found.name, found.array.shape) == ("ZYX", "a", image.shape)
    np.testing.assert_array_equal(found.array[:], image)


def test_dimension_names_are_axes(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=pixels(3, 20, 30), dimension_names=["t", "y", "x"])
    assert read_image(tmp_path / "a.zarr").axes == "TYX"


def ome_zarr(path, image, version, *, level="0", **extra):
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=image)
    axes = [
        {"name": "c", "type": "channel"},
        *({"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"),
    ]
    scale = [{"type": "scale", "scale": [1, 2.0, 0.5, 0.25]}]
    images = [{"axes": axes, "datasets": [{"path": level, "coordinateTransformations": scale}], **extra}]
    about = {"multiscales": images, "version": version}
    group.attrs.update(about if version == "0.4" else {"ome": about})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    image = pixels(2, 3, 20, 30)
    ome_zarr(tmp_path / "a.ome.zarr", image, version)
    found = read_image(tmp_path / "a.ome.zarr")
    assert (found.axes, found.spacing, found.name) == ("CZYX", (2.0, 0.5, 0.25), "a")
    np.testing.assert_array_equal(found.array[:], image)


@pytest.mark.parametrize("level", ["1", "../other.zarr", "/etc", "", "0/../../other.zarr"])
def test_an_ome_zarr_without_its_level_or_pointing_elsewhere_is_refused(tmp_path, level):
    zarr.create_array(tmp_path / "other.zarr", data=pixels(2, 3, 20, 30))
    ome_zarr(tmp_path / "a.zarr", pixels(2, 3, 20, 30), "0.5", level=level)
    refused(tmp_path / "a.zarr")


def test_a_group_without_an_image_and_another_folder_are_refused(tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    refused(tmp_path / "a.zarr", "this Zarr group is none itself")
    refused(tmp_path, "another folder")


def test_a_chunk_that_fits_in_no_memory_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10**6, 10**6), chunks=(10**6, 10**6), dtype="u2")
    refused(tmp_path / "a.zarr", "smaller chunks")


@pytest.mark.parametrize("name", ["a.czi", "a", "a.txt", "a.tif.gz"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"abc")
    refused(tmp_path / name, "convert")


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "npy"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("content", [b"", b"abc", bytes(1000), b"II*\0" + b"\xff" * 50], ids=range(4))
def test_files_that_are_not_what_they_are_called(tmp_path, suffix, content):
    (tmp_path / f"a.{suffix}").write_bytes(content)
    refused(tmp_path / f"a.{suffix}", "cannot be read|no picture")


def test_what_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nothing.tif", "there is no file")


@pytest.mark.parametrize("image", [np.zeros((5, 5), complex), np.zeros((0, 5)), np.zeros(5), np.zeros((5, 5), "U3")])
def test_arrays_that_are_no_images(tmp_path, image):
    np.save(tmp_path / "a.npy", image)
    refused(tmp_path / "a.npy")


@pytest.mark.filterwarnings("ignore")  # decoders may warn of damage; what counts is that nothing else is raised
@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "npy", "zarr"])
def test_damaged_files_open_or_are_one_sentence(tmp_path, suffix):
    image = pixels(30, 40, dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, image, compression="zlib", ome=True, metadata={"axes": "YX"})
    elif suffix == "npy":
        np.save(path, image)
    elif suffix == "zarr":
        zarr.create_array(path, data=image)
        path = path / "zarr.json"
    else:
        iio.imwrite(path, image)
    whole = path.read_bytes()
    random.seed(1)
    for trial in range(150):
        broken = bytearray(whole)
        if trial % 3 == 0:
            del broken[random.randrange(len(broken)) :]
        else:
            for _ in range(trial % 3):
                broken[random.randrange(min(len(broken), 400))] = random.randrange(256)
        path.write_bytes(broken)
        opens_or_is_refused(tmp_path / f"a.{suffix}")


LABELS = [
    ("YX", np.uint8, None),
    ("YX", np.uint16, (0.5, 0.25)),
    ("ZYX", np.uint8, (2.0, 0.5, 0.25)),
    ("TYX", np.uint16, (0.5, 0.25)),
    ("TZYX", np.uint8, (2.0, 0.5, 0.25)),
    ("ZYX", np.uint32, (2.0, 0.5, 0.25)),
    ("TYX", np.int32, None),
    ("QYX", np.uint16, (0.5, 0.25)),
    ("CYX", np.float32, None),
]


@pytest.mark.parametrize(("axes", "dtype", "spacing"), LABELS)
def test_results_come_back_from_their_file(tmp_path, axes, dtype, spacing):
    array = pixels(*[{"Y": 20, "X": 30}.get(a, 4) for a in axes], dtype=dtype)
    write_labels(tmp_path / "a.tif", array, axes, spacing)
    found = read_image(tmp_path / "a.tif")
    assert found.axes == axes
    assert found.spacing == (pytest.approx(spacing, rel=1e-5) if spacing else None)
    assert found.array.dtype == dtype
    np.testing.assert_array_equal(found.array, array)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_imagej_and_ome_are_used_where_they_can(tmp_path):
    write_labels(tmp_path / "a.tif", pixels(3, 20, 30), "TYX")
    write_labels(tmp_path / "b.tif", pixels(3, 20, 30, dtype=np.uint32), "TYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
        assert a.imagej_metadata["frames"] == 3
        assert b.is_ome


@pytest.mark.parametrize(("value", "dtype"), [(1, np.uint8), (300, np.uint16), (70_000, np.uint32), (-1, np.int32)])
def test_wide_integers_are_narrowed_without_loss(tmp_path, value, dtype):
    array = np.full((4, 4), value, np.int64)
    write_labels(tmp_path / "a.tif", array, "YX")
    found = read_image(tmp_path / "a.tif").array
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


def test_what_a_tiff_cannot_hold_is_one_sentence(tmp_path):
    with pytest.raises(ImageError, match="number the labels anew"):
        write_labels(tmp_path / "a.tif", np.full((4, 4), 2**40), "YX")
    with pytest.raises(ImageError, match="one axis letter"):
        write_labels(tmp_path / "a.tif", np.zeros((4, 4)), "TYX")
    assert list(tmp_path.iterdir()) == []


def test_masks_and_tiny_images(tmp_path):
    write_labels(tmp_path / "a.tif", np.array([[True]]), "YX")
    assert read_image(tmp_path / "a.tif").array[0, 0] == 1


def test_an_existing_file_is_overwritten_only_when_asked(tmp_path):
    path = tmp_path / "a.tif"
    write_labels(path, np.zeros((4, 4), np.uint8), "YX")
    before = path.read_bytes()
    with pytest.raises(ImageError, match="exists already"):
        write_labels(path, np.ones((4, 4), np.uint8), "YX")
    assert path.read_bytes() == before
    write_labels(path, np.ones((4, 4), np.uint8), "YX", overwrite=True)
    assert read_image(path).array.all()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    write_labels(path, np.zeros((4, 4), np.uint8), "YX")
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ImageError, match="No space left"):
        write_labels(path, np.ones((4, 4), np.uint8), "YX", overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ImageError, match="could not be written"):
        write_labels(tmp_path / "no" / "a.tif", np.ones((4, 4), np.uint8), "YX")


@pytest.mark.skipif(not DATA.is_dir(), reason="set NAPARI_UNET_DATA to the folder of test images")
def test_real_files_of_all_kinds_open_or_are_refused_in_one_sentence():
    files = sorted(path for path in (DATA / "format_samples").rglob("*") if path.is_file())
    assert files
    opened = 0
    for path in files:
        found = opens_or_is_refused(path)
        assert (found is None) == (path.suffix not in (".tif", ".jpg")), path
        if found is None:
            continue
        source = ImageSource(found.array, found.axes, 2)
        assert source.channels in (1, 2, 3)
        assert source.read(next(iter(source.planes())), [slice(0, 5)] * 2).shape[0] == source.channels
        opened += 1
    assert opened > 80


@pytest.mark.skipif(not DATA.is_dir(), reason="set NAPARI_UNET_DATA to the folder of test images")
def test_real_files_agree_with_their_index():
    import csv

    index = (DATA / "format_samples" / "index.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(index.splitlines()):
        path = DATA / "format_samples" / row["folder"] / row["file"]
        if not path.exists() or not row["axes"]:
            continue
        found = read_image(path)
        assert str(tuple(found.array.shape)) == row["shape"], path
        assert found.axes == row["axes"].replace("S", "C"), path
        assert found.array.dtype.newbyteorder("=") == np.dtype(row["dtype"]), path


def test_names_of_channels(tmp_path):
    image = pixels(2, 20, 30)
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "a & b"]}}
    tifffile.imwrite(tmp_path / "ome.tif", image, ome=True, metadata=names)
    tifffile.imwrite(tmp_path / "ij.tif", image, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "a & b"]})
    ome_zarr(tmp_path / "a.zarr", pixels(2, 3, 20, 30), "0.5")
    group = zarr.open_group(tmp_path / "a.zarr")
    group.attrs["ome"] = group.attrs["ome"] | {"omero": {"channels": [{"label": "DAPI"}, {"label": "a & b"}]}}
    for name in ("ome.tif", "ij.tif", "a.zarr"):
        assert read_image(tmp_path / name).channels == ("DAPI", "a & b")


def test_names_that_do_not_fit_the_channels_are_left_out(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 20, 30), imagej=True, metadata={"axes": "ZYX", "Labels": ["x", "y"]})
    tifffile.imwrite(tmp_path / "b.tif", pixels(20, 30), imagej=True, metadata={"axes": "YX", "Labels": "z"})
    assert read_image(tmp_path / "a.tif").channels == read_image(tmp_path / "b.tif").channels == ()
