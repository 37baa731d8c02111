"""Folders of images, parts of images and previews of objects, in a session that really predicts."""

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_unet as nu
from napari_unet.cli.main import main
from napari_unet.config import InstanceConfig, PredictConfig
from napari_unet.errors import ImageError
from napari_unet.events import Warned
from napari_unet.io.images import read_image
from napari_unet.prediction.instances import instances
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray, share
from napari_unet.session.folder_run import predict_folder
from napari_unet.session.folders import plan_folder
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import FileDone, FilePart, PredictionDone, Tile


@pytest.fixture
def folder(cells, tmp_path):
    """Three good images of two kinds and sizes, one that is damaged, one of colour, and a text."""
    made = tmp_path / "my images"
    made.mkdir()
    tifffile.imwrite(
        made / "a.ome.tif", cells.image, metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    )
    np.save(made / "b.npy", cells.image[:50, :70])
    iio.imwrite(made / "c.png", (cells.image[::-1] * 255).clip(0, 255).astype(np.uint8))
    iio.imwrite(made / "d.png", np.zeros((40, 40, 3), np.uint8))
    (made / "e.tif").write_bytes(b"II*\x00 no image")
    (made / "notes.txt").write_text("x")
    return made


@pytest.fixture
def session(cell_model):
    made = InlineSession("cpu")
    made.send(do.LoadModel(str(cell_model)))
    yield made
    made.close()


def answers(session, request, most=2000):
    events = []
    for _ in range(most):
        events += session.poll()
        if any(isinstance(event, PredictionDone) and event.request == request for event in events):
            return events
    raise AssertionError(events)


def test_every_readable_image_of_a_folder_is_segmented(session, cell_model, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    items = plan_folder(folder)
    session.send(do.PredictFiles(7, items, PredictConfig(tile=48)))
    events = answers(session, 7)
    done = [event for event in events if isinstance(event, FileDone)]
    assert [(event.done, event.total) for event in done] == [(number, 5) for number in range(1, 6)]
    problems = {event.source.rsplit("/", 1)[-1]: event.problem for event in done}
    assert [name for name, problem in problems.items() if not problem] == ["a.ome.tif", "b.npy", "c.png"]
    assert "channel" in problems["d.png"]
    assert "e.tif" in problems["e.tif"]
    for name in ("a.ome.tif", "b.npy", "c.png"):
        image, found = read_image(folder / name), read_image(folder / f"{name.split('.')[0]}-labels.ome.tif")
        assert np.array_equal(found.array, nu.Model.load(cell_model).predict(image.array, axes=image.axes))
        assert found.spacing == image.spacing
    assert {path: path.read_bytes() for path in before} == before
    parts = [event.done + event.part for event in events if isinstance(event, FilePart)]
    assert parts == sorted(parts)
    assert len(parts) > 5


def test_results_are_no_images_and_are_not_overwritten(cell_model, folder, tmp_path):
    loaded = nu.Model.load(cell_model)
    predict_folder(loaded, folder)
    results = {path: path.read_bytes() for path in folder.glob("*-labels*")}
    assert len(results) == 3
    again = predict_folder(loaded, folder)
    assert len(again) == 5
    assert sum("there already" in event.problem for event in again) == 3
    assert {path: path.read_bytes() for path in results} == results
    (folder / "a-labels.ome.tif").write_bytes(b"old")
    assert not predict_folder(loaded, folder, overwrite=True)[0].problem
    assert np.array_equal(
        read_image(folder / "a-labels.ome.tif").array, loaded.predict(read_image(folder / "a.ome.tif").array)
    )
    elsewhere = predict_folder(loaded, folder, tmp_path / "new" / "results", config=PredictConfig(output="instances"))
    assert elsewhere[0].target == str(tmp_path / "new" / "results" / "a-instances.ome.tif")
    assert read_image(elsewhere[0].target).array.max() > 0


@pytest.mark.parametrize("output", ["probabilities", "uncertainty"])
@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_probabilities_and_uncertainty_of_a_folder(cell_model, folder, output, ending):
    loaded = nu.Model.load(cell_model)
    done = predict_folder(loaded, folder, config=PredictConfig(output=output), ending=ending)
    assert not done[1].problem
    found = read_image(folder / f"b-{output}{ending}")
    assert np.array_equal(found.array, loaded.predict(np.load(folder / "b.npy"), output=output))
    assert found.channels == (("background", "cell") if output == "probabilities" else ())


def test_a_whole_image_of_probabilities_comes_tile_by_tile(session, cell_model, cells):
    target = SharedArray((2, 2, 80, 96), np.float32)
    image = np.stack([cells.image, cells.image[::-1]])
    session.send(do.SetImage("i", share(image).ref, "ZYX"))
    session.send(do.PredictImage(3, "i", target.ref, PredictConfig(output="probabilities", tile=48)))
    events = answers(session, 3)
    assert sum(isinstance(event, Tile) for event in events) > 2
    wanted = nu.Model.load(cell_model).predict(image, "ZYX", output="probabilities", tile=48)
    assert np.array_equal(target.array, wanted)
    session.send(do.PredictImage(4, "i", target.ref, PredictConfig(output="uncertainty")))
    assert "give a target of shape (2, 80, 96)" in str(session.poll())
    target.close()


def test_images_that_differ_in_their_ending_get_results_of_their_own(tmp_path):
    for name in ("a.png", "a.tif", "b.tif", "b-labels.tif", "c-labels.tif", ".hidden.tif"):
        (tmp_path / name).touch()
    names = [(item.source.name, item.target.name) for item in plan_folder(tmp_path, ending=".ome.zarr")]
    assert names == [
        ("a.png", "a.png-labels.ome.zarr"),
        ("a.tif", "a.tif-labels.ome.zarr"),
        ("b.tif", "b-labels.ome.zarr"),
        ("c-labels.tif", "c-labels-labels.ome.zarr"),
    ]


def test_a_folder_without_images_is_a_sentence(tmp_path):
    with pytest.raises(ImageError, match="no image"):
        plan_folder(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        plan_folder(tmp_path / "gone")


def test_a_folder_can_be_cancelled_between_tiles(session, folder):
    session.send(do.PredictFiles(7, plan_folder(folder), PredictConfig(tile=16)))
    while not any(isinstance(event, FilePart) and event.done == 1 for event in session.poll()):
        pass
    session.send(do.Cancel(7))
    events = answers(session, 7)
    assert events[-1].cancelled
    assert [path.name for path in folder.glob("*-labels*")] == ["a-labels.ome.tif"]
    assert session.poll() == []


def test_a_folder_on_the_command_line(cell_model, folder, capsys):
    assert main(["predict", str(folder), str(folder / "out"), "--model", str(cell_model), "--ending", ".tif"]) == 1
    shown = capsys.readouterr()
    assert "3 of 5" in shown.out
    assert "e.tif" in shown.err
    found = read_image(folder / "out" / "b-labels.tif").array
    assert np.array_equal(found, nu.Model.load(cell_model).predict(np.load(folder / "b.npy")))


def test_a_part_of_an_image_has_the_pixels_of_the_whole(session, cell_model, cells):
    stack = np.stack([cells.image, cells.image[::-1]])
    shared, target = share(stack), SharedArray(stack.shape, np.uint8)
    try:
        session.send(do.SetImage("a", shared.ref, "ZYX"))
        box = ((10, 60), (20, 90))
        session.send(do.PredictImage(3, "a", target.ref, PredictConfig(tile=32), ((1,),), box))
        answers(session, 3)
        whole = nu.Model.load(cell_model).predict(stack, axes="ZYX")
        assert np.array_equal(target.array[1, 10:60, 20:90], whole[1, 10:60, 20:90])
        assert np.count_nonzero(target.array) == 50 * 70
    finally:
        shared.close()
        target.close()


def test_a_preview_shows_what_the_settings_make_and_predicts_once(session, cell_model, cells):
    shared = share(cells.image)
    loaded, settings = nu.Model.load(cell_model), InstanceConfig(min_size=20, smoothing=1.0, split=2.0)
    try:
        session.send(do.SetImage("a", shared.ref, "YX"))
        box = ((0, 80), (0, 96))
        session.send(do.PreviewObjects(4, "a", (), box, PredictConfig(output="instances")))
        first = answers(session, 4)
        session.send(do.PreviewObjects(5, "a", (), box, PredictConfig(output="instances", instances=settings)))
        second = [event for event in answers(session, 5) if not isinstance(event, Warned)]
        (tile,) = [event for event in first if isinstance(event, Tile)]
        probabilities = loaded.predict(cells.image, output="probabilities")
        assert np.array_equal(tile.data, instances(probabilities))
        assert [type(event) for event in second] == [Tile, PredictionDone]
        assert np.array_equal(second[0].data, instances(probabilities, settings))
        assert not np.array_equal(second[0].data, tile.data)
    finally:
        shared.close()
