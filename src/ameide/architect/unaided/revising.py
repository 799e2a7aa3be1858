"""A next version without a model: what a person says line by line is done, and nothing else."""

from __future__ import annotations

import re
from copy import deepcopy

from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

FORMS = "title: …  |  text: …  |  + another criterion  |  2: criterion 2 anew  |  - 2 (leave criterion 2 out)"
_LINE = re.compile(
    r"(?P<field>title|text)\s*:\s*(?P<words>.*)|\+\s*(?P<more>.+)|-\s*(?P<less>\d{1,3})"
    r"|(?P<place>\d{1,3})\s*[:.)]\s*(?P<anew>.+)",
    re.IGNORECASE,
)


def revised(content: ArtifactContent, wish: str) -> ArtifactContent:
    """The content with every line of the wish done. Numbers are those of the version that is revised.

    Raises `InvalidArgument` for a line that is none of the `FORMS`, and for a criterion that is not there.
    """
    new = deepcopy(content)
    most = len(content.acceptance_criteria)
    criteria: dict[int, str] = dict(enumerate(content.acceptance_criteria, 1))
    added: list[str] = []
    lines = [line.strip() for line in wish.splitlines() if line.strip()]
    if not lines:
        raise InvalidArgument("is empty", field="wish", remedy=f"Say line by line: {FORMS}")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidArgument(
                f"no model is configured, and {line[:60]!r} is no line that can be done without one",
                field="wish",
                remedy=f"Say line by line: {FORMS}; or give the whole content",
            )
        if match["field"]:
            setattr(new, match["field"].lower(), match["words"])
        elif match["more"]:
            added.append(match["more"])
        else:
            _change(criteria, int(match["less"] or match["place"]), match["anew"] or "", most)
    new.acceptance_criteria = [*(criteria[number] for number in sorted(criteria)), *added]
    if new == content:
        raise InvalidArgument("changes nothing", field="wish", remedy=f"Say line by line: {FORMS}")
    return new


def _change(criteria: dict[int, str], number: int, anew: str, most: int) -> None:
    if not 1 <= number <= most:
        raise InvalidArgument(
            f"names criterion {number}, and there are {most}", field="wish", remedy="Name one of them"
        )
    if anew:
        criteria[number] = anew
    else:
        criteria.pop(number, None)
