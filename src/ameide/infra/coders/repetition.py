"""Whether an agent goes round in circles: the same action with the same result, again and again."""

from __future__ import annotations

import re
from collections import deque

# What differs between two runs of the same thing: times, counters, the label that Codex gives each output.
_CHUNK = re.compile(r"^Chunk ID: \w+$", re.MULTILINE)
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


class Repetition:
    """Notes actions. `limit` is how often one may come back; 0 is as often as it likes.

    Something new in between, such as another edit before each run of the tests, is progress: in a circle everything
    comes back, within twice the limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last: deque[str] = deque(maxlen=max(1, 2 * limit))

    def note(self, action: str, result: str) -> bool:
        """Whether this action makes it a circle."""
        if not self._limit:
            return False
        key = f"{action}\0{_NUMBERS.sub('0', _CHUNK.sub('', result))}"
        self._last.append(key)
        actions = list(self._last)
        places = [place for place, known in enumerate(actions) if known == key]
        if len(places) < self._limit:
            return False
        return all(actions.count(between) > 1 for between in actions[places[-self._limit] :])
