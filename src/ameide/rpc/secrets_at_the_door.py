"""Credentials in what a caller writes.

A person is told which field holds one, since masking it would change what they said. What an executor says was
redacted by it already; where that missed something, or the executor is not ours, it is masked here. The Process only
repeats what came through this door before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from protobuf import Message

from ameide.errors import InvalidArgument
from ameide.rpc.mapping import to_connect
from ameide.secret_shapes import certain, mask_forms

_COMMANDS = ("CommandService", "AccessService")


@dataclass(frozen=True)
class _Text:
    """A text in a message, where it stands, and how to put another one there."""

    path: str
    text: str
    put: Callable[[str], None]


def keep_out(service: str, roles: frozenset[str], message: Message[Any]) -> None:
    """Mask or refuse credentials in a command. Raises ConnectError(invalid_argument) that names the field."""
    if not service.endswith(_COMMANDS) or "process" in roles:
        return
    found = list(_texts(message, ""))
    # One look at all of them together: nearly every command holds none.
    whole = "\n".join(each.text for each in found)
    if "executor" in roles:
        if mask_forms(whole) != whole:
            for each in found:
                each.put(mask_forms(each.text))
    elif next(certain(whole), None) is not None:
        for each in found:
            if (credential := next(certain(each.text), None)) is not None:
                raise to_connect(
                    InvalidArgument(
                        f"it holds {credential.kind}, and would be kept for good",
                        field=each.path,
                        remedy="Take it out and exchange it if it is real; for an example write a placeholder such as "
                        "<token>. A repository's credential is named by --credential",
                    )
                )


def _texts(message: Message[Any], prefix: str) -> Iterator[_Text]:
    for field in message.desc().fields:
        path, value = f"{prefix}{field.name}", getattr(message, field.name, None)
        match value:
            case str():
                yield _Text(path, value, lambda text, name=field.name: setattr(message, name, text))
            case Message():
                yield from _texts(cast("Message[Any]", value), f"{path}.")
            case list():
                yield from _listed(cast("list[object]", value), path)
            case dict():
                yield from _mapped(cast("dict[object, object]", value), path)
            case _:
                pass


def _listed(values: list[object], path: str) -> Iterator[_Text]:
    for place, value in enumerate(values):
        if isinstance(value, str):
            yield _Text(f"{path}[{place}]", value, lambda text, place=place: values.__setitem__(place, text))
        elif isinstance(value, Message):
            yield from _texts(cast("Message[Any]", value), f"{path}[{place}].")


def _mapped(values: dict[object, object], path: str) -> Iterator[_Text]:
    for key, value in values.items():
        if isinstance(value, str):
            yield _Text(f"{path}[{key}]", value, lambda text, key=key: values.__setitem__(key, text))
        elif isinstance(value, Message):
            yield from _texts(cast("Message[Any]", value), f"{path}[{key}].")
