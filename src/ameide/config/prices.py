"""What tokens cost, by model: a table that the operator keeps, since prices change and contracts differ.

::

    ["gpt-5.5"]
    input = 1_250_000         # millionths of the accounting currency for a million tokens
    cached_input = 125_000    # without it: the price of input
    output = 10_000_000
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.work.v1.work_pb import Usage

VARIABLE = "AMEIDE_PRICES"
_MILLION = 1_000_000
_KEYS = ("input", "cached_input", "output")


@dataclass(frozen=True)
class Price:
    """Millionths of the currency for a million tokens of each sort."""

    input: int
    cached_input: int
    output: int

    def of(self, usage: Usage) -> int:
        """What this costs in millionths of the currency, rounded up."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        total = (usage.input_tokens - cached) * self.input + cached * self.cached_input
        total += usage.output_tokens * self.output
        return -(-total // _MILLION)


def prices_of(file: Path | None) -> dict[str, Price]:
    """The table by model, empty where there is none. Raises InvalidArgument naming what is wrong with it."""
    if file is None:
        return {}
    try:
        stored = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(f"{file} is no table of prices ({error})") from error
    return {model: _price(file, model, row) for model, row in stored.items()}


def _price(file: Path, model: str, row: object) -> Price:
    if not isinstance(row, dict):
        raise _wrong(f"{file}: {model} is not a table")
    given = cast("dict[str, Any]", row)
    whole = {key: value for key, value in given.items() if type(value) is int and value >= 0}
    if not {"input", "output"} <= whole.keys() or given.keys() - set(_KEYS) or len(whole) < len(given):
        raise _wrong(f"{file}: {model} needs `input` and `output`, may have `cached_input`, each a whole number")
    return Price(whole["input"], whole.get("cached_input", whole["input"]), whole["output"])


def _wrong(what: str) -> InvalidArgument:
    return InvalidArgument(what, field=VARIABLE, remedy="Correct the file; docs/how-to/codex.md shows one")
