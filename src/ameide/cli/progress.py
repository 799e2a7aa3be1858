"""Progress of one long command: a line that is written over on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

import click

_LINES_SECONDS = 5.0
_REDRAW_SECONDS = 0.2


class Progress:
    """Tells on standard error how much of how many is done, how fast, and how long the rest will take."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._told = time.monotonic()
        self._start: int | None = None
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` are ready; telling this often is fine."""
        now = time.monotonic()
        if self._start is None:
            self._start = done
        if now - self._told < (_REDRAW_SECONDS if self._terminal else _LINES_SECONDS):
            return
        self._told = now
        rate = (done - self._start) / (now - self._began)
        left = f", {(total - done) / rate:,.0f} s left" if rate > 0 else ""
        line = f"{self._what}: {done:,} of {total:,} ({100 * done // max(total, 1)} %), {rate:,.0f}/s{left}"
        if self._terminal:
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            self._drawn = True
        else:
            click.echo(line, err=True)

    def end(self) -> None:
        """Take the line away before the answer is printed."""
        if self._drawn:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._drawn = False
