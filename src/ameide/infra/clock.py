"""The executor's clock for leases: it also counts the time that a process or its machine was asleep."""

from __future__ import annotations

import time

_SOURCE = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds; only differences mean something."""
    return time.clock_gettime(_SOURCE)
