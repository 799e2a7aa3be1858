"""What the Architect agent reads besides the queries: repositories at a commit, and evidence."""

from __future__ import annotations

from pathlib import Path

from ameide import config
from ameide.app.store import object_store
from ameide.config import Settings
from ameide.infra.checkout import git_network
from ameide.infra.credentials import Credentials
from ameide.infra.evidence_reader import StoredEvidence
from ameide.infra.reading.plumbing import Plumbing
from ameide.infra.reading.reader import MirrorReader
from ameide.infra.settings import OPERATOR_VARIABLES


def repository_reader(settings: Settings, *, apart: bool) -> MirrorReader:
    """Mirrors below the work folder, fetched as the executors fetch; `apart` when it is for several tenants."""
    variables = config.passed_through(settings.credential_variables)
    return MirrorReader(
        Path(settings.work_dir) / "mirrors",
        Credentials(settings.credentials_dir, variables),
        git_network(config.passed_through(OPERATOR_VARIABLES)),
        Plumbing(settings.sandbox),
        apart,
    )


def evidence_reader(settings: Settings) -> StoredEvidence:
    """The installation's evidence."""
    return StoredEvidence(object_store(settings))
