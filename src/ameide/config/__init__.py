"""The settings, and the only reader of the environment.

A value comes from, in this order: the environment, the TOML file that AMEIDE_CONFIG names, the table. A secret
may also lie in a file that the variable with _FILE at its end, or the key with _file, names.
"""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from ameide.config.table import CODEX_SECRET, DATABASE_ROLES, SANDBOXES, SCALER_ROLE, TABLE, Entry, Settings
from ameide.errors import InvalidArgument

__all__ = [
    "CONFIG_VARIABLE",
    "DATABASE_ROLES",
    "SCALER_ROLE",
    "TABLE",
    "Entry",
    "Settings",
    "environment",
    "forget",
    "needed",
    "passed_through",
    "read",
    "secret_values",
    "to_toml",
]
CONFIG_VARIABLE = "AMEIDE_CONFIG"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_BELOW_STATE = {
    "registry_root": "registry",
    "forge_root": "remotes",
    "work_dir": "work",
    "credentials_dir": "credentials",
    "patches_dir": "patches",
    "dependency_dir": "dependencies",
}


def read(
    environment: Mapping[str, str] | None = None, *, state_dir: Path | None = None, file: Path | None = None
) -> Settings:
    """The settings of this process, with another state folder or settings file if one is given.

    Raises InvalidArgument naming the variable or key that is wrong.
    """
    env = os.environ if environment is None else environment
    file = file or (Path(env[CONFIG_VARIABLE]).expanduser() if env.get(CONFIG_VARIABLE) else None)
    stored = _read_file(file) if file else {}
    known = {row.name for row in TABLE} | {f"{row.name}_file" for row in TABLE if row.secret}
    if unknown := sorted(stored.keys() - known):
        raise InvalidArgument(
            f"{file} has unknown keys: {', '.join(unknown)}",
            field=CONFIG_VARIABLE,
            remedy="Correct their spelling or take them out; docs/reference/settings.md lists the settings",
        )
    values: dict[str, object] = {}
    for entry in TABLE:
        text, source = _look_up(entry, env, stored, file)
        if text is not None:
            values[entry.name] = _typed(entry, text, source)
    if state_dir is not None:
        values["state_dir"] = state_dir
    return _completed(Settings(**cast("dict[str, Any]", values)))


def passed_through(names: Iterable[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Those of the named variables that are set: the operator's proxy, certificates, package index, search path."""
    env = os.environ if environment is None else environment
    return {name: env[name] for name in names if env.get(name)}


def environment() -> dict[str, str]:
    """The whole environment, for commands that a person runs as themselves."""
    return dict(os.environ)


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(
            f"{path} cannot be read ({error.strerror})", field=CONFIG_VARIABLE, remedy="Name a TOML file or unset it"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(
            f"{path} is not TOML: {error}", field=CONFIG_VARIABLE, remedy="Correct the file"
        ) from error


def _look_up(
    entry: Entry, env: Mapping[str, str], stored: Mapping[str, object], file: Path | None
) -> tuple[str | None, str]:
    if entry.variable in env and env[entry.variable] != "":
        return env[entry.variable], entry.variable
    if entry.secret and env.get(f"{entry.variable}_FILE"):
        return _secret(Path(env[f"{entry.variable}_FILE"]), f"{entry.variable}_FILE"), entry.variable
    if entry.name in stored:
        value = stored[entry.name]
        text = shlex.join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
        return text, f"{file}: {entry.name}"
    if entry.secret and f"{entry.name}_file" in stored:
        return _secret(Path(str(stored[f"{entry.name}_file"])), f"{file}: {entry.name}_file"), entry.name
    return None, ""


def _secret(path: Path, source: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidArgument(
            f"{path} cannot be read ({error.strerror})", field=source, remedy="Name a file that this user may read"
        ) from error


def _typed(entry: Entry, text: str, source: str) -> Path | str | int | tuple[str, ...]:
    if entry.kind == "path":
        return Path(text).expanduser()
    if entry.kind == "words":
        return tuple(shlex.split(text))
    if entry.kind == "number":
        try:
            return int(text)
        except ValueError as error:
            raise InvalidArgument(f"{text!r} is not a number", field=source, remedy=entry.doc) from error
    return text


def _completed(found: Settings) -> Settings:
    state = found.state_dir.expanduser().absolute()
    values: dict[str, object] = {"state_dir": state, "cache_dir": found.cache_dir.expanduser().absolute()}
    for name, folder in _BELOW_STATE.items():
        if getattr(found, name) == Path():
            values[name] = state / folder
    if found.sandbox not in SANDBOXES:
        raise InvalidArgument(
            f"{found.sandbox!r} is no sandbox", field="AMEIDE_SANDBOX", remedy=f"Set it to {' or '.join(SANDBOXES)}"
        )
    values["log_level"] = found.log_level.upper()
    if values["log_level"] not in _LEVELS:
        raise InvalidArgument(
            f"{found.log_level!r} is no log level", field="AMEIDE_LOG_LEVEL", remedy=f"Set it to {' or '.join(_LEVELS)}"
        )
    for name in ("codex_home", "prices"):
        if (path := getattr(found, name)) != Path():
            values[name] = path.absolute()
    if found.codex_home == Path() and (CODEX_SECRET / "auth.json").is_file():
        values["codex_home"] = CODEX_SECRET
    if not found.object_store:
        values["object_store"] = (state / "objects").as_uri()
    known = {row.name: getattr(found, row.name) for row in fields(Settings)}
    return Settings(**cast("dict[str, Any]", known | values))


def secret_values(settings: Settings) -> tuple[str, ...]:
    """What the settings hold that must be shown nowhere."""
    values = [(entry, value) for entry in TABLE if entry.secret and (value := str(getattr(settings, entry.name)))]
    # An executor may have several tokens, one a tenant.
    words = [value.split() if entry.name.endswith("token") else [value] for entry, value in values]
    return tuple(word for several in words for word in several)


def to_toml(values: Mapping[str, Path | str | int | tuple[str, ...]]) -> str:
    """A settings file with these values; `<name>_file` keys are allowed for secrets."""
    lines = ["# Written by `ameide up`; change the environment or your own AMEIDE_CONFIG instead.\n"]
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value if isinstance(value, int) else str(value)
        lines.append(f"{name} = {json.dumps(plain, ensure_ascii=False)}\n")
    return "".join(lines)


def forget(*prefixes: str) -> None:
    """Take variables that begin so out of this process's environment, so that no library acts on them."""
    for name in [name for name in os.environ if name.startswith(prefixes)]:
        del os.environ[name]


def needed(settings: Settings, name: str) -> str:
    """The value of a setting. Raises InvalidArgument, naming its variable, when it is not set."""
    value: str = getattr(settings, name)
    if not value:
        raise InvalidArgument(
            "is not set", field=f"AMEIDE_{name.upper()}", remedy="`ameide up` sets it for the embedded engines"
        )
    return value
