"""Artifacts of a change as people see them: which version, who wrote it, and whose words it holds."""

from __future__ import annotations

from collections.abc import Sequence

from ameide.cli.conversation_view import pair
from ameide.cli.output import coloured, harmless, table, word
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactContent, Provenance

_HEADERS = ("ARTIFACT", "KIND", "VERSION", "STATUS", "BY", "WORDS OF", "TITLE")


def print_artifacts(artifacts: Sequence[Artifact]) -> None:
    """A table of the newest versions; nothing when there are none."""
    rows = [row for artifact in artifacts if (row := _row(artifact))]
    if rows:
        table(_HEADERS, rows)


def _row(artifact: Artifact) -> tuple[str, ...] | None:
    version = artifact.current
    if version is None:
        return None
    return (
        artifact.artifact_id,
        word(artifact.kind.name),
        str(version.number),
        coloured(word(version.status.name)),
        pair(version.author),
        _words_of(version.provenance),
        harmless((version.content or ArtifactContent()).title),
    )


def _words_of(origin: Provenance | None) -> str:
    """A person's own words need no column."""
    if origin is None:
        return ""
    return harmless(origin.model) or "a template"
