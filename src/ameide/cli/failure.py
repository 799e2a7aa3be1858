"""What becomes of an error: text or JSON on standard error, and an exit code that a script can act on."""

from __future__ import annotations

import json
from typing import assert_never

import click

from ameide import errors
from ameide.cli.output import harmless
from ameide.secret_shapes import mask_forms

_RUNS = "`ameide status` shows what runs here, `ameide up` starts it"
_GLOBAL = frozenset({"--as", "--address", "--state-dir"})
DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code_of(error: errors.AmeideError) -> int:
    """2 for a malformed request, 3 for somebody who does not answer, 1 for everything that was refused."""
    match error:
        case errors.InvalidArgument():
            return USAGE
        case errors.Unreachable():
            return UNREACHABLE
        case _:
            return FAILED


def report(error: errors.AmeideError | click.ClickException, *, as_json: bool) -> None:
    """Say it on standard error; as ``{"error": {code, message, field, remedy, reason}}`` when JSON was asked for."""
    match error:
        case errors.AmeideError():
            unreachable = isinstance(error, errors.Unreachable) and not error.remedy
            said = {
                "code": error.code,
                "message": error.message,
                "field": error.field,
                "remedy": _RUNS if unreachable else error.remedy,
                "reason": error.reason,
            }
        case click.ClickException():
            remedy = ""
            if isinstance(error, click.UsageError) and error.ctx is not None:
                remedy = f"`{error.ctx.command_path} --help` explains it"
            if isinstance(error, click.NoSuchOption) and error.option_name in _GLOBAL:
                remedy = f"{error.option_name} stands before the command: `ameide {error.option_name} … COMMAND`"
            said = {"code": "usage", "message": error.format_message(), "field": "", "remedy": remedy, "reason": ""}
        case _:
            assert_never(error)
    # Output of commands is kept by pipelines, and a message may repeat what was typed.
    said = {name: mask_forms(text) for name, text in said.items()}
    if as_json:
        click.echo(json.dumps({"error": said}), err=True)
        return
    # It may also repeat what a remote or a repository said.
    said = {name: "\n".join(map(harmless, text.split("\n"))) for name, text in said.items()}
    head = f"{said['field']}: {said['message']}" if said["field"] else said["message"]
    click.echo(click.style("error: ", fg="red") + head.rstrip("."), err=True)
    if said["remedy"]:
        click.echo(f"  {said['remedy'].rstrip('.')}.", err=True)
