"""The command line does the whole job, and says in one sentence what the user must mend."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.cli.doctor import loses_references
from napari_unet.cli.main import COMMANDS, main
from napari_unet.config import ModelConfig
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.costs import costs
from napari_unet.session.model import Model

SMALL = ["--steps", "2", "--width", "4", "--depth", "2", "--device", "cpu", "--patch-size", "32"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cells = touching_cells((64, 80), seed=2, diameter=16)
    tifffile.imwrite(tmp_path / "image.tif", cells.image)
    tifffile.imwrite(tmp_path / "strokes.tif", paint_strokes(cells.labels, seed=2, fraction=0.05))
    tifffile.imwrite(tmp_path / "mask.tif", cells.labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> Path:
    assert main(["train", "image.tif", "--strokes", "strokes.tif", "--model", "m.unet", *SMALL]) == 0
    return folder / "m.unet"


def sentence(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """The one line that a failing command writes."""
    capsys.readouterr()
    assert main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("napari-unet: ")]
    assert len(lines) == 1
    return lines[0]


def test_parts_have_the_pixels_of_the_whole(model: Path, folder: Path, capsys):
    stack = np.random.default_rng(0).integers(0, 255, (3, 64, 80)).astype(np.uint8)
    tifffile.imwrite("stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    words = ["predict", "--model", "m.unet", "--device", "cpu", "--output", "probabilities", "stack.tif"]
    parts = ["--part", "1,10:40,0:30", "--part", "1,30:64,20:80", "--part", "2"]
    assert main([*words, "whole.tif"]) == 0
    assert main([*words, "parts.tif", *parts]) == 0
    whole, found = tifffile.imread("whole.tif"), tifffile.imread("parts.tif")
    there = np.zeros(stack.shape, bool)
    there[1, 10:40, :30] = there[1, 30:, 20:] = there[2] = True
    axis = whole.shape.index(2)
    np.testing.assert_allclose(np.moveaxis(found, axis, 0), np.where(there, np.moveaxis(whole, axis, 0), 0), atol=1e-5)
    for wrong, word in {"3": "below", "0,0,0:4,0:4": "axis", "0:4": "START:STOP", "90:95,0:4": "outside"}.items():
        assert word in sentence(capsys, [*words, "new.tif", "--part", wrong])
        assert not Path("new.tif").exists()


def test_train_predict_evaluate_info(model: Path, folder: Path, capsys):
    assert main(["predict", "--model", "m.unet", "image.tif", "labels.tif", "--tile", "32"]) == 0
    labels = tifffile.imread(folder / "labels.tif")
    assert labels.shape == (64, 80)
    assert set(np.unique(labels)) <= {1, 2}
    capsys.readouterr()
    assert main(["evaluate", "labels.tif", "mask.tif", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    found, true = labels > 1, tifffile.imread(folder / "mask.tif") > 0
    assert scores["iou"] == pytest.approx((found & true).sum() / (found | true).sum())
    assert main(["info", "m.unet"]) == 0
    text = capsys.readouterr().out
    assert "2 = cell" in text
    assert "2 steps" in text
    assert "GFLOP per megapixel" in text
    assert main(["info", "m.unet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["step"] == 2
    found = asdict(costs(ModelConfig(**told["model"])))
    assert told["costs"] == json.loads(json.dumps(found))


def test_another_kind_of_network_leaves_the_stem_of_the_standard_one(folder: Path, capsys):
    train = [
        "train",
        str(folder / "image.tif"),
        "--strokes",
        str(folder / "strokes.tif"),
        "--steps",
        "1",
        "--width",
        "4",
    ]
    run = [*train, "--depth", "2", "--patch-size", "32", "--device", "cpu"]
    for kind, stem in (["--architecture", "unet3plus"], "none"), ([], "scale_space"), (["--stem", "none"], "none"):
        assert main([*run, "--model", str(folder / "a.unet"), "--overwrite", *kind]) == 0
        assert Model.load(folder / "a.unet").config.stem == stem
    both = ["--architecture", "unetpp", "--stem", "scale_space"]
    assert main([*run, "--model", str(folder / "a.unet"), "--overwrite", *both]) == 0
    assert Model.load(folder / "a.unet").config.stem == "scale_space"


def test_a_unetpp_predicts_at_a_smaller_depth(folder: Path, capsys):
    deep = ["--architecture", "unetpp", "--deep-supervision"]
    assert main(["train", "image.tif", "--strokes", "strokes.tif", "--model", "m.unet", *SMALL, *deep]) == 0
    predict = ["predict", "--model", "m.unet", "image.tif", "--output", "probabilities", "--device", "cpu"]
    for depth in ("1", "2"):
        assert main([*predict, f"{depth}.tif", "--depth", depth]) == 0
    assert main([*predict, "whole.tif"]) == 0
    found = {name: tifffile.imread(folder / f"{name}.tif") for name in ("1", "2", "whole")}
    np.testing.assert_array_equal(found["2"], found["whole"])
    assert not np.allclose(found["1"], found["whole"])
    assert "depth from 1 to 2" in sentence(capsys, [*predict, "3.tif", "--depth", "3"])


def test_info_tells_the_costs_of_settings_alone(capsys):
    assert main(["info", "--width", "64", "--padding", "valid", "--norm", "none", "--stem", "none"]) == 0
    text = capsys.readouterr().out
    assert "31.03 million parameters, 11" in text
    assert "receptive field 215 x 215 pixels, stride 16 x 16; tiles equal the whole" in text
    assert main(["info", "--ndim", "3", "--spacing", "4,1,1", "--depth", "3", "--norm", "instance", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["costs"]
    assert (found["stride"], found["receptive_field"], found["exact_tiles"]) == ([2, 8, 8], None, False)
    assert found["training_bytes"] > 0
    assert main(["info"]) == 0
    assert "scale-space stem" in capsys.readouterr().out


def test_other_tools_get_background_as_zero(model: Path, folder: Path):
    assert main(["predict", "--model", "m.unet", "image.tif", "one.tif"]) == 0
    assert main(["predict", "--model", "m.unet", "image.tif", "zero.tif", "--background-zero"]) == 0
    one, zero = (tifffile.imread(folder / name) for name in ("one.tif", "zero.tif"))
    np.testing.assert_array_equal(one, zero + 1)


def test_probabilities_have_a_channel_per_class(model: Path, folder: Path):
    assert main(["predict", "--model", "m.unet", "image.tif", "p.tif", "--output", "probabilities"]) == 0
    found = tifffile.imread(folder / "p.tif")
    assert found.shape == (2, 64, 80)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def test_channels_are_chosen_by_number_and_by_name(model: Path, folder: Path, capsys):
    image = tifffile.imread(folder / "image.tif")
    names = {"axes": "CYX", "Channel": {"Name": ["empty", "cells"]}}
    tifffile.imwrite(folder / "two.ome.tif", np.stack([np.zeros_like(image), image]), ome=True, metadata=names)
    assert main(["predict", "--model", "m.unet", "image.tif", "0.tif"]) == 0
    for number, choice in enumerate(("1", "cells"), start=1):
        assert main(["predict", "--model", "m.unet", "two.ome.tif", f"{number}.tif", "--channels", choice]) == 0
        np.testing.assert_array_equal(tifffile.imread(folder / f"{number}.tif"), tifffile.imread(folder / "0.tif"))
    line = ["predict", "--model", "m.unet", "two.ome.tif", "x.tif", "--channels", "DAPI"]
    assert "'DAPI'" in sentence(capsys, line)


def test_a_model_learns_and_reads_the_channels_it_names(folder: Path, capsys):
    image = tifffile.imread(folder / "image.tif")
    for name, order in (("a", ["empty", "cells"]), ("b", ["cells", "noise", "empty"])):
        planes = [image if channel == "cells" else np.zeros_like(image) for channel in order]
        about = {"axes": "CYX", "Channel": {"Name": order}}
        tifffile.imwrite(folder / f"{name}.ome.tif", np.stack(planes), ome=True, metadata=about)
    line = ["train", "a.ome.tif", "--strokes", "strokes.tif", "--model", "c.unet", "--channels", "cells", *SMALL]
    assert main(line) == 0
    for name in ("a", "b"):
        assert main(["predict", "--model", "c.unet", f"{name}.ome.tif", f"{name}.tif"]) == 0
    np.testing.assert_array_equal(tifffile.imread(folder / "a.tif"), tifffile.imread(folder / "b.tif"))
    tifffile.imwrite(
        folder / "d.ome.tif", np.stack([image] * 2), ome=True, metadata=about | {"Channel": {"Name": ["x", "y"]}}
    )
    assert "'cells'" in sentence(capsys, ["predict", "--model", "c.unet", "d.ome.tif", "d.tif"])


def test_an_image_of_another_pixel_size_is_rescaled_when_asked(folder: Path, capsys):
    line = ["train", "image.tif", "--strokes", "strokes.tif", "--model", "s.unet", "--spacing", "1,1", *SMALL]
    assert main(line) == 0
    predict = ["predict", "--model", "s.unet", "image.tif", "r.tif", "--rescale"]
    assert "pixel size of the image" in sentence(capsys, predict)
    assert main([*predict, "--spacing", "0.5,0.5"]) == 0
    assert tifffile.imread(folder / "r.tif").shape == (64, 80)


def test_a_store_is_written_and_resumed(model: Path, folder: Path, capsys):
    line = ["predict", "--model", "m.unet", "image.tif", "labels.ome.zarr"]
    assert main([*line, "--memory", "2", "--output", "instances"]) == 0
    assert "objects" in capsys.readouterr().err
    assert "--overwrite or --resume" in sentence(capsys, line)
    assert "settings" in sentence(capsys, [*line, "--resume"])
    assert main([*line, "--resume", "--output", "instances"]) == 0
    assert main([*line, "--overwrite"]) == 0
    assert main(["predict", "--model", "m.unet", "image.tif", "labels.tif"]) == 0
    found = zarr.open_group(folder / "labels.ome.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(found, tifffile.imread(folder / "labels.tif"))
    assert main(["evaluate", "labels.ome.zarr", "mask.tif"]) == 0


def test_a_result_that_fits_in_no_memory_asks_for_a_store(model: Path, folder: Path, capsys):
    zarr.create_array(folder / "huge.zarr", shape=(100_000, 100_000), chunks=(512, 512), dtype="u1")
    message = sentence(capsys, ["predict", "--model", "m.unet", "huge.zarr", "x.tif"])
    assert ".ome.zarr" in message
    assert not (folder / "x.tif").exists()


def test_several_images_go_into_a_folder(model: Path, folder: Path):
    tifffile.imwrite(folder / "second.tif", tifffile.imread(folder / "image.tif")[:30])
    assert main(["predict", "--model", "m.unet", "image.tif", "second.tif", "results"]) == 0
    assert tifffile.imread(folder / "results" / "second.tif").shape == (30, 80)
    assert (folder / "results" / "image.tif").exists()


def test_training_goes_on_from_a_model(model: Path, folder: Path, capsys):
    line = ["train", "image.tif", "--strokes", "strokes.tif", "--model", "n.unet", "--start", "m.unet", *SMALL]
    assert main(line) == 0
    capsys.readouterr()
    assert main(["info", "n.unet"]) == 0
    assert "4 steps" in capsys.readouterr().out


def test_a_model_gets_another_class(model: Path, folder: Path, capsys):
    line = ["train", "image.tif", "--strokes", "strokes.tif", "--model", "n.unet", "--start", "m.unet", *SMALL]
    assert main([*line, "--classes", "background,edge,cell", "--learns", "decoder"]) == 0
    capsys.readouterr()
    assert main(["info", "n.unet"]) == 0
    assert "2 = edge" in capsys.readouterr().out


def test_a_training_is_resumed_from_its_checkpoint(folder: Path, capsys):
    line = ["train", "image.tif", "--strokes", "strokes.tif", "--checkpoint", "c.ckpt", "--resume", *SMALL]
    assert main([*line, "--model", "one.unet"]) == 0
    assert (folder / "c.ckpt").exists()
    longer = [*line, "--model", "two.unet", "--steps", "5"]
    assert main(longer) == 0
    assert "Training ended after 5 steps" in capsys.readouterr().err


def test_a_dense_mask_is_imported_by_choice(folder: Path, capsys):
    tifffile.imwrite(folder / "binary.tif", (tifffile.imread(folder / "mask.tif") > 0).astype(np.uint8))
    line = ["train", "image.tif", "--strokes", "binary.tif", "--model", "d.unet", *SMALL]
    assert "background" in sentence(capsys, line)
    assert main([*line, "--dense"]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "image.tif", "--strokes", "nothing.tif", "--model", "x.unet"], "nothing.tif"),
        (["train", "image.tif", "--strokes", "strokes.tif", "strokes.tif", "--model", "x.unet"], "one strokes file"),
        (["train", "image.tif", "--strokes", "strokes.tif", "--model", "m.unet"], "--overwrite"),
        (["train", "image.tif", "--strokes", "strokes.tif", "--model", "x.unet", "--width", "0"], "width"),
        (["train", "image.tif", "--strokes", "strokes.tif", "--model", "x.unet", "--resume"], "--checkpoint"),
        (["train", "image.tif", "--strokes", "strokes.tif", "--model", "x.unet", "--axes", "ZYX"], "axes"),
        (["train", "image.tif", "--strokes", "strokes.tif", "--model", "no/where/x.unet", *SMALL], "x.unet"),
        (["predict", "--model", "image.tif", "image.tif", "x.tif"], "image.tif"),
        (["predict", "--model", "m.unet", "image.tif", "strokes.tif"], "--overwrite"),
        (["predict", "--model", "m.unet", "m.unet", "x.tif"], "m.unet"),
        (["predict", "--model", "m.unet", "rgb.tif", "x.tif"], "channels=0;"),
        (["predict", "--model", "m.unet", "image.tif", "x.png"], "ends in .tif or .ome.zarr"),
        (["predict", "--model", "m.unet", "image.tif", "no/x.tif"], "make the folder first: 'no'"),
        (["predict", "--model", "m.unet", "image.tif", "mask.tif", "x.tif"], "a folder to write several images to"),
        (["evaluate", "image.tif", "rgb.tif"], "shape"),
        (["info", "nothing.unet"], "nothing.unet"),
        (["info", "--width", "512", "--depth", "7"], "width or depth"),
        (["info", "--spacing", "0,1"], "spacing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(words, expected, model: Path, folder: Path, capsys):
    tifffile.imwrite(folder / "rgb.tif", np.zeros((20, 24, 3), np.uint8), photometric="rgb")
    before = sorted(path.name for path in folder.iterdir())
    assert expected in sentence(capsys, words)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_doctor_examines_the_installation(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for name in ("torch", "GPU", "memory", "napari", "Qt", "display", "extra 'onnx'"):
        assert f"] {name}" in text


@pytest.mark.parametrize(
    ("pyside", "python", "bad"),
    [("6.12.0", (3, 11), True), ("6.11.3", (3, 11), False), ("6.12.0", (3, 12), False), ("7.0.1", (3, 11), True)],
)
def test_doctor_knows_the_qt_that_ends_python(pyside: str, python: tuple[int, int], bad: bool):
    assert loses_references(pyside, python) is bad


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys):
    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("usage: napari-unet")


def test_the_demo_does_the_main_job(tmp_path: Path, capsys):
    assert main(["demo", "--scene", "cells", "--seconds", "4", "--no-napari", "--output", str(tmp_path)]) == 0
    assert "IoU" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {
        "image.npy",
        "strokes.tif",
        "prediction.tif",
        "model.unet",
    }
