"""The command line: ``napari-unet demo | train | predict | evaluate | info | doctor``. Needs neither napari nor Qt."""

from __future__ import annotations

from napari_unet.cli.main import main

__all__ = ["main"]
