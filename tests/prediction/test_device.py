"""Which device is taken, and what happens to memory."""

import platform
import subprocess
import sys

import pytest
import torch

from napari_unet.networks.device import choose_device, keep_memory, return_memory, unsupported_card


@pytest.mark.parametrize(
    ("card", "compiled", "expected"),
    [
        ((8, 6), ["sm_80", "sm_90"], "cuda"),  # an older one of the same generation
        ((9, 0), ["sm_80", "sm_90a"], "cuda"),
        ((12, 0), ["sm_100", "sm_120"], "cuda"),
        ((6, 1), ["sm_75", "sm_80"], "cpu"),
        ((8, 0), ["sm_86"], "cpu"),
        ((8, 0), ["compute_80"], "cuda"),  # nothing is known, so it is tried
    ],
)
def test_a_card_is_taken_when_this_torch_has_kernels_for_it(monkeypatch, card, compiled, expected):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=None: "some card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=None: card)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: compiled)
    assert choose_device("auto").type == expected
    assert ("cu126" in unsupported_card("auto")) == (expected == "cpu")
    assert unsupported_card("cpu") == ""


def test_a_card_that_was_asked_for_but_has_no_kernels_is_not_tried(monkeypatch, caplog):
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, device: empty(size))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=None: "GTX 1080")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=None: (6, 1))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    assert choose_device("cuda:0") == torch.device("cpu")
    assert "GTX 1080" in caplog.text
    assert '"torch<2.15"' in caplog.text


def test_without_a_card_the_cpu_is_taken(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")


RESIDENT = """
import torch
from napari_unet.networks.device import keep_memory, return_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

keep_memory()
before = resident()
block = torch.ones(2**26)
del block
kept = resident()
return_memory()
print(before, kept, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_memory_is_kept_until_it_is_returned():
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    before, kept, returned = map(int, done.stdout.split())
    assert kept > before + 200
    assert returned < before + 100


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_memory.__wrapped__() is False
    return_memory()
