"""Arguments of a call: checked by the tool's schema, told so that a model can correct them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ameide.errors import InvalidArgument

_MOST = 64 * 1024
_MOST_PROBLEMS = 6


class Arguments:
    """The arguments of one call by name. Those that are left out have the empty value of their type."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        """A string without the white space around it."""
        value = self.values.get(name)
        return value.strip() if isinstance(value, str) and value.strip() else default

    def raw(self, name: str) -> str:
        """A string as it was given."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.values.get(name)
        return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

    def flag(self, name: str) -> bool:
        """True or false."""
        return self.values.get(name) is True

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty ones are left out."""
        value = self.values.get(name)
        words = cast("Sequence[object]", value) if isinstance(value, list) else ()
        return [word.strip() for word in words if isinstance(word, str) and word.strip()]

    def objects(self, name: str) -> list[Arguments]:
        """A list of objects."""
        value = self.values.get(name)
        items = cast("Sequence[object]", value) if isinstance(value, list) else ()
        return [Arguments(cast("Mapping[str, object]", item)) for item in items if isinstance(item, dict)]


def checked(given: Mapping[str, object] | str, schema: Mapping[str, object]) -> Arguments:
    """The arguments of a call, as a model gave them: an object, or JSON of one. An argument that is null is left out.

    Raises `InvalidArgument` that names each argument and what it must be.
    """
    values = _object(given) if isinstance(given, str) else given
    values = {name: value for name, value in values.items() if value is not None}
    validator: Any = Draft202012Validator(schema)
    told = [_told(error) for error in validator.iter_errors(values)]
    if told:
        more = f" (and {len(told) - _MOST_PROBLEMS} more)" if len(told) > _MOST_PROBLEMS else ""
        raise InvalidArgument("; ".join(told[:_MOST_PROBLEMS]) + more, remedy="Call it again with these corrected")
    return Arguments(values)


def schema(required: Iterable[str] = (), **properties: dict[str, object]) -> dict[str, object]:
    """The JSON Schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def string(description: str, *, most: int = 256, least: int = 0, **more: object) -> dict[str, object]:
    """A string of at most so many characters."""
    return {"type": "string", "description": description, "maxLength": most, "minLength": least, **more}


def integer(description: str, *, least: int = 0, most: int = 1_000_000) -> dict[str, object]:
    """A whole number."""
    return {"type": "integer", "description": description, "minimum": least, "maximum": most}


def strings(description: str, *, items: int, most: int = 500, least: int = 0) -> dict[str, object]:
    """A list of at most so many strings."""
    item: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": most}
    return {"type": "array", "description": description, "items": item, "maxItems": items, "minItems": least}


def choice(description: str, names: Iterable[str]) -> dict[str, object]:
    """One of some words."""
    return {"type": "string", "description": description, "enum": list(names)}


def choices(description: str, names: Iterable[str]) -> dict[str, object]:
    """Some of some words."""
    item: dict[str, object] = {"type": "string", "enum": list(names)}
    return {"type": "array", "description": description, "items": item, "uniqueItems": True}


PAGE = string("The next_page of an answer before, for what follows it.")


def _object(text: str) -> Mapping[str, object]:
    if len(text) > _MOST:
        raise InvalidArgument(f"are {len(text)} characters, at most {_MOST} are taken", field="arguments")
    try:
        value: object = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"are no JSON ({error})", field="arguments", remedy="Give one JSON object with the tool's arguments"
        ) from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"are a JSON {type(value).__name__}", field="arguments", remedy="Give one JSON object")
    return cast("Mapping[str, object]", value)


def _told(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    rule, message = str(error.validator), error.message
    if rule == "additionalProperties":
        known = ", ".join(cast("dict[str, Any]", error.schema)["properties"]) or "none"
        message = f"{message.removeprefix('Additional properties are not allowed ').strip('()')}; known: {known}"
    return f"{place}: {message[:300]}" if place else message[:300]
