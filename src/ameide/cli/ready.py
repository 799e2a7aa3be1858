"""How a process tells whoever started it that it works: its pid in a file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ameide.engine.files import write_whole

ready_file_option = click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the process id to this file once everything works.",
)


def tell_ready(ready_file: Path | None) -> None:
    """Write the file, if one was asked for."""
    if ready_file is not None:
        write_whole(ready_file, f"{os.getpid()}\n", mode=0o600)
