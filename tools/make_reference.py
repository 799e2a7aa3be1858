#!/usr/bin/env python3
"""Writes docs/reference from what the program itself says: commands, settings, topics, schema, errors, services, chart.

`make reference` runs it; with --check it only tells whether the pages are up to date (exit code 1 when they are not).
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from chart_page import chart

from ameide import config, errors
from ameide.architect.tools.glossary import terms
from ameide.cli import failure
from ameide.cli.root import root
from ameide.contracts import topics
from ameide.contracts.facts import FACT_FIELDS
from ameide.contracts.routing import route
from ameide.errors import InvalidArgument
from ameide.events.backends.kafka.records import HEADERS
from ameide.events.backends.kafka.topics import TopicSettings
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, WorkKind

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make reference`; change the program, not this page. -->\n\n"
SERVICE = re.compile(r"service (\w+) \{(.*?)^\}", re.S | re.M)
METHOD = re.compile(r"((?:^  // [^\n]*\n)*)^  rpc (\w+)\(", re.M)
COMMENT = re.compile(r"((?:^// [^\n]*\n)+)service (\w+)", re.M)


def pages() -> dict[str, str]:
    """File name to text."""
    made = {
        "cli.md": cli(),
        "settings.md": settings(),
        "topics.md": topic_page(),
        "ameide-yaml.md": ameide_yaml(),
        "errors.md": error_page(),
        "services.md": services(),
        "chart.md": chart(),
        "glossary.md": glossary(),
    }
    return {name: f"{NOTE}{text.rstrip()}\n" for name, text in made.items()}


def cli() -> str:
    """Every command with its help."""
    text = "# The command line\n\nWhat `ameide --help` and the help of each command say.\n"
    for path, command, context in commands(root, click.Context(root, info_name="ameide", max_content_width=100)):
        context.terminal_width = 100
        shown = command.get_help(context)
        text += f"\n## {path}\n\n```\n{shown}\n```\n"
    return text


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """The command and all below it."""
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, click.Context(below, info_name=name, parent=context, max_content_width=100))


def settings() -> str:
    """Every setting with its variable, type, default and meaning."""
    text = (
        "# Settings\n\nHow a process runs. A value comes from the environment, else from the TOML file that "
        f"`{config.CONFIG_VARIABLE}` names (the key is the setting's name), else it is the default. A secret may lie "
        "in a file: the variable with `_FILE` at its end, or the key with `_file`, names it. What is allowed is "
        "[policy](../explanation/decisions.md#three-planes-of-configuration), and how a repository is built is "
        "[ameide.yaml](ameide-yaml.md); neither is a setting.\n"
    )
    for row in config.TABLE:
        kind = "secret text" if row.secret else row.kind
        default = f", default `{row.default}`" if row.default else ""
        text += f"\n## {row.variable}\n\n{row.doc}\n\nKey `{row.name}`, {kind}{default}.\n"
    return text


def glossary() -> str:
    """Every term with its meaning."""
    text = (
        "# Glossary\n\nWhat the words of the control plane mean. The Architect agent looks them up in the same "
        "[data file](../../src/ameide/architect/glossary.toml).\n"
    )
    for term in terms():
        also = f" Also: {', '.join(term.also)}." if term.also else ""
        see = ", ".join(f"[{name}](#{name.replace(' ', '-')})" for name in term.see)
        text += f"\n## {term.name}\n\n{term.meaning}{also}" + (f" See {see}.\n" if see else "\n")
    return text


def topic_page() -> str:
    """Topics with their facts, queues with the work that is routed to them."""
    text = (
        "# Topics and queues\n\nThe key of a message keeps the order of its aggregate. A consumer group is the topic "
        "with dots turned into dashes.\n"
    )
    for topic in topics.FACT_TOPICS:
        names = sorted(name for name, (carrier, _) in FACT_FIELDS.items() if carrier == topic)
        text += (
            f"\n## {topic}\n\nFacts, for anyone who subscribes. Consumer group `{topics.consumer_group(topic)}`.\n\n"
        )
        text += "".join(f"- `{name}`\n" for name in names)
    routed: dict[str, list[str]] = {queue: [] for queue in topics.QUEUES}
    for kind in (WorkKind.TOOL_RUN, WorkKind.AGENT_WORK):
        for action in ActionKind:
            for suite in ("", "ui") if kind == WorkKind.TOOL_RUN else ("",):
                try:
                    queue = route(kind, action, suite)
                except InvalidArgument:
                    continue
                label = f"`{kind.name}` `{action.name}`" + (" with a suite `ui` or `ui_…`" if suite else "")
                if label not in routed[queue] and (not suite or queue == topics.QUEUE_VERIFY_UI):
                    routed[queue].append(label)
    for queue, works in routed.items():
        text += f"\n## {queue}\n\nInvitations (`WorkExecutionRequested`), each to one executor.\n\n"
        text += "".join(f"- {work}\n" for work in works)
    return text + in_kafka()


def in_kafka() -> str:
    """How topics are made, and what a record consists of."""
    asked = TopicSettings(config.Settings.kafka_partitions, 3, config.Settings.kafka_retention_hours)
    text = (
        "\n## In Kafka\n\nThe forwarder makes a topic that is not there, with `AMEIDE_KAFKA_PARTITIONS` partitions and "
        "`AMEIDE_KAFKA_REPLICATION` replicas; one that is there stays as it is. See "
        "[the how-to](../how-to/kafka.md).\n\n| setting of a topic | value by default |\n|---|---|\n"
    )
    for name, value in asked.configuration.items():
        least = "with three replicas or more, " if name == "min.insync.replicas" else ""
        text += f"| `{name}` | {least}`{value}` |\n"
    text += (
        "\nThe key of a record is the key of the message, in the partition that Kafka's own partitioner (murmur2) "
        "chooses; the value is the payload in Protobuf; the time is `occurred_at`. Each record has these headers, all "
        "text in UTF-8:\n\n| header | what |\n|---|---|\n"
    )
    return text + "".join(f"| `{name}` | {what} |\n" for name, what in HEADERS.items())


def ameide_yaml() -> str:
    """Every key of ameide.yaml."""
    source = ROOT / "src" / "ameide" / "infra" / "repo_config" / "ameide.schema.json"
    schema = json.loads(source.read_text(encoding="utf-8"))
    text = (
        f"# ameide.yaml\n\n{schema['description']} It is checked with this "
        "[JSON Schema](../../src/ameide/infra/repo_config/ameide.schema.json).\n"
    )
    for path, part, required in keys(schema, schema, ""):
        resolved = {**reference(schema, part), **part}
        if "const" in resolved:
            kind = json.dumps(resolved["const"])
        elif "enum" in resolved:
            kind = " or ".join(json.dumps(value) for value in resolved["enum"])
        elif "$ref" in part:
            kind = part["$ref"].rpartition("/")[2]
        else:
            kind = resolved.get("type", "")
        needed = "required" if required else "optional"
        text += f"\n## {path}\n\n" + paragraph(resolved.get("description", "")) + f"{kind}, {needed}.\n"
    text += "\n## Kinds of values\n\n"
    for name, part in schema["$defs"].items():
        text += f"- **{name}**: {part.get('description', part.get('type', ''))}\n"
    return text


def keys(schema: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every key below a part of the schema, with its path."""
    for name, below in part.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner, below, name in part.get("required", [])
        yield from keys(schema, below, inner)
    named = part.get("additionalProperties")
    if isinstance(named, dict) and "properties" in named:
        yield from keys(schema, named, f"{path}.NAME")


def reference(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The definition that a part points to, or nothing."""
    name = part.get("$ref", "").rpartition("/")[2]
    return schema["$defs"].get(name, {})


def error_page() -> str:
    """Every error with its code, whether to try again, and the exit code of the command line."""
    text = (
        "# Errors\n\nEvery error says what is wrong, names the field, and gives a remedy. On the wire it is a Connect "
        "error with an `ErrorDetail`; with `--json` the command line prints "
        '`{"error": {"code", "message", "field", "remedy", "reason"}}` on standard error.\n\n'
        "| error | code | try again | exit code | meaning |\n|---|---|---|---|---|\n"
    )
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.AmeideError) and kind is not errors.AmeideError:
            meaning = " ".join((kind.__doc__ or "").split())
            again = "yes" if kind.retry else "no"
            text += f"| `{kind.__name__}` | `{kind.code}` | {again} | {failure.exit_code_of(kind('x'))} | {meaning} |\n"
    return text + "\nWrong usage of the command line ends with 2, an interruption with 130.\n"


def services() -> str:
    """Every service of the door with its methods."""
    text = (
        "# Services\n\nThe one door: Connect, gRPC and JSON over HTTP at the same address. A method is called by "
        "`POST /<package>.<Service>/<Method>`.\n"
    )
    for file in sorted((ROOT / "proto" / "ameide_core_proto").rglob("*.proto")):
        source = file.read_text(encoding="utf-8")
        package = re.search(r"^package ([\w.]+);", source, re.M)
        comments = {name: said for said, name in COMMENT.findall(source)}
        for name, body in SERVICE.findall(source):
            assert package is not None
            where = f"[{file.name}](../../{file.relative_to(ROOT)})"
            text += f"\n## {name}\n\n" + paragraph(plain(comments.get(name, "")))
            text += f"`{package[1]}.{name}`, {where}\n\n"
            for said, method in METHOD.findall(body):
                meaning = plain(said)
                text += f"- `{method}`{': ' + meaning if meaning else ''}\n"
    return text


def paragraph(text: str) -> str:
    """The text with an empty line after it, if there is any."""
    return f"{text}\n\n" if text else ""


def plain(comment: str) -> str:
    """A comment of the schema as a sentence."""
    return " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    stale = [
        name for name, text in pages().items() if not (PAGES / name).exists() or (PAGES / name).read_text() != text
    ]
    if arguments == ["--check"]:
        for name in stale:
            print(f"docs/reference/{name} is not what the program says; run: make reference", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (PAGES / name).write_text(pages()[name])
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
