"""The model file: what comes back, what is refused, and that an old file survives everything."""

import json
import multiprocessing
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

from napari_unet.config import ModelConfig, NormalizationConfig
from napari_unet.errors import ModelFileError
from napari_unet.io.atomic import sweep
from napari_unet.io.checkpoint import CheckpointHeader, save_checkpoint
from napari_unet.io.model_file import ModelHeader, load_model, read_header, save_model
from napari_unet.networks import build_network

CONFIG = ModelConfig(
    width=2,
    depth=1,
    classes=("background", 'nu"cleus "sha256":"' + "0" * 64, "膜"),
    colors=("#000000", "#ff0000", "#00ff00"),
    spacing=(0.5, 0.25),
    normalization=NormalizationConfig(low=3, high=97),
)


@pytest.fixture
def header():
    return ModelHeader.now(model=CONFIG, step=7, seconds=1.5, history=({"steps": 7, "loss": 0.25, "why": None},))


@pytest.fixture
def state():
    torch.manual_seed(0)
    return build_network(CONFIG).state_dict()


@pytest.fixture
def saved(tmp_path, state, header):
    path = tmp_path / "cells.unet"
    save_model(path, state, header)
    return path


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


def test_all_of_a_model_comes_back(saved, state, header):
    found, about = load_model(saved)
    assert same(found, state)
    assert about == header == read_header(saved)
    assert about.model == CONFIG
    assert about.versions["torch"] == torch.__version__.split("+")[0] or "torch" in about.versions
    build_network(about.model).load_state_dict(found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_types_and_odd_tensors(tmp_path, header, dtype):
    base = torch.arange(24).reshape(4, 6)
    shared = base.to(dtype)
    state = {"a": shared, "b": shared, "view": shared.T, "scalar": shared[0, 0], "none": shared[:0]}
    save_model(tmp_path / "m", state, header)
    assert same(load_model(tmp_path / "m")[0], state)


def test_channels_last_weights(tmp_path, header):
    weights = {"w": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last).requires_grad_()}
    save_model(tmp_path / "m", weights, header)
    assert torch.equal(load_model(tmp_path / "m")[0]["w"], weights["w"])


def test_it_is_a_plain_safetensors_file(saved, state):
    from safetensors import safe_open

    with safe_open(str(saved), "pt") as file:
        assert set(file.keys()) == set(state)
        assert json.loads(file.metadata()["napari_unet"])["step"] == 7


def test_reading_a_header_loads_no_torch(saved):
    code = f"import sys; from napari_unet.io.model_file import read_header; print(read_header({str(saved)!r}).step)"
    code += "; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "7"), done.stderr


def refused(path):
    """Both readers refuse `path`, each with the same one sentence."""
    with pytest.raises(ModelFileError) as first:
        load_model(path)
    with pytest.raises(ModelFileError) as second:
        read_header(path)
    assert str(first.value) == str(second.value)
    assert "\n" not in str(first.value)
    return str(first.value)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def foreign(kind, path, state):
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "torch":
        torch.save({"weights": Bomb()}, path)
    elif kind == "safetensors":
        save_file(state, path)
    elif kind == "safetensors with metadata":
        save_file(state, path, {"napari_unet": "{}", "format": "pt"})
    elif kind == "zeros":
        path.write_bytes(bytes(100))
    elif kind == "huge header":
        path.write_bytes((10**18).to_bytes(8, "little") + b"{}")
    elif kind == "nested":
        path.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    elif kind == "list":
        path.write_bytes((2).to_bytes(8, "little") + b"[]")
    else:
        path.write_bytes(kind.encode())


KINDS = ["pickle", "torch", "safetensors", "safetensors with metadata", "zeros", "huge header", "nested", "list"]


@pytest.mark.parametrize("kind", [*KINDS, "", "x", "a text file, longer than eight bytes"])
def test_foreign_files_are_refused_and_nothing_runs(kind, tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    foreign(kind, tmp_path / "m.unet", state)
    assert "not written by napari-unet" in refused(tmp_path / "m.unet")
    assert not (tmp_path / "exploded").exists()


def test_what_is_no_file_is_refused(tmp_path):
    assert "cannot be read" in refused(tmp_path)
    assert "cannot be read" in refused(tmp_path / "missing.unet")
    assert "cannot be read" in refused("a\0b")


def test_a_file_of_a_newer_version_says_so(tmp_path, state, header):
    save_model(tmp_path / "m", state, header.model_copy(update={"format": 99}))
    assert "update napari-unet" in refused(tmp_path / "m")


def test_a_right_hash_over_a_wrong_header_is_refused(tmp_path, state, header):
    save_model(tmp_path / "m", state, header.model_copy(update={"step": -1}))
    assert "damaged" in refused(tmp_path / "m")


def test_every_damage_is_found(saved):
    whole = saved.read_bytes()
    random.seed(0)
    size = 8 + int.from_bytes(whole[:8], "little")
    for trial in range(400):
        broken = bytearray(whole)
        match trial % 5:
            case 0:
                broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
            case 1:
                broken[random.randrange(size)] ^= 1 << random.randrange(8)
            case 2:
                del broken[random.randrange(len(broken)) :]
            case 3:
                at = random.randrange(len(broken))
                broken[at : at + random.randrange(1, 40)] = random.randbytes(random.randrange(41))
            case _:
                broken += random.randbytes(random.randrange(1, 100))
        if bytes(broken) == whole:
            continue
        saved.write_bytes(broken)
        refused(saved)


def test_a_failed_write_leaves_the_old_file(saved, state, header, monkeypatch):
    before = saved.read_bytes()

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelFileError, match="No space left on device"):
        save_model(saved, state, header)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def _save_with_little_room(path, save, header):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        save(path, {"w": torch.zeros(100_000)}, header)
    except ModelFileError as error:
        os._exit(3 if "could not be written" in str(error) else 4)
    os._exit(0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize(
    ("save", "about"),
    [(save_model, ModelHeader.now(model=CONFIG)), (save_checkpoint, CheckpointHeader.now(model=CONFIG, facts={}))],
    ids=["model", "checkpoint"],
)
def test_a_full_disk_leaves_the_old_file(tmp_path, save, about):
    path = tmp_path / "saved"
    save(path, {"w": torch.zeros(1)}, about)
    before = path.read_bytes()
    process = multiprocessing.get_context("spawn").Process(target=_save_with_little_room, args=(path, save, about))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bad", ["nowhere/m.unet", "."])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, state, header, bad):
    with pytest.raises(ModelFileError, match="could not be written"):
        save_model(tmp_path / bad, state, header)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(tmp_path, state, header):
    (tmp_path / "real.unet").write_bytes(b"old")
    (tmp_path / "link.unet").symlink_to("real.unet")
    save_model(tmp_path / "link.unet", state, header)
    assert (tmp_path / "link.unet").is_symlink()
    assert read_header(tmp_path / "real.unet") == header


def _save_for_ever(path, ready):
    torch.set_num_threads(1)
    state = {"w": torch.zeros(300_000)}
    while True:
        save_model(path, state, ModelHeader.now(model=CONFIG))
        ready.touch()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_savers_leave_a_whole_file_and_their_remains_are_swept(tmp_path, state, header):
    path = tmp_path / "m.unet"
    save_model(path, state, header)
    context = multiprocessing.get_context("spawn")
    savers = [context.Process(target=_save_for_ever, args=(path, tmp_path / f"ready{i}")) for i in range(3)]
    for process in savers:
        process.start()
    while not all((tmp_path / f"ready{i}").exists() for i in range(3)):
        time.sleep(0.01)
    for process in savers:
        time.sleep(0.137)
        process.kill()
        process.join()
        load_model(path)
    for i in range(3):
        (tmp_path / f"ready{i}").unlink()
    save_model(path, state, header)
    assert list(tmp_path.iterdir()) == [path]


def test_remains_of_the_living_are_left_alone(tmp_path):
    import socket
    import zlib

    host = f"{zlib.crc32(socket.gethostname().encode()):08x}"
    living = tmp_path / f".m.{host}-{os.getpid()}-00000000.unet-tmp"
    elsewhere = tmp_path / ".m.ffffffff-99999999-00000000.unet-tmp"
    dead = tmp_path / f".m.{host}-99999999-00000000.unet-tmp"
    mine = tmp_path / ".notes.unet-tmp"
    for path in (living, elsewhere, dead, mine):
        path.write_bytes(b"")
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == {living, elsewhere, mine} | ({dead} if sys.platform == "win32" else set())
    os.utime(elsewhere, (0, 0))
    sweep(tmp_path)
    assert not elsewhere.exists()


def test_parallel_savers_do_not_disturb_each_other(tmp_path, header):
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "m.unet"

    def save(value):
        for _ in range(5):
            save_model(path, {"w": torch.full((50_000,), float(value))}, header)
            weights = load_model(path)[0]["w"]
            assert (weights == weights[0]).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    assert list(tmp_path.iterdir()) == [path]
