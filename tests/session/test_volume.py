"""Images larger than memory: whole write units, a ledger, resumed at any moment, nothing written elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_unet as nu
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, ImageError, NapariUnetError, PredictionError
from napari_unet.events import Masked, VolumeDone, VolumeProgress
from napari_unet.io import ome_zarr_store
from napari_unet.io.images import read_image
from napari_unet.io.ledger import Ledger
from napari_unet.io.lock import only_one
from napari_unet.io.ome_zarr_store import WORK, ResultStore, canonical, coarser, pyramid_factors
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.units import UnitGrid, choose_unit
from napari_unet.session.volume import VolumeJob, segment_volume


class Double(torch.nn.Module):
    """A network in double precision: no label hangs on rounding."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.double())


def make(**settings) -> nu.Model:
    """A random model whose classes are equally frequent in noise."""
    config = nu.ModelConfig(**{"width": 2, "depth": 1, **settings})
    torch.manual_seed(0)
    network = nu.build_network(config).eval()
    with torch.no_grad():
        logits = network(torch.rand(2, config.in_channels, *(32,) * config.ndim))
        bias = [p for p in network.parameters() if p.shape == (len(config.outputs),)][-1]
        bias -= logits.mean(dim=[0, *range(2, logits.ndim)])
    return nu.Model(Double(network), config)


FLAT, DEEP = make(), make(ndim=3)
RIMS = make(task="instances", instance_target="boundary")
THREE = make(classes=("background", "nucleus", "rim"))


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def job(model: nu.Model, array, axes: str, target: Path, *, chunk: int = 16, unit: int = 32, **options) -> VolumeJob:
    share, spacing = options.pop("share", (0, 1)), options.pop("size", None)
    config = nu.PredictConfig(device="cpu", **options)
    source = ImageSource(array, axes, model.config.ndim)
    return VolumeJob(model.network, model.config, source, target, config, spacing, chunk, unit, share)


def done(events) -> VolumeDone:
    found = list(events)
    assert [type(event) for event in found if isinstance(event, VolumeDone)] == [VolumeDone]
    assert isinstance(found[-1], VolumeDone)
    return found[-1]


def level(path: Path, number: int = 0) -> np.ndarray:
    return zarr.open_group(path, mode="r")[str(number)][:]


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


CASES = [
    (FLAT, (70, 45), "YX"),
    (FLAT, (3, 40, 45), "ZYX"),
    (FLAT, (2, 2, 33, 20), "TZYX"),
    (DEEP, (40, 35, 50), "ZYX"),
    (DEEP, (35, 2, 20, 33), "ZTYX"),
    (THREE, (70, 45), "YX"),
    (RIMS, (70, 45), "YX"),
]


@pytest.mark.parametrize(("model", "shape", "axes"), CASES)
@pytest.mark.parametrize("output", ["labels", "probabilities", "instances"])
def test_the_store_holds_what_a_whole_prediction_gives(tmp_path, model, shape, axes, output):
    pixels = image(*shape)
    last = done(segment_volume(job(model, pixels, axes, tmp_path / "a.zarr", output=output)))
    assert last.complete
    assert last.done == last.total > 1
    expected = model.predict(pixels, axes, output, device="cpu")
    order = "C" * (output == "probabilities") + axes
    target = canonical(order)
    expected = expected.transpose([order.index(axis) for axis in target])
    found = level(tmp_path / "a.zarr")
    if output == "probabilities":
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)
    if output == "instances":
        assert last.objects == expected.max() > 3
    read = read_image(tmp_path / "a.zarr")
    assert read.axes == target
    assert list(tmp_path.iterdir()) == [tmp_path / "a.zarr"]
    assert not list((tmp_path / "a.zarr").rglob(WORK))


MAKING = [
    {"min_size": 5, "max_size": 60, "fill_holes": 8},
    {"smoothing": 1.2, "min_size": 3},
    {"split": 1.5, "fill_holes": 4},
]


@pytest.mark.parametrize("model", [FLAT, DEEP, THREE, RIMS], ids=["2d", "3d", "3 classes", "boundaries"])
@pytest.mark.parametrize("making", MAKING, ids=["sizes", "smoothing", "split"])
def test_objects_are_made_as_in_memory_whatever_the_units(tmp_path, model, making):
    pixels = image(*((40, 33, 35) if model is DEEP else (90, 75)))
    axes = "ZYX" if model is DEEP else "YX"
    instances = nu.PredictConfig(instances=making).instances
    predictor = Predictor(model.network, model.config, device="cpu", instances=instances)
    expected = predictor.predict(ImageSource(pixels, axes, model.config.ndim), output="instances")
    assert done(
        segment_volume(job(model, pixels, axes, tmp_path / "a.zarr", output="instances", instances=instances))
    ).complete
    np.testing.assert_array_equal(level(tmp_path / "a.zarr"), expected)
    assert expected.max() > 2


def through_z(*shape: int) -> np.ndarray:
    """Planes that differ a little from the ones before."""
    return 0.8 * image(1, *shape[-2:]) + 0.2 * image(*shape)


@settings(deadline=None, max_examples=12)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(4, 20), st.integers(1, 3), st.sampled_from([0.1, 0.5, 1.0]))
def test_objects_go_on_in_the_next_plane_as_in_memory_for_any_cut(tmp_path_factory, height, width, chunk, times, link):
    pixels, target = through_z(2, 4, height, width), tmp_path_factory.mktemp("v") / "a.zarr"
    options = {"output": "instances", "instances": {"link": link, "min_size": 2}}
    last = done(segment_volume(job(FLAT, pixels, "TZYX", target, chunk=chunk, unit=chunk * times, **options)))
    instances = nu.PredictConfig(**options).instances
    predictor = Predictor(FLAT.network, FLAT.config, device="cpu", instances=instances)
    expected = predictor.predict(ImageSource(pixels, "TZYX", 2), output="instances")
    np.testing.assert_array_equal(level(target), expected)
    assert last.objects == expected.max()


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_linked_objects_are_the_same_after_a_stop(tmp_path, stop):
    pixels, target = through_z(4, 40, 40), tmp_path / "a.zarr"
    options = {"chunk": 20, "unit": 20, "output": "instances", "instances": {"link": 0.2}}
    done(segment_volume(job(FLAT, pixels, "ZYX", tmp_path / "whole.zarr", **options)))
    joined = [0]
    for event in segment_volume(job(FLAT, pixels, "ZYX", target, **options), should_stop=lambda: joined[0] >= stop):
        joined[0] = event.done if isinstance(event, VolumeProgress) and event.stage == "join" else joined[0]
    assert joined == [stop]
    done(segment_volume(job(FLAT, pixels, "ZYX", target, **options), resume=True))
    found = level(target)
    np.testing.assert_array_equal(found, level(tmp_path / "whole.zarr"))
    assert set(np.unique(found[0])) & set(np.unique(found[1])) - {0}


@pytest.mark.parametrize("container", ["numpy", "memmap", "zarr2", "zarr3", "sharded", "dask"])
def test_any_container_is_read(tmp_path, container):
    pixels = (image(30, 40, 35) * 4000).astype(">u2")
    if container == "numpy":
        array = pixels
    elif container == "memmap":
        array = np.memmap(tmp_path / "i", ">u2", "w+", shape=pixels.shape)
        array[:] = pixels
    elif container == "dask":
        array = pytest.importorskip("dask.array").from_array(pixels, chunks=(7, 17, 20))
    else:
        shards = (16, 16, 16) if container == "sharded" else None
        version = 2 if container == "zarr2" else 3
        array = zarr.create_array(
            tmp_path / "i.zarr", data=pixels, chunks=(8, 8, 8), shards=shards, zarr_format=version
        )
    done(segment_volume(job(DEEP, array, "ZYX", tmp_path / "a.zarr")))
    np.testing.assert_array_equal(level(tmp_path / "a.zarr"), DEEP.predict(pixels, "ZYX", device="cpu"))


@st.composite
def layouts(draw):
    chunk = draw(st.integers(3, 20))
    return (
        (draw(st.integers(1, 50)), draw(st.integers(1, 50))),
        chunk,
        chunk * draw(st.integers(1, 3)),
        draw(st.integers(16, 40)),
    )


@settings(deadline=None, max_examples=15)
@given(layouts())
def test_any_shape_chunk_shard_and_tile(tmp_path_factory, layout):
    shape, chunk, unit, tile = layout
    target = tmp_path_factory.mktemp("v") / "a.zarr"
    done(segment_volume(job(FLAT, image(*shape), "YX", target, chunk=chunk, unit=unit, tile=tile)))
    np.testing.assert_array_equal(level(target), FLAT.predict(image(*shape), "YX", device="cpu"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=3))
def test_units_part_the_array_and_none_is_shared(axes):
    grid = UnitGrid(tuple(n for n, _ in axes), tuple(u for _, u in axes))
    times, owner = np.zeros(grid.shape, int), np.full(grid.counts, -1)
    for number, box in enumerate(grid):
        times[box] += 1
        place = tuple(part.start // u for part, u in zip(box, grid.unit, strict=True))
        assert owner[place] == -1
        owner[place] = number
        assert place == grid.place(number)
        assert all((part.stop - 1) // u == i for part, u, i in zip(box, grid.unit, place, strict=True))
    assert np.all(times == 1)
    assert len(grid) == owner.size


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 600), st.integers(1, 4))
def test_a_unit_is_whole_chunks(height, width, chunk, times):
    chunks, unit = choose_unit((7, 3, height, width), "TCYX", "YX", chunk, chunk * times)
    assert all(u % c == 0 for u, c in zip(unit, chunks, strict=True))
    assert unit[:2] == (1, 3)
    assert chunks[:2] == (1, 1)
    assert max(unit[2:]) <= chunk * times


# ------------------------------------------------------------------ stop, kill, resume


@pytest.mark.parametrize("output", ["labels", "instances", "probabilities"])
@pytest.mark.parametrize("units", [0, 1, 3, 6])
def test_a_stop_leaves_a_readable_store_that_is_resumed(tmp_path, output, units):
    pixels, target = image(600, 40), tmp_path / "a.zarr"
    options = {"chunk": 100, "unit": 100, "output": output}
    done(segment_volume(job(FLAT, pixels, "YX", tmp_path / "whole.zarr", **options)))
    seen = [0]
    events = []
    for event in segment_volume(job(FLAT, pixels, "YX", target, **options), should_stop=lambda: seen[0] >= units):
        events.append(event)
        seen[0] = max(seen[0], event.done)
    assert not events[-1].complete
    assert events[-1].done == units
    assert level(target).shape[-2:] == (600, 40)
    before = contents(target)
    computed = []
    for event in segment_volume(job(FLAT, pixels, "YX", target, **options), resume=True):
        if isinstance(event, VolumeProgress) and event.stage == "predict":
            computed.append(event.done)
    assert event.complete
    assert event.done == 6
    assert sorted(set(computed)) == ([] if units == 6 else list(range(units, 7)))
    kept = {name: data for name, data in before.items() if name.startswith("0/c/") and output != "instances"}
    assert kept.items() <= contents(target).items()
    assert contents(target).keys() == contents(tmp_path / "whole.zarr").keys()
    for name, data in contents(tmp_path / "whole.zarr").items():
        assert name.endswith("zarr.json") or contents(target)[name] == data


@pytest.mark.parametrize("stage", ["join", "pyramid"])
def test_a_stop_while_joining_or_making_the_pyramid_is_resumed(tmp_path, stage, monkeypatch):
    monkeypatch.setattr(ome_zarr_store, "SMALLEST_LEVEL", 60)
    pixels, target = image(300, 140), tmp_path / "a.zarr"
    options = {"chunk": 50, "unit": 50, "output": "instances"}
    done(segment_volume(job(FLAT, pixels, "YX", tmp_path / "whole.zarr", **options)))
    stop = [False]
    for event in segment_volume(job(FLAT, pixels, "YX", target, **options), should_stop=lambda: stop[0]):
        stop[0] |= isinstance(event, VolumeProgress) and event.stage == stage and event.done == 2
    assert not event.complete
    stages = [
        (e.stage, e.done)
        for e in segment_volume(job(FLAT, pixels, "YX", target, **options), resume=True)
        if isinstance(e, VolumeProgress)
    ]
    assert stages[0] == (stage, 3)
    for number in range(4):
        np.testing.assert_array_equal(level(target, number), level(tmp_path / "whole.zarr", number))


def test_an_abandoned_run_finishes_its_write(tmp_path):
    run = segment_volume(job(FLAT, image(300, 40), "YX", tmp_path / "a.zarr", chunk=100, unit=100))
    next(event for event in run if event.done == 2)
    run.close()
    assert len(Ledger(tmp_path / "a.zarr" / "0" / WORK).done("predict")) == 2


def test_a_complete_store_is_left_alone(tmp_path):
    one = job(FLAT, image(70, 45), "YX", tmp_path / "a.zarr")
    done(segment_volume(one))
    before = contents(tmp_path)
    assert done(segment_volume(one, resume=True)).complete
    assert contents(tmp_path) == before


def test_two_workers_share_a_store(tmp_path):
    pixels, target = image(300, 90), tmp_path / "a.zarr"
    parts = [job(FLAT, pixels, "YX", target, chunk=50, unit=50, output="instances", share=(i, 2)) for i in range(2)]
    assert not done(segment_volume(parts[0])).complete
    last = done(segment_volume(parts[1], resume=True))
    assert last.complete
    np.testing.assert_array_equal(level(target), FLAT.predict(pixels, "YX", "instances", device="cpu"))


def test_two_processes_do_not_do_the_same_work(tmp_path):
    one = job(FLAT, image(300, 40), "YX", tmp_path / "a.zarr", chunk=100, unit=100)
    first = segment_volume(one)
    next(first)
    with pytest.raises(ConfigError, match="wait for the other process"):
        list(segment_volume(one, resume=True))
    first.close()
    assert done(segment_volume(one, resume=True)).complete


def test_a_lock_is_for_one(tmp_path):
    with only_one(tmp_path / "lock") as first:
        assert first
        with only_one(tmp_path / "lock") as second:
            assert not second
    with only_one(tmp_path / "lock") as third:
        assert third


def test_a_torn_line_of_the_ledger_is_a_unit_that_was_not_finished(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.record("predict", 1, masked=2)
    ledger.record("predict", 5, masked=0)
    ledger.close()
    path = next(tmp_path.glob("done-*"))
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = Ledger(tmp_path).done("predict")
        assert set(found) <= {1, 5}
        assert (1 in found) == (cut >= whole.index(b"\n"))
    for junk in (b"[]\n", b"\xff\xfe\n", b'{"unit": "1", "stage": "predict"}\n', b"7\n"):
        path.write_bytes(junk + whole)
        assert Ledger(tmp_path).done("predict") == {1: {"masked": 2}, 5: {"masked": 0}}


# ------------------------------------------------------------------ what is refused


def started(tmp_path: Path) -> Path:
    """A store with one unit of three."""
    for event in (run := segment_volume(job(FLAT, image(300, 40), "YX", tmp_path / "a.zarr", chunk=100, unit=100))):
        if event.done == 1:
            run.close()
            break
    return tmp_path / "a.zarr"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"model": THREE}, "model"),
        ({"pixels": image(300, 40, seed=1)}, "image"),
        ({"pixels": image(300, 41)}, "image"),
        ({"output": "instances"}, "settings"),
        ({"background_zero": True}, "settings"),
    ],
)
def test_another_model_image_or_setting_is_not_resumed(tmp_path, other, word):
    target = started(tmp_path)
    before = contents(tmp_path)
    options = {"model": FLAT, "pixels": image(300, 40), **other}
    model, pixels = options.pop("model"), options.pop("pixels")
    with pytest.raises(ConfigError, match=f"with the {word} it was begun with") as caught:
        list(segment_volume(job(model, pixels, "YX", target, **options), resume=True))
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_tile_memory_and_units_may_change(tmp_path):
    target = started(tmp_path)
    assert done(
        segment_volume(job(FLAT, image(300, 40), "YX", target, tile=17, memory=3, unit=64), resume=True)
    ).complete


def test_an_existing_target_is_replaced_only_when_asked_and_only_a_store(tmp_path):
    target = started(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="exists"):
        list(segment_volume(job(FLAT, image(50, 50), "YX", target)))
    assert contents(tmp_path) == before
    assert done(segment_volume(job(FLAT, image(50, 50), "YX", target), overwrite=True)).complete
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for options, words in (({"overwrite": True}, "is no Zarr store"), ({"resume": True}, "no result of")):
        with pytest.raises(ImageError, match=words):
            list(segment_volume(job(FLAT, image(50, 50), "YX", tmp_path / "photos"), **options))
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


def test_the_image_is_never_the_target(tmp_path):
    array = zarr.create_array(tmp_path / "i.zarr", data=image(40, 40))
    for target in (tmp_path / "i.zarr", tmp_path / "i.zarr" / "labels", tmp_path):
        with pytest.raises(ConfigError, match="in one another"):
            list(segment_volume(job(FLAT, array, "YX", target), overwrite=True))
    np.testing.assert_array_equal(array[:], image(40, 40))


def test_what_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="make the folder"):
        list(segment_volume(job(FLAT, image(50, 50), "YX", tmp_path / "no" / "a.zarr")))

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PredictionError, match=r"free some space and resume.*No space left"):
        list(segment_volume(job(FLAT, image(50, 50), "YX", tmp_path / "a.zarr")))
    monkeypatch.undo()
    assert done(segment_volume(job(FLAT, image(50, 50), "YX", tmp_path / "a.zarr"), resume=True)).complete


def test_what_a_calling_program_holds_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.session.volume._resident", lambda: 2**35)
    assert done(segment_volume(job(FLAT, image(50, 50), "YX", tmp_path / "a.zarr"))).complete


def test_too_little_memory_is_one_sentence(tmp_path):
    array = zarr.create_array(tmp_path / "i.zarr", shape=(20000, 20000), chunks=(20000, 20000), dtype="u2")
    with pytest.raises(NapariUnetError, match=r"give more memory: .* GB"):
        list(segment_volume(job(FLAT, array, "YX", tmp_path / "a.zarr", memory=0.5)))


# ------------------------------------------------------------------ what comes out


def test_lost_pixels_are_counted_over_units_and_runs_and_never_spread(tmp_path):
    pixels = image(300, 40)
    clean = pixels.copy()
    pixels[99, 5], pixels[100, 6], pixels[250, 39] = np.nan, np.inf, -np.inf
    options = {"output": "probabilities", "chunk": 100, "unit": 100}
    stop = [False]
    for event in segment_volume(job(FLAT, pixels, "YX", tmp_path / "a.zarr", **options), should_stop=lambda: stop[0]):
        stop[0] |= isinstance(event, VolumeProgress) and event.done == 2
    events = list(segment_volume(job(FLAT, pixels, "YX", tmp_path / "a.zarr", **options), resume=True))
    assert [event.count for event in events if isinstance(event, Masked)] == [3]
    found = level(tmp_path / "a.zarr")
    assert np.isfinite(found).all()
    expected = FLAT.predict(clean, "YX", "probabilities", device="cpu")
    assert np.abs(found[:, 120:230] - expected[:, 120:230]).max() < 0.02


def test_progress_counts_units_and_tells_the_time_that_is_left(tmp_path):
    events = [
        event
        for event in segment_volume(job(FLAT, image(300, 40), "YX", tmp_path / "a.zarr", chunk=100, unit=100, tile=50))
        if isinstance(event, VolumeProgress)
    ]
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {event.total for event in events} == {3}
    assert events[-1].remaining == 0
    assert all(event.remaining is not None and event.remaining >= 0 for event in events)


def test_the_metadata_are_those_of_ome_zarr(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_store, "SMALLEST_LEVEL", 16)
    one = job(DEEP, image(20, 33, 40), "ZYX", tmp_path / "cells.ome.zarr", size=(2.0, 0.5, 0.5))
    done(segment_volume(one))
    attributes = json.loads((tmp_path / "cells.ome.zarr" / "zarr.json").read_text())["attributes"]
    about = attributes["ome"]
    assert about["version"] == "0.5"
    scales = [d["coordinateTransformations"][0]["scale"] for d in about["multiscales"][0]["datasets"]]
    assert scales == [[2.0, 0.5, 0.5], [2.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0, 4.0, 4.0]]
    assert [axis["name"] for axis in about["multiscales"][0]["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in about["multiscales"][0]["axes"]} == {"micrometer"}
    assert [c["label-value"] for c in about["image-label"]["colors"]] == [1, 2]
    whole = level(tmp_path / "cells.ome.zarr")
    np.testing.assert_array_equal(level(tmp_path / "cells.ome.zarr", 1), whole[:, ::2, ::2])
    np.testing.assert_array_equal(level(tmp_path / "cells.ome.zarr", 2), whole[:, ::4, ::4])
    np.testing.assert_array_equal(level(tmp_path / "cells.ome.zarr", 3), whole[::2, ::8, ::8])
    assert read_image(tmp_path / "cells.ome.zarr").spacing == (2.0, 0.5, 0.5)


def test_levels_of_probabilities_are_means(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_store, "SMALLEST_LEVEL", 16)
    done(segment_volume(job(FLAT, image(31, 40), "YX", tmp_path / "p.zarr", output="probabilities")))
    fine, coarse = (level(tmp_path / "p.zarr", number) for number in (0, 1))
    assert coarse.shape == (2, 16, 20)
    np.testing.assert_allclose(coarse[:, :15], fine[:, :30].reshape(2, 15, 2, 20, 2).mean((2, 4)), atol=1e-6)
    np.testing.assert_allclose(coarse.sum(0), 1, atol=1e-5)
    about = zarr.open_group(tmp_path / "p.zarr").attrs["ome"]
    assert "image-label" not in about
    shift = about["multiscales"][0]["datasets"][1]["coordinateTransformations"][1]
    assert shift == {"type": "translation", "translation": [0.0, 0.5, 0.5]}


def test_probabilities_of_half_the_space(tmp_path):
    done(segment_volume(job(FLAT, image(70, 45), "YX", tmp_path / "p.zarr", output="probabilities", half=True)))
    found = level(tmp_path / "p.zarr")
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, FLAT.predict(image(70, 45), "YX", "probabilities", device="cpu"), atol=1e-3)


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=3), st.floats(0.2, 20))
def test_every_level_is_half_of_the_one_before_along_some_axes(shape, thickness):
    axes = "ZYX"[-len(shape) :]
    factors = pyramid_factors(shape, axes, (thickness, 1.0, 1.0)[-len(shape) :])
    before = (1,) * len(shape)
    for factor in factors:
        assert any(a == 2 * b for a, b in zip(factor, before, strict=True))
        assert all(a in (b, 2 * b) for a, b in zip(factor, before, strict=True))
        before = factor
    assert all(-(-n // f) <= 512 for n, f in zip(shape, before, strict=True))


@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans())
def test_coarser_blocks_keep_their_mean_and_labels(height, width, half, smooth):
    block = np.random.default_rng(0).integers(0, 5, (height, width)).astype(np.float16 if smooth else np.uint8)
    found = coarser(block, (half, True), smooth=smooth)
    assert found.shape == (-(-height // (1 + half)), -(-width // 2))
    assert found.dtype == block.dtype
    assert block.min() <= found.min() <= found.max() <= block.max()


def test_other_pixel_sizes_are_brought_to_that_of_the_model(tmp_path):
    model = make(spacing=(1, 1))
    one = job(model, image(70, 50), "YX", tmp_path / "a.zarr", rescale=True, size=(0.6, 1.4))
    assert done(segment_volume(one)).complete
    expected = model.predict(image(70, 50), "YX", spacing=(0.6, 1.4), device="cpu")
    np.testing.assert_array_equal(level(tmp_path / "a.zarr"), expected)
    with pytest.raises(ConfigError, match="with the settings"):
        list(segment_volume(job(model, image(70, 50), "YX", tmp_path / "a.zarr"), resume=True))


def test_a_store_of_something_else_is_refused(tmp_path):
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(ImageError, match="no result of"):
        ResultStore(tmp_path / "other.zarr")


def test_the_model_does_it_from_file_to_store(tmp_path):
    nu_model = make(in_channels=1, channels=("DAPI",))
    array = zarr.create_group(tmp_path / "i.zarr")
    array.create_array("0", data=image(2, 40, 50))
    axes = [{"name": name} for name in "cyx"]
    array.attrs["ome"] = {
        "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}],
        "omero": {"channels": [{"label": "GFP"}, {"label": "DAPI"}]},
    }
    seen = []
    last = nu_model.predict_to(tmp_path / "o.zarr", tmp_path / "i.zarr", report=seen.append)
    assert last.complete
    assert seen[-1] is last
    np.testing.assert_array_equal(level(tmp_path / "o.zarr"), nu_model.predict(image(2, 40, 50)[1], device="cpu"))


KILLED = """
import sys, numpy as np, zarr, napari_unet as nu
model = nu.Model.load(sys.argv[1])
config = nu.PredictConfig(device="cpu", output="instances", tile=16)
def report(event):
    print(getattr(event, "done", ""), flush=True)
model.predict_to(sys.argv[3], sys.argv[2], config=config, resume=len(sys.argv) > 4, report=report)
"""


def test_a_run_that_is_killed_goes_on_and_repeats_only_what_was_in_flight(tmp_path):
    torch.manual_seed(0)
    model = nu.Model(nu.build_network(FLAT.config), FLAT.config)
    model.save(tmp_path / "m.unet")
    zarr.create_array(tmp_path / "i.zarr", data=image(6, 70, 80), chunks=(1, 70, 80))
    names = [str(tmp_path / name) for name in ("m.unet", "i.zarr", "killed.zarr")]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *names], stdout=subprocess.PIPE, text=True)
    next(line for line in process.stdout if line.strip() == "2")
    process.kill()
    process.wait()
    process.stdout.close()
    ledger = Ledger(tmp_path / "killed.zarr" / "0" / WORK)
    safe = set(ledger.done("predict"))
    assert safe
    assert 1 <= len(safe) < 6
    events = []
    config = nu.PredictConfig(device="cpu", output="instances")
    loaded = nu.Model.load(tmp_path / "m.unet")
    last = loaded.predict_to(names[2], names[1], config=config, resume=True, report=events.append)
    assert last.complete
    again = [event.done for event in events if isinstance(event, VolumeProgress) and event.stage == "predict"]
    assert min(again) == len(safe)
    loaded.predict_to(tmp_path / "whole.zarr", names[1], config=config)
    whole, killed = contents(tmp_path / "whole.zarr"), contents(tmp_path / "killed.zarr")
    assert whole.keys() == killed.keys()
    assert all(killed[name] == data for name, data in whole.items() if not name.endswith("zarr.json"))
