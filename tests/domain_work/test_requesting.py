"""RequestWork on the real database: one row, one fact, one intent; filled from the repository and its policy."""

import asyncio
from typing import cast

import pytest

from ameide.contracts import topics
from ameide.domain.commands import changes
from ameide.errors import Conflict, NotFound, PermissionDenied, Refused
from ameide_core_proto.transformation.governance.v1 import command_service_pb as governance
from ameide_core_proto.transformation.governance.v1.policy_pb import Policy
from ameide_core_proto.transformation.work.v1.facts_pb import WorkRequested
from ameide_core_proto.transformation.work.v1.work_pb import CheckoutRules, CommitIdentity, PackageSecret, WorkStatus
from tests.domain_work.world import OPERATOR, World, caller, code, key, verify


async def test_the_same_request_fifty_times_at_once_is_one_work(world: World) -> None:
    run = await world.open_run()
    command = verify(run)
    answers = await asyncio.gather(*(world.request(command) for _ in range(50)))
    ids = {answer.work.work_request_id for answer in answers if answer.work}
    assert len(ids) == 1
    assert sum(not answer.idempotent_replay for answer in answers) == 1
    work_request_id = ids.pop()
    assert len(world.sql("SELECT 1 FROM ameide.work")) == 1
    assert world.stated(work_request_id) == ["WorkRequested"]
    assert world.stated(work_request_id, "intent") == ["WorkExecutionRequested"]


async def test_the_same_key_with_another_intention_is_a_conflict(world: World) -> None:
    run = await world.open_run()
    command = verify(run)
    await world.request(command)
    command.commit_sha = "f" * 40
    with pytest.raises(Conflict) as refused:
        await world.request(command)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_the_repository_and_its_policy_fill_what_the_request_leaves_out(world: World) -> None:
    run = await world.open_run()
    command = code(run)
    command.summary = "Let people cancel an order."
    work = await world.requested(command)
    assert work.summary == "Let people cancel an order."
    assert (work.repo_url, work.credential_ref, work.coder) == ("file:///srv/orders", "env:GIT", "patches")
    assert work.path_rules is not None
    assert "ameide.yaml" in work.path_rules.denied
    assert work.timeout_policy is not None
    assert (work.timeout_policy.claim_by_seconds, work.timeout_policy.run_for_seconds) == (86400, 3600)
    assert (work.lost_claim_retries, work.queue, work.change_id) == (2, topics.QUEUE_CODER, run.change_id)
    assert (work.status, work.dispatch, work.version) == (WorkStatus.REQUESTED, 1, 1)
    fact = world.last_fact(work.work_request_id)
    assert isinstance(fact, WorkRequested)
    assert fact.work == work


async def test_whose_the_commits_are_and_how_to_fetch_comes_from_the_policy_in_force(world: World) -> None:
    run = await world.open_run()
    [row] = world.sql("SELECT state FROM ameide.aggregate WHERE kind = 'policy'")
    policy = Policy.from_binary(cast(bytes, row["state"]))
    policy.commit_identity = CommitIdentity(author_name="Robot", author_email="robot@example.org", sign_off=True)
    policy.checkout = CheckoutRules(submodules=True, history_depth=50)
    policy.verify_secrets = [PackageSecret(name="index", home_path=".netrc")]
    command = governance.AdoptPolicyRequest(
        client_request_id=key(), repository_id="orders", expected_version=policy.version, policy=policy
    )
    await world.service.execute(OPERATOR, "AdoptPolicy", command, governance.AdoptPolicyResponse, changes.adopt_policy)
    work = await world.requested(code(run))
    assert (work.commit_identity, work.checkout) == (policy.commit_identity, policy.checkout)
    # A coder never gets what the tests may read.
    assert work.verify_secrets == []
    assert (await world.requested(verify(run))).verify_secrets == policy.verify_secrets


async def test_work_of_a_canceled_change_is_refused_and_leaves_nothing(world: World) -> None:
    run = await world.open_run()
    open_work = await world.requested(verify(run))
    running = await world.run(await world.requested(verify(run)))
    await world.service.execute(
        OPERATOR,
        "CancelChange",
        governance.CancelChangeRequest(client_request_id=key(), change_id=run.change_id, reason="not wanted"),
        governance.CancelChangeResponse,
        changes.cancel_change,
    )
    assert world.stated(open_work.work_request_id) == ["WorkRequested", "WorkCanceled"]
    assert (await world.heartbeat(running)).cancel_requested
    before = world.sql("SELECT 1 FROM ameide.work")
    command = verify(run)
    with pytest.raises(Refused) as refused:
        await world.request(command)
    assert refused.value.reason == "CHANGE_CANCELED"
    assert world.sql("SELECT 1 FROM ameide.work") == before
    assert not world.sql("SELECT 1 FROM ameide.idempotency WHERE client_request_id = %s", command.client_request_id)


async def test_an_unknown_run_and_another_tenants_run_answer_the_same(world: World) -> None:
    run = await world.open_run()
    await world.register(tenant="other")
    stranger = caller("process", "process", tenant="other")
    with pytest.raises(NotFound) as foreign:
        await world.request(verify(run), stranger)
    unknown = verify(run)
    unknown.process_instance_id = "r2r/other/chg-0/1"
    with pytest.raises(NotFound) as missing:
        await world.request(unknown, stranger)
    assert str(foreign.value).replace(run.process_instance_id, "X") == str(missing.value).replace(
        unknown.process_instance_id, "X"
    )


async def test_only_who_may_ask_for_work_may(world: World) -> None:
    await world.register()
    with pytest.raises(PermissionDenied):
        await world.request(verify(), caller("vera", "viewer", "executor"))
    answer = await world.request(verify(), caller("rita", "requester"))
    assert answer.work is not None
    assert answer.work.requested_by is not None
    assert answer.work.requested_by.actor is not None
    assert answer.work.requested_by.actor.principal_id == "rita"


async def test_only_the_process_asks_for_the_works_of_a_run(world: World) -> None:
    run = await world.open_run()
    for outsider in (OPERATOR, caller("ada", "admin"), caller("rita", "requester")):
        with pytest.raises(PermissionDenied):
            await world.request(verify(run), outsider)
    assert not world.sql("SELECT 1 FROM ameide.work")


async def test_an_answer_is_replayed_to_who_got_it_and_to_nobody_else(world: World) -> None:
    await world.register()
    command = verify()
    first = await world.request(command, caller("rita", "requester"))
    assert (await world.request(command, caller("rita", "requester"))).work == first.work
    with pytest.raises(Conflict) as refused:
        await world.request(command, caller("bert", "requester"))
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
