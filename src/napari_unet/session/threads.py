"""How many threads torch has, and how they wait for each other."""

from __future__ import annotations

import os

#: They do not spin: beside a busy window or other programs that made training steps 4 to 8 times faster. Environment
#: variables, read when torch is loaded.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def spare_threads() -> int:
    """All cores that this process may use but one, which is left to a window."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
