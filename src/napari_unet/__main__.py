"""``python -m napari_unet``, and ``torchrun -m napari_unet train`` for several GPUs."""

from __future__ import annotations

import sys

from napari_unet.cli import main

sys.exit(main())
