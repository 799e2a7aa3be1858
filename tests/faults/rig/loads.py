"""What the client does to the installation: each load leads past other commands. All end with everything settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ameide.contracts.subjects import command_hash
from ameide_core_proto.transformation.governance.v1 import access_service_pb as access
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1 import conversation_service_pb as conversations
from ameide_core_proto.transformation.governance.v1.governance_pb import (
    BudgetPeriod,
    ConsentAction,
    PrincipalKind,
    RunKind,
    UntrustedSource,
)
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetTenantBudgetRequest
from ameide_core_proto.transformation.knowledge.v1 import command_service_pb as knowledge
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import (
    ArtifactContent,
    ArtifactKind,
    ChangeSize,
    Primitive,
    Triage,
)
from ameide_core_proto.transformation.work.v1 import command_service_pb as work
from ameide_core_proto.transformation.work.v1.query_service_pb import ListWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    Budget,
    TimeoutPolicy,
    Usage,
    WorkKind,
    WorkRequest,
    WorkStatus,
)
from tests.faults.rig.client import AGENT, RigClient, key
from tests.faults.rig.patience import pause
from tests.faults.rig.policies import PLAIN, policy, repository
from tests.faults.rig.steps import BASE, HOLDING, SLOW

Load = Callable[[RigClient], Awaitable[None]]


async def open_change(client: RigClient, name: str) -> str:
    """A change of a repository; its id."""
    opened = await client.command(
        "change",
        client.by("requester").governance.open_change,
        governance.OpenChangeRequest(client_request_id=key(), repository_id=name, title=f"A change of {name}"),
        lambda answer: answer.change.change_id if answer.change else "",
    )
    assert opened.change is not None
    return opened.change.change_id


async def propose(client: RigClient, change_id: str) -> str:
    """A requirement of a change, as a draft; its id."""
    proposed = await client.say(
        client.by("requester").knowledge.propose_artifact,
        knowledge.ProposeArtifactRequest(
            client_request_id=key(), change_id=change_id, kind=ArtifactKind.REQUIREMENT, content=_content("It works.")
        ),
    )
    assert proposed.artifact is not None
    return proposed.artifact.artifact_id


async def submit(client: RigClient, artifact_id: str, number: int = 1) -> None:
    """From here a run may build on it."""
    await client.say(
        client.by("requester").knowledge.submit_artifact,
        knowledge.SubmitArtifactRequest(client_request_id=key(), artifact_id=artifact_id, expected_number=number),
    )


async def start_run(client: RigClient, name: str) -> str:
    """A change of a repository and its first run; the change's id. The run goes on by itself."""
    change_id = await open_change(client, name)
    await submit(client, await propose(client, change_id))
    await client.command(
        "run",
        client.by("requester").governance.start_run,
        governance.StartRunRequest(client_request_id=key(), change_id=change_id),
        lambda answer: answer.run.process_instance_id if answer.run else "",
    )
    return change_id


async def triaged(client: RigClient) -> None:
    """A triage run, which reads, has an analysis done and proposes."""
    content = ArtifactContent(
        title="A triage",
        triage=Triage(
            in_scope=["all of it"],
            primitives=[Primitive.DOMAIN],
            size=ChangeSize.SMALL,
            deep_analysis=True,
            analysis_question="What is there?",
        ),
    )
    await client.command(
        "run",
        client.by("requester").governance.start_run,
        governance.StartRunRequest(
            client_request_id=key(),
            change_id=await open_change(client, PLAIN),
            kind=RunKind.TRIAGE,
            triage=content,
        ),
        lambda answer: answer.run.process_instance_id if answer.run else "",
    )


def run_of(name: str) -> Load:
    """One run on a repository, from its requirement to its end."""

    async def load(client: RigClient) -> None:
        await start_run(client, name)

    return load


async def request(client: RigClient, *, suite: str = "", claim_by: int = 0, summary: str = "") -> WorkRequest:
    """Direct work: to verify a commit."""
    answer = await client.command(
        "work",
        client.by("requester").work.request_work,
        work.RequestWorkRequest(
            client_request_id=key(),
            work_kind=WorkKind.TOOL_RUN,
            action_kind=ActionKind.VERIFY,
            repository_id=PLAIN,
            commit_sha=BASE,
            verification_suite_ref=suite,
            timeout_policy=TimeoutPolicy(claim_by_seconds=claim_by),
            lost_claim_retries=20,
            summary=summary,
        ),
        lambda answer: answer.work.work_request_id if answer.work else "",
    )
    assert answer.work is not None
    return answer.work


async def direct(client: RigClient) -> None:
    """Three works of no run."""
    for _ in range(3):
        await request(client)


async def slow(client: RigClient) -> None:
    """A work that outlasts some heartbeats."""
    await request(client, summary=f"{SLOW}2")


async def canceled_work(client: RigClient) -> None:
    """A work that is canceled before anybody claims it."""
    await cancel_work(client, await request(client, suite="ui"))


async def cancel_work(client: RigClient, wanted: WorkRequest) -> None:
    """The work ends, if it has not."""
    await client.say(
        client.by("requester").work.cancel_work,
        work.CancelWorkRequest(client_request_id=key(), work_request_id=wanted.work_request_id, reason="not needed"),
    )


async def unclaimed(client: RigClient) -> None:
    """A work that nobody claims in time."""
    await request(client, suite="ui", claim_by=1)


async def closed_change(client: RigClient) -> None:
    """A change that is closed without a run."""
    change_id = await open_change(client, PLAIN)
    await client.say(
        client.by("requester").governance.close_change,
        governance.CloseChangeRequest(client_request_id=key(), change_id=change_id),
    )


async def revised(client: RigClient) -> None:
    """A requirement with a second version."""
    artifact_id = await propose(client, await open_change(client, PLAIN))
    await client.say(
        client.by("requester").knowledge.revise_artifact,
        knowledge.ReviseArtifactRequest(
            client_request_id=key(), artifact_id=artifact_id, expected_number=1, content=_content("It works well.")
        ),
    )
    await submit(client, artifact_id, number=2)


async def canceled_run(client: RigClient) -> None:
    """A change that is canceled while its coder works."""
    await cancel_change(client, await until_coding(client))


async def until_coding(client: RigClient) -> str:
    """A run whose coder works until it is stopped; the change's id."""
    change_id = await start_run(client, HOLDING)
    while True:
        found = await client.say(
            client.by("requester").work_queries.list_work,
            ListWorkRequest(change_id=change_id, statuses=[WorkStatus.STARTED]),
        )
        if any(item.work_kind == WorkKind.AGENT_WORK for item in found.works):
            return change_id
        await pause()


async def cancel_change(client: RigClient, change_id: str) -> None:
    """The change, its run and its open work end."""
    await client.say(
        client.by("requester").governance.cancel_change,
        governance.CancelChangeRequest(client_request_id=key(), change_id=change_id, reason="seen enough"),
    )


async def talked(client: RigClient) -> None:
    """A conversation of the agent with the requester: a turn begins, and a model has answered twice."""
    await _conversation(client)


async def agreed(client: RigClient) -> None:
    """A change that the agent opens with the requester's consent; another question of the agent's is declined."""
    conversation_id = await _conversation(client)
    command = governance.OpenChangeRequest(
        client_request_id=key(),
        repository_id=PLAIN,
        title="A change that was talked about",
        conversation_id=conversation_id,
    )
    for agree in (False, True):
        asked = await client.say(
            client.by(AGENT).conversations.ask_consent,
            conversations.AskConsentRequest(
                client_request_id=key(),
                conversation_id=conversation_id,
                action=ConsentAction.OPEN_CHANGE,
                summary=command.title,
                subject_hash=command_hash(command),
            ),
        )
        assert asked.consent is not None
        await client.say(
            client.by("requester").conversations.decide_consent,
            conversations.DecideConsentRequest(
                client_request_id=key(),
                consent_id=asked.consent.consent_id,
                agree=agree,
                subject_hash=asked.consent.subject_hash,
            ),
        )
        command.consent_id = asked.consent.consent_id
    opened = await client.command(
        "change",
        client.by(AGENT).governance.open_change,
        command,
        lambda answer: answer.change.change_id if answer.change else "",
    )
    assert opened.change is not None
    await client.say(
        client.by("requester").governance.close_change,
        governance.CloseChangeRequest(client_request_id=key(), change_id=opened.change.change_id),
    )


async def _conversation(client: RigClient) -> str:
    said = client.by(AGENT).conversations
    opened = await client.say(
        said.open_conversation,
        conversations.OpenConversationRequest(client_request_id=key(), title="Does it work?"),
    )
    assert opened.conversation is not None
    for turn in range(3):
        await client.say(
            said.record_conversation_progress,
            conversations.RecordConversationProgressRequest(
                client_request_id=key(),
                conversation_id=opened.conversation.conversation_id,
                begins_turn=not turn,
                asks_model=True,
                usage=Usage(input_tokens=10 * turn, cost_micros=turn),
                untrusted_sources=[UntrustedSource(ref=f"{PLAIN}@{BASE}:{turn}.md")],
            ),
        )
    return opened.conversation.conversation_id


async def registered(client: RigClient) -> None:
    """A repository, and a second version of its policy."""
    name = f"rig-{key()}"
    order = repository(PLAIN)
    order.client_request_id, order.name = key(), name
    await client.say(client.by("owner").governance.register_repository, order)
    await client.say(
        client.by("owner").governance.adopt_policy,
        governance.AdoptPolicyRequest(
            client_request_id=key(), repository_id=name, expected_version=1, policy=policy(PLAIN)
        ),
    )


async def allotted(client: RigClient) -> None:
    """A budget of the tenant that no load can use up, then one more version of it."""
    known = await client.say(client.by("owner").queries.get_tenant_budget, GetTenantBudgetRequest())
    version = known.tenant_budget.version if known.tenant_budget else 0
    for seen in (version, version + 1):
        await client.say(
            client.by("owner").governance.allot_tenant_budget,
            governance.AllotTenantBudgetRequest(
                client_request_id=key(),
                expected_version=seen,
                budget=Budget(max_tokens=10**12),
                period=BudgetPeriod.IN_ALL,
            ),
        )


async def admitted(client: RigClient) -> None:
    """A principal with a token that is taken back, and a token that was made for an agent."""
    name = f"rig-{key()}"
    doors = client.by("owner").access
    await client.say(
        doors.admit_principal,
        access.AdmitPrincipalRequest(
            client_request_id=key(), principal_id=name, kind=PrincipalKind.SERVICE, roles=["viewer"]
        ),
    )
    issued = await client.say(doors.issue_token, access.IssueTokenRequest(principal_id=name))
    assert issued.token is not None
    assert (await client.say(doors.delegate_token, access.DelegateTokenRequest())).secret
    await client.say(doors.revoke_token, access.RevokeTokenRequest(token_id=issued.token.token_id))


def _content(text: str) -> ArtifactContent:
    return ArtifactContent(title="It works", text=text, acceptance_criteria=["It works."])
