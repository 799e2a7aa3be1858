"""The same facts, thrice, late, in any order across aggregates: the same commands, the same process facts and end.

Of each aggregate the first delivery keeps its order, which ingress guarantees; repetitions come whenever they like.
"""

import asyncio
import random
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field

from protobuf import Message
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from ameide.process.decisive import decisive
from ameide.process.steps import DOMAIN_FACT
from ameide.process.workflows.inbox import DomainFact
from ameide_core_proto.common.v1.metadata_pb import AggregateRef, MessageMetadata
from ameide_core_proto.process.transformation.v1.facts_pb import ActivityTransitioned, Awaiting, GateDecisionRecorded
from ameide_core_proto.transformation.governance.v1.facts_pb import ChangeBudgetSettled
from ameide_core_proto.transformation.knowledge.v1.facts_pb import ArtifactApproved
from tests.process.arranging import ACC, DONE
from tests.process.playing import PATIENCE_SECONDS, Stage, stage
from tests.process.script import Script, red, reject

SEEDS = range(4)
COPIES = 3


@dataclass
class Postman:
    """Stands where ingress stands: delivers in an order of its own."""

    script: Script
    chance: random.Random
    pending: dict[str, deque[DomainFact]] = field(default_factory=dict[str, deque[DomainFact]])
    names: dict[str, str] = field(default_factory=dict[str, str])
    again: list[DomainFact] = field(default_factory=list[DomainFact])
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, fact: DomainFact) -> None:
        """A fact to deliver; others of the run come with it, as the Domain states them beside its works and gates."""
        await self._keep(fact)
        if self.script.deliver is None or (fact.aggregate or AggregateRef()).type not in ("work", "gate"):
            return
        self.script.change.version += 1
        self.script.artifact.version += 1
        change, artifact = deepcopy(self.script.change), deepcopy(self.script.artifact)
        await self.script.state(ChangeBudgetSettled(change=change), "change", change.change_id, change.version)
        await self.script.state(ArtifactApproved(artifact=artifact), "artifact", artifact.artifact_id, artifact.version)

    async def _keep(self, fact: DomainFact) -> None:
        about = fact.aggregate or AggregateRef()
        body = fact.fact.value if fact.fact is not None else None
        self.names[(fact.metadata or MessageMetadata()).message_id] = type(body).__name__
        self.pending.setdefault(f"{about.type}:{about.id}", deque()).append(fact)
        self.more.set()

    async def work(self, handle: WorkflowHandle[object, str]) -> None:
        """Deliver until cancelled: a new fact of any aggregate, or one that was delivered before."""
        while True:
            if not any(self.pending.values()) and not self.again:
                self.more.clear()
                await self.more.wait()
            aggregates = [key for key, facts in self.pending.items() if facts]
            if self.again and (not aggregates or self.chance.random() < 0.5):
                fact = self.again.pop(self.chance.randrange(len(self.again)))
            else:
                fact = self.pending[self.chance.choice(aggregates)].popleft()
                self.again += [fact] * (COPIES - 1)
            try:
                await handle.signal(DOMAIN_FACT, decisive(fact))
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise


async def play(here: Stage, seed: int) -> list[object]:
    """All that a run asked for and said, ids named by their order."""
    script = here.script(f"any-order-{seed}", gitops=False)
    script.works["verify"] = [red("t::a")]
    script.gates[ACC] = [reject("name it better")]
    script.early = seed % 2 == 0
    assert script.policy.bounds is not None
    script.policy.bounds.max_history_signals = 500 if seed % 3 else 20
    postman = Postman(script, random.Random(seed))
    script.deliver = postman.take
    handle = await here.start(script)
    delivering = asyncio.create_task(postman.work(handle))
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome = await handle.result()
    delivering.cancel()
    refs: dict[str, str] = {}

    def named(ref: str) -> str:
        return refs.setdefault(ref, f"ref {len(refs)}") if ref else ""

    def said(body: Message) -> object:
        match body:
            case ActivityTransitioned():
                name = postman.names.get(body.fact_message_id, "")
                what = (body.activity, body.iteration, body.transition.name, body.reason)
                return (*what, named(body.work_request_id), name)
            case Awaiting():
                return ("awaiting", body.what, named(body.ref))
            case GateDecisionRecorded():
                return ("decided", named(body.gate_id), postman.names[body.fact_message_id])
            case _:
                return body.to_json()

    facts = [script.process_facts[place].fact for place in sorted(script.process_facts)]
    return [
        outcome,
        script.run.status,
        *[(name, key.removeprefix(script.pid)) for name, key in script.commands],
        *[said(fact.value) for fact in facts if fact is not None],
    ]


async def test_the_same_facts_end_the_same(temporal: Client) -> None:
    async with stage(temporal) as here:
        first, *others = await asyncio.gather(*(play(here, seed) for seed in SEEDS))
    assert first[:2] == ["merged", DONE]
    assert len(first) > 60
    for seed, other in zip(SEEDS[1:], others, strict=True):
        assert other == first, f"seed {seed}"
