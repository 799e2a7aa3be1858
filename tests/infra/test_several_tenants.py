"""An executor with the tokens of several tenants keeps what each has with it apart; with one token nothing is apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.checkout import credential
from ameide.infra.credentials import Credentials
from ameide.infra.executor import Executor
from ameide.infra.object_store import ObjectStore
from ameide.infra.settings import ExecutorSettings
from ameide.infra.steps import StepFailed
from ameide.rpc.clients import Clients
from ameide_core_proto.transformation.work.v1.command_service_pb import WorkOutcome
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode, WorkRequest
from tests.infra.executor_process import STEPS
from tests.infra.work_double import WorkDouble, tool_run

ONE = "ameide_acme_tok-01_0123456789abcdefghij"
BOTH = f"{ONE} ameide_beta_tok-02_0123456789abcdefghij"
OF_ALL, OF_ACME, OF_VARIABLE = "password-of-all", "password-of-acme", "password-of-variable"


@pytest.fixture
def kept(settings: ExecutorSettings, tmp_path: Path) -> ExecutorSettings:
    """An executor whose folder has a credential `forge` for all and one for acme; there is a variable, too."""
    folder = tmp_path / "credentials"
    (folder / "acme").mkdir(parents=True)
    for file, password in ((folder / "forge", OF_ALL), (folder / "acme" / "forge", OF_ACME)):
        file.write_text(f"robot:{password}")
        file.chmod(0o600)
    return replace(settings, credentials=Credentials(folder, {"TOKEN": f"robot:{OF_VARIABLE}"}))


async def outcome(double: WorkDouble, settings: ExecutorSettings, tenant: str, **fields: str) -> tuple[str, str]:
    """What a work of that tenant comes to: a failure's code, or its success, and the summary."""
    work: WorkRequest = tool_run("wrk-1", "true")
    assert work.scope is not None
    work.scope.tenant_id = tenant
    for name, value in fields.items():
        setattr(work, name, value)
    await double.offer(work)
    async with Clients(settings.address, ONE) as clients:
        await Executor(settings, STEPS, clients, ObjectStore(settings.object_store)).run_once()
    said = double.outcomes["wrk-1"]
    assert said.result is not None
    code = "SUCCESS" if said.outcome is WorkOutcome.SUCCESS else FailureCode(said.result.failure_code).name
    return code, said.result.summary


def test_each_tenant_has_a_folder_of_its_own_and_no_variables(kept: ExecutorSettings) -> None:
    both = replace(kept, token=BOTH)
    found = credential(both.of_tenant("acme"), "forge")
    assert found is not None
    assert found.secret == OF_ACME
    for reference in ("forge", "env:TOKEN", "../forge", "../acme/forge", "acme"):
        with pytest.raises(StepFailed) as refused:
            credential(both.of_tenant("beta"), reference)
        assert refused.value.code is FailureCode.MISSING_CREDENTIALS
    for name in ("", "..", "../acme"):
        with pytest.raises(InvalidArgument, match="no name of a tenant"):
            both.of_tenant(name)


def test_with_one_token_all_is_as_it_was(kept: ExecutorSettings) -> None:
    one = replace(kept, token=ONE)
    assert one.of_tenant("acme") is one
    for reference, secret in (("forge", OF_ALL), ("env:TOKEN", OF_VARIABLE)):
        found = credential(one.of_tenant("acme"), reference)
        assert found is not None
        assert found.secret == secret


def test_what_any_tenant_has_is_taken_out_of_the_executors_own_log(kept: ExecutorSettings) -> None:
    both = replace(kept, token=BOTH)
    assert {OF_ALL, OF_ACME, OF_VARIABLE} <= set(both.secrets())
    assert OF_ACME in both.of_tenant("acme").secrets()
    assert OF_ACME not in both.of_tenant("beta").secrets()


@pytest.mark.parametrize(
    ("token", "tenant", "code"),
    [(BOTH, "acme", "SUCCESS"), (BOTH, "beta", "MISSING_CREDENTIALS"), (ONE, "beta", "SUCCESS")],
    ids=["its own", "another tenant's", "one tenant"],
)
async def test_a_work_gets_the_credentials_of_its_tenant(
    double: WorkDouble, kept: ExecutorSettings, token: str, tenant: str, code: str
) -> None:
    said, summary = await outcome(double, replace(kept, token=token), tenant, credential_ref="forge")
    assert said == code, summary
    if code != "SUCCESS":
        assert f"{kept.credentials.folder}/beta/forge" in summary


@pytest.mark.parametrize(("token", "code"), [(BOTH, "CHECKOUT_FAILED"), (ONE, "SUCCESS")], ids=["several", "one"])
@pytest.mark.parametrize("url", ["file:///srv/git/orders.git", "/srv/git/orders.git", "../orders.git"])
async def test_a_path_of_the_machine_is_a_repository_for_one_tenant_alone(
    double: WorkDouble, kept: ExecutorSettings, token: str, code: str, url: str
) -> None:
    said, summary = await outcome(double, replace(kept, token=token), "acme", repo_url=url)
    assert said == code, summary
    assert (code == "SUCCESS") or summary.startswith("repo_url: it is a path")
