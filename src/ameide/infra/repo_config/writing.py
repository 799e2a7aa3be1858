"""Writes an `ameide.yaml` that says in words what detection found, so that people can go on from there."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable

from ameide.infra.repo_config.detecting import Found
from ameide.infra.repo_config.model import Argv, Suite

SCHEMA = "urn:ameide:schema:repository:1"


def written(found: Found) -> str:
    """The text of the file; read again, it says the same as detection."""
    config = found.config
    head = [
        "How ameide verifies this repository. A run reads this file at the commit that it starts from.",
        f"Written by `ameide init`, which found: {'; '.join(found.found)}.",
        *(f"Guessed: {guess}" for guess in found.guessed),
        "All keys are in docs/reference/ameide-yaml.md of ameide.",
    ]
    lines = [*_comments(head), f'$schema: "{SCHEMA}"', "version: 1", "", "verify:"]
    if config.setup:
        lines += ["  # Run before each suite, one after the other, without a shell."]
        lines += ["  setup:", *(f"    - {_words(argv)}" for argv in config.setup)]
    lines += ["  # Seconds for all of the set-up.", f"  setup_timeout: {config.setup_timeout}", "  suites:"]
    for suite in config.suites.values():
        lines += [f"    {suite.name}:", *(f"      {line}" for line in _suite(suite))]
    lines += ["", *_comments(_MORE)]
    return "\n".join(lines) + "\n"


_MORE = [
    "More that can be said, when there is something to say:",
    "scaffold: commands that lay out what a requirement needs.",
    "generate: inputs, commands and outputs of generated code, which is then checked for drift.",
    "build, smoke: the image of a release, and what it must answer once it is started.",
]


def _suite(suite: Suite) -> list[str]:
    lines = [f"run: {_words(suite.run)}"]
    if suite.output is not None:
        lines += [
            "# What the command prints is the report; a runner that writes JUnit XML is named by `junit:` instead."
        ]
        lines += [f"output: {suite.output.value}"]
    else:
        lines += ["# The JUnit XML that the command writes; it must be new after each run."]
        lines += [f"junit: {json.dumps(suite.junit)}"]
    lines += ["# Seconds; `silent_for:` ends a suite that prints nothing for so long.", f"timeout: {suite.timeout}"]
    lines += [
        "# Files whose change is shown as a change of tests; without it, what is commonly called so.",
        "# tests: []",
    ]
    return lines


def _words(argv: Argv) -> str:
    return json.dumps(list(argv), ensure_ascii=False)


def _comments(lines: Iterable[str]) -> list[str]:
    return [f"# {part}" for line in lines for part in textwrap.wrap(line, 110, subsequent_indent="  ")]
