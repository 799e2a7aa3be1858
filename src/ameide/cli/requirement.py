"""A requirement as a person writes it: options, or a Markdown file."""

from __future__ import annotations

import re
from pathlib import Path

from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

_CRITERIA = re.compile(r"^#+\s*acceptance criteria\s*:?\s*$", re.IGNORECASE)
_ITEM = re.compile(r"^\s{0,3}(?:\d+[.)]|[-*])\s+(?P<text>.+)$")


def content(title: str, text: str, criteria: tuple[str, ...], file: Path | None) -> ArtifactContent:
    """The content from a file, the options, or both: options win over the file's title and text, criteria add up.

    Raises InvalidArgument when neither gives a title.
    """
    found = parse(file.read_text(encoding="utf-8")) if file else ArtifactContent()
    merged = ArtifactContent(
        title=title or found.title,
        text=text or found.text,
        acceptance_criteria=[*found.acceptance_criteria, *criteria],
    )
    if not merged.title:
        raise InvalidArgument(
            "the requirement has no title",
            field="title",
            remedy="Give --title, or let the file of --requirement begin with `# Title`",
        )
    return merged


def parse(markdown: str) -> ArtifactContent:
    """`# Title`, then the text; the list under a heading "Acceptance criteria" becomes the numbered criteria."""
    title, text, criteria = "", list[str](), list[str]()
    listing = False
    for line in markdown.splitlines():
        if _CRITERIA.match(line):
            listing = True
        elif line.startswith("# ") and not title:
            title = line[2:].strip()
        elif line.startswith("#"):
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
