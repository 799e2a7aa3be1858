"""Where a requirement is taken from: an issue's URL, a Markdown file, or standard input."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ameide import config
from ameide.cli.requirement import of_file, of_standard_input
from ameide.cli.session import Session
from ameide.errors import InvalidArgument
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent


def taken_from(session: Session, source: str, forge: str, credential: str) -> ArtifactContent:
    """The requirement at a source; `credential` is a reference. Raises what `ameide.cli.issue` raises."""
    if source == "-":
        return of_standard_input()
    if "://" in source:
        # Imported here: nothing else that asks for a change needs an HTTP client and credentials.
        from ameide.cli.issue import issue_at, requirement_of
        from ameide.infra.credentials import Credentials

        token = ""
        if credential:
            folder = session.settings.credentials_dir
            token = Credentials(folder, config.environment()).find(credential).secret
        return asyncio.run(requirement_of(issue_at(source, forge), token))
    file = Path(source)
    if not file.is_file():
        raise InvalidArgument(
            f"{source} is no file", field="--from", remedy="Name a Markdown file, an issue's URL, or -"
        )
    return of_file(file)
