"""The examination: settle, then look at everything in one snapshot."""

from __future__ import annotations

from pathlib import Path

from temporalio.client import Client

from tests.faults.oracle.conversation_checks import check_conversations
from tests.faults.oracle.database import Snapshot, snapshot
from tests.faults.oracle.domain_checks import check_domain
from tests.faults.oracle.folder import Rig, read_acknowledged, read_effects, read_rig
from tests.faults.oracle.kafka_checks import check_topics
from tests.faults.oracle.log_checks import check_log
from tests.faults.oracle.run_checks import check_heard, check_process_facts
from tests.faults.oracle.settle import PATIENCE_SECONDS, settle
from tests.faults.oracle.verdict import Verdict
from tests.faults.oracle.view_checks import check_views
from tests.faults.oracle.work_checks import check_works


async def examine(folder: Path, patience: float = PATIENCE_SECONDS) -> Verdict:
    """Judge the run of a folder, waiting at most so many seconds for it to come to rest."""
    rig = read_rig(folder)
    client = await _temporal(rig)
    unquiet = await settle(rig.database_url_admin, client, patience)
    async with snapshot(rig.database_url_admin) as base:
        verdict = await judge(base, folder, client)
        if rig.kafka_brokers:
            await check_topics(base, rig.kafka_brokers, verdict)
    verdict.unquiet = unquiet
    return verdict


async def judge(base: Snapshot, folder: Path, client: Client | None) -> Verdict:
    """What was lost and what was doubled, as one snapshot shows it; without a client no run's history is read."""
    verdict = Verdict()
    await check_domain(base, read_acknowledged(folder), verdict)
    await check_log(base, verdict)
    await check_works(base, read_effects(folder), verdict)
    await check_conversations(base, verdict)
    await check_process_facts(base, verdict)
    if client is not None:
        await check_heard(base, client, verdict)
    await check_views(base, verdict)
    return verdict


async def _temporal(rig: Rig) -> Client | None:
    if not rig.temporal_address:
        return None
    return await Client.connect(rig.temporal_address, namespace=rig.temporal_namespace)
