"""How the threads of torch wait for each other."""

from __future__ import annotations

#: They do not spin: beside a busy window or other programs that made training steps 4 to 8 times faster. Environment
#: variables, read when torch is loaded.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
