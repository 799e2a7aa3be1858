"""Named points at which a process kills itself, so that it can be proved what survives.

`AMEIDE_CRASH_AT=relay.move.before_commit:3` ends the process by SIGKILL the third time that it gets there: nothing is
flushed, closed or answered. Points lie before and after each commit and each effect outside the database; they are
named `<role>.<what>.<before|after|before_commit|after_commit>`. Without the setting a point costs one comparison.
"""

from __future__ import annotations

import os
import re
import signal

from ameide.errors import InvalidArgument

_SPELLING = re.compile(
    r"(?P<point>[a-z]+\.[A-Za-z_]+\.(?:before|after|before_commit|after_commit))(?::(?P<times>[1-9]\d*))?"
)


class _Armed:
    point = ""
    left = 0


def arm(text: str) -> None:
    """End this process at a point, the n-th time; empty text disarms. Raises InvalidArgument."""
    found = _SPELLING.fullmatch(text)
    if text and found is None:
        raise InvalidArgument(
            f"{text!r} names no crash point",
            field="AMEIDE_CRASH_AT",
            remedy="Say <role>.<what>.<before|after|before_commit|after_commit>[:n]; CONTRIBUTING.md lists them",
        )
    _Armed.point = found["point"] if found else ""
    _Armed.left = int(found["times"] or 1) if found else 0


def reach(point: str) -> None:
    """Called at each point. Does not return when this is where the process ends."""
    if _Armed.point != point:
        return
    _Armed.left -= 1
    if _Armed.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
