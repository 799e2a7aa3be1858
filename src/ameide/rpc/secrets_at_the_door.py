"""Credentials in what a caller writes.

A person is told which field holds one, since masking it would change what they said. What an executor says was
redacted by it already; where that missed something, or the executor is not ours, it is masked here. The Process only
repeats what came through this door before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from protobuf import Message, Oneof

from ameide.errors import InvalidArgument
from ameide.secret_shapes import certain, mask_forms

_COMMANDS = ("CommandService", "AccessService")


@dataclass(frozen=True)
class _Text:
    """A text in a message, where it stands, and how to put another one there."""

    path: str
    text: str
    put: Callable[[str], None]


def keep_out(service: str, roles: frozenset[str], message: Message[Any]) -> None:
    """Mask or refuse credentials in a command. Raises InvalidArgument that names the field."""
    if not service.endswith(_COMMANDS) or "process" in roles:
        return
    if "executor" not in roles:
        need_none(message)
        return
    found = list(_texts(message, ""))
    # One look at all of them together: nearly every command holds none.
    whole = "\n".join(each.text for each in found)
    if mask_forms(whole) != whole:
        for each in found:
            each.put(mask_forms(each.text))


def need_none(message: Message[Any]) -> None:
    """Refuse a message that would be kept with a credential in it. Raises InvalidArgument that names the field."""
    found = list(_texts(message, ""))
    if next(certain("\n".join(each.text for each in found)), None) is None:
        return
    for each in found:
        if (credential := next(certain(each.text), None)) is not None:
            raise InvalidArgument(
                f"it holds {credential.kind}, and would be kept for good",
                field=each.path,
                remedy="Take it out and exchange it if it is real; for an example write a placeholder such as "
                "<token>. A repository's credential is named by --credential",
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
    for oneof in message.desc().oneofs:
        # Which of its fields is set stands beside the value; none of them is an attribute of the message.
        name = oneof.local_name
        match getattr(message, name, None):
            case Oneof(field=field, value=str() as text):
                put = partial(_put, message, name, field)
                yield _Text(f"{prefix}{field}", text, put)
            case Oneof(field=field, value=Message() as value):
                yield from _texts(cast("Message[Any]", value), f"{prefix}{field}.")
            case _:
                pass


def _put(message: Message[Any], oneof: str, field: str, text: str) -> None:
    setattr(message, oneof, Oneof(field, text))


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
