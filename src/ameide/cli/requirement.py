"""A requirement as a person writes it: options, a Markdown file, standard input, or an issue of a forge."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ameide.cli.output import at_a_terminal, harmless
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

_CRITERIA = re.compile(r"^#+\s*acceptance criteria\s*:?\s*$", re.IGNORECASE)
_ITEM = re.compile(r"^\s{0,3}(?:\d+[.)]|[-*+])\s+(?:\[[ xX]\]\s+)?(?P<text>.+)$")
_HEADING = re.compile(r"^#{1,6}\s")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FORGES = ("github", "gitlab", "gitea")
"""Forges whose issues are read."""

_MOST = 1 << 20
_TITLE, _TEXT, _CRITERION, _CRITERIA_MOST = 200, 4096, 1000, 50


def content(title: str, text: str, criteria: tuple[str, ...], found: ArtifactContent) -> ArtifactContent:
    """What was found, and the options: they win over its title and text, criteria add up.

    Raises InvalidArgument when neither gives a title, and for what is too long to be kept.
    """
    merged = ArtifactContent(
        title=title or found.title,
        text=text or found.text,
        acceptance_criteria=[*found.acceptance_criteria, *criteria],
        source=found.source,
    )
    if not merged.title:
        raise InvalidArgument(
            "the requirement has no title", field="title", remedy="Give --title, or let the text begin with `# Title`"
        )
    _check("title", merged.title, _TITLE)
    _check("text", merged.text, _TEXT)
    for number, criterion in enumerate(merged.acceptance_criteria, start=1):
        _check(f"criterion {number}", criterion, _CRITERION)
    if len(merged.acceptance_criteria) > _CRITERIA_MOST:
        raise InvalidArgument(
            f"there are {len(merged.acceptance_criteria)}, at most {_CRITERIA_MOST} are kept",
            field="acceptance_criteria",
            remedy="Split the change",
        )
    return merged


def of_file(file: Path | None) -> ArtifactContent:
    """The requirement in a Markdown file; of no file an empty one."""
    if file is None:
        return ArtifactContent()
    with file.open("rb") as opened:
        return parse(_text(opened.read(_MOST + 1), str(file)))


def of_standard_input() -> ArtifactContent:
    """The requirement on standard input, as Markdown."""
    return parse(_text(sys.stdin.buffer.read(_MOST + 1), "standard input"))


def parse(markdown: str, title: str = "") -> ArtifactContent:
    """`# Title` (unless there is one), then the text; the list under a heading "Acceptance criteria" becomes criteria.

    Comments are left out: the templates of forges talk to whoever writes an issue.
    """
    text, criteria = list[str](), list[str]()
    given, listing = bool(title), False
    for line in _COMMENT.sub("", markdown).splitlines():
        if _CRITERIA.match(line):
            listing = True
        elif line.startswith("# ") and not title and not given:
            title = line[2:].strip()
        elif _HEADING.match(line):
            listing = False
            text.append(line)
        elif listing and (item := _ITEM.match(line)):
            criteria.append(item["text"].strip())
        elif listing and line.strip() and criteria:
            # A criterion may run over several lines.
            criteria[-1] += f" {line.strip()}"
        elif not listing:
            text.append(line)
    return ArtifactContent(title=title, text="\n".join(text).strip(), acceptance_criteria=criteria)


def confirm(wanted: ArtifactContent, *, yes: bool) -> None:
    """Show what will be asked for, on standard error, and ask. Raises UsageError where nobody can be asked."""
    click.echo(click.style(harmless(wanted.title), bold=True), err=True)
    if wanted.source:
        click.echo(f"from {harmless(wanted.source)}", err=True)
    for line in wanted.text.splitlines():
        click.echo(harmless(line), err=True)
    for number, criterion in enumerate(wanted.acceptance_criteria, start=1):
        click.echo(f"  {number}. {harmless(criterion)}", err=True)
    if not wanted.acceptance_criteria:
        click.echo('It has no acceptance criteria: no list under a heading "Acceptance criteria".', err=True)
    if yes:
        return
    if not at_a_terminal():
        raise click.UsageError("--yes is needed: this text was written by somebody else, and nobody can be asked here.")
    click.confirm("Ask for this change", abort=True, err=True)


def _text(data: bytes, where: str) -> str:
    if len(data) > _MOST:
        raise InvalidArgument(f"{where} has more than {_MOST} bytes", field="requirement", remedy="Name a requirement")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{where} is no text in UTF-8", field="requirement", remedy="Save it as UTF-8") from error


def _check(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidArgument(
            f"it has {len(text)} characters, at most {most} are kept",
            field=field,
            remedy="Shorten it; what is longer belongs into a file of the repository, which the text can name",
        )
