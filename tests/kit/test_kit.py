"""The kit over everything that executes, all at a time, and over executors that break a rule on purpose."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from ameide.contracts.topics import QUEUES
from ameide.infra.settings import AUTHOR_QUEUES, VERIFIER_QUEUES
from tests.conftest import Databases, SpineDatabase, spine
from tests.kit.domain import serving
from tests.kit.rules import RULES, RuleBroken
from tests.kit.running import Candidate, Verdict, judge
from tests.kit.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
SHELL = ROOT / "examples" / "executors" / "shell" / "executor.sh"
AMEIDE = f"{sys.executable} -m ameide"
# The pool has a token for each of its two executors; in the kit they are one principal.
POOL = f"sh -c 'AMEIDE_AUTHOR_TOKEN=$AMEIDE_TOKEN AMEIDE_VERIFIER_TOKEN=$AMEIDE_TOKEN exec {AMEIDE} executor pool'"
KEEPING = {
    "runner": Candidate(f"{AMEIDE} runner --queue verify"),
    "pool": Candidate(POOL, (*AUTHOR_QUEUES, *VERIFIER_QUEUES), own_store=True),
    "run-once": Candidate(f"{AMEIDE} executor run-once --queue verify", own_store=True),
    "shell": Candidate(f"sh {SHELL}"),
}
# What is taken out of the shell executor, and the rule that it breaks then.
FENCE = ("return 0 ;; *) return 1 ;; esac", "return 0 ;; *) return 0 ;; esac")
SELF_FENCE = ("held || return 1", "held; left=1")
BREAKING = {"fenced": FENCE, "self-fence": SELF_FENCE}


@dataclass(frozen=True)
class Runs:
    """What each run of the kit finds, once it is over."""

    keeping: dict[str, asyncio.Task[Verdict]]
    breaking: dict[str, asyncio.Task[Verdict]]


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[SpineDatabase]:
    """One database for all runs."""
    yield from spine(databases)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other users may pass, where the runs leave their things."""
    made = Path(mkdtemp(prefix="ameide-kit-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
async def runs(database: SpineDatabase, folder: Path) -> AsyncIterator[Runs]:
    """All runs of the kit at a time, each in a tenant of its own of one Domain."""
    async with serving(database, folder) as domain:

        def begin(candidate: Candidate, number: int, *scenarios: str) -> asyncio.Task[Verdict]:
            place = folder / f"trial-{number}"
            return asyncio.create_task(judge(domain, candidate, place, number, scenarios or tuple(SCENARIOS)))

        keeping = {name: begin(candidate, place) for place, (name, candidate) in enumerate(KEEPING.items(), 1)}
        breaking = {
            rule: begin(mutant(folder, rule), 10 + place, "fenced", "unanswered") for place, rule in enumerate(BREAKING)
        }
        try:
            yield Runs(keeping, breaking)
        finally:
            for task in (*keeping.values(), *breaking.values()):
                task.cancel()
            await asyncio.gather(*keeping.values(), *breaking.values(), return_exceptions=True)


def mutant(folder: Path, rule: str) -> Candidate:
    """The shell executor without what keeps a rule."""
    text = SHELL.read_text(encoding="utf-8")
    kept, instead = BREAKING[rule]
    assert text.count(kept) == 1, kept
    script = folder / f"without-{rule}.sh"
    script.write_text(text.replace(kept, instead), encoding="utf-8")
    return Candidate(f"sh {script}")


@pytest.mark.parametrize("name", KEEPING)
async def test_every_executor_keeps_all_rules(runs: Runs, name: str) -> None:
    verdict = await runs.keeping[name]
    assert not verdict.broken, f"{name}\n{verdict}"


@pytest.mark.parametrize("rule", BREAKING)
async def test_an_executor_that_breaks_a_rule_is_told_its_name(runs: Runs, rule: str) -> None:
    verdict = await runs.breaking[rule]
    assert verdict.rules == {rule}, str(verdict)
    assert f"BROKEN {rule}: {RULES[rule]}\n  seen: " in str(verdict)


def test_the_shell_executor_is_short() -> None:
    lines = SHELL.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120


def test_a_verdict_names_rules_that_there_are() -> None:
    for name in RULES:
        assert RULES[name] in str(Verdict([RuleBroken(name, "it did")], ""))
    with pytest.raises(KeyError):
        RuleBroken("no-such-rule", "")


def test_the_reference_says_what_the_rules_are() -> None:
    page = (ROOT / "docs" / "reference" / "executor-protocol.md").read_text(encoding="utf-8")
    section = page.partition("## The rules")[2]
    assert [line for line in section.splitlines() if line.startswith("| `")] == [
        f"| `{name}` | {sentence} |" for name, sentence in RULES.items()
    ]


def test_the_kit_gives_queues_that_there_are() -> None:
    assert {queue for candidate in KEEPING.values() for queue in candidate.queues} <= set(QUEUES)
