"""What of a long work is done, so that it can be killed at any moment and goes on where it was.

Every worker appends to a file of its own, ``done-....jsonl``, one line for each finished unit, on the disk before the
next unit begins: no file is rewritten, none is shared, and a torn last line is a unit that was not finished.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


class Ledger:
    """The finished units of a work.

    Parameters
    ----------
    folder : Path
        Where it lies; made when the first unit is finished.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> ledger = Ledger(Path(mkdtemp()))
    >>> ledger.record("predict", 3, masked=0)
    >>> Ledger(ledger.folder).done("predict")
    {3: {'masked': 0}}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None

    def done(self, stage: str) -> dict[int, Facts]:
        """Finished units of a stage, of all workers, and what was noted with them."""
        found: dict[int, Facts] = {}
        for path in sorted(self.folder.glob("done-*.jsonl")):
            for line in path.read_bytes().splitlines():
                entry = _parsed(line)
                if entry is not None and entry.pop("stage") == stage:
                    found[entry.pop("unit")] = entry
        return found

    def record(self, stage: str, unit: int, **facts: Any) -> None:
        """Note that a unit is finished; it is on the disk when this returns."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"done-{os.getpid()}-{secrets.token_hex(6)}.jsonl"
            self._file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self._file, (json.dumps({"stage": stage, "unit": unit, **facts}) + "\n").encode())
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file; the next record begins another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _parsed(line: bytes) -> Facts | None:
    """One entry; None for a line that was not finished."""
    try:
        entry = json.loads(line)
        return entry if isinstance(entry["unit"], int) and isinstance(entry["stage"], str) else None
    except (ValueError, LookupError, TypeError):
        return None
