"""Reads the text of `ameide.yaml`. Every error names the file, the field and what to write instead."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import yaml

from ameide.errors import InvalidArgument
from ameide.infra.repo_config.model import TEST_FILES, Build, Generate, Output, RepoConfig, Smoke, Suite

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

CONFIG_FILE = "ameide.yaml"
MAX_BYTES = 256 * 1024

Document = dict[str, Any]


class ConfigError(InvalidArgument):
    """`ameide.yaml` is malformed or lacks what a step needs. The message names file, field and remedy."""


def parse(text: str, file: str = CONFIG_FILE) -> RepoConfig:
    """The typed content. Raises `ConfigError`."""
    document = _validated(_document(text, file), file)
    verify = cast(Document, document["verify"])
    suites = {name: _suite(name, suite) for name, suite in cast(Document, verify["suites"]).items()}
    return RepoConfig(
        suites=suites,
        setup=_commands(verify.get("setup", [])),
        setup_timeout=verify.get("setup_timeout", 900),
        scaffold=_commands(document.get("scaffold", {}).get("run", [])),
        generate=_generate(document["generate"]) if "generate" in document else None,
        build=_build(document["build"]) if "build" in document else None,
        smoke=Smoke(**document["smoke"]) if "smoke" in document else None,
        component=document.get("component", ""),
    )


@cache
def schema() -> Document:
    """The JSON Schema of `ameide.yaml`, as shipped beside this module."""
    text = resources.files("ameide.infra.repo_config").joinpath("ameide.schema.json").read_text()
    return cast(Document, json.loads(text))


def _document(text: str, file: str) -> object:
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"the file has more than {MAX_BYTES} bytes", field=file, remedy="Keep long scripts in files of their own."
        )
    if any(isinstance(token, yaml.AliasToken) for token in _tokens(text, file)):
        raise ConfigError("aliases are not read", field=file, remedy="Write the value out where it is used.")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _no_yaml(error, file) from error


def _tokens(text: str, file: str) -> list[yaml.Token]:
    try:
        return list(yaml.scan(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        raise _no_yaml(error, file) from error


def _no_yaml(error: Exception, file: str) -> ConfigError:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    place = f"{file}:{mark.line + 1}" if mark else file
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
    return ConfigError(
        f"is no YAML ({problem})", field=place, remedy="Correct the syntax; `ameide verify` reads it again."
    )


def _validated(document: object, file: str) -> Document:
    # Imported here: it takes a tenth of what an executor loads, and not every work reads this file.
    from jsonschema import Draft202012Validator, exceptions

    # The library's own types are partly unknown.
    validator = cast(Any, Draft202012Validator(schema()))
    error = cast("ValidationError | None", cast(Any, exceptions).best_match(validator.iter_errors(document)))
    if error is not None:
        raise ConfigError(_what(error), field=f"{file} {_where(error)}", remedy=_remedy(error))
    return cast(Document, document)


def _where(error: ValidationError) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return path.lstrip(".") or "(top level)"


def _what(error: ValidationError) -> str:
    return error.message if len(error.message) <= 300 else error.message[:300] + "…"


def _remedy(error: ValidationError) -> str:
    rule = cast(object, error.validator)
    value = cast(object, error.validator_value)
    described = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    match rule:
        case "required":
            missing = [name for name in cast(list[str], value) if name not in cast(Document, error.instance)]
            return f"Add {', '.join(f'`{name}:`' for name in missing)}."
        case "additionalProperties":
            known = sorted(cast(Document, error.schema).get("properties", {}))
            return f"Known here: {', '.join(known)}."
        case "type":
            words = {"array": "a list", "object": "a mapping", "integer": "a whole number", "string": "text (quote it)"}
            return f"Write {words.get(str(value), str(value))}." + (f" It is: {described}" if described else "")
        case "const" | "enum":
            return f"Write {json.dumps(value)}."
        case _:
            return f"It is: {described}" if described else f"It must satisfy {rule}: {json.dumps(value)}."


def _commands(run: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(argv) for argv in run)


def _suite(name: str, suite: Document) -> Suite:
    tests = tuple(suite.get("tests", TEST_FILES))
    return Suite(
        name,
        tuple(suite["run"]),
        suite.get("junit", ""),
        suite.get("timeout", 900),
        suite.get("silent_for", 0),
        Output(suite["output"]) if "output" in suite else None,
        tests,
    )


def _generate(generate: Document) -> Generate:
    return Generate(tuple(generate["inputs"]), _commands(generate["run"]), tuple(generate["outputs"]))


def _build(build: Document) -> Build:
    return Build(
        include=tuple(build["include"]),
        entrypoint=tuple(build["entrypoint"]),
        requirements=build.get("requirements", ""),
        python_path=tuple(build.get("python_path", ())),
        env=dict(build.get("env", {})),
        port=build.get("port", 8080),
    )
