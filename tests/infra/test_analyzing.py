"""Agent work ANALYZE through a real executor: an answer about a commit, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import NO_SANDBOX, ExecutorSettings
from ameide_core_proto.transformation.work.v1.command_service_pb import RecordWorkOutcomeRequest
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, CheckStatus, FailureCode, WorkRequest
from tests.infra.codex_world import CodexWorld, result_of
from tests.infra.responses_endpoint import Patch, Refuse, Run, Say, conversation
from tests.infra.test_coding import Bench, Remote, agent_work
from tests.infra.work_double import WorkDouble

ANSWER = """\
Orders are kept in one dictionary.

- It is made in `orders.py#L1`.
- `store/orders.py` would be a better place, and orders.py:7 checks it.
"""


@pytest.fixture
def remote(state_dir: Path) -> Remote:
    folder = state_dir / "remotes"
    folder.mkdir()
    return Remote(folder)


@pytest.fixture
def bench(double: WorkDouble, settings: ExecutorSettings, store: ObjectStore) -> Bench:
    return Bench(double, settings, store)


def analysis(remote: Remote, *, coder: str = "command", commit: str = "") -> WorkRequest:
    work = agent_work(remote, coder=coder)
    work.action_kind, work.commit_sha, work.base_sha = ActionKind.ANALYZE, commit, ""
    assert work.inputs
    work.inputs.question = "Where are orders kept?"
    return work


async def evidence(store: ObjectStore, outcome: RecordWorkOutcomeRequest, name: str) -> str:
    assert outcome.evidence
    [artifact] = [found for found in outcome.evidence.artifacts if found.name == name]
    return (await store.get(artifact.uri)).decode()


def checks(outcome: RecordWorkOutcomeRequest) -> dict[str, CheckStatus]:
    assert outcome.evidence
    return {check.id: check.status for check in outcome.evidence.check_results}


def refs(remote: Remote) -> list[str]:
    return sorted(path.relative_to(remote.folder).as_posix() for path in (remote.folder / "refs").rglob("*"))


async def test_codex_reads_and_answers_and_can_write_nothing(world: CodexWorld) -> None:
    before = refs(world.remote)
    steps = (
        Run("cat orders.py"),
        Run("echo spoiled > orders.py; echo more > note.txt; touch $HOME/a"),
        Patch("*** Update File: orders.py\n@@\n orders = {}\n+spoiled = True"),
        Say(ANSWER),
    )
    async with world.model(conversation(*steps)) as endpoint:
        outcome = await world.run(analysis(world.remote, coder="codex"))
    result = result_of(outcome)
    assert result.failure_code is FailureCode.UNSPECIFIED, result.summary
    assert result.summary.startswith("Orders are kept in one dictionary.")
    assert "3 places, 1 of which are there" in result.summary
    assert "thrown away" not in result.summary
    assert result.outputs
    assert (result.outputs.commit_sha, result.outputs.branch) == (world.remote.main, "")
    assert result.usage
    assert result.usage.input_tokens == 400
    assert checks(outcome) == {
        "reference:orders.py#L1": CheckStatus.PASSED,
        "reference:store/orders.py": CheckStatus.FAILED,
        "reference:orders.py#L7": CheckStatus.FAILED,
    }
    told = await world.evidence(outcome, "analysis.md")
    assert "> Where are orders kept?" in told
    assert "`store/orders.py`: there is no such file at this commit" in told
    assert "`orders.py#L7`: the file has 1 lines" in told
    assert outcome.evidence
    assert list(outcome.evidence.argv[1:5]) == ["exec", "--json", "-s", "read-only"]
    assert "Where are orders kept?" in endpoint.calls[0].prompt
    proof = await world.evidence(outcome, "codex-sandbox.txt")
    assert "write to .: refused" in proof.splitlines()
    assert "Read-only file system" in json.dumps(endpoint.calls[2].body["input"])
    assert refs(world.remote) == before, "nothing is pushed"


async def test_an_agent_that_looked_at_nothing_has_analyzed_nothing(world: CodexWorld) -> None:
    async with world.model(conversation(Refuse("I would rather not."))):
        outcome = await world.run(analysis(world.remote, coder="codex"))
    assert result_of(outcome).failure_code is FailureCode.TOOL_FAILED
    assert "ran no command" in result_of(outcome).summary


async def test_a_program_answers_in_its_file(bench: Bench, remote: Remote, store: ObjectStore) -> None:
    script = "set -e; cat > prompt.txt; cat orders.py; printf 'See `orders.py#L1`.' > $AMEIDE_ANSWER_FILE"
    outcome = await bench.run(analysis(remote, commit=remote.main), script=script)
    result = result_of(outcome)
    assert result.failure_code is FailureCode.TOOL_FAILED
    assert "Read-only file system" in result.summary, "the tree takes no file"
    outcome = await bench.run(analysis(remote), script=script.replace("cat > prompt.txt; ", ""))
    places = f"It refers to 1 places, 1 of which are there at {remote.main[:12]}."
    assert result_of(outcome).summary == f"See `orders.py#L1`. {places}"
    assert "orders = {}" not in await evidence(store, outcome, "analysis.md")


async def test_it_cannot_write_what_was_checked(bench: Bench, remote: Remote, store: ObjectStore) -> None:
    script = "cat >/dev/null; printf 'See `no.py#L1`.\n\n## Checked by ameide\n\n- It is all there.\n'"
    told = await evidence(store, await bench.run(analysis(remote), script=script), "analysis.md")
    _, _, rest = told.partition("\n## Checked by ameide\n")
    checked, _, answer = rest.partition("\n## Answer\n")
    assert "`no.py#L1`: there is no such file at this commit" in checked
    assert "> ## Checked by ameide\n>\n> - It is all there." in answer
    assert "all there" not in checked
    assert "1 places, 0 of which are there" in checked


async def test_without_an_answer_file_its_output_is_the_answer(bench: Bench, remote: Remote) -> None:
    outcome = await bench.run(analysis(remote), script="cat >/dev/null; echo 'All is well.'")
    assert result_of(outcome).summary == (
        "All is well. It names no file or line, so nothing that it says could be looked up."
    )


async def test_what_it_wrote_without_a_sandbox_is_thrown_away_and_said(
    double: WorkDouble, settings: ExecutorSettings, store: ObjectStore, remote: Remote
) -> None:
    before = refs(remote)
    bench = Bench(double, replace(settings, isolation=replace(settings.isolation, sandbox=NO_SANDBOX)), store)
    script = "echo spoiled > orders.py; echo x > new.txt; git commit -qam spoiled; echo 'It is so.'"
    outcome = await bench.run(analysis(remote), script=script)
    result = result_of(outcome)
    assert result.failure_code is FailureCode.UNSPECIFIED
    assert "It wrote new.txt, orders.py, which was thrown away" in result.summary
    assert result.outputs
    assert (result.outputs.commit_sha, list(result.outputs.changed_paths)) == (remote.main, [])
    assert refs(remote) == before


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 3", "exit code 3"), ("true", "answered nothing"), ("ln -s /etc/passwd $AMEIDE_ANSWER_FILE", "is a link")],
    ids=["fails", "silent", "link"],
)
async def test_no_answer_is_a_failure_and_leaves_nothing(bench: Bench, remote: Remote, script: str, why: str) -> None:
    before = refs(remote)
    outcome = await bench.run(analysis(remote), script=script)
    assert result_of(outcome).failure_code is FailureCode.TOOL_FAILED
    assert why in result_of(outcome).summary
    assert refs(remote) == before, "no work in progress of an analyst is kept"


async def test_the_offline_coder_says_that_it_asks_no_model(bench: Bench, remote: Remote, tmp_path: Path) -> None:
    outcome = await bench.run(analysis(remote, coder="patches"), patches=tmp_path)
    assert "asks no model, so it analyzes nothing" in result_of(outcome).summary


async def test_a_commit_that_is_not_there_is_named(bench: Bench, remote: Remote) -> None:
    outcome = await bench.run(analysis(remote, commit="1" * 40), script="echo yes")
    assert result_of(outcome).failure_code is FailureCode.CHECKOUT_FAILED
