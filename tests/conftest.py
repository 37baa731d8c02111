"""Settings of the whole test run."""

from __future__ import annotations

import os

from hypothesis import settings

from napari_unet.session.threads import PATIENT_THREADS

for name, value in PATIENT_THREADS.items():
    os.environ.setdefault(name, value)

# The same cases in every run, however slow the machine; `pytest --hypothesis-profile default` looks for new ones.
settings.register_profile("repeated", derandomize=True, deadline=None)
settings.load_profile("repeated")
