"""Changes with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ameide.storage.sql import load
from ameide.views.conversations import of_change
from ameide.views.costs import costs_of
from ameide.views.iterations import iterations
from ameide.views.projection import ARTIFACT_VERSION
from ameide.views.reading import Filter, Reading, not_found
from ameide_core_proto.common.v1.reading_pb import CitationKind
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    Change,
    Gate,
    Promotion,
    Release,
    Run,
    RunStatus,
)
from ameide_core_proto.transformation.governance.v1.query_service_pb import ChangeSummary, GetChangeResponse
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import Artifact, ArtifactStatus
from ameide_core_proto.transformation.work.v1.work_pb import EvidenceBundle, WorkRequest

_SQL = load("views")


async def summaries(reading: Reading, changes: Sequence[Change]) -> list[ChangeSummary]:
    """Each change with its newest run, and where its process says that it stands."""
    # A run that starts is a fact of its own, not one of its change: the change's number of runs may lag behind here.
    runs = await reading.newest(Run, [change.change_id for change in changes])
    ids = [run.process_instance_id for run in runs.values()]
    rows = await reading.tx.fetch_all(_SQL["processes"], {"runs": ids}) if ids else []
    course = {row["change_id"]: (row["phase"], row["awaiting"]) for row in rows}
    waiting = [change.repository_id for change in changes if _waits(runs.get(change.change_id))]
    places = await _places_in_line(reading, dict.fromkeys(waiting))
    answer: list[ChangeSummary] = []
    for change in changes:
        phase, awaiting = course.get(change.change_id, ("", ""))
        run = runs.get(change.change_id)
        place = places.get(run.process_instance_id, 0) if run else 0
        answer.append(
            ChangeSummary(change=change, phase=phase, awaiting=awaiting, newest_run=run, queue_position=place)
        )
    return answer


def _waits(run: Run | None) -> bool:
    return run is not None and run.status == RunStatus.QUEUED


async def _places_in_line(reading: Reading, repositories: Iterable[str]) -> dict[str, int]:
    """The place of each run that waits in one of these repositories, from 1."""
    places: dict[str, int] = {}
    for repository in repositories:
        runs = await reading.every(Run, Filter(repository=repository, statuses=(RunStatus.QUEUED.name,)))
        runs.sort(key=lambda run: run.queue_number)
        places.update((run.process_instance_id, place) for place, run in enumerate(runs, 1))
    return places


async def whole_change(reading: Reading, change_id: str) -> GetChangeResponse:
    """A change with its runs, artifacts, gates, works and what they took, releases, promotions, iterations and
    conversations. Raises NotFound."""
    change = await reading.get(Change, change_id)
    own = Filter(change=change_id)
    works = await reading.every(WorkRequest, own)
    bundles = await evidence_of(reading, [work.work_request_id for work in works])
    [summary] = await summaries(reading, [change])
    costs = await costs_of(reading, change_id, works)
    answer = GetChangeResponse(
        summary=summary,
        runs=await reading.every(Run, own),
        artifacts=await reading.every(Artifact, own),
        gates=await reading.every(Gate, own),
        works=works,
        releases=await reading.every(Release, own),
        promotions=await reading.every(Promotion, own),
        iterations=iterations(works, bundles),
        steps=costs.steps,
        costs=costs.runs,
        total=costs.total,
        conversations=await of_change(reading, change_id),
    )
    for artifact in answer.artifacts:
        cite_artifact(reading, artifact)
    return answer


async def evidence_of(reading: Reading, works: Sequence[str]) -> dict[str, EvidenceBundle]:
    """The evidence of works by their ids, cited."""
    rows = await reading.tx.fetch_all(_SQL["evidence_of_works"], {"works": list(works)}) if works else []
    for row in rows:
        reading.cite(CitationKind.EVIDENCE_BUNDLE, row["evidence_bundle_id"], row["position"])
    return {row["work_request_id"]: EvidenceBundle.from_binary(row["body"]) for row in rows}


async def artifact(reading: Reading, artifact_id: str, number: int) -> Artifact:
    """An artifact with one of its versions as the current one; number 0 is the newest. Raises NotFound."""
    newest = await reading.get(Artifact, artifact_id)
    current = newest.current.number if newest.current else 0
    if number in (0, current):
        cite_artifact(reading, newest)
        return newest
    older = await reading.find(Artifact, f"{artifact_id}@{number}", table_kind=ARTIFACT_VERSION)
    if older is None:
        raise not_found("artifact version", f"{artifact_id}@{number}")
    # The fact of the newer version superseded this one, and told only the newer one's state.
    if older.current and older.current.status in (
        ArtifactStatus.DRAFT,
        ArtifactStatus.PROPOSED,
        ArtifactStatus.APPROVED,
    ):
        older.current.status = ArtifactStatus.SUPERSEDED
    cite_artifact(reading, older)
    return older


def cite_artifact(reading: Reading, artifact: Artifact) -> None:
    """Cite the version that an artifact shows."""
    if artifact.current:
        reading.cite(CitationKind.ARTIFACT_VERSION, f"{artifact.artifact_id}@{artifact.current.number}")
        if artifact.current.content and artifact.current.content.source:
            reading.cite(CitationKind.EXTERNAL_LINK, artifact.current.content.source)
