"""A full run that is full of secrets: the places where they belong are the only ones where any of them is found."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ameide import config
from ameide.cli.engines import embedded_database
from ameide.delivery.demo_remotes import create_orders_remotes
from tests.acceptance.canary_search import Search, files, repositories, rows
from tests.acceptance.installation import Installation, remove, wait_for
from tests.telemetry.collector import Collector, collecting

CODER = Path(__file__).with_name("canary_coder.py")
SEED = "a string that only a running test knows"
PRINTED = base64.b64encode(hashlib.sha256(SEED.encode()).digest()).decode()
PASTED = f"ghp_{secrets.token_hex(18)}"
READING = [
    ("status",),
    ("repo", "list"),
    ("change", "list"),
    ("gate", "list", "--all"),
    ("work", "list"),
    ("evidence", "list"),
    ("release", "list"),
    ("promotion", "list"),
    ("events", "tail", "-n", "1000"),
    ("events", "parked"),
]


@dataclass(frozen=True)
class Story:
    """A change that went all the way, and everything that was said meanwhile."""

    installation: Installation
    collector: Collector
    change: str
    canaries: dict[str, str]
    said: list[str]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """One installation of its own, whose executor, operator, coder, tests and person all have secrets."""
    canaries = {
        "credential": secrets.token_urlsafe(24),
        "package": secrets.token_urlsafe(24),
        "netrc": secrets.token_urlsafe(24),
        "collector": secrets.token_urlsafe(24),
        "key": f"sk-proj-{secrets.token_hex(20)}",
        "printed": PRINTED,
        "pasted": PASTED,
    }
    with collecting() as collector:
        made = Installation.make(
            GOPROXY=f"https://ada:{canaries['package']}@goproxy.example,direct",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_EXPORTER_OTLP_HEADERS=f"x-key={canaries['collector']}",
        )
        try:
            yield _live(made, collector, canaries)
        finally:
            remove(made)


def _live(made: Installation, collector: Collector, canaries: dict[str, str]) -> Story:
    state, said = made.state_dir, list[str]()
    leaked = {"credential": canaries["credential"], "key": canaries["key"], "seed": SEED}
    source = CODER.read_text().replace("LEAKED: dict[str, str] = {}", f"LEAKED = {leaked!r}")
    (state / "coder.py").write_text(source)
    (state / "coder.py").chmod(0o755)
    made.settings["AMEIDE_CODER_COMMAND"] = f"python3 {state / 'coder.py'}"
    (state / "credentials").mkdir()
    (state / "credentials" / "forge").write_text(f"x-access-token:{canaries['credential']}\n")
    (state / "credentials" / "forge").chmod(0o600)
    netrc = f"machine index.example login ada password {canaries['netrc']}\n"
    (state / "credentials" / "netrc").write_text(netrc)
    (state / "credentials" / "netrc").chmod(0o600)
    said.append(made.ameide("up"))
    url, gitops = create_orders_remotes(state / "remotes" / "orders")
    made.ameide("repo", "add", "orders", url, "--gitops", gitops, "--credential", "forge")
    policy = made.json("repo", "policy", "show", "orders")["policy"]
    policy["verifySecrets"] = [{"name": "netrc", "homePath": ".netrc"}]
    (state / "policy.json").write_text(json.dumps(policy))
    made.ameide("repo", "policy", "set", "orders", str(state / "policy.json"))
    _paste(made, said)
    change = made.start_change("orders", "Tell everything", "It is told", coder="command")
    gate = made.gate(change, "REQUIREMENT_STABILIZED")
    refused = made.run("gate", "reject", gate["gateId"], "--hash", gate["subjectHash"], "--comment", PASTED)
    assert refused.returncode == 2, refused.stderr
    said += [refused.stdout, refused.stderr]
    made.decide(gate)
    accepting = made.gate(change, "ACCEPTANCE")["gateId"]
    said.append(made.ameide("gate", "show", accepting, who="approver"))
    review = made.json("gate", "show", accepting)["review"]
    assert review["diff"]["is_what_is_bound"], review["diff"]["problem"]
    assert [naming["check"] for naming in review["criteria"][0]["named_by"]] == [
        "tests/test_telling.py::test_that_tells[[redacted]]"
    ]
    assert made.advance(change)["outcome"] == "delivered"
    _read(made, change, said)
    return Story(made, collector, change, canaries, said)


def _paste(made: Installation, said: list[str]) -> None:
    """What a person must not write, and is told so: exit code 2 and the field."""
    with_password = f"https://ada:{PASTED}@forge.example/orders.git"
    for field, *words in (
        ("title", "change", "start", "orders", "--title", f"Use {PASTED}"),
        ("content.text", "change", "start", "orders", "--title", "Use it", "--text", f"The token is {PASTED}."),
        ("content.acceptance_criteria[0]", "change", "start", "orders", "--title", "It", "--criterion", PASTED),
        ("url", "repo", "add", "other", with_password),
    ):
        refused = made.run(*words, "--json", who="owner")
        assert refused.returncode == 2, refused.stderr
        assert json.loads(refused.stderr)["error"]["field"] == field
        said += [refused.stdout, refused.stderr]


def _read(made: Installation, change: str, said: list[str]) -> None:
    """All that the command line tells, as text and as JSON."""
    bundles = made.json("evidence", "list", "--change", change)["bundles"]
    works = made.works(change)
    each = [
        *READING,
        ("change", "show", change),
        ("change", "timeline", change),
        *(("evidence", "get", bundle["evidenceBundleId"]) for bundle in bundles),
        *(("work", "show", work["workRequestId"]) for work in works),
        *(("gate", "show", gate["gateId"]) for gate in made.show(change)["gates"]),
    ]
    said += [json.dumps(made.json(*words, exit_codes=(0, 1))) for words in each]
    said += [made.ameide(*words) for words in (("change", "show", change), ("change", "diff", change))]
    said += [made.ameide("work", "logs", work["workRequestId"]) for work in works]


def test_no_secret_is_found_outside_of_its_own_place(story: Story) -> None:
    made, state = story.installation, story.installation.state_dir
    tokens = {f"token of {file.name}": file.read_text().strip() for file in (state / "tokens").iterdir()}
    search = Search({**story.canaries, **tokens}, frozenset({"key", "printed", "pasted"}))
    dsn = embedded_database(config.read(made.environment, state_dir=state), lambda _said: None)["database_url_admin"]
    spans = [body for body in story.collector.bodies if body]
    wait_for(lambda: story.collector.named("ameide change") != [], "spans of the commands")
    own_places = (
        *(state / name for name in ("tokens", "credentials", "secrets.json", "coder.py")),
        # How a process is told what is secret; readable by its owner alone.
        *(state / "run").glob("*.toml"),
        # Packed; looked into as repositories.
        *(state / "remotes").rglob("objects"),
    )

    search.look("row", rows(dsn))
    search.look("file", files(state, *own_places))
    search.look("repository", repositories(state / "remotes"))
    search.look("span", (("of the collector", body) for body in spans))
    search.look("output", (("of the command line", text.encode()) for text in story.said))

    assert sorted(search.found) == []
    assert search.looked_at["row"] > 1000
    assert search.looked_at["file"] > 100
    assert search.looked_at["repository"] == 6
    assert search.looked_at["span"] > 3


def test_the_search_finds_what_is_there(story: Story) -> None:
    """The counter-sample: the same search finds in each kind of place what does lie there."""
    state = story.installation.state_dir
    dsn = embedded_database(config.read(story.installation.environment, state_dir=state), lambda _said: None)
    search = Search({"title": "Tell everything", "place": "goproxy.example", "test": "test_that_tells"})
    search.look("row", rows(dsn["database_url_admin"]))
    search.look("file", files(state))
    search.look("repository", repositories(state / "remotes"))
    places = {found.partition(" in ")[2].split("/")[0] for found in search.found if found.startswith("title")}
    assert any(place.startswith("row ameide") for place in places), places
    assert any(place.startswith("row temporal") for place in places), places
    assert "file objects" in places
    assert any(place.startswith("repository") for place in places), places
    assert any(found.startswith("test in row") for found in search.found)


def test_each_secret_was_there_to_be_found(story: Story) -> None:
    """What was masked shows that it was printed, and the findings say where a secret was in the change."""
    made, change = story.installation, story.change
    first = made.works(change, kind="AGENT_WORK")[0]["result"]
    assert first["failureCode"] == "FAILURE_CODE_POLICY_VIOLATION"
    assert {finding["id"] for finding in first["findings"]} == {"secret:config.ini:2", "secret:notes-[redacted].md:0"}
    verifications = made.works(change, "VERIFY")
    assert [work["status"] for work in verifications][:2] == ["WORK_STATUS_FAILED", "WORK_STATUS_SUCCEEDED"]
    red: list[dict[str, Any]] = verifications[0]["result"]["findings"]
    assert any("https://[redacted]@goproxy.example" in finding["whatFailed"] for finding in red), red
    assert any("test_that_tells[[redacted]]" in finding["id"] for finding in red), red
    texts = "\n".join(story.said)
    assert "credential is [redacted]" in texts
    assert "key is [redacted]" in texts
