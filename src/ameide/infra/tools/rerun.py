"""Which command runs failed tests again: only those where the runner can be told, else the whole suite."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from posixpath import basename

from ameide.infra.repo_config import Suite
from ameide.infra.tools.cases import ON_THE_JVM, TestCase

MAX_AGAIN = 20
"""More failures than these are no matter of chance: nothing is run again."""

Argv = tuple[str, ...]

_VALUED = frozenset({"-p", "-k", "-m", "-c", "-n", "-o", "-W", "--rootdir", "--junitxml", "--junit-xml", "--tb"})


def again(suite: Suite, failed: Sequence[TestCase]) -> Argv | None:
    """The command; None when there is nothing to learn from a second run."""
    if not failed or len(failed) > MAX_AGAIN:
        return None
    words = [basename(word) for word in suite.run]
    ids = [case.id for case in failed]
    if "go" in words and "-json" in words:
        return _go(suite.run, ids)
    if "mvn" in words:
        return _maven(suite.run, ids)
    if "pytest" in words:
        return _pytest(suite.run, words.index("pytest"), ids)
    return suite.run


def _pytest(run: Argv, place: int, ids: Sequence[str]) -> Argv:
    words = iter(run[place + 1 :])
    for word in words:
        if word in _VALUED:
            next(words, None)
        elif not word.startswith("-"):
            # It names folders or files itself, which would run beside.
            return run
    known = all(".py::" in id for id in ids)
    return (*run, *ids) if known else run


def _go(run: Argv, ids: Sequence[str]) -> Argv | None:
    """None for a package that did not build: that is no matter of chance."""
    packages = sorted({id.partition("::")[0] for id in ids})
    tests = sorted({id.partition("::")[2].partition("/")[0] for id in ids})
    if not all(tests):
        return None
    kept = tuple(word for word in run if not re.fullmatch(r"(?:\./)?\.\.\.|\.(?:/.*)?|\./\S+", word))
    return (*kept, "-count=1", "-run", f"^({'|'.join(map(re.escape, tests))})$", *packages)


def _maven(run: Argv, ids: Sequence[str]) -> Argv:
    methods: dict[str, set[str]] = {}
    for id in ids:
        place, _, name = id.partition("::")
        found = ON_THE_JVM.fullmatch(place)
        name = re.split(r"[(\[{ ]", name.rpartition("::")[2])[0]
        if not name or not re.fullmatch(r"[\w$]+", name):
            return run
        methods.setdefault(found[1].replace("/", ".") if found else place, set()).add(name)
    chosen = ",".join(f"{place}#{'+'.join(sorted(names))}" for place, names in sorted(methods.items()))
    return (*run, f"-Dtest={chosen}", "-DfailIfNoTests=false", "-Dsurefire.failIfNoSpecifiedTests=false")


def shown(argv: Argv) -> str:
    """A command as a person would type it."""
    return shlex.join(argv)
