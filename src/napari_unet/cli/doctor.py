"""``napari-unet doctor``: check this installation and say how to mend it."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from napari_unet import __version__
from napari_unet.cli.terminal import say

ENGINE = ("torch", "numpy", "scipy", "scikit-image", "safetensors", "zarr", "tifffile", "pydantic")
EXTRAS = {
    "encoders": ("segmentation_models_pytorch", "pretrained encoders"),
    "distributed": ("distributed", "clusters"),
    "bioimageio": ("bioimageio.core", "exchange with other tools"),
    "onnx": ("onnxscript", "ONNX export"),
}
QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is what to type when it is not well."""

    name: str
    state: str
    ok: bool = True
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose: everything is looked at."""


def run(options: argparse.Namespace) -> int:
    """Print all findings; 1 if the engine cannot run."""
    findings = list(examine())
    for finding in findings:
        say(f"[{'ok' if finding.ok else '--'}] {finding.name}: {finding.state}")
        if finding.mend:
            say(f"     to mend it: {finding.mend}")
    return 0 if all(finding.ok for finding in findings if finding.name == "torch") else 1


def examine() -> Iterator[Finding]:
    """Look at everything that training, predicting and the plugin need."""
    yield Finding("napari-unet", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield Finding("memory", _memory())
    yield from _torch()
    for name in ENGINE[1:]:
        yield _package(name, f'pip install "{name}"')
    yield _package(
        "napari", 'pip install "napari-unet[all]"', missing="not installed (the command line does not need it)"
    )
    yield _qt()
    yield _display()
    for extra, (module, purpose) in EXTRAS.items():
        yield _extra(extra, module, purpose)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", f"cannot be imported ({error})", ok=False, mend='pip install "torch>=2.10"')
        return
    yield Finding(
        "torch", f"{torch.__version__}, CUDA build: {torch.version.cuda or 'no'}, {torch.get_num_threads()} threads"
    )
    yield from _devices()


def _devices() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _cuda(index)
    elif torch.version.cuda is None and shutil.which("nvidia-smi"):
        yield Finding(
            "GPU",
            "there is an NVIDIA card, but torch was built without CUDA",
            ok=False,
            mend="pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130",
        )
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "Apple GPU (mps)")
    else:
        yield Finding("GPU", "none; training runs on the processor")


def _cuda(index: int) -> Finding:
    import torch

    from napari_unet.networks.device import has_kernels

    free, total = torch.cuda.mem_get_info(index)
    state = f"{torch.cuda.get_device_name(index)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if has_kernels(index):
        return Finding("GPU", state)
    built = ", ".join(torch.cuda.get_arch_list())
    return Finding(
        "GPU",
        f"{state}; this torch was not built for it (but for {built}), so the processor is used",
        ok=False,
        mend='pip install "torch<2.15" --index-url https://download.pytorch.org/whl/cu126',
    )


def _package(name: str, mend: str, missing: str = "not installed") -> Finding:
    installed = _version(name)
    return Finding(name, installed) if installed else Finding(name, missing, ok=False, mend=mend)


def _version(name: str) -> str | None:
    """Version of an installed distribution; folders that an uninstallation left behind do not count."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _qt() -> Finding:
    found = {name: installed for name in QT if (installed := _version(name))}
    if found:
        state = ", ".join(f"{name} {installed}" for name, installed in found.items())
        if "PySide6" in found and loses_references(found["PySide6"], sys.version_info[:2]):
            return Finding(
                "Qt", f"{state}, which ends Python 3.11 after a while", ok=False, mend='pip install "PySide6<6.12"'
            )
        return Finding("Qt", state)
    return Finding(
        "Qt", "not installed (the command line does not need it)", ok=False, mend='pip install "napari-unet[all]"'
    )


def loses_references(pyside: str, python: tuple[int, int]) -> bool:
    """Whether this PySide6 gives back None once too often at each call, which only Python 3.12 and later survive.

    Seen with 6.12.0 on Python 3.11 ("none_dealloc: deallocating None"), not with 6.10.3 and 6.11.3.
    """
    return python < (3, 12) and tuple(int(part) for part in pyside.split(".")[:2]) >= (6, 12)


def _display() -> Finding:
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return Finding("display", "available")
    if shutil.which("xvfb-run"):
        return Finding("display", "none; the demo draws its picture under Xvfb")
    return Finding("display", "none", ok=False, mend="apt-get install xvfb   (only for pictures without a screen)")


def _extra(extra: str, module: str, purpose: str) -> Finding:
    root = module.split(".")[0]
    if find_spec(root) is not None:
        return Finding(f"extra '{extra}'", f"installed ({purpose})")
    return Finding(f"extra '{extra}'", f"not installed ({purpose})", mend=f'pip install "napari-unet[{extra}]"')


def _memory() -> str:
    """Main memory and, on Linux, the shared memory that images are passed through."""
    parts = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB")
    if os.path.isdir("/dev/shm"):  # noqa: PTH112
        parts.append(f"{shutil.disk_usage('/dev/shm').free / 2**30:.1f} GiB of shared memory free")
    return ", ".join(parts) or "unknown"
