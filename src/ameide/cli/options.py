"""Options that many commands share."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Print ids only, one a line.")
request_id = click.option(
    "--request-id",
    metavar="KEY",
    help="Idempotency key: the same command with the same key is carried out once. Default: a new one.",
)
change_filter = click.option("--change", "change_id", metavar="CHANGE", default="", help="Only of this change.")
follow = click.option("--follow", is_flag=True, help="Stay until the run ends.")


def named(kind: str) -> str:
    """An enum's name from how it is written on the command line: ``tool-run`` for TOOL_RUN."""
    return kind.upper().replace("-", "_")


def spelled(names: list[str]) -> click.Choice[str]:
    """The names of an enum as choices; UNSPECIFIED is none."""
    return click.Choice([name.lower().replace("_", "-") for name in names if name != "UNSPECIFIED"])
