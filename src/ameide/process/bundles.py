"""Facts that need not wake a run by themselves.

No run waits for a work's beginning: it has the answer to its own request, and only its watchdog wants to know that a
work moves. Waking a workflow costs more than all that we do about a fact, so these facts wait for a moment. A fact
carries its aggregate's whole state: when a later one of the same work is at hand by then, it alone is signalled.
"""

from __future__ import annotations

from collections.abc import Sequence

from ameide.events.messages import LoggedMessage

_BEGINNINGS = ("WorkRequested", "WorkStarted")


def bundles(messages: Sequence[LoggedMessage]) -> list[list[LoggedMessage]]:
    """The messages of one run, each behind those whose effect it includes; ordered by the last of each bundle.

    What was released from parking comes one by one, as it was set aside.
    """
    found: list[list[LoggedMessage]] = []
    for message in messages:
        bundle = [message]
        if message.aggregate_type == "work" and not message.redriven:
            for earlier in [one for one in found if _includes(message, one[-1])]:
                found.remove(earlier)
                bundle[:0] = earlier
        found.append(bundle)
    return found


def _includes(later: LoggedMessage, earlier: LoggedMessage) -> bool:
    return (
        earlier.name in _BEGINNINGS
        and not earlier.redriven
        and earlier.aggregate_type == later.aggregate_type
        and earlier.aggregate_id == later.aggregate_id
        and earlier.aggregate_version < later.aggregate_version
    )


class Waiting:
    """Since when beginnings lie about, by their place in the log. Each waits for `seconds` at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[int, float] = {}

    def look(self, batch: Sequence[LoggedMessage], now: float) -> None:
        """What lies before us, at this time of a monotonic clock (seconds)."""
        self._since = {
            message.position: self._since.get(message.position, now)
            for message in batch
            if message.name in _BEGINNINGS and not message.redriven
        }

    def may_wait(self, messages: Sequence[LoggedMessage], now: float) -> bool:
        """Whether all of these only begin something, and none has waited for long."""
        since = [self._since.get(message.position, float("-inf")) for message in messages]
        return all(now < one + self._seconds for one in since)

    def left(self, now: float) -> float | None:
        """Seconds until the first may wait no longer; None when nothing waits."""
        return max(0.0, min(self._since.values()) + self._seconds - now) if self._since else None
