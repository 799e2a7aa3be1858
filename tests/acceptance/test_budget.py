"""Budgets with the real Codex CLI and a scripted model: what each step took, a stop half-way, and the way on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ameide.delivery.demo_remotes import create_orders_remotes
from tests.acceptance.installation import Installation, git, remove
from tests.acceptance.repositories import Policy, register, ungated
from tests.infra.responses_endpoint import PATCHES, Call, Reply, Run, Say, serving

# Four answers of 120 tokens.
NEEDED = 480
PRICES = '["gpt-5.5"]\ninput = 1_000_000\ncached_input = 1_000_000\noutput = 10_000_000\n'
COST_OF_ONE_ANSWER = 100 + 20 * 10
_GATES = ("REQUIREMENT_STABILIZED", "ACCEPTANCE")


def story(call: Call) -> Reply:
    """One iteration is enough. What another attempt has left in the tree already is not done twice."""
    files = sorted(PATCHES.glob("*.patch"))
    apply = "\n".join(
        f"git apply --whitespace=nowarn - <<'END' || true\n{file.read_text(encoding='utf-8')}END" for file in files
    )
    steps = (
        Run("cat AGENTS.md src/orders_service/store.py"),
        Run(f"grep -q cancel src/orders_service/store.py || {{\n{apply}\n}}\ngit status --short"),
        Run("python3 -m compileall -q src && echo it compiles"),
        Say("Orders can be canceled."),
    )
    return steps[min(call.number, len(steps) - 1)]


@pytest.fixture(scope="module")
def codex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose coder is Codex, with the prices of its model."""
    folder = tmp_path_factory.mktemp("codex")
    with serving(story) as endpoint:
        made = Installation.make(CODEX_HOME=str(endpoint.write_home(folder / "home")))
        prices = made.state_dir / "prices.toml"
        prices.write_text(PRICES, encoding="utf-8")
        prices.chmod(0o644)
        made.settings["AMEIDE_PRICES"] = str(prices)
        try:
            made.ameide("up")
            yield made
        finally:
            remove(made)


def repository(codex: Installation, name: str, tokens: int = 0, *, accepted: bool = False) -> str:
    """A registered copy of the example, its changes limited in tokens; in iterations as well if they are `accepted`."""
    url, _ = create_orders_remotes(codex.state_dir / "remotes" / name)

    def change(policy: Policy) -> None:
        ungated(*_GATES[: 1 if accepted else None])(policy)
        policy["bounds"]["maxIterations"] = 1 if accepted else 5
        policy["coder"] = "codex"
        policy["changeBudget"] = {"maxTokens": str(tokens)}

    register(codex, name, url, change)
    return name


def steps(shown: dict[str, Any], name: str, run: int = 1) -> list[dict[str, Any]]:
    """What one step of a run took, each time it was asked for."""
    return [step for step in shown["steps"] if (step["step"], step["runNumber"]) == (name, run)]


def tokens_of(usage: dict[str, Any]) -> int:
    return int(usage["inputTokens"]) + int(usage["outputTokens"])


def test_half_the_budget_stops_at_the_gate_and_completes_after_approval(codex: Installation) -> None:
    change = codex.start_change(repository(codex, "half", NEEDED // 2), "Orders can be canceled")
    gate = codex.gate(change, "BUDGET")
    assert "budget_exhausted" in gate["subject"]["reason"]

    [stopped] = steps(codex.show(change), "coder")
    assert (stopped["status"], stopped["failureCode"]) == ("WORK_STATUS_FAILED", "FAILURE_CODE_BUDGET_EXHAUSTED")
    assert NEEDED // 2 < tokens_of(stopped["usage"]) <= NEEDED

    decision = ("gate", "approve", gate["gateId"], "--hash", gate["subjectHash"])
    refused = codex.run(*decision, who="approver")
    assert refused.returncode == 1
    assert f"has used {tokens_of(stopped['usage'])} tokens" in refused.stderr
    assert "--budget-tokens" in refused.stderr
    codex.ameide(*decision, "--budget-tokens", str(3 * NEEDED), who="approver")
    assert codex.advance(change)["outcome"] == "merged"

    shown = codex.show(change)
    assert len(shown["runs"]) == 1
    first, second = steps(shown, "coder")
    assert first == stopped
    assert (second["status"], second["attempts"]) == ("WORK_STATUS_SUCCEEDED", 1)
    assert tokens_of(second["usage"]) == NEEDED
    unfinished, finished = codex.works(change, kind="AGENT_WORK")
    assert finished["commitSha"] == unfinished["result"]["outputs"]["commitSha"] != unfinished["commitSha"]
    assert finished["inputs"]["iteration"] == unfinished["inputs"]["iteration"] == 1
    assert int(second["usage"]["costMicros"]) == 4 * COST_OF_ONE_ANSWER
    for step in shown["steps"]:
        assert int(step["wallTimeMs"]) > 0, step
        assert int(step["queueWaitMs"]) >= 0, step
    assert [step["step"] for step in shown["steps"]] == [
        "preflight",
        "scaffold",
        "generate",
        "coder",
        "coder",
        "verify",
        "merge_prepare",
        "merge_push",
    ]
    total = shown["total"]
    assert tokens_of(total["usage"]) == tokens_of(first["usage"]) + NEEDED
    assert int(total["usage"]["costMicros"]) == sum(int(step["usage"]["costMicros"]) for step in (first, second))
    assert [cost["works"] for cost in shown["costs"]] == [total["works"]] == [8]
    told = codex.ameide("change", "show", change)
    assert "Cost" in told
    assert f"{(4 * COST_OF_ONE_ANSWER) / 1_000_000:.4f}" in told


def test_the_tenant_s_budget_holds_over_its_changes_and_a_retry_takes_what_was_done(codex: Installation) -> None:
    before = codex.json("budget", "show")
    used = int(before["used"]["maxTokens"])
    assert codex.run("budget", "set", "--tokens", "1", who="approver").returncode == 1
    codex.ameide("budget", "set", "--tokens", str(used + NEEDED // 2), "--comment", "for one more")

    change = codex.start_change(repository(codex, "tenant"), "Orders can be canceled")
    gate = codex.gate(change, "BUDGET")
    decision = ("gate", "approve", gate["gateId"], "--hash", gate["subjectHash"], "--budget-tokens", str(9 * NEEDED))
    refused = codex.run(*decision, who="approver")
    assert refused.returncode == 1
    assert "the tenant has none of its" in refused.stderr
    assert "ameide budget set" in refused.stderr
    codex.decide(gate, "reject", "the tenant has no budget left")
    assert codex.advance(change)["outcome"] == "failed"
    assert codex.json("budget", "show")["reserved"]["maxTokens"] == "0"

    codex.ameide("budget", "set", "--tokens", str(used + 9 * NEEDED))
    unknown = codex.run("change", "retry", change, "--from", "nonsense", who="requester")
    assert unknown.returncode == 2
    assert "preflight, scaffold, generate, coder, verify, acceptance" in unknown.stderr
    early = codex.run("change", "retry", change, "--from", "verify", who="requester")
    assert "never came to verify" in early.stderr
    codex.ameide("change", "retry", change, "--from", "coder", who="requester")
    assert codex.advance(change)["outcome"] == "merged"

    shown = codex.show(change)
    first, second = (run["processInstanceId"] for run in sorted(shown["runs"], key=lambda run: run["number"]))
    taken = [step for step in shown["steps"] if step["reusedFrom"]]
    assert [(step["step"], step["runNumber"], step["reusedFrom"]) for step in taken] == [
        (name, 2, first) for name in ("preflight", "scaffold", "generate")
    ]
    [again] = steps(shown, "coder", run=2)
    assert tokens_of(again["usage"]) == NEEDED
    rows = codex.json("change", "timeline", change, "--run", second)["rows"]
    said = [row["text"] for row in rows if row["name"] == "ActivityTransitioned" and "skipped" in row["text"]]
    assert [text.split(",")[0] for text in said] == [
        f"step {name} skipped: reused from {first}" for name in ("preflight", "scaffold", "generate")
    ]
    spent = int(codex.json("budget", "show")["used"]["maxTokens"])
    assert spent == used + tokens_of(shown["total"]["usage"])


def test_a_retry_from_acceptance_merges_what_the_run_before_made_and_verified(codex: Installation) -> None:
    change = codex.start_change(repository(codex, "again", accepted=True), "Orders can be canceled")
    first = codex.gate(change, "ACCEPTANCE")
    codex.decide(first, "reject", "not today")
    codex.decide(codex.gate(change, "NEEDS_HUMAN"), "reject", "tomorrow")
    assert codex.advance(change)["outcome"] == "needs_human_rejected"
    before = codex.show(change)["total"]["usage"]

    codex.ameide("change", "retry", change, "--from", "acceptance", who="requester")
    again = codex.gate(change, "ACCEPTANCE")
    assert again["gateId"] != first["gateId"]
    assert again["subjectHash"] == first["subjectHash"]
    codex.decide(again)
    assert codex.advance(change)["outcome"] == "merged"
    shown = codex.show(change)
    assert shown["total"]["usage"] == before
    assert [(step["step"], bool(step["reusedFrom"])) for step in shown["steps"] if step["runNumber"] == 2] == [
        *[(name, True) for name in ("preflight", "scaffold", "generate", "coder", "verify")],
        *[(name, False) for name in ("merge_prepare", "merge_push")],
    ]
    main = git(codex.state_dir / "remotes" / "again" / "orders.git", "rev-parse", "main")
    assert main == again["subject"]["commitSha"]
