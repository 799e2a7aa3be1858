"""Each thing that is stuck becomes a sentence and a command: what, since when, why, and what moves it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from protobuf.wkt import Timestamp

from ameide import config
from ameide.cli.output import clock
from ameide.cli.root import root
from ameide.cli.session import Session
from ameide.cli.stuck import Line, Verbs, duration, lines_of, paused_lines
from ameide.contracts.topics import QUEUES
from ameide_core_proto.transformation.governance.v1.policy_pb import GateKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import (
    GetStatusResponse,
    QueueState,
    Stuck,
    StuckKind,
)

from .conftest import CommandLine, Script, open_gate

AT = Timestamp.from_datetime(datetime(2026, 1, 2, 14, 2, 10, tzinfo=UTC))
VERIFY = "transformation.work.queue.toolrun.verify.v1"


def item(kind: StuckKind, subject: str, age: float = 40, **more: object) -> Stuck:
    """Something that stands still since `AT`."""
    made = Stuck(kind=kind, subject=subject, since=AT, age_seconds=age)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def line(stuck: Stuck, *, local: bool = True, all_run: bool = False) -> Line:
    """How it is said to a person without a token of the principals."""
    session = Session(replace(config.read({}), state_dir=config.read({}).state_dir / "none"))
    return lines_of(GetStatusResponse(stuck=[stuck]), Verbs(session, local, all_run))[0]


@pytest.mark.parametrize(
    ("stuck", "what", "verb"),
    [
        (
            item(StuckKind.QUEUE, VERIFY, waiting=3, last_seen=AT),
            f"no executor serves queue {VERIFY}: 3 works wait, the oldest for 40 s; last polled AT",
            "ameide executor pool",
        ),
        (
            item(StuckKind.QUEUE, VERIFY, waiting=1),
            f"no executor serves queue {VERIFY}: 1 work waits, the oldest for 40 s; it was never polled",
            "ameide executor pool",
        ),
        (
            item(StuckKind.RELAY, "relay", waiting=12, last_seen=AT),
            "the relay is 40 s behind: 12 messages in the outbox; last seen AT",
            "ameide serve relay",
        ),
        (item(StuckKind.RELAY, "relay"), "the relay does not run: never seen", "ameide serve relay"),
        (
            item(StuckKind.FORWARDER, "forwarder", waiting=2, last_seen=AT, reason="no broker answers"),
            "the forwarder is 40 s behind: 2 messages not yet given to Kafka; last seen AT: no broker answers",
            "ameide doctor",
        ),
        (item(StuckKind.FORWARDER, "forwarder"), "the forwarder does not run: never seen", "ameide serve forwarder"),
        (
            item(StuckKind.PROJECTOR, "projector", 150, waiting=1),
            "the projector is 2 min behind: 1 message not yet in the views; never seen",
            "ameide serve projector",
        ),
        (
            item(StuckKind.SWEEPER, "sweeper", waiting=2, last_seen=AT),
            "the sweeper is 40 s behind: 2 deadlines overdue; last seen AT",
            "ameide serve sweeper",
        ),
        (
            item(StuckKind.PARKED, "default:r2r/default/chg-1/1", waiting=2, consumer="ingress", reason="bad\nmore"),
            "2 messages of default:r2r/default/chg-1/1 parked by the ingress since AT (40 s): bad. "
            "Remove the cause first",
            "ameide events redrive ingress default:r2r/default/chg-1/1",
        ),
        (
            item(StuckKind.RUN, "r2r/default/chg-1/1", reason="work wrk-1"),
            "run r2r/default/chg-1/1 waits for nothing and does not go on since AT (40 s): no process "
            "worker takes its next step",
            "ameide serve worker",
        ),
        (
            item(StuckKind.RUN, "r2r/default/chg-1/1", change_id="chg-1", reason="new_version art-1"),
            "run r2r/default/chg-1/1 waits for a new version of its requirement since AT (40 s)",
            "ameide change revise chg-1 --requirement FILE",
        ),
        (
            item(StuckKind.CANCEL, "wrk-1", principal_id="verifier"),
            "work wrk-1 is to be canceled, and executor verifier is silent since AT (40 s)",
            "ameide executor pool",
        ),
        (
            item(StuckKind.PROMOTION, "prm-1", reason="staging: https://forge.example/pull/1"),
            "promotion prm-1 waits for somebody to merge its pull request since AT (40 s): staging: "
            "https://forge.example/pull/1",
            "ameide promotion show prm-1",
        ),
    ],
    ids=lambda value: "" if isinstance(value, Stuck) else None,
)
def test_what_and_how_to_move_it(stuck: Stuck, what: str, verb: str) -> None:
    said = line(stuck, local=False)
    assert (said.what, said.verb) == (what.replace("AT", clock(AT)), verb)
    words = shlex.split(said.verb.replace("FILE", "README.md"))[1:]
    with root.make_context("ameide", words, resilient_parsing=True) as context:
        command = root.get_command(context, words[0])
        assert command is not None
        command.make_context(words[0], words[1:], parent=context, resilient_parsing=True)


def test_a_paused_queue_is_said_to_be_paused_and_not_to_be_missed() -> None:
    session = Session(replace(config.read({}), state_dir=config.read({}).state_dir / "none"))
    waits = item(StuckKind.QUEUE, VERIFY, waiting=3, last_seen=AT)
    found = GetStatusResponse(stuck=[waits], queues=[QueueState(queue=VERIFY, ready=3)])
    verbs = Verbs(session, local=True, all_run=True, paused=frozenset({VERIFY}))
    assert lines_of(found, verbs) == []
    [said] = paused_lines(found, verbs)
    assert (said.what, said.verb) == (
        "paused here: verify; 3 works wait there",
        "ameide executor resume --queue verify",
    )
    assert said.for_people
    [unknown] = paused_lines(None, replace(verbs, paused=frozenset(QUEUES)))
    assert unknown.verb == "ameide executor resume"
    assert ";" not in unknown.what


def test_without_an_executor_here_a_queue_is_missed_when_works_wait() -> None:
    session = Session(replace(config.read({}), state_dir=config.read({}).state_dir / "none"))
    verbs = Verbs(session, local=True, all_run=True, no_executor=True)
    idle = GetStatusResponse(stuck=[item(StuckKind.QUEUE, VERIFY, last_seen=AT)])
    assert lines_of(idle, verbs) == []
    [waits] = lines_of(GetStatusResponse(stuck=[item(StuckKind.QUEUE, VERIFY, waiting=1)]), verbs)
    assert waits.verb == "ameide up"
    [silent] = lines_of(GetStatusResponse(stuck=[item(StuckKind.RELAY, "relay")]), replace(verbs, all_run=False))
    assert silent.verb == "ameide up --no-executor"


def test_a_gate_names_who_is_waited_for() -> None:
    gate = open_gate()
    gate.quorum = 2
    said = line(item(StuckKind.GATE, gate.gate_id, 720, gate=gate))
    assert said.for_people
    assert said.what.startswith("gate gat-1 (requirement stabilized of chg-1) waits for an approver since ")
    assert said.what.endswith("(12 min), 0 of 2 voices")
    assert said.verb == f"ameide gate approve gat-1 --hash {gate.subject_hash}"
    human = open_gate(kind=GateKind.NEEDS_HUMAN)
    assert human.subject is not None
    human.subject.reason = "the bound of 3 iterations is reached"
    said = line(item(StuckKind.GATE, human.gate_id, gate=human))
    assert said.what.endswith("(40 s): the bound of 3 iterations is reached")


def test_queues_in_which_nothing_waits_share_a_line() -> None:
    idle = [item(StuckKind.QUEUE, name, last_seen=AT) for name in ("a", "b")]
    session = Session(config.read({}))
    found = GetStatusResponse(stuck=[idle[0], item(StuckKind.QUEUE, VERIFY, waiting=1), idle[1]])
    busy, resting = lines_of(found, Verbs(session, local=False))
    assert busy.subject == VERIFY
    assert resting.what == f"no executor serves a, b: nothing waits there yet; last polled {clock(AT)}"


def test_what_was_started_here_is_started_here_again() -> None:
    relay = item(StuckKind.RELAY, "relay")
    assert line(relay).verb == "ameide up"
    assert line(relay, all_run=True).verb == "ameide down && ameide up"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (9000, "2 h"), (2e5, "2 d")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_nothing_is_stuck(ameide: CommandLine, script: Script) -> None:
    answer = ameide("status")
    assert answer.code == 0
    assert "Nothing is stuck." in answer.out


def test_only_what_does_not_run_is_a_failure(ameide: CommandLine, script: Script) -> None:
    gate = open_gate()
    script.status = GetStatusResponse(open_gates=12, stuck=[item(StuckKind.GATE, "gat-1", gate=gate)] * 12)
    answer = ameide("status")
    assert answer.code == 0
    # A token of who decides is here, so the command says whose.
    verb = f"ameide --state-dir {ameide.state.root} --as approver gate approve gat-1 --hash {gate.subject_hash}"
    assert answer.out.count(verb) == 10
    assert "and 2 more of this kind: ameide gate list" in answer.out
    # Our token is for our Domain, which this address may not be.
    address = ameide.state.address().replace("127.0.0.1", "localhost")
    verb = f"ameide --state-dir {ameide.state.root} --address {address} gate approve gat-1"
    assert verb in ameide("--as", "owner", "--address", address, "status").out
    script.status.stuck.append(item(StuckKind.RELAY, "relay"))
    answer = ameide("status", "--json")
    assert answer.code == 1
    relay = json.loads(answer.out)["stuck"][-1]
    assert (relay["kind"], relay["subject"], relay["for_people"]) == ("relay", "relay", False)
    assert relay["since"].startswith("2026-01-02T14:02:10")
