"""`ameide demo --coder codex`: the real Codex CLI, once without credentials and once against a scripted model."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, remove
from tests.infra.responses_endpoint import KEY, Endpoint, demo_story, serving

NAME = "SCRIPTED_MODELS_KEY"


@dataclass(frozen=True)
class Demo:
    """An installation in which the demo ran twice, and how that ended."""

    installation: Installation
    endpoint: Endpoint
    without: subprocess.CompletedProcess[str]
    scripted: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The same installation: `ameide up`, with which the demo begins, restarts what another CODEX_HOME concerns."""
    empty = tmp_path_factory.mktemp("empty")
    with serving(demo_story) as endpoint:
        made = Installation.make(CODEX_HOME=str(empty))
        try:
            without = made.run("demo", "--coder", "codex")
            # Its key is in a variable that its provider names: from here through `ameide up` to Codex.
            home = endpoint.write_home(
                tmp_path_factory.mktemp("home"), key="", requires_openai_auth=False, env_key=NAME
            )
            made.settings |= {"CODEX_HOME": str(home), NAME: KEY}
            scripted = made.run("demo", "--coder", "codex")
            yield Demo(made, endpoint, without, scripted)
        finally:
            remove(made)


def test_without_credentials_the_demo_shows_the_failure_and_its_remedy(demo: Demo) -> None:
    said = demo.without.stdout + demo.without.stderr
    assert demo.without.returncode == 1, said
    for expected in (
        "WorkFailed(MISSING_CREDENTIALS)",
        "auth.json",
        "CODEX_HOME",
        "The run waits at NEEDS_HUMAN",
        "ameide gate show",
    ):
        assert expected in said, said
    change = sorted(demo.installation.ameide("change", "list", "-q").split())[0]
    [work] = demo.installation.works(change, "PUBLISH", "AGENT_WORK")
    assert work["result"]["failureCode"] == "FAILURE_CODE_MISSING_CREDENTIALS"
    [gate] = demo.installation.open_gates(change)
    assert gate["kind"] == "GATE_KIND_NEEDS_HUMAN"
    log = demo.installation.ameide("work", "logs", work["workRequestId"])
    assert "checked out" not in log, "credentials are looked for before the checkout"


def test_with_a_model_the_demo_tells_the_same_story(demo: Demo) -> None:
    said = demo.scripted.stdout + demo.scripted.stderr
    assert demo.scripted.returncode == 0, said
    for expected in ("is red", "is green", "delivered", "960 tokens of gpt-5.5"):
        assert expected in said, said
    assert demo.endpoint.refused == 0
    change = sorted(demo.installation.ameide("change", "list", "-q").split())[-1]
    works = demo.installation.works(change, "PUBLISH", "AGENT_WORK")
    assert len(works) == 2
    for work in works:
        usage = work["result"]["usage"]
        assert (usage["inputTokens"], usage["outputTokens"], usage["model"]) == ("400", "80", "gpt-5.5")
    bundles = demo.installation.json("evidence", "list", "--change", change)["bundles"]
    [first] = [bundle for bundle in bundles if bundle["workRequestId"] == works[0]["workRequestId"]]
    assert (first["toolName"], first["toolVersion"]) == ("codex", "0.163.0")
    assert first["argv"][1:5] == ["exec", "--json", "-s", "workspace-write"]
    names = {artifact["name"] for artifact in first["artifacts"]}
    assert {"codex-events.jsonl", "prompt.md", "change.patch", "work.log"} <= names


def test_no_secret_of_codex_is_left(demo: Demo) -> None:
    state = demo.installation.state_dir
    found = [path for path in state.rglob("*") if path.is_file() and KEY.encode() in _bytes(path)]
    assert found == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
