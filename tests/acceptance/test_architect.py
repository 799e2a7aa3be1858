"""From a question to a delivery by talking with the Architect agent: with a model while it is killed, and without."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches
from tests.acceptance.installation import Installation, git, post, remove, wait_for
from tests.architect.model_endpoint import KEY, Asked, Calls, Endpoint, Reply, Say, serving

TITLE = "A customer can cancel an order that has not shipped"
CRITERIA = ["An open order can be canceled", "A shipped one cannot"]
TRIAGE = {
    "title": TITLE,
    "in_scope": ["The endpoint that cancels"],
    "risks": [{"text": "An order ships meanwhile", "level": "medium"}],
    "primitives": ["domain"],
    "required_gates": ["requirement_stabilized", "acceptance", "ready_to_release", "promotion"],
    "size": "small",
}
DECIDE = "ameide_core_proto.transformation.governance.v1.ConversationCommandService/DecideConsent"
SHIPPED = "shipped"
WHERE = "Where does the service say that an order has shipped?"
OPEN, ASSESS, DRAFT = "Open a change for canceling orders.", "Triage the change.", "Draft its requirement."


class Model:
    """The model's side: what it says to each of the person's sentences. It stalls the first time that it may answer."""

    def __init__(self) -> None:
        self.stalled = False

    def __call__(self, asked: Asked) -> Reply:
        said = asked.text
        phase = max((OPEN, ASSESS, DRAFT, WHERE), key=said.rfind)
        messages = asked.body["messages"]
        last = max(at for at, message in enumerate(messages) if message["role"] == "user")
        results = [str(message["content"]) for message in messages[last:] if message["role"] == "tool"]
        if phase == WHERE:
            return self._where(results)
        if results:
            return Say("That is done.")
        name, arguments = {
            OPEN: ("open_change", {"title": TITLE}),
            ASSESS: ("propose_triage", TRIAGE),
            DRAFT: ("propose_draft", {"kind": "requirement", "title": TITLE, "acceptance_criteria": CRITERIA}),
        }[phase]
        return Say("", (Calls(name, json.dumps(arguments)),))

    def _where(self, results: list[str]) -> Reply:
        if not results:
            return Say("", (Calls("search_files", json.dumps({"text": SHIPPED})),))
        if not self.stalled:
            self.stalled = True
            return Say("I have", breaks="stall")
        found = re.search(r"\[\[(file_lines:[^\]]+)\]\]", "".join(results))
        assert found is not None, results
        return Say(f"It says so here [[{found[1]}]], and not there [[file_lines:orders@{'0' * 40}:made_up.py#L1-L2]].")


def chat(installation: Installation, *argv: str, code: int = 0, stdin: str = "") -> list[dict[str, Any]]:
    """The events of one `ameide chat --json` of the requester."""
    done = installation.run("chat", *argv, "--json", who="requester", stdin=stdin)
    assert done.returncode == code, f"chat {argv} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def the(events: list[dict[str, Any]], kind: str) -> list[Any]:
    """The events of one kind."""
    return [event[kind] for event in events if kind in event]


def kill_the_agent(installation: Installation) -> None:
    """As a machine does that loses its power."""
    pid = installation.pid_of("architect")
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(30)


def need_the_lines(installation: Installation, events: list[dict[str, Any]]) -> None:
    """Each file that is cited has these very lines at that commit."""
    cited = [record["lines"] for record in the(events, "cited") if "lines" in record]
    assert cited
    for lines in cited:
        origin = installation.state_dir / "remotes" / "orders" / "orders.git"
        whole = git(origin, "show", f"{lines['commitSha']}:{lines['path']}").split("\n")
        bytes_there = "\n".join(whole[lines["firstLine"] - 1 : lines["lastLine"]])
        assert lines["text"].rstrip("\n") == bytes_there.rstrip("\n")


def need_one_of_each(installation: Installation, change: str, *kinds: str) -> None:
    """One change, one run, one artifact of each kind, and no work twice."""
    assert installation.ameide("change", "list", "-q").split() == [change]
    found = installation.show(change)
    assert Counter(one["kind"] for one in found["artifacts"]) == Counter(f"ARTIFACT_KIND_{kind}" for kind in kinds)
    assert len(found["runs"]) == 1
    works = Counter((one["actionKind"], one["workKind"], one.get("clientRequestId", "")) for one in found["works"])
    assert set(works.values()) == {1}


def made(**settings: str) -> Installation:
    """A fresh installation with the example; its coder needs one try."""
    new = Installation.make(**settings)
    patches = new.state_dir / "patches"
    patches.mkdir()
    tries = [file.read_text(encoding="utf-8") for file in sorted(orders_patches().iterdir())]
    (patches / "001-all.patch").write_text("".join(tries), encoding="utf-8")
    new.ameide("up")
    url, gitops = create_orders_remotes(new.state_dir / "remotes" / "orders")
    new.ameide("repo", "add", "orders", url, "--gitops", gitops)
    return new


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """The model's double."""
    with serving(Model()) as found:
        yield found


@pytest.fixture(scope="module")
def with_model(endpoint: Endpoint) -> Iterator[Installation]:
    """An installation whose agent has a model."""
    new = made(
        AMEIDE_ARCHITECT_MODEL="openai:gpt-5.2",
        AMEIDE_ARCHITECT_MODEL_URL=endpoint.url("chat"),
        AMEIDE_ARCHITECT_MODEL_KEY=KEY,
    )
    yield new
    remove(new)


@pytest.fixture(scope="module")
def without_model() -> Iterator[Installation]:
    """One whose agent has none."""
    new = made()
    yield new
    remove(new)


def test_from_a_question_to_a_delivery_while_the_agent_is_killed(with_model: Installation, endpoint: Endpoint) -> None:
    asking = [sys.executable, "-m", "ameide", "--as", "requester", "chat", WHERE, "--repo", "orders", "--json"]
    with subprocess.Popen(
        asking,
        cwd=tempfile.gettempdir(),
        env=with_model.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: len(endpoint.asked) >= 2 or process.poll() is not None, "the model to answer")
        kill_the_agent(with_model)
        with_model.ameide("up")
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, f"{out}\n{err}"
    events = [json.loads(line) for line in out.splitlines()]
    assert "the same turn is sent again" in err
    conversation = the(events, "began")[-1]["conversationId"]
    assert len({began["conversationId"] for began in the(events, "began")}) == 1
    need_the_lines(with_model, events)
    assert "NOTICE_KIND_CITATION_REMOVED" in [notice["kind"] for notice in the(events, "notice")]
    assert "made_up" not in "".join(the(events, "text"))

    events = chat(with_model, OPEN, "--conversation", conversation, code=1)
    [wanted] = the(events, "consentWanted")
    consent = wanted["consent"]
    assert wanted["openChange"]["title"] == TITLE
    assert with_model.ameide("change", "list", "-q") == "", "nothing happens before the consent"
    decision = {
        "scope": {"tenantId": "default"},
        "clientRequestId": "by-hand",
        "consentId": consent["consentId"],
        "agree": True,
        "subjectHash": consent["subjectHash"],
    }
    assert post(with_model, DECIDE, json.dumps(decision), who="requester")[0] == 200
    kill_the_agent(with_model)
    with_model.ameide("up")
    # The consent is there and was not used: the turn goes on from it, and does nothing when it is sent once more.
    [effected] = the(chat(with_model, "--conversation", conversation), "effected")
    change = effected["changeId"]

    with_model_yes = ("--conversation", conversation, "--yes")
    again = (ASSESS, *with_model_yes, "--turn-id", "the-triage")
    [first] = the(chat(with_model, *again), "effected")
    kill_the_agent(with_model)
    with_model.ameide("up")
    chat(with_model, *again)
    assert first["artifactRef"]
    chat(with_model, DRAFT, *with_model_yes)
    chat(with_model, "/submit", *with_model_yes)
    [started] = the(chat(with_model, "/start patches", *with_model_yes), "effected")
    assert started["processInstanceId"].endswith(f"/{change}/1")
    gate = with_model.gate(change, "REQUIREMENT_STABILIZED")
    assert conversation in with_model.ameide("gate", "show", gate["gateId"]), "the mark shows at the gate"
    assert with_model.advance(change)["outcome"] == "delivered"
    need_one_of_each(with_model, change, "TRIAGE", "REQUIREMENT")
    used = with_model.json("conversation", "consents", conversation)["consents"]
    assert {consent["status"] for consent in used} == {"CONSENT_STATUS_USED"}
    shown = with_model.ameide("conversation", "show", conversation)
    assert f"Started r2r/default/{change}/1." in shown


def test_without_a_model_the_same_story_goes_by_form_and_templates(without_model: Installation) -> None:
    events = chat(without_model, WHERE, "--repo", "orders", "--new")
    assert "NOTICE_KIND_NO_MODEL" in [notice["kind"] for notice in the(events, "notice")]
    need_the_lines(without_model, events)
    conversation = the(events, "began")[-1]["conversationId"]
    talk = ("--conversation", conversation, "--yes")
    [opened] = the(chat(without_model, f"/open {TITLE}", *talk), "effected")
    change = opened["changeId"]

    form = without_model.state_dir / "triage.json"
    form.write_text(json.dumps(TRIAGE), encoding="utf-8")
    chat(without_model, f"/triage @{form}", *talk)
    analysis = chat(without_model, "/structure", *talk)
    assert any(record["citation"]["kind"] == "CITATION_KIND_EVIDENCE_BUNDLE" for record in the(analysis, "cited"))

    [drafted, *_] = the(chat(without_model, f"/draft requirement {TITLE}", *talk), "drafted")
    assert drafted["content"]["title"]
    requirement = without_model.state_dir / "requirement.md"
    criteria = "".join(f"- {criterion}\n" for criterion in CRITERIA)
    requirement.write_text(f"# {TITLE}\n\nThey call us.\n\n## Acceptance criteria\n\n{criteria}", encoding="utf-8")
    [revised, *_] = the(chat(without_model, f"/revise requirement @{requirement}", *talk), "drafted")
    assert f"+{CRITERIA[0]}" in revised["diff"].replace("+1. ", "+").replace("+- ", "+")
    chat(without_model, "/submit", *talk)
    chat(without_model, "/start patches", *talk)
    assert without_model.advance(change)["outcome"] == "delivered"
    need_one_of_each(without_model, change, "TRIAGE", "REQUIREMENT")
