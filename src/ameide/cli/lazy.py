"""A group whose commands are imported when they are called: starting one verb does not load the others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """`places` maps a command's name to ``module:attribute``, in the order of the help text."""

    def __init__(self, *args: object, places: Mapping[str, str], **settings: object) -> None:
        super().__init__(*args, **settings)  # pyright: ignore[reportArgumentType] -- click's own arguments, passed on
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        del ctx
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        del ctx
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command
