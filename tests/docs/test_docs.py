"""The documentation is executed: what it lists is what the program has, and what it links to is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ameide import config
from ameide.cli.root import root
from ameide.contracts import topics
from ameide.contracts.facts import FACT_FIELDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted(
    file
    for file in [*(ROOT / "src" / "ameide").rglob("*.py"), *(ROOT / "proto" / "ameide_core_proto").rglob("*.proto")]
    if "`ameide " in file.read_text()
)
LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
FENCE = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.S | re.M)


def headings(page: Path) -> set[str]:
    """The headings of a page."""
    return {line.lstrip("# ").strip() for line in page.read_text().splitlines() if line.startswith("#")}


def anchors(page: Path) -> set[str]:
    """The headings as links write them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def test_the_reference_is_what_the_program_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_has_a_heading() -> None:
    assert {row.variable for row in config.TABLE} <= headings(ROOT / "docs/reference/settings.md")


def test_every_topic_and_queue_has_a_heading_and_every_fact_is_listed() -> None:
    page = ROOT / "docs/reference/topics.md"
    assert {*topics.FACT_TOPICS, *topics.QUEUES} <= headings(page)
    text = page.read_text()
    assert [name for name in FACT_FIELDS if f"`{name}`" not in text] == []


def test_every_command_has_a_heading() -> None:
    listed = headings(ROOT / "docs/reference/cli.md")
    context = click.Context(root, info_name="ameide")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert f"ameide {name}" in listed
        if isinstance(command, click.Group):
            assert {f"ameide {name} {below}" for below in command.commands} <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_exist(page: Path) -> None:
    for block in FENCE.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            for call in calls(line):
                check(call, page)


def calls(line: str) -> list[str]:
    """The `ameide` commands of a line of shell, those inside `$(…)` included."""
    found: list[str] = []
    while inner := re.search(r"\$\(([^()]*)\)", line):
        found.append(inner[1])
        line = line.replace(inner[0], "VALUE")
    pieces = re.split(r"[|;&>]|\s#", line)
    return [piece.strip() for piece in (*found, *pieces) if piece.strip().startswith("ameide ")]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_commands_that_a_message_names_exist(source: Path) -> None:
    text = re.sub(r"\{[^{}]*\}", "VALUE", source.read_text())
    for call in re.findall(r"`(ameide [a-z][^`\n]*)`", text):
        # Several verbs at once, in a docstring.
        if "|" not in call and "…" not in call:
            check(call, source)


def check(call: str, page: Path) -> None:
    """The command line names a command and only options that it has."""
    words = shlex.split(call)[1:]
    command: click.Command = root
    context = click.Context(root, info_name="ameide")
    for word in words:
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {
            "--help",
            "-h",
        }
        if word.startswith("-") and not re.fullmatch(r"-\d*", word):
            assert word.partition("=")[0] in known, f"{page.name}: {call}: {word}"
        elif isinstance(command, click.Group):
            below = command.get_command(context, word)
            # The value of an option of the group, as in `--as approver`.
            if below is None:
                assert command is root, f"{page.name}: {call}: {word}"
                continue
            command = below
            context = click.Context(below, info_name=word, parent=context)


def test_the_changelog_speaks_of_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert any(heading.startswith(version[1]) for heading in headings(ROOT / "CHANGELOG.md"))
