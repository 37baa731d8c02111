"""Images larger than memory: peak memory against the budget, time against the number of tiles, and kill -9.

Every case runs in a process of its own, so that its peak memory is its own::

    python benchmarks/large.py virtual --units 24          # 64 GB that exist only where they are read
    python benchmarks/large.py real --gigabytes 4          # a Zarr volume in a temporary folder, removed afterwards
    python benchmarks/large.py kill --moments 10           # killed at random moments, resumed, compared
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from report import machine, print_table, write_json


class Virtual:
    """A volume of blobs that is computed where it is read, the same way each time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)

    def __getitem__(self, index: tuple[slice, ...]) -> npt.NDArray[np.uint8]:
        """Pixels of a box."""
        waves = []
        for part, size, period in zip(index, self.shape, (23.0, 31.0, 29.0), strict=True):
            start, stop, _ = part.indices(size)
            waves.append(np.sin(np.arange(start, stop, dtype=np.float32) * (2 * np.pi / period)))
        z, y, x = waves
        clean = z[:, None, None] + y[:, None] + x
        grain = (np.arange(clean.size, dtype=np.uint32) * np.uint32(2654435761) >> np.uint32(27)).reshape(clean.shape)
        return (35 * (clean + 3) + grain).astype(np.uint8)


def main() -> None:
    """Run one case, or a worker of it."""
    options = _options()
    if options.case == "worker":
        _work(options)
        return
    print(json.dumps(machine()))
    found = {"virtual": _virtual, "real": _real, "kill": _kill}[options.case](options)
    write_json(options.json, {"options": vars(options) | {"folder": str(options.folder)}, **found})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("virtual", "real", "kill", "worker"))
    parser.add_argument("--units", type=int, help="stop after so many write units; all by default")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the real volume, 8 bits a voxel")
    parser.add_argument("--moments", type=int, default=10, help="how often to kill")
    parser.add_argument("--memory", type=float, default=2.0, help="budget, GB")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--unit", type=int, default=128, help="edge of a write unit, pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", default="labels", choices=("labels", "probabilities", "instances"))
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write all numbers to this file")
    parser.add_argument("--image", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------- a process of its own


def _work(options: argparse.Namespace) -> None:
    """Segment one volume; write one line of JSON for each unit, and one at the end."""
    import torch

    from napari_unet.config import ModelConfig, PredictConfig
    from napari_unet.data.source import ImageSource
    from napari_unet.events import VolumeDone, VolumeProgress
    from napari_unet.networks import build_network
    from napari_unet.session.volume import VolumeJob, segment_volume

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = ModelConfig(ndim=3, width=options.width, depth=options.depth)
    image: Any = Virtual((4096,) * 3) if options.image == "virtual" else zarr.open_array(options.image, mode="r")
    config = PredictConfig(device="cpu", memory=options.memory, output=options.output)
    source = ImageSource(image, "ZYX", 3)
    chunk = min(64, options.unit)
    network = build_network(model).eval()
    job = VolumeJob(network, model, source, options.target, config, chunk=chunk, unit=options.unit)
    tiles, units = 0, -1
    start, before = time.perf_counter(), time.process_time()
    stop = [False]
    for event in segment_volume(job, resume=options.target.exists(), should_stop=lambda: stop[0]):
        if isinstance(event, VolumeProgress) and event.stage == "predict":
            units = event.done if units < 0 else units
            tiles += 1
            if event.done > units:
                units, tiles = event.done, tiles - 1
                times = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - before}
                _tell({"unit": units, "of": event.total, "tiles": tiles, **times, "left": event.remaining})
                stop[0] = units == options.units
        if isinstance(event, VolumeDone):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            _tell({"peak": peak, "complete": event.complete, "seconds": time.perf_counter() - start})


def _tell(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def _command(options: argparse.Namespace, image: str, target: Path, **changes: Any) -> list[str]:
    known = ("units", "memory", "width", "depth", "unit", "threads", "output")
    values = {name: getattr(options, name) for name in known} | changes
    words = [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]
    return [sys.executable, __file__, "worker", "--image", image, "--target", str(target), *words]


def _measured(options: argparse.Namespace, image: str, size: int, title: str) -> dict[str, Any]:
    """Run a worker; print its peak memory, and the line through its times."""
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        done = subprocess.run(_command(options, image, folder / "out.ome.zarr"), stdout=subprocess.PIPE, check=True)
    finally:
        shutil.rmtree(folder)
    *units, last = [json.loads(line) for line in done.stdout.splitlines()]
    tiles = np.array([unit["tiles"] for unit in units], float)
    rows = []
    for clock in ("seconds", "cpu"):
        slope, offset, fit = _line(tiles, np.array([unit[clock] for unit in units]))
        rows.append([clock, slope, offset, fit])
    print_table(f"{title}: time of n tiles = a n + b", ["clock", "a, s", "b, s", "R²"], rows)
    print_table(
        "memory",
        ["image, GB", "units done", "units in all", "peak, GB", "budget, GB"],
        [[size / 2**30, len(units), units[-1]["of"], last["peak"] / 2**30, options.memory]],
    )
    if last["peak"] > options.memory * 2**30:
        raise SystemExit("the budget was exceeded")
    return {"units": units, "last": last, "fit": rows}


def _line(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Slope, offset and R² of the line of least squares."""
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (slope * x + offset)
    return float(slope), float(offset), float(1 - rest.var() / y.var())


# ---------------------------------------------------------------------- the cases


def _virtual(options: argparse.Namespace) -> dict[str, Any]:
    return _measured(options, "virtual", 4096**3, "a virtual volume of 4096³ voxels, U-Net in 3D")


def _real(options: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        size = _make(folder / "image.zarr", options.gigabytes)
        return _measured(options, str(folder / "image.zarr"), size, f"a real volume of {options.gigabytes:g} GB")
    finally:
        shutil.rmtree(folder)


def _make(path: Path, gigabytes: float) -> int:
    """Write a volume of noisy blobs of slowly changing brightness, block by block; its size in bytes."""
    edge = round((gigabytes * 2**30 / 4) ** (1 / 3) / 64) * 64
    shape = (edge, 2 * edge, 2 * edge)
    array = zarr.create_array(path, shape=shape, chunks=(64, 128, 128), dtype="u1", compressors=None)
    blobs = Virtual(shape)[slice(0, 64), slice(0, 512), slice(0, 512)]
    for place in np.ndindex(*(-(-n // b) for n, b in zip(shape, blobs.shape, strict=True))):
        box = tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(place, blobs.shape, shape, strict=True))
        cut = tuple(slice(0, part.stop - part.start) for part in box)
        array[box] = blobs[cut] + np.uint8(sum(place) % 16)
    return int(np.prod(shape))


def _kill(options: argparse.Namespace) -> dict[str, Any]:
    """Kill a run at random moments, resume it each time, and compare with one that was left alone."""
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    small = {"unit": 16, "width": 4, "depth": 1, "memory": 1.0, "units": None}
    try:
        image = folder / "image.zarr"
        pixels = Virtual((96, 112, 128))[slice(None), slice(None), slice(None)]
        zarr.create_array(image, data=pixels, chunks=(32, 32, 32))
        whole = _command(options, str(image), folder / "whole.zarr", **small)
        units = [
            json.loads(line) for line in subprocess.run(whole, stdout=subprocess.PIPE, check=True).stdout.splitlines()
        ]
        command = _command(options, str(image), folder / "killed.zarr", **small)
        rows = _killed(options, command, folder / "killed.zarr", units[-2])
        print_table("kill -9", ["run", "units before", "told in it", "recorded in it", "recorded twice"], rows)
        equal = _digest(folder / "whole.zarr") == _digest(folder / "killed.zarr")
        print(f"\noutput equal to the uninterrupted run: {equal}")
        if not equal or any(row[4] or row[2] - row[3] > 1 for row in rows):
            raise SystemExit("the killed run differs")
        return {"rows": rows, "equal": equal}
    finally:
        shutil.rmtree(folder)


def _killed(options: argparse.Namespace, command: list[str], store: Path, last: dict[str, Any]) -> list[list[Any]]:
    """For each run: units done before, told and recorded in it, recorded more than once; the last one may finish."""
    draw = random.Random(options.seed)
    total, pace = last["of"], last["seconds"] / last["of"]
    rows: list[list[Any]] = []
    before = 0
    for number in range(options.moments):
        units = draw.randint(0, 2 * total // (options.moments + 2))
        told = _run_and_kill(command, units, draw.uniform(0, 2 * pace))
        now = _recorded(store)
        rows.append([f"killed {number + 1}", before, told, len(now) - before, sum(now.values()) - len(now)])
        before = len(now)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    told = sum(b'"unit"' in line for line in done.splitlines())
    return [*rows, ["to the end", before, told, total - before, 0]]


def _run_and_kill(command: list[str], units: int, seconds: float) -> int:
    """Kill a run some time after it told of so many units; how many it told of."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = 0
    while told < units and b'"unit"' in process.stdout.readline():
        told += 1
    time.sleep(seconds if units else 20 * seconds)  # it may still be starting
    process.send_signal(signal.SIGKILL)
    told += sum(b'"unit"' in line for line in process.stdout.read().splitlines())
    process.wait()
    return told


def _recorded(store: Path) -> Counter[int]:
    """How often each unit stands in the ledgers."""
    lines = [line for path in store.rglob("done-*.jsonl") for line in path.read_text().splitlines()]
    return Counter(entry["unit"] for line in lines if (entry := json.loads(line))["stage"] == "predict")


def _digest(store: Path) -> str:
    """SHA-256 of all files but the metadata."""
    digest = hashlib.sha256()
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != "zarr.json"):
        digest.update(str(path.relative_to(store)).encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
