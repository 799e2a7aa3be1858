"""The test runners of Node that are recognised, and how each is made to write what can be read."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from posixpath import basename

from ameide.infra.repo_config.detecting.found import JUNIT
from ameide.infra.repo_config.model import Argv, Output

RUNNERS = ("node --test", "mocha", "vitest", "jest", "tape", "ava")

_REPORTER = re.compile(r"--(?:test-)?reporter(?:-destination|-options?)?(?:=.*)?|-[RO]|--outputFile(?:=.*)?|--tap")
_TAKES_A_VALUE = re.compile(r"--(?:test-)?reporter(?:-destination|-options?)?|-[RO]|--outputFile")
_WATCHING = re.compile(r"--watch\w*|-w")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
# Words of node's own command line that a shell would have to expand.
_EXPANDED = re.compile(r"[*?\[{$~]")


@dataclass(frozen=True)
class Part:
    """A recognised command: `run` makes `junit` or prints `output`."""

    runner: str
    run: Argv
    junit: str = ""
    output: Output | None = None


def runner_of(text: str) -> Part | None:
    """The runner that a command of a script starts, behind wrappers such as `c8` and variables; None for none."""
    text = text.split("|", 1)[0].strip()
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    for number, word in enumerate(words):
        name, rest = basename(word), words[number + 1 :]
        if name == "node" and any(argument == "--test" for argument in rest):
            return _node(text, words[:number], rest)
        if name in RUNNERS:
            return _part(name, _variables(words[:number]), rest)
    return None


def _part(name: str, variables: Argv, words: list[str]) -> Part:
    program = (*variables, f"node_modules/.bin/{name}")
    rest = _plain(words)
    match name:
        case "mocha":
            return Part(name, (*program, "--reporter", "xunit", "--reporter-option", f"output={JUNIT}", *rest), JUNIT)
        case "vitest":
            rest = [word for word in rest if word not in ("run", "watch", "dev")]
            options = ("--reporter=default", "--reporter=junit", f"--outputFile.junit={JUNIT}")
            return Part(name, (*program, "run", *options, *rest), JUNIT)
        case "jest":
            return Part(name, (*program, "--ci", "--json", *rest), output=Output.JEST_JSON)
        case "ava":
            return Part(name, (*program, "--tap", *rest), output=Output.TAP)
        case _:
            return Part(name, (*program, *rest), output=Output.TAP)


def _node(text: str, before: list[str], words: list[str]) -> Part:
    options = f"--test-reporter=junit --test-reporter-destination={JUNIT}"
    if any(_EXPANDED.search(word) for word in words):
        # The words as they are written: what is quoted there is node's to expand, the rest is the shell's.
        written = re.split(r"\bnode\s", text, maxsplit=1)[1]
        line = " ".join([*map(shlex.quote, _variables(before)), "node", options, written])
        return Part("node --test", ("sh", "-c", line), JUNIT)
    return Part("node --test", (*_variables(before), "node", *options.split(), *_plain(words)), JUNIT)


def _variables(words: list[str]) -> Argv:
    found = [word for word in words if _ASSIGNMENT.fullmatch(word)]
    return ("env", *found) if found else ()


def _plain(words: list[str]) -> list[str]:
    """The words without choices of a reporter, and without watching."""
    kept: list[str] = []
    taken = False
    for word in words:
        if taken:
            taken = False
        elif _REPORTER.fullmatch(word):
            taken = _TAKES_A_VALUE.fullmatch(word) is not None
        elif not _WATCHING.fullmatch(word):
            kept.append(word)
    return kept
