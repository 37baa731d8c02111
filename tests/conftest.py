"""Settings of the whole test run."""

from __future__ import annotations

import os

from napari_unet.session.threads import PATIENT_THREADS

for name, value in PATIENT_THREADS.items():
    os.environ.setdefault(name, value)
