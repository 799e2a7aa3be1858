"""`ameide`: the global options, the table of commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from ameide import config
from ameide.cli.failure import INTERRUPTED, exit_code_of, report
from ameide.cli.lazy import LazyGroup
from ameide.cli.session import Session
from ameide.cli.tracing import traced
from ameide.errors import AmeideError

_COMMANDS = {
    "demo": "ameide.cli.demo:demo",
    "up": "ameide.cli.up:up",
    "down": "ameide.cli.down:down",
    "status": "ameide.cli.status:status",
    "doctor": "ameide.cli.doctor:doctor",
    "backup": "ameide.cli.backup:backup",
    "restore": "ameide.cli.backup:restore",
    "chat": "ameide.cli.chat:chat",
    "conversation": "ameide.cli.conversation:conversation",
    "repo": "ameide.cli.repo:repo",
    "change": "ameide.cli.change:change",
    "gate": "ameide.cli.gate:gate",
    "work": "ameide.cli.work:work",
    "budget": "ameide.cli.budget:budget",
    "evidence": "ameide.cli.evidence:evidence",
    "release": "ameide.cli.release:release",
    "promotion": "ameide.cli.release:promotion",
    "fact": "ameide.cli.fact:fact",
    "cite": "ameide.cli.fact:cite",
    "events": "ameide.cli.events:events",
    "archive": "ameide.cli.archive:archive",
    "projection": "ameide.cli.projection:projection",
    "principal": "ameide.cli.access:principal",
    "token": "ameide.cli.access:token",
    "mcp": "ameide.cli.mcp:mcp",
    "executor": "ameide.cli.executor:executor",
    "runner": "ameide.cli.executor:runner",
    "serve": "ameide.cli.roles:serve",
    "db": "ameide.cli.roles:db",
    "temporal": "ameide.cli.founding:temporal",
    "scaffold": "ameide.cli.target:scaffold",
    "generate": "ameide.cli.target:generate",
    "verify": "ameide.cli.target:verify",
    "init": "ameide.cli.init:init",
}


def _tell_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    # Imported here: looking through what is installed takes longer than most commands need to start.
    from importlib import metadata

    try:
        version = metadata.version("ameide")
    except metadata.PackageNotFoundError:
        version = "of a checkout that is not installed"
    click.echo(f"ameide, version {version}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--as", "principal", metavar="NAME", help="Act as this principal, by its token in the state folder.")
@click.option("--address", metavar="URL", help="The Domain's door; default: the one that `ameide up` started.")
@click.option("--state-dir", type=click.Path(path_type=Path, file_okay=False), help="Use this state folder.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.pass_context
def root(ctx: click.Context, principal: str | None, address: str | None, state_dir: Path | None) -> None:
    """A durable, audited control plane for software delivery by people and AI agents.

    Exit codes: 0 done, 1 a check failed or was refused, 2 wrong usage, 3 not reachable.
    """
    settings = config.read(state_dir=state_dir)
    if address:
        settings = replace(settings, address=address)
    if principal:
        # A named principal's own token, whatever token the environment holds.
        settings = replace(settings, principal=principal, token="")
    if settings.otlp_endpoint or settings.traceparent:
        ctx.with_resource(traced(settings, ctx.invoked_subcommand or ""))
    again = ("--state-dir", str(settings.state_dir)) if state_dir else ()
    ctx.obj = Session(settings, (*again, "--address", address) if address else again)


def run(arguments: Sequence[str]) -> int:
    """Run one command line, without the word `ameide`, and give its exit code. Errors are printed, none is raised."""
    as_json = "--json" in arguments
    try:
        code = root.main(list(arguments), prog_name="ameide", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without a command: its help is the answer, and no sentence about it is needed.
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        report(error, as_json=as_json)
        return error.exit_code
    except click.Abort:
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except AmeideError as error:
        report(error, as_json=as_json)
        return exit_code_of(error)
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """The program `ameide`."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; Python would complain again when it closes the stream.
        sys.stdout = None
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stderr.flush()
    # The HTTP client's threads may let go of Python objects while the interpreter shuts down, which aborts it (seen in
    # one of ten exits). Nothing is left to do by now, so the process ends without such a shutdown.
    os._exit(code)
