"""What the commands are made of: requirements as Markdown, the demo's list, the timeline, citations."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ameide.cli import demo_steps
from ameide.cli.example import free_name, remotes
from ameide.cli.fact import kind_of
from ameide.cli.output import brief
from ameide.cli.requirement import content, of_file, parse
from ameide.cli.root import root
from ameide.cli.timeline import print_rows
from ameide.errors import InvalidArgument
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.query_service_pb import TimelineColumn, TimelineRow

REQUIREMENT = """\
# Orders can be canceled

A customer changes their mind.

## Acceptance criteria
1. POST cancels
   a placed order.
2. A shipped order stays.

## Notes
Nothing else.
"""


def test_a_requirement_from_markdown() -> None:
    found = parse(REQUIREMENT)
    assert found.title == "Orders can be canceled"
    assert found.acceptance_criteria == ["POST cancels a placed order.", "A shipped order stays."]
    assert found.text == "A customer changes their mind.\n\n## Notes\nNothing else."


def test_options_win_and_criteria_add_up(tmp_path: Path) -> None:
    file = tmp_path / "r.md"
    file.write_text(REQUIREMENT)
    found = content("Other", "", ("Third.",), of_file(file))
    assert found.title == "Other"
    assert found.acceptance_criteria[-1] == "Third."


def test_a_requirement_needs_a_title() -> None:
    with pytest.raises(InvalidArgument) as caught:
        content("", "text", (), of_file(None))
    assert caught.value.field == "title"


def test_the_demo_is_made_of_commands_that_exist() -> None:
    steps = [
        *demo_steps.beginning("orders", Path("/o.git"), Path("/g.git"), "patches", talk=True),
        *demo_steps.gates(),
        *demo_steps.ending(),
    ]
    for step in steps:
        with root.make_context("ameide", list(step.argv), resilient_parsing=True) as context:
            words = [*context._protected_args, *context.args]  # pyright: ignore[reportPrivateUsage]
        noun = root.get_command(context, words[0])
        assert noun is not None, step.argv


def test_each_name_of_the_script_is_captured_before_it_is_used() -> None:
    steps = [
        *demo_steps.beginning("o", Path("/o"), Path("/g"), "patches", talk=True),
        *demo_steps.gates(),
        *demo_steps.ending(),
    ]
    known: set[str] = set()
    for step in steps:
        assert {word for word in step.argv if word.startswith("$")} <= known
        known |= {step.capture} - {""}
    script = demo_steps.as_script("ameide", steps)
    assert 'HASH=$(ameide gate show "$GATE" --only-hash)' in script
    assert all(shlex.split(line) for line in script.splitlines())


def test_every_demo_run_has_repositories_of_its_own(tmp_path: Path) -> None:
    assert free_name(tmp_path) == "orders"
    remotes(tmp_path, "orders")[0].mkdir(parents=True)
    assert free_name(tmp_path) == "orders-2"
    assert remotes(tmp_path, "orders-2")[0] == tmp_path / "orders-2" / "orders.git"


def test_three_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(
        [
            TimelineRow(column=TimelineColumn.PROCESS, name="PhaseEntered", text="phase intake"),
            TimelineRow(column=TimelineColumn.EVENTS, name="RunRequested", text="run 1 requested"),
            TimelineRow(column=TimelineColumn.INFRA, name="Claimed", text="attempt 1"),
        ]
    )
    places = [len(line) - len(line.lstrip()) for line in capsys.readouterr().out.splitlines()]
    assert places == sorted(places)
    assert len(set(places)) == 3


def test_digests_are_cut_and_ids_are_not() -> None:
    digest, record = "sha256:" + "a" * 64, "wrk-" + "b" * 32
    assert brief(f"{digest} by {record} at {'c' * 40}\nmore") == f"sha256:{'a' * 12}… by {record} at {'c' * 12}"


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("01a209e3-8590-77a5-920d-1652fb6dea36", CitationKind.DOMAIN_FACT),
        ("art-01a209@2", CitationKind.ARTIFACT_VERSION),
        ("wrk-01a209", CitationKind.WORK_REQUEST),
        ("evd-01a209", CitationKind.EVIDENCE_BUNDLE),
        ("https://forge.example/pull/1", CitationKind.EXTERNAL_LINK),
        ("/remotes/orders.git#pull-1", CitationKind.EXTERNAL_LINK),
    ],
)
def test_a_citation_tells_what_it_names(reference: str, kind: CitationKind) -> None:
    assert kind_of(reference) == kind


def test_what_is_no_citation_is_said() -> None:
    with pytest.raises(InvalidArgument):
        kind_of("something")
