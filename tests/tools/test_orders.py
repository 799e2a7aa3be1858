"""The whole way of the demo's change, step by step: the example is real, its first patch fails one test.

Its second none.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches
from ameide.infra.steps import StepFailed
from ameide.infra.tools import STEPS
from ameide_core_proto.transformation.work.v1.work_pb import ActionKind, FailureCode, WorkInputs
from tests.tools.world import Remote, World, git

BRANCH = "agent/coder/chg-1/1"
FAILING = "tests/test_cancel.py::test_a_shipped_order_cannot_be_canceled"


@pytest.fixture
def orders(state_dir: Path) -> Remote:
    create_orders_remotes(state_dir / "remotes")
    return Remote.of(state_dir / "remotes" / "orders.git", state_dir)


def apply(remote: Remote, patch: Path, onto: str) -> str:
    """What the patches coder does, without generating."""
    git(remote.clone, "fetch", "-q", "origin")
    git(remote.clone, "checkout", "-q", "--detach", onto)
    subprocess.run(["git", "apply", str(patch)], cwd=remote.clone, check=True)
    return remote.commit({}, branch=BRANCH, onto="")


async def test_the_first_patch_fails_one_test_and_the_second_none(world: World, orders: Remote) -> None:
    base = orders.head()
    ready = await world.run(STEPS[ActionKind.PREFLIGHT], world.work(ActionKind.PREFLIGHT, orders))
    assert ready.outputs is not None
    assert ready.outputs.commit_sha == base

    inputs = WorkInputs(branch=BRANCH, requirement_title="Cancel orders", acceptance_criteria=["One", "Two"])
    scaffold = world.work(ActionKind.SCAFFOLD, orders, commit=base, base=base, inputs=inputs)
    scaffolded = (await world.run(STEPS[ActionKind.SCAFFOLD], scaffold)).outputs
    assert scaffolded is not None
    assert scaffolded.changed_paths == ["docs/requirements/chg-1.md"]
    assert orders.head(BRANCH) == scaffolded.commit_sha
    text = git(orders.bare, "show", f"{BRANCH}:docs/requirements/chg-1.md")
    assert "1. One\n2. Two" in text

    first, second = sorted(orders_patches().glob("*.patch"))
    proposed = apply(orders, first, scaffolded.commit_sha)
    generate = world.work(
        ActionKind.GENERATE,
        orders,
        commit=proposed,
        base=base,
        inputs=WorkInputs(branch=BRANCH, expected_branch_sha=proposed),
    )
    generated = (await world.run(STEPS[ActionKind.GENERATE], generate)).outputs
    assert generated is not None
    assert generated.changed_paths == ["gen/orders/v1/orders_pb.py"]

    with pytest.raises(StepFailed) as red:
        await world.run(
            STEPS[ActionKind.VERIFY], world.work(ActionKind.VERIFY, orders, commit=generated.commit_sha, base=base)
        )
    assert red.value.code is FailureCode.VERIFICATION_FAILED
    assert [finding.id for finding in red.value.findings] == [FAILING]
    assert world.checks()[FAILING] == "FAILED"

    corrected = apply(orders, second, generated.commit_sha)
    verify = world.work(ActionKind.VERIFY, orders, commit=corrected, base=base)
    green = await world.run(STEPS[ActionKind.VERIFY], verify)
    assert green.findings == []
    assert world.checks()[FAILING] == "PASSED"


async def test_a_commit_is_built_published_promoted_and_answers(world: World, orders: Remote, state_dir: Path) -> None:
    commit = orders.head()
    build = world.work(ActionKind.BUILD, orders, commit=commit, base=commit, inputs=WorkInputs(component="orders"))
    built = (await world.run(STEPS[ActionKind.BUILD], build)).outputs
    again = (await world.run(STEPS[ActionKind.BUILD], build)).outputs
    assert built is not None
    assert again is not None
    assert built.build_digest == again.build_digest
    manifest = next(each for each in world.bundle.artifacts if each.name == "manifest.json")
    stored = await world.store.get(manifest.uri)
    assert built.build_digest == f"sha256:{hashlib.sha256(stored).hexdigest()}"

    inputs = WorkInputs(component="orders", build_uri=built.build_uri, build_digest=built.build_digest)
    publish = world.work(ActionKind.PUBLISH, orders, commit=commit, inputs=inputs)
    published = (await world.run(STEPS[ActionKind.PUBLISH], publish)).outputs
    assert published is not None
    assert published.image_ref == f"local/orders:{commit}@{built.build_digest}"
    assert not published.unchanged
    repeated = (await world.run(STEPS[ActionKind.PUBLISH], publish)).outputs
    assert repeated is not None
    assert repeated.unchanged
    assert repeated.image_ref == published.image_ref

    gitops = state_dir / "remotes" / "orders-gitops.git"
    for environment in ("dev", "production"):
        before = git(gitops, "show", f"main:environments/{environment}/values.yaml")
        inputs = WorkInputs(
            image_ref=published.image_ref,
            environment=environment,
            gitops_url=gitops.as_uri(),
            gitops_branch="main",
            image_ref_path=f"environments/{environment}/values.yaml",
            release_id="rel-1",
        )
        deploy = world.work(ActionKind.DEPLOY, orders, commit=commit, inputs=inputs)
        deployed = (await world.run(STEPS[ActionKind.DEPLOY], deploy)).outputs
        assert deployed is not None
        assert deployed.merged
        assert deployed.pr_url.startswith(gitops.as_uri())
        numstat = git(gitops, "show", "--numstat", "--format=", deployed.gitops_commit_sha)
        assert numstat == f"1\t1\tenvironments/{environment}/values.yaml"
        after = git(gitops, "show", f"main:environments/{environment}/values.yaml")
        assert after == before.replace('ref: ""', f'ref: "{published.image_ref}"')
        replayed = (await world.run(STEPS[ActionKind.DEPLOY], deploy)).outputs
        assert replayed is not None
        assert (replayed.unchanged, replayed.gitops_commit_sha) == (True, deployed.gitops_commit_sha)
        assert replayed.pr_url == deployed.pr_url

    smoke = world.work(ActionKind.SMOKE, orders, commit=commit, inputs=WorkInputs(image_ref=published.image_ref))
    answered = await world.run(STEPS[ActionKind.SMOKE], smoke)
    assert json.dumps({"version": commit}) in answered.summary

    layers = json.loads(stored)["layers"]
    blob = state_dir / "registry" / "orders" / "blobs" / "sha256" / layers[-1]["digest"].removeprefix("sha256:")
    blob.write_bytes(blob.read_bytes()[:-9] + b"\x00" + blob.read_bytes()[-8:])
    with pytest.raises(StepFailed, match=re.escape(layers[-1]["digest"])):
        await world.run(STEPS[ActionKind.SMOKE], smoke)
