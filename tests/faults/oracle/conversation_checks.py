"""Conversations: what each says that it used is what the tenant's account counts, and every consent was used once."""

from __future__ import annotations

from collections import Counter

from ameide_core_proto.transformation.governance.v1.governance_pb import Conversation
from ameide_core_proto.transformation.work.v1.work_pb import Usage
from tests.faults.oracle.database import Snapshot
from tests.faults.oracle.verdict import Verdict


async def check_conversations(base: Snapshot, verdict: Verdict) -> None:
    """Both sides of the account, and how often each consent was used."""
    counted = {
        (row["tenant_id"], row["conversation_id"]): (int(row["tokens"]), int(row["micros"]))
        for row in await base.rows(
            "SELECT tenant_id, conversation_id, sum(used_tokens) AS tokens, sum(used_cost_micros) AS micros"
            " FROM ameide.conversation_spend GROUP BY 1, 2"
        )
    }
    for row in await base.rows("SELECT tenant_id, id, state FROM ameide.aggregate WHERE kind = 'conversation'"):
        used = Conversation.from_binary(bytes(row["state"])).usage or Usage()
        told = (used.input_tokens + used.output_tokens, used.cost_micros)
        found = counted.pop((row["tenant_id"], row["id"]), (0, 0))
        if found != told:
            who = f"conversation {row['id']} of {row['tenant_id']}"
            side = verdict.doubled if found > told else verdict.lost
            side.append(f"{who} used {told} tokens and micros, {found} are counted")
    verdict.doubled += [f"{id} of {tenant} is counted and is not there" for tenant, id in counted]
    names = "SELECT tenant_id, aggregate_id FROM ameide.log WHERE kind = 'fact' AND name = 'ConsentUsed'"
    used_up = Counter((row["tenant_id"], row["aggregate_id"]) for row in await base.rows(names))
    verdict.doubled += [f"consent {id} of {tenant} was used {n} times" for (tenant, id), n in used_up.items() if n > 1]
