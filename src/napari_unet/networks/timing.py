"""How long something takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable


def shortest(work: Callable[[], object], seconds: float, most: int | None = None) -> float:
    """Shortest of repeated runs, in seconds.

    Parameters
    ----------
    work : callable
        Must be done when it returns: on a GPU it reads a value of its result.
    seconds : float
        About how long to repeat it, together with a first run that only warms up. At least one run is timed.
    most : int, optional
        Runs that are enough.

    Examples
    --------
    >>> 0 <= shortest(lambda: sum(range(10)), 0.001) < 1
    True
    """
    end = time.perf_counter() + seconds
    work()
    found: list[float] = []
    while not found or (time.perf_counter() < end and len(found) != most):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)
